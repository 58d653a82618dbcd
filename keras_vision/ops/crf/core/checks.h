// What every call checks of its arguments, and how it ends, wherever it computes.
#pragma once

#include <cmath>
#include <exception>
#include <new>

#include "context.h"

namespace kv {

constexpr int64_t MOST = int64_t{1} << 40;  // of any size: products of a few stay clear of overflow when taken as double

inline void check_size(const char* name, int64_t value, int64_t most = MOST) {
  if (value < 1 || value > most)
    stop(KV_INVALID, "%s must be from 1 to %lld, not %lld", name, static_cast<long long>(most), static_cast<long long>(value));
}

inline void check_product(const char* what, double elements) {
  if (elements > 4e18 / 4) stop(KV_INVALID, "%s would have %.3g elements", what, elements);
}

inline void check(const kv_mean_field_arguments& a) {
  check_size("batch", a.batch);
  check_size("height", a.height, int64_t{1} << 24);
  check_size("width", a.width, int64_t{1} << 24);
  check_size("labels", a.labels, int64_t{1} << 20);
  if (a.kernel_count < 0 || a.kernel_count > MAX_KERNELS)
    stop(KV_INVALID, "there can be 0 to %d kernels, not %d", MAX_KERNELS, a.kernel_count);
  if (a.iterations < 0) stop(KV_INVALID, "iterations must be at least 0, not %d", a.iterations);
  if (a.normalization < KV_SYMMETRIC || a.normalization > KV_NONE)
    stop(KV_INVALID, "normalization %d is unknown", a.normalization);
  if (!a.logits || !a.marginals || (a.kernel_count && !a.kernels)) stop(KV_INVALID, "%s", "an array is missing");
  const double pixels = static_cast<double>(a.batch) * a.height * a.width;
  check_product("the logits", pixels * a.labels);
  check_product("the marginals of all iterations", a.kept ? pixels * a.labels * a.iterations : 0);
  for (int k = 0; k < a.kernel_count; ++k) {
    const kv_kernel& kernel = a.kernels[k];
    if (!std::isfinite(kernel.weight)) stop(KV_INVALID, "the weight of kernel %d is not finite", k);
    if (!(kernel.theta_x > 0 && kernel.theta_y > 0 && std::isfinite(kernel.theta_x) && std::isfinite(kernel.theta_y)))
      stop(KV_INVALID, "theta of kernel %d must be positive and finite", k);
    if (!kernel.theta_image) continue;
    if (!a.image) stop(KV_INVALID, "kernel %d looks at the image, and there is none", k);
    check_size("channels of the image", a.channels, 61);
    check_product("the image", pixels * a.channels);
    for (int64_t c = 0; c < a.channels; ++c)
      if (!(kernel.theta_image[c] > 0 && std::isfinite(kernel.theta_image[c])))
        stop(KV_INVALID, "theta of kernel %d must be positive and finite", k);
  }
  if (a.penalties)
    for (int64_t i = 0; i < a.labels * a.labels; ++i)
      if (!std::isfinite(a.penalties[i])) stop(KV_INVALID, "%s", "the penalties hold NaN or infinite values");
}

inline void check(const kv_mean_field_gradient_arguments& a) {
  check(a.forward);
  if (!a.marginals_gradient || !a.logits_gradient) stop(KV_INVALID, "%s", "an array is missing");
  if (a.penalties_gradient && !a.forward.penalties)
    stop(KV_INVALID, "%s", "Potts has no penalties to give a gradient of");
  const kv_mean_field_arguments& f = a.forward;
  const double images = static_cast<double>(f.batch), labels = static_cast<double>(f.labels);
  check_product("the marginals of all iterations", images * f.height * f.width * labels * f.iterations);
  check_product("the gradients of the penalties", images * labels * labels);
}

inline void check(const kv_filter_arguments& a) {
  check_size("batch", a.batch);
  check_size("points", a.points);
  check_size("channels", a.channels, int64_t{1} << 20);
  check_size("dimensions", a.dimensions, 63);
  if (!a.values || !a.features || !a.filtered) stop(KV_INVALID, "%s", "an array is missing");
  check_product("the values", static_cast<double>(a.batch) * a.points * a.channels);
  check_product("the features", static_cast<double>(a.batch) * a.points * a.dimensions);
}

[[noreturn]] inline void refuse_logits() {
  stop(KV_INVALID, "%s", "the logits hold NaN, +inf, or a pixel that is -inf for all labels");
}

// Runs `body` and turns what it throws into a status and a message.
template <class F>
int status_of(char* message, int64_t size, F&& body) {
  Stop error{KV_OK, ""};
  try {
    body();
  } catch (const Stop& stopped) {
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

}  // namespace kv
