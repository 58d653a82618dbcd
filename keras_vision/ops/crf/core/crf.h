/* The C interface of the fully-connected CRF: mean-field inference and the permutohedral filter, without TensorFlow.
 * Arrays are dense, row-major float32. Every call is independent of every other: there is no global state. */
#ifndef KERAS_VISION_CRF_H
#define KERAS_VISION_CRF_H

#include <stdint.h>

#define KV_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum kv_status {
  KV_OK = 0,
  KV_INVALID = 1,     /* an argument cannot be used; the message says which and why */
  KV_NO_MEMORY = 2,   /* the call would need more memory than there is */
  KV_CANCELLED = 3
};

enum kv_normalization { KV_SYMMETRIC = 0, KV_BEFORE = 1, KV_AFTER = 2, KV_NONE = 3 };

/* Instructions to use. KV_BEST takes the widest that the processor has. */
enum kv_level { KV_BEST = 0, KV_PLAIN = 1, KV_AVX2 = 2, KV_AVX512 = 3 };

typedef void (*kv_task)(void* state, int64_t index);

/* How a call runs. All zero is a good default: one thread, the machine's memory, the best instructions. */
typedef struct kv_run {
  int32_t level;                /* enum kv_level */
  int32_t threads;              /* threads of the call's own, or those that parallel_for has; 0 means 1 */
  /* Runs task(state, i) for every i in 0..count-1, in any order and on any threads, and returns when all are done. */
  void (*parallel_for)(void* pool, int64_t count, kv_task task, void* state);
  void* pool;
  int (*cancelled)(void* token); /* asked between the steps; NULL: never */
  void* token;
  int64_t memory_limit;         /* bytes the call may take besides its arguments; 0: what the machine has available */
  int64_t memory_peak;          /* out: bytes it took at most */
} kv_run;

/* A Gaussian kernel. With theta_image NULL it looks at positions only; else at the image too, with one deviation
 * for each channel. */
typedef struct kv_kernel {
  float weight;                 /* below 1e-16 in size: the kernel is left out */
  float theta_x, theta_y;       /* pixels, > 0 */
  const float* theta_image;     /* (channels), units of the image, > 0; or NULL */
} kv_kernel;

typedef struct kv_mean_field_arguments {
  int64_t batch, height, width, labels, channels;
  const float* logits;          /* (batch, height, width, labels); -inf means probability 0 */
  const float* image;           /* (batch, height, width, channels); may be NULL if no kernel looks at it */
  const kv_kernel* kernels;
  int32_t kernel_count;
  const float* penalties;       /* (labels, labels), or NULL for Potts */
  int32_t iterations;
  int32_t normalization;        /* enum kv_normalization */
  float* marginals;             /* out: (batch, height, width, labels) */
  float* kept;                  /* out: (batch, iterations, height, width, labels), the marginals before each iteration,
                                 * for kv_mean_field_gradient; or NULL */
} kv_mean_field_arguments;

/* The gradient of a number L with respect to what a call of kv_mean_field was given. The image has none. */
typedef struct kv_mean_field_gradient_arguments {
  kv_mean_field_arguments forward;  /* of that call. `marginals` is what it gave, and so is `kept`; if that is NULL, the
                                     * marginals of its iterations are computed again, of the images at work */
  const float* marginals_gradient;  /* dL/dmarginals (batch, height, width, labels); infinite and NaN ones spread */
  float* logits_gradient;           /* out: (batch, height, width, labels) */
  float* weights_gradient;          /* out: (kernel_count), summed over the batch; NULL: not asked for. A kernel of
                                     * weight 0 is computed for it alone */
  float* penalties_gradient;        /* out: (labels, labels), summed over the batch; NULL: not asked for, or Potts */
} kv_mean_field_gradient_arguments;

typedef struct kv_filter_arguments {
  int64_t batch, points, channels, dimensions;
  const float* values;          /* (batch, points, channels) */
  const float* features;        /* (batch, points, dimensions), in standard deviations */
  int32_t reverse;              /* blur the axes in the opposite order: the transposed filter */
  float* filtered;              /* out: (batch, points, channels) */
} kv_filter_arguments;

/* All return an enum kv_status. On failure `message` (of `message_size` bytes) holds one line; what was written to the
 * output by then is not to be used. */
KV_EXPORT int kv_mean_field(const kv_mean_field_arguments* arguments, kv_run* run, char* message, int64_t message_size);
KV_EXPORT int kv_mean_field_gradient(const kv_mean_field_gradient_arguments* arguments, kv_run* run, char* message,
                                     int64_t message_size);
KV_EXPORT int kv_permutohedral_filter(const kv_filter_arguments* arguments, kv_run* run, char* message, int64_t message_size);

/* The widest enum kv_level that this processor runs. */
KV_EXPORT int kv_best_level(void);

/* Bytes of memory that the process can still take without being killed or made to swap. */
KV_EXPORT int64_t kv_available_memory(void);

#ifdef __cplusplus
}
#endif
#endif
