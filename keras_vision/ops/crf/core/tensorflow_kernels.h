// The operations' kernels, for any device. A Device has
//   Run(context, level, outputs, arguments): calls the core for the arguments' kind; `outputs` bytes are already taken;
//   Prepare(tensor): an output is about to be written;
//   Available(): bytes of memory that an output may take.
#pragma once

#include <algorithm>
#include <vector>

#include "crf.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

inline int IsCancelled(void* token) { return static_cast<tensorflow::CancellationManager*>(token)->IsCancelled(); }

inline absl::Status ToStatus(int status, const char* message) {
  switch (status) {
    case KV_OK: return absl::OkStatus();
    case KV_NO_MEMORY: return absl::ResourceExhaustedError(message);
    case KV_CANCELLED: return absl::CancelledError(message);
    case KV_INVALID: return absl::InvalidArgumentError(message);
    default: return absl::InternalError(message);
  }
}

// The arguments of a mean-field call, from the first six inputs; all but the logits and the image are in the host's memory.
class Arguments {
 public:
  explicit Arguments(OpKernelConstruction* context) {
    OP_REQUIRES_OK(context, context->GetAttr("iterations", &iterations_));
    OP_REQUIRES_OK(context, context->GetAttr("normalization", &normalization_));
    OP_REQUIRES_OK(context, context->GetAttr("level", &level));
  }

  // All but the places of the results; `kernels` is what they point into.
  absl::Status Read(OpKernelContext* context, std::vector<kv_kernel>& kernels, kv_mean_field_arguments& a) const {
    const Tensor& logits = context->input(0);
    const Tensor& image = context->input(1);
    TF_RETURN_IF_ERROR(Check(context, logits, image));
    const Tensor& weights = context->input(2);
    const Tensor& position = context->input(3);
    const Tensor& theta = context->input(4);
    const Tensor& penalties = context->input(5);
    const int64_t channels = image.dim_size(3);
    kernels.resize(weights.NumElements());
    for (size_t k = 0; k < kernels.size(); ++k) {
      const float* own = theta.flat<float>().data() + k * channels;
      kernels[k].weight = weights.flat<float>()(k);
      kernels[k].theta_x = position.flat<float>()(2 * k);
      kernels[k].theta_y = position.flat<float>()(2 * k + 1);
      const bool looks = std::any_of(own, own + channels, [](float value) { return value != 0; });
      kernels[k].theta_image = looks ? own : nullptr;
    }
    a.batch = logits.dim_size(0);
    a.height = logits.dim_size(1);
    a.width = logits.dim_size(2);
    a.labels = logits.dim_size(3);
    a.channels = channels;
    a.logits = logits.flat<float>().data();
    a.image = image.flat<float>().data();
    a.kernels = kernels.data();
    a.kernel_count = static_cast<int32_t>(std::min<int64_t>(weights.NumElements(), INT32_MAX));
    a.penalties = penalties.NumElements() ? penalties.flat<float>().data() : nullptr;
    a.iterations = iterations_;
    a.normalization = normalization_;
    return absl::OkStatus();
  }

  int level;

 private:
  absl::Status Check(OpKernelContext* context, const Tensor& logits, const Tensor& image) const {
    bool same = logits.dims() == 4 && image.dims() == 4;
    for (int i = 0; same && i < 3; ++i) same = logits.dim_size(i) == image.dim_size(i);
    if (!same)
      return absl::InvalidArgumentError(absl::StrCat(
          "logits must be (n, h, w, labels) and image (n, h, w, channels) of the same n, h and w; given: ",
          logits.shape().DebugString(), " and ", image.shape().DebugString()));
    const int64_t kernels = context->input(2).NumElements(), labels = logits.dim_size(3);
    if (context->input(2).dims() != 1 || context->input(3).NumElements() != 2 * kernels ||
        context->input(4).NumElements() != kernels * image.dim_size(3))
      return absl::InvalidArgumentError(
          "every kernel needs one weight, two thetas of position, and a theta for each channel of the image");
    const Tensor& penalties = context->input(5);
    if (penalties.NumElements() != 0 && penalties.NumElements() != labels * labels)
      return absl::InvalidArgumentError(
          absl::StrCat("penalties must be (", labels, ", ", labels, "); given: ", penalties.shape().DebugString()));
    return absl::OkStatus();
  }

  int iterations_, normalization_;
};

template <class Device>
class DenseCrf : public OpKernel {
 public:
  explicit DenseCrf(OpKernelConstruction* context) : OpKernel(context), arguments_(context) {
    OP_REQUIRES_OK(context, context->GetAttr("keep", &keep_));
  }

