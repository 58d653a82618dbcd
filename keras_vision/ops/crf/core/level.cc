// All computations for one level of instructions. Compiled once for each, with -DKV_LEVEL=name and its -march.
#include <algorithm>

#include "filter.h"
#include "mean_field_gradient.h"

namespace KV_LEVEL {

// One label has probability 1 everywhere.
static void certain(const kv_mean_field_arguments& arguments) {
  const int64_t count = arguments.batch * arguments.height * arguments.width;
  for (int64_t i = 0; i < count; ++i) {
    if (arguments.logits[i] - arguments.logits[i] != 0) kv::refuse_logits();
    arguments.marginals[i] = 1.f;
  }
  if (arguments.kept) std::fill_n(arguments.kept, count * arguments.iterations, 1.f);
}

constexpr int64_t SMALL = 1 << 20;  // values of an image

// The images of a batch. Small ones are computed side by side, without waiting for each other, while there is one for
// every thread; the rest, large ones (which would fight for the caches), or all if memory does not suffice, one by one
// with all threads.
template <class Work, class Arguments>
static void each_image(kv::Context& context, const Arguments& arguments, int64_t values) {
  const int64_t threads = context.run->threads;
  int64_t first = 0;
  if (threads > 1 && arguments.batch >= threads && values <= SMALL) {
    const int64_t together = arguments.batch - arguments.batch % threads;
    std::atomic<int64_t> next{0};
    auto work = [&](int64_t) {
      kv::Context own(context);
      Work images(own, arguments);
      for (int64_t n = next++; n < together; n = next++) images.image(n);
    };
    try {
      context.parallel(threads, work);
      first = together;
    } catch (const kv::Stop& stopped) {
      if (stopped.status != KV_NO_MEMORY) throw;
    }
  }
  if (first == arguments.batch) return;
  Work images(context, arguments);
  for (int64_t n = first; n < arguments.batch; ++n) images.image(n);
}

static void mean_field(kv::Context& context, const kv_mean_field_arguments& arguments) {
  if (arguments.labels == 1) return certain(arguments);
  each_image<MeanField>(context, arguments, arguments.height * arguments.width * arguments.labels);
}

static void sum_over_batch(const Buffer<double>& images, int64_t batch, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int64_t n = 0; n < batch; ++n) sum += images[n * count + i];
    to[i] = static_cast<float>(sum);
  }
}

// Every image has sums of its own, so that it does not matter which is computed first.
static void mean_field_gradient(kv::Context& context, const kv_mean_field_gradient_arguments& arguments) {
  const kv_mean_field_arguments& forward = arguments.forward;
  const int64_t kernels = arguments.weights_gradient ? forward.kernel_count : 0;
  const int64_t pairs = arguments.penalties_gradient ? forward.labels * forward.labels : 0;
  if (forward.labels == 1) {  // of probability 1, whatever the logits
    std::memset(arguments.logits_gradient, 0, forward.batch * forward.height * forward.width * sizeof(float));
    for (int64_t k = 0; k < kernels; ++k) arguments.weights_gradient[k] = 0;
    if (pairs) arguments.penalties_gradient[0] = 0;
    return;
  }
  Buffer<double> weights(context), penalties(context);
  context.require(static_cast<double>(forward.batch) * static_cast<double>(kernels + pairs) * sizeof(double));
  weights.resize(forward.batch * kernels);
  penalties.resize(forward.batch * pairs);
  const GradientTask task{arguments, forward.batch, kernels ? weights.data() : nullptr, pairs ? penalties.data() : nullptr};
  each_image<MeanFieldGradient>(context, task, forward.height * forward.width * forward.labels);
  sum_over_batch(weights, forward.batch, kernels, arguments.weights_gradient);
  sum_over_batch(penalties, forward.batch, pairs, arguments.penalties_gradient);
}

static void filter(kv::Context& context, const kv_filter_arguments& arguments) {
  each_image<Filter>(context, arguments, arguments.points * arguments.channels);
}

extern const kv::Level level;
const kv::Level level{mean_field, mean_field_gradient, filter};

}  // namespace KV_LEVEL
