// Mean-field inference and its gradient as TensorFlow operations on the CPU.
#include <vector>

#include "tensorflow_run.h"

namespace {

using tensorflow::TensorShape;

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
  int iterations;
  bool keep;
  TF_RETURN_IF_ERROR(c->GetAttr("iterations", &iterations));
  TF_RETURN_IF_ERROR(c->GetAttr("keep", &keep));
  dims.insert(dims.begin() + 1, c->MakeDim(keep && iterations > 0 ? iterations : 0));
  c->set_output(1, c->MakeShape(dims));
  return absl::OkStatus();
}

absl::Status GradientShape(InferenceContext* c) {
  c->set_output(0, c->input(0));
  c->set_output(1, c->input(2));
  c->set_output(2, c->input(5));
  return absl::OkStatus();
}

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
    .Attr("keep: bool = false")      // whether the gradient gets the marginals of all iterations
    .Output("marginals: float")
    .Output("kept: float")           // (n, iterations, h, w, labels), or without iterations
    .SetShapeFn(DenseCrfShape);

REGISTER_OP("KerasVisionDenseCrfGradient")
    .Input("logits: float")  // the first six as of KerasVisionDenseCrf, then its results
    .Input("image: float")
    .Input("weights: float")
    .Input("theta_position: float")
    .Input("theta_image: float")
    .Input("penalties: float")
    .Input("marginals: float")
    .Input("kept: float")
    .Input("marginals_gradient: float")
    .Attr("iterations: int")
    .Attr("normalization: int = 0")
    .Attr("level: int = 0")
    .Output("logits_gradient: float")
    .Output("weights_gradient: float")
    .Output("penalties_gradient: float")
    .SetShapeFn(GradientShape);

// The arguments of a mean-field call, from the first six inputs.
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
    UseHugePages(*marginals);
    UseHugePages(*kept);
    a.marginals = marginals->flat<float>().data();
    a.kept = kept->NumElements() ? kept->flat<float>().data() : nullptr;
    const int64_t outputs = marginals->TotalBytes() + kept->TotalBytes();
    OP_REQUIRES_OK(context, Run(context, arguments_.level, outputs, [&](kv_run* run, char* message, int64_t size) {
                     return kv_mean_field(&a, run, message, size);
                   }));
  }

 private:
  // TensorFlow would take more than there is, and the process be killed when it is written.
  absl::Status AllocateKept(OpKernelContext* context, const kv_mean_field_arguments& a, Tensor** kept) const {
    const int64_t iterations = keep_ && a.iterations > 0 ? a.iterations : 0;
    const double gibibytes = 4. * iterations * a.batch * a.height * a.width * a.labels / (1 << 30);
    const double available = static_cast<double>(kv_available_memory()) / (1 << 30);
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

class DenseCrfGradient : public OpKernel {
 public:
  explicit DenseCrfGradient(OpKernelConstruction* context) : OpKernel(context), arguments_(context) {}

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
    if (a.forward.batch == 0) {
      for (Tensor* output : outputs) output->flat<float>().setZero();
      return;
    }
    // Only read by the gradient.
    a.forward.marginals = const_cast<float*>(marginals.flat<float>().data());
    a.forward.kept = kept.NumElements() ? const_cast<float*>(kept.flat<float>().data()) : nullptr;
    a.marginals_gradient = gradient.flat<float>().data();
    a.logits_gradient = outputs[0]->flat<float>().data();
    a.weights_gradient = outputs[1]->flat<float>().data();
    a.penalties_gradient = outputs[2]->NumElements() ? outputs[2]->flat<float>().data() : nullptr;
    UseHugePages(*outputs[0]);
    const int64_t bytes = outputs[0]->TotalBytes();
    OP_REQUIRES_OK(context, Run(context, arguments_.level, bytes, [&](kv_run* run, char* message, int64_t size) {
                     return kv_mean_field_gradient(&a, run, message, size);
                   }));
  }

 private:
  Arguments arguments_;
};

REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrf").Device(tensorflow::DEVICE_CPU), DenseCrf);
REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrfGradient").Device(tensorflow::DEVICE_CPU), DenseCrfGradient);

}  // namespace