  void Compute(OpKernelContext* context) override {
    std::vector<kv_kernel> kernels;
    kv_mean_field_arguments a{};
    OP_REQUIRES_OK(context, arguments_.Read(context, kernels, a));
    Tensor *marginals = nullptr, *kept = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(), &marginals));
    OP_REQUIRES_OK(context, AllocateKept(context, a, &kept));
    if (a.batch == 0) return;
    Device::Prepare(*marginals);
    Device::Prepare(*kept);
    a.marginals = marginals->flat<float>().data();
    a.kept = kept->NumElements() ? kept->flat<float>().data() : nullptr;
    const int64_t outputs = marginals->TotalBytes() + kept->TotalBytes();
    OP_REQUIRES_OK(context, Device::Run(context, arguments_.level, outputs, a));
  }

 private:
  // On the CPU, TensorFlow would take more than there is, and the process be killed when it is written.
  absl::Status AllocateKept(OpKernelContext* context, const kv_mean_field_arguments& a, Tensor** kept) const {
    const int64_t iterations = keep_ && a.iterations > 0 ? a.iterations : 0;
    const double gibibytes = 4. * iterations * a.batch * a.height * a.width * a.labels / (1 << 30);
    const double available = Device::Available() / (1 << 30);
    if (gibibytes > available)
      return absl::ResourceExhaustedError(
          absl::StrCat("the marginals of all iterations take ", gibibytes, " GiB of memory; ", available,
                       " GiB are available. Do not keep them, or use fewer images"));
    TensorShape shape;
    TF_RETURN_IF_ERROR(TensorShape::BuildTensorShape({a.batch, iterations, a.height, a.width, a.labels}, &shape));
    return context->allocate_output(1, shape, kept);
  }

  Arguments arguments_;
  bool keep_;
};

template <class Device>
class DenseCrfGradient : public OpKernel {
 public:
  explicit DenseCrfGradient(OpKernelConstruction* context) : OpKernel(context), arguments_(context) {
    OP_REQUIRES_OK(context, context->GetAttr("learn_weights", &learn_weights_));
    OP_REQUIRES_OK(context, context->GetAttr("learn_penalties", &learn_penalties_));
  }

  void Compute(OpKernelContext* context) override {
    std::vector<kv_kernel> kernels;
    kv_mean_field_gradient_arguments a{};
    OP_REQUIRES_OK(context, arguments_.Read(context, kernels, a.forward));
    const Tensor& marginals = context->input(6);
    const Tensor& kept = context->input(7);
    const Tensor& gradient = context->input(8);
    const TensorShape& shape = context->input(0).shape();
    const bool fits = kept.NumElements() == 0 || kept.NumElements() == a.forward.iterations * shape.num_elements();
    OP_REQUIRES(context, marginals.shape() == shape && gradient.shape() == shape && fits,
                absl::InvalidArgumentError("the marginals, their gradient and those kept must have the logits' shape"));
    Tensor* outputs[3];
    const int inputs[3] = {0, 2, 5};
    for (int i = 0; i < 3; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(inputs[i]).shape(), &outputs[i]));
    for (int i = 1; i < 3; ++i)  // in the host's memory; of what nobody asked for they are the result
      std::fill_n(outputs[i]->flat<float>().data(), outputs[i]->NumElements(), 0.f);
    if (a.forward.batch == 0) return;
    // Only read by the gradient.
    a.forward.marginals = const_cast<float*>(marginals.flat<float>().data());
    a.forward.kept = kept.NumElements() ? const_cast<float*>(kept.flat<float>().data()) : nullptr;
    a.marginals_gradient = gradient.flat<float>().data();
    a.logits_gradient = outputs[0]->flat<float>().data();
    if (learn_weights_) a.weights_gradient = outputs[1]->flat<float>().data();
    if (learn_penalties_ && outputs[2]->NumElements()) a.penalties_gradient = outputs[2]->flat<float>().data();
    Device::Prepare(*outputs[0]);
    OP_REQUIRES_OK(context, Device::Run(context, arguments_.level, outputs[0]->TotalBytes(), a));
  }

 private:
  Arguments arguments_;
  bool learn_weights_, learn_penalties_;
};

template <class Device>
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
    OP_REQUIRES_OK(context, Device::Run(context, level_, filtered->TotalBytes(), a));
  }

 private:
  bool reverse_;
  int level_;
};

}  // namespace
