// All computations for one level of instructions. Compiled once for each, with -DKV_LEVEL=name and its -march.
#include "filter.h"
#include "mean_field.h"

namespace KV_LEVEL {

// One label has probability 1 everywhere.
static void certain(const kv_mean_field_arguments& arguments) {
  const int64_t count = arguments.batch * arguments.height * arguments.width;
  for (int64_t i = 0; i < count; ++i) {
    if (arguments.logits[i] - arguments.logits[i] != 0) refuse_logits();
    arguments.marginals[i] = 1.f;
  }
}

static void mean_field(kv::Context& context, const kv_mean_field_arguments& arguments) {
  if (arguments.labels == 1) return certain(arguments);
  MeanField inference(context, arguments);
  for (int64_t n = 0; n < arguments.batch; ++n) inference.image(n);
}

static void filter(kv::Context& context, const kv_filter_arguments& arguments) {
  Filter filter(context, arguments);
  for (int64_t n = 0; n < arguments.batch; ++n) filter.image(n);
}

extern const kv::Level level;
const kv::Level level{mean_field, filter};

}  // namespace KV_LEVEL
