// The permutohedral filter as a TensorFlow operation on the CPU.
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow_run.h"

namespace {

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

REGISTER_OP("KerasVisionPermutohedralFilter")
    .Input("values: float")
    .Input("features: float")
    .Attr("reverse: bool = false")
    .Attr("level: int = 0")
    .Output("filtered: float")
    .SetShapeFn(FilterShape);

#ifndef KV_EMULATE
REGISTER_KERNEL_BUILDER(Name("KerasVisionPermutohedralFilter").Device(tensorflow::DEVICE_CPU), PermutohedralFilter<OnCpu>);
#endif

}  // namespace
