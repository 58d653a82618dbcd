/* The C interface of the fully-connected CRF on an NVIDIA GPU. The arguments are those of crf.h, with this difference:
 * kernels (with their theta_image), penalties, and the gradients of weights and penalties are in the host's memory; all
 * other arrays in the GPU's. Every call is independent of every other: there is no global state. */
#ifndef KERAS_VISION_CRF_CUDA_H
#define KERAS_VISION_CRF_CUDA_H

#include "../core/crf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One status more than enum kv_status has: CUDA failed; the message says how. */
enum kv_cuda_status { KV_CUDA_FAILED = 4 };

/* How a call runs. The stream's device has to be the current one of the calling thread. */
typedef struct kv_cuda_run {
  void* stream;                 /* cudaStream_t; all work of the call is done in its order */
  /* Gives that many bytes of the GPU's memory, aligned to 256, or NULL if there are none. It stays the caller's, to be
   * freed after the call; what is freed may at once serve later work of the same stream. */
  void* (*allocate)(void* allocator, int64_t bytes);
  void* allocator;
  int (*cancelled)(void* token); /* asked between the steps; NULL: never */
  void* token;
} kv_cuda_run;

/* All return KV_OK, another enum kv_status or KV_CUDA_FAILED. On success the call has waited for its work. On failure
 * `message` (of `message_size` bytes) holds one line, the output is not to be used, and work may still be under way in
 * the stream. The output must not overlap the other arrays. */
KV_EXPORT int kv_cuda_mean_field(const kv_mean_field_arguments* arguments, const kv_cuda_run* run, char* message,
                                 int64_t message_size);
KV_EXPORT int kv_cuda_mean_field_gradient(const kv_mean_field_gradient_arguments* arguments, const kv_cuda_run* run,
                                          char* message, int64_t message_size);
KV_EXPORT int kv_cuda_permutohedral_filter(const kv_filter_arguments* arguments, const kv_cuda_run* run, char* message,
                                           int64_t message_size);

#ifdef __cplusplus
}
#endif
#endif
