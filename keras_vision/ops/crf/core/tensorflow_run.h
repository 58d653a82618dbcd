// How the core runs in TensorFlow: its threads, its cancellation, its errors.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "crf.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/platform/threadpool.h"

namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Tasks of one parallel-for. The caller works too, and waits for tasks that have been taken, never for helpers that have
// not started: so it cannot wait for a thread that waits for it.
struct Tasks {
  kv_task task;
  void* state;
  int64_t count;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::condition_variable finished;
  int64_t done = 0;

  void work() {
    int64_t own = 0;
    for (int64_t i = next++; i < count; i = next++) {
      task(state, i);
      ++own;
    }
    if (own == 0) return;
    std::lock_guard<std::mutex> lock(mutex);
    if ((done += own) == count) finished.notify_all();
  }
};

struct Threads {
  tensorflow::thread::ThreadPool* pool;
  int number;
};

inline void ParallelFor(void* threads, int64_t count, kv_task task, void* state) {
  auto* own = static_cast<Threads*>(threads);
  auto tasks = std::make_shared<Tasks>();
  tasks->task = task;
  tasks->state = state;
  tasks->count = count;
  const int64_t helpers = std::min<int64_t>(own->number, count) - 1;
  for (int64_t i = 0; i < helpers; ++i) own->pool->Schedule([tasks] { tasks->work(); });
  tasks->work();
  std::unique_lock<std::mutex> lock(tasks->mutex);
  tasks->finished.wait(lock, [&] { return tasks->done == tasks->count; });
}

inline int IsCancelled(void* token) { return static_cast<tensorflow::CancellationManager*>(token)->IsCancelled(); }

inline absl::Status ToStatus(int status, const char* message) {
  switch (status) {
    case KV_OK: return absl::OkStatus();
    case KV_NO_MEMORY: return absl::ResourceExhaustedError(message);
    case KV_CANCELLED: return absl::CancelledError(message);
    default: return absl::InvalidArgumentError(message);
  }
}

// Runs `call(run, message, size)` with TensorFlow's threads and cancellation. The operation's own outputs, so many bytes,
// count as taken: nobody has touched them, and to the machine they are still free.
template <class Call>
absl::Status Run(OpKernelContext* context, int level, int64_t outputs, Call&& call) {
  const auto* workers = context->device()->tensorflow_cpu_worker_threads();
  Threads threads{workers->workers, workers->num_threads};
  kv_run run{};
  run.level = level;
  run.memory_limit = std::max<int64_t>(1, kv_available_memory() - outputs);
  if (threads.number > 1) {
    run.threads = threads.number;
    run.parallel_for = ParallelFor;
    run.pool = &threads;
  }
  if (context->cancellation_manager()) {
    run.cancelled = IsCancelled;
    run.token = context->cancellation_manager();
  }
  char message[512] = "";
  return ToStatus(call(&run, message, sizeof message), message);
}

// A hint: the result of a batch is hundreds of megabytes that nobody has touched, and page faults would take a tenth of the
// time.
inline void UseHugePages(const Tensor& tensor) {
#ifdef __linux__
  constexpr uintptr_t page = uintptr_t{1} << 21;
  const uintptr_t first = reinterpret_cast<uintptr_t>(tensor.data()), last = first + tensor.TotalBytes();
  const uintptr_t from = (first + page - 1) / page * page, until = last / page * page;
  if (from < until) ::madvise(reinterpret_cast<void*>(from), until - from, MADV_HUGEPAGE);
#endif
}

}  // namespace
