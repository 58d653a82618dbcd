// The C interface on the GPU.
#include "crf_cuda.h"

#include "filter.h"
#include "mean_field_gradient.h"

namespace {

const kv_cuda_run& checked(const kv_cuda_run* run) {
  if (!run || !run->allocate) kv::stop(KV_INVALID, "%s", "the call needs a run that allocates memory");
  return *run;
}

}  // namespace

extern "C" {

int kv_cuda_mean_field(const kv_mean_field_arguments* arguments, const kv_cuda_run* run, char* message, int64_t message_size) {
  return kv::status_of(message, message_size, [&] {
    kv_cuda::Device device(checked(run));
    kv::check(*arguments);
    kv_cuda::MeanField(device, *arguments).run();
  });
}

int kv_cuda_mean_field_gradient(const kv_mean_field_gradient_arguments* arguments, const kv_cuda_run* run, char* message,
                                int64_t message_size) {
  return kv::status_of(message, message_size, [&] {
    kv_cuda::Device device(checked(run));
    kv::check(*arguments);
    kv_cuda::MeanFieldGradient(device, *arguments).run();
  });
}

int kv_cuda_permutohedral_filter(const kv_filter_arguments* arguments, const kv_cuda_run* run, char* message,
                                 int64_t message_size) {
  return kv::status_of(message, message_size, [&] {
    kv_cuda::Device device(checked(run));
    kv::check(*arguments);
    kv_cuda::filter(device, *arguments);
  });
}

}  // extern "C"
