// The C interface on the GPU: checks what is given, computes, and turns what goes wrong into a status and a message.
#include "crf_cuda.h"

#include <exception>
#include <new>

#include "../core/checks.h"
#include "mean_field.h"

namespace {

template <class F>
int guarded(const kv_cuda_run* run, char* message, int64_t size, F&& body) {
  kv::Stop error{KV_OK, ""};
  try {
    if (!run || !run->allocate) kv::stop(KV_INVALID, "%s", "the call needs a run that allocates memory");
    kv_cuda::Device device(*run);
    body(device);
  } catch (const kv::Stop& stopped) {
    error = stopped;
  } catch (const std::bad_alloc&) {
    error.status = KV_NO_MEMORY;
    std::snprintf(error.message, sizeof error.message, "out of memory");
  } catch (const std::exception& other) {
    error.status = KV_NO_MEMORY;
    std::snprintf(error.message, sizeof error.message, "%s", other.what());
  }
  if (message && size > 0) std::snprintf(message, static_cast<size_t>(size), "%s", error.message);
  return error.status;
}

}  // namespace

extern "C" {

int kv_cuda_mean_field(const kv_mean_field_arguments* arguments, const kv_cuda_run* run, char* message, int64_t message_size) {
  return guarded(run, message, message_size, [&](kv_cuda::Device& device) {
    kv::check(*arguments);
    kv_cuda::MeanField(device, *arguments).run();
  });
}

int kv_cuda_permutohedral_filter(const kv_filter_arguments* arguments, const kv_cuda_run* run, char* message,
                                 int64_t message_size) {
  return guarded(run, message, message_size, [&](kv_cuda::Device& device) {
    kv::check(*arguments);
    kv_cuda::filter(device, *arguments);
  });
}

}  // extern "C"
