// Mean-field inference and its gradient as TensorFlow operations on the CPU.
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow_run.h"

namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

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
    .Attr("learn_weights: bool = true")  // whether the gradient gives that of the weights, or 0
    .Attr("learn_penalties: bool = true")
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
    .Attr("learn_weights: bool = true")
    .Attr("learn_penalties: bool = true")
    .Output("logits_gradient: float")
    .Output("weights_gradient: float")
    .Output("penalties_gradient: float")
    .SetShapeFn(GradientShape);

#ifndef KV_EMULATE  // where the emulated GPU takes the CPU's place
REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrf").Device(tensorflow::DEVICE_CPU), DenseCrf<OnCpu>);
REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrfGradient").Device(tensorflow::DEVICE_CPU), DenseCrfGradient<OnCpu>);
#endif

}  // namespace
