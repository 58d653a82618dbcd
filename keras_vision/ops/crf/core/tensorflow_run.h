// How the core runs in TensorFlow on the CPU: its threads, its memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow_kernels.h"

namespace {

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

struct OnCpu {
  static absl::Status Run(OpKernelContext* context, int level, int64_t outputs, const kv_mean_field_arguments& a) {
    return Call(context, level, outputs, kv_mean_field, a);
  }
  static absl::Status Run(OpKernelContext* context, int level, int64_t outputs, const kv_mean_field_gradient_arguments& a) {
    return Call(context, level, outputs, kv_mean_field_gradient, a);
  }
  static absl::Status Run(OpKernelContext* context, int level, int64_t outputs, const kv_filter_arguments& a) {
    return Call(context, level, outputs, kv_permutohedral_filter, a);
  }

  static double Available() { return static_cast<double>(kv_available_memory()); }

  // A hint: the result of a batch is hundreds of megabytes that nobody has touched, and page faults would take a tenth of
  // the time.
  static void Prepare(const Tensor& tensor) {
#ifdef __linux__
    constexpr uintptr_t page = uintptr_t{1} << 21;
    const uintptr_t first = reinterpret_cast<uintptr_t>(tensor.data()), last = first + tensor.TotalBytes();
    const uintptr_t from = (first + page - 1) / page * page, until = last / page * page;
    if (from < until) ::madvise(reinterpret_cast<void*>(from), until - from, MADV_HUGEPAGE);
#endif
  }

 private:
  // With TensorFlow's threads and cancellation. The operation's own outputs count as taken: nobody has touched them, and
  // to the machine they are still free.
  template <class Arguments>
  static absl::Status Call(OpKernelContext* context, int level, int64_t outputs,
                           int (*function)(const Arguments*, kv_run*, char*, int64_t), const Arguments& arguments) {
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
    return ToStatus(function(&arguments, &run, message, sizeof message), message);
  }
};

}  // namespace
