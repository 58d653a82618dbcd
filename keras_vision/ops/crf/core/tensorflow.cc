// The core as TensorFlow operations on the CPU: shapes, TensorFlow's threads, cancellation, errors.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "crf.h"
#include "tensorflow/core/framework/common_shape_fns.h"
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

absl::Status FilterShape(InferenceContext* c) {
  ShapeHandle values, features;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &values));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 3, &features));
  DimensionHandle batch, points;
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(values, 0), c->Dim(features, 0), &batch));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(values, 1), c->Dim(features, 1), &points));
  c->set_output(0, c->MakeShape({batch, points, c->Dim(values, 2)}));
  return absl::OkStatus();
}

absl::Status DenseCrfShape(InferenceContext* c) {
  ShapeHandle logits, image, unused;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &logits));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 4, &image));
  std::vector<DimensionHandle> dims(4);
  for (int i = 0; i < 3; ++i) TF_RETURN_IF_ERROR(c->Merge(c->Dim(logits, i), c->Dim(image, i), &dims[i]));
  dims[3] = c->Dim(logits, 3);
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 1, &unused));
  for (int i = 3; i < 6; ++i) TF_RETURN_IF_ERROR(c->WithRank(c->input(i), 2, &unused));
  c->set_output(0, c->MakeShape(dims));
  return absl::OkStatus();
}

REGISTER_OP("KerasVisionPermutohedralFilter")
    .Input("values: float")
    .Input("features: float")
    .Attr("reverse: bool = false")
    .Attr("level: int = 0")
    .Output("filtered: float")
    .SetShapeFn(FilterShape);

REGISTER_OP("KerasVisionDenseCrf")
    .Input("logits: float")
    .Input("image: float")
    .Input("weights: float")        // (kernels)
    .Input("theta_position: float")  // (kernels, 2): x, y
    .Input("theta_image: float")     // (kernels, channels); a row of 0 for a kernel that does not look at the image
    .Input("penalties: float")       // (labels, labels), or (0, 0) for Potts
    .Attr("iterations: int")
    .Attr("normalization: int = 0")
    .Attr("level: int = 0")
    .Output("marginals: float")
    .SetShapeFn(DenseCrfShape);

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

