// The permutohedral filter as a TensorFlow operation on the CPU.
#include "tensorflow_run.h"

namespace {

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

REGISTER_OP("KerasVisionPermutohedralFilter")
    .Input("values: float")
    .Input("features: float")
    .Attr("reverse: bool = false")
    .Attr("level: int = 0")
    .Output("filtered: float")
    .SetShapeFn(FilterShape);

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
    OP_REQUIRES_OK(context, Run(context, level_, filtered->TotalBytes(), [&](kv_run* run, char* message, int64_t size) {
                     return kv_permutohedral_filter(&a, run, message, size);
                   }));
  }

 private:
  bool reverse_;
  int level_;
};

REGISTER_KERNEL_BUILDER(Name("KerasVisionPermutohedralFilter").Device(tensorflow::DEVICE_CPU), PermutohedralFilter);

}  // namespace
