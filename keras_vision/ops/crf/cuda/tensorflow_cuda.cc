// The operations of core/ on the GPU: TensorFlow's stream and memory for the CUDA core. With -DKV_EMULATE the same glue runs
// the emulated core on the CPU.
#ifndef KV_EMULATE
#define EIGEN_USE_GPU
#endif

#include <limits>
#include <vector>

#include "../core/tensorflow_kernels.h"
#include "crf_cuda.h"

#ifdef KV_EMULATE
#define KV_TENSORFLOW_DEVICE tensorflow::DEVICE_CPU
#else
#include "unsupported/Eigen/CXX11/Tensor"
#define KV_TENSORFLOW_DEVICE tensorflow::DEVICE_GPU
#endif

namespace {

// Memory of TensorFlow's allocator for the length of a call. What is freed at its end serves only what comes later in the
// same stream.
class Memory {
 public:
  explicit Memory(OpKernelContext* context) : context_(context) {}

  static void* Allocate(void* memory, int64_t bytes) { return static_cast<Memory*>(memory)->Allocate(bytes); }

 private:
  void* Allocate(int64_t bytes) {
    Tensor block;
    if (!context_->allocate_temp(tensorflow::DT_UINT8, TensorShape({bytes}), &block).ok()) return nullptr;
    blocks_.push_back(block);
    return block.data();
  }

  OpKernelContext* context_;
  std::vector<Tensor> blocks_;
};

struct OnGpu {
  static absl::Status Run(OpKernelContext* context, int, int64_t, const kv_mean_field_arguments& a) {
    return Call(context, kv_cuda_mean_field, a);
  }
  static absl::Status Run(OpKernelContext* context, int, int64_t, const kv_mean_field_gradient_arguments& a) {
    return Call(context, kv_cuda_mean_field_gradient, a);
  }
  static absl::Status Run(OpKernelContext* context, int, int64_t, const kv_filter_arguments& a) {
    return Call(context, kv_cuda_permutohedral_filter, a);
  }

  // TensorFlow's allocator says itself what it has not.
  static double Available() { return std::numeric_limits<double>::infinity(); }
  static void Prepare(const Tensor&) {}

 private:
  static void* Stream(OpKernelContext* context) {
#ifdef KV_EMULATE
    return nullptr;
#else
    return context->eigen_gpu_device().stream();
#endif
  }

  template <class Arguments>
  static absl::Status Call(OpKernelContext* context, int (*function)(const Arguments*, const kv_cuda_run*, char*, int64_t),
                           const Arguments& arguments) {
    Memory memory(context);
    kv_cuda_run run{};
    run.stream = Stream(context);
    run.allocate = Memory::Allocate;
    run.allocator = &memory;
    if (context->cancellation_manager()) {
      run.cancelled = IsCancelled;
      run.token = context->cancellation_manager();
    }
    char message[512] = "";
    return ToStatus(function(&arguments, &run, message, sizeof message), message);
  }
};

REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrf")
                            .Device(KV_TENSORFLOW_DEVICE)
                            .HostMemory("weights")
                            .HostMemory("theta_position")
                            .HostMemory("theta_image")
                            .HostMemory("penalties"),
                        DenseCrf<OnGpu>);
REGISTER_KERNEL_BUILDER(Name("KerasVisionDenseCrfGradient")
                            .Device(KV_TENSORFLOW_DEVICE)
                            .HostMemory("weights")
                            .HostMemory("theta_position")
                            .HostMemory("theta_image")
                            .HostMemory("penalties")
                            .HostMemory("weights_gradient")
                            .HostMemory("penalties_gradient"),
                        DenseCrfGradient<OnGpu>);
REGISTER_KERNEL_BUILDER(Name("KerasVisionPermutohedralFilter").Device(KV_TENSORFLOW_DEVICE), PermutohedralFilter<OnGpu>);

}  // namespace