void ParallelFor(void* threads, int64_t count, kv_task task, void* state) {
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

int IsCancelled(void* token) { return static_cast<tensorflow::CancellationManager*>(token)->IsCancelled(); }

absl::Status ToStatus(int status, const char* message) {
  switch (status) {
    case KV_OK: return absl::OkStatus();
    case KV_NO_MEMORY: return absl::ResourceExhaustedError(message);
    case KV_CANCELLED: return absl::CancelledError(message);
    default: return absl::InvalidArgumentError(message);
  }
}

// Runs `call(run, message, size)` with TensorFlow's threads and cancellation.
template <class Call>
absl::Status Run(OpKernelContext* context, int level, Call&& call) {
  const auto* workers = context->device()->tensorflow_cpu_worker_threads();
  Threads threads{workers->workers, workers->num_threads};
  kv_run run{};
  run.level = level;
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
void UseHugePages(const Tensor& tensor) {
#ifdef __linux__
  constexpr uintptr_t page = uintptr_t{1} << 21;
  const uintptr_t first = reinterpret_cast<uintptr_t>(tensor.data()), last = first + tensor.TotalBytes();
  const uintptr_t from = (first + page - 1) / page * page, until = last / page * page;
  if (from < until) ::madvise(reinterpret_cast<void*>(from), until - from, MADV_HUGEPAGE);
#endif
}

class PermutohedralFilter : public OpKernel {
 public:
  explicit PermutohedralFilter(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("reverse", &reverse_));
    OP_REQUIRES_OK(context, context->GetAttr("level", &level_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& values = context->input(0);
    const Tensor& features = context->input(1);
    OP_REQUIRES(context, values.dims() == 3 && features.dims() == 3 && values.dim_size(0) == features.dim_size(0) &&
                             values.dim_size(1) == features.dim_size(1),
                absl::InvalidArgumentError(absl::StrCat(
                    "values must be (n, points, channels) and features (n, points, dimensions) of the same points; given: ",
                    values.shape().DebugString(), " and ", features.shape().DebugString())));
    Tensor* filtered = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, values.shape(), &filtered));
    if (values.NumElements() == 0) return;
    kv_filter_arguments a{};
    a.batch = values.dim_size(0);
    a.points = values.dim_size(1);
    a.channels = values.dim_size(2);
    a.dimensions = features.dim_size(2);
    a.values = values.flat<float>().data();
    a.features = features.flat<float>().data();
    a.reverse = reverse_;
    a.filtered = filtered->flat<float>().data();
    OP_REQUIRES_OK(context, Run(context, level_, [&](kv_run* run, char* message, int64_t size) {
                     return kv_permutohedral_filter(&a, run, message, size);
                   }));
  }

 private:
  bool reverse_;
  int level_;
};

class DenseCrf : public OpKernel {
 public:
  explicit DenseCrf(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("iterations", &iterations_));
    OP_REQUIRES_OK(context, context->GetAttr("normalization", &normalization_));
    OP_REQUIRES_OK(context, context->GetAttr("level", &level_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& logits = context->input(0);
    const Tensor& image = context->input(1);
    bool same = logits.dims() == 4 && image.dims() == 4;
    for (int i = 0; same && i < 3; ++i) same = logits.dim_size(i) == image.dim_size(i);
    OP_REQUIRES(context, same,
                absl::InvalidArgumentError(absl::StrCat(
                    "logits must be (n, h, w, labels) and image (n, h, w, channels) of the same n, h and w; given: ",
                    logits.shape().DebugString(), " and ", image.shape().DebugString())));
    const Tensor& weights = context->input(2);
    const Tensor& position = context->input(3);
    const Tensor& theta = context->input(4);
    const Tensor& penalties = context->input(5);
    const int64_t kernels = weights.NumElements(), labels = logits.dim_size(3), channels = image.dim_size(3);
    OP_REQUIRES(context,
                weights.dims() == 1 && position.NumElements() == 2 * kernels && theta.NumElements() == kernels * channels,
                absl::InvalidArgumentError("every kernel needs one weight, two thetas of position, and a theta for each "
                                           "channel of the image"));
    OP_REQUIRES(context, penalties.NumElements() == 0 || penalties.NumElements() == labels * labels,
                absl::InvalidArgumentError(absl::StrCat("penalties must be (", labels, ", ", labels, "); given: ",
                                                        penalties.shape().DebugString())));
    Tensor* marginals = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, logits.shape(), &marginals));
    if (logits.dim_size(0) == 0) return;
    UseHugePages(*marginals);
    std::vector<kv_kernel> list(kernels);
    for (int64_t k = 0; k < kernels; ++k) {
      const float* own = theta.flat<float>().data() + k * channels;
      list[k].weight = weights.flat<float>()(k);
      list[k].theta_x = position.flat<float>()(2 * k);
      list[k].theta_y = position.flat<float>()(2 * k + 1);
      const bool looks = std::any_of(own, own + channels, [](float value) { return value != 0; });
      list[k].theta_image = looks ? own : nullptr;
    }
    kv_mean_field_arguments a{};
    a.batch = logits.dim_size(0);
    a.height = logits.dim_size(1);
    a.width = logits.dim_size(2);
    a.labels = labels;
    a.channels = channels;
    a.logits = logits.flat<float>().data();
    a.image = image.flat<float>().data();
    a.kernels = list.data();
    a.kernel_count = static_cast<int32_t>(std::min<int64_t>(kernels, INT32_MAX));
    a.penalties = penalties.NumElements() ? penalties.flat<float>().data() : nullptr;
    a.iterations = iterations_;
    a.normalization = normalization_;
    a.marginals = marginals->flat<float>().data();
    OP_REQUIRES_OK(context, Run(context, level_, [&](kv_run* run, char* message, int64_t size) {
                     return kv_mean_field(&a, run, message, size);
                   }));
  }

 private:
  int iterations_, normalization_, level_;
};

REGISTER_KERNEL_BUILDER(Name("KerasVisionPermutohedralFilter").Device(tensorflow::DEVICE_CPU), PermutohedralFilter);
REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrf").Device(tensorflow::DEVICE_CPU), DenseCrf);

}  // namespace
