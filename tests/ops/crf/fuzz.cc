// Random calls of the dense CRF's core, to be run under sanitizers: fuzz SECONDS SEED, or fuzz 0 SEED to repeat the one
// call that a failure named. Arrays have exactly the stated size, so that a sanitizer sees whatever reaches further.
#include <chrono>
#include <thread>

#include "fuzz_tools.h"

namespace {

struct Kernels {
  std::vector<kv_kernel> all;
  std::vector<std::unique_ptr<Array>> thetas;
  bool looks = false, lasting = false;  // whether one looks at the image, and with a weight

  void add(Random& random, int64_t channels, double pixels, int64_t reach, bool normalized, Expected& expected) {
    const bool bilateral = channels > 0 && random.one_in(2);
    kv_kernel kernel{};
    kernel.weight = random.one_in(8) ? 0 : random.normal() * 5;
    if (!normalized) kernel.weight /= static_cast<float>(pixels);
    kernel.theta_x = random.between_powers(bilateral ? .3f : -1, 2);
    kernel.theta_y = random.one_in(2) ? kernel.theta_x : random.between_powers(bilateral ? .3f : -1, 2);
    if (bilateral) {
      thetas.push_back(std::make_unique<Array>(random, channels));
      for (int64_t c = 0; c < channels; ++c) (*thetas.back())[c] = random.between_powers(.5f, 2);
      kernel.theta_image = thetas.back()->data();
      looks = true;
      if (channels > 8 || reach > 1000) expected.doubt();
    }
    if (random.one_in(10)) {
      const float odd[] = {1e-30f, 1e-40f, 1e-3f, 1e-2f, 1e10f, 3e38f};
      (random.one_in(2) ? kernel.theta_x : kernel.theta_y) = random.any(odd);
      expected.doubt();
    }
    if (random.one_in(30)) {
      const float wild[] = {1e38f, -1e38f, 1e9f, -1e5f, 1e-40f};
      kernel.weight = random.any(wild);
      expected.doubt();
    }
    lasting |= bilateral && std::fabs(kernel.weight) >= std::numeric_limits<float>::min();
    if (random.one_in(60)) spoil(random, kernel, expected);
    all.push_back(kernel);
  }

 private:
  void spoil(Random& random, kv_kernel& kernel, Expected& expected) {
    const float bad[] = {NAN, INF, -INF}, none[] = {0, -1, NAN, INF, -INF};
    float* const places[] = {&kernel.theta_x, &kernel.theta_y, kernel.theta_image ? thetas.back()->data() : &kernel.theta_x};
    if (random.one_in(4))
      kernel.weight = random.any(bad);
    else
      *random.any(places) = random.any(none);
    expected.refuse();
  }
};

// Whether a pixel has a NaN, +inf, or no label that is possible.
bool impossible(Array& logits, int64_t labels) {
  for (int64_t i = 0; i < logits.size(); i += labels) {
    float most = -INF;
    for (int64_t l = 0; l < labels; ++l) {
      if (std::isnan(logits[i + l]) || logits[i + l] == INF) return true;
      most = std::fmax(most, logits[i + l]);
    }
    if (most == -INF) return true;
  }
  return false;
}

bool finite(Array& array) {
  for (int64_t i = 0; i < array.size(); ++i)
    if (!std::isfinite(array[i])) return false;
  return true;
}

void check_marginals(Array& marginals, int64_t labels, uint64_t seed) {
  for (int64_t i = 0; i < marginals.size(); i += labels) {
    float sum = 0;
    for (int64_t l = 0; l < labels; ++l) {
      if (!(marginals[i + l] >= 0 && marginals[i + l] <= 1.0001f)) fail(seed, "a marginal is no probability");
      sum += marginals[i + l];
    }
    if (!(std::fabs(sum - 1) < 1e-3f)) fail(seed, "marginals sum to " + std::to_string(sum));
  }
}

void choose_sizes(Random& random, kv_mean_field_arguments& a) {
  const bool large = random.one_in(12);  // of several bands
  a.batch = large ? 1 : random.from(1, 3);
  a.labels = random.one_in(30) ? random.from(1, 400) : large ? random.from(1, 6) : random.from(1, 40);
  const int64_t pixels = std::max<int64_t>(1, std::min<int64_t>(large ? 40000 : 2000, 60000 / a.labels));
  a.width = random.one_in(6) ? random.from(1, 3) : random.from(1, large ? 400 : 40);
  a.height = random.from(1, std::max<int64_t>(1, pixels / a.width));
  if (random.one_in(4)) std::swap(a.width, a.height);
  a.channels = random.one_in(40) ? random.from(1, 61) : random.from(0, 5);
}

// The gradient of a call that was answered; `tame`: nothing in it can make it fail or not finite.
void gradient(Random& random, const kv_mean_field_arguments& forward, bool tame, uint64_t seed) {
  Expected expected;
  Running running;
  running.seed = seed;
  running.choose(random, expected);
  if (!tame) expected.doubt();  // a kernel of weight 0 now looks at the image
  kv_mean_field_gradient_arguments a{};
  a.forward = forward;
  const int64_t size = forward.batch * forward.height * forward.width * forward.labels, pairs = forward.labels * forward.labels;
  Array above(random, size), logits(random, size), weights(random, forward.kernel_count);
  Array penalties(random, forward.penalties && !random.one_in(4) ? pairs : 0);
  Expected of_above;
  fill(random, above, random.between_powers(-3, 1), of_above);
  if (random.one_in(4)) a.forward.kept = nullptr;  // computed again
  if (random.one_in(20)) {  // whatever the forward call is said to have given
    Expected ignored;
    fill(random, above, 1e3f, ignored);
    a.forward.marginals = above.data();
    of_above.doubt();
  }
  a.marginals_gradient = above.data();
  a.logits_gradient = logits.data();
  a.weights_gradient = weights.data();
  a.penalties_gradient = penalties.size() ? penalties.data() : nullptr;
  if (random.one_in(40)) {
    spoil(random, {&a.forward.batch, &a.forward.height, &a.forward.width, &a.forward.labels}, expected);
  } else if (random.one_in(60)) {
    const float** const places[] = {&a.marginals_gradient, const_cast<const float**>(&a.logits_gradient), &a.forward.logits};
    *random.any(places) = nullptr;
    expected.refuse();
  }
  if (!call(kv_mean_field_gradient, a, running, expected, random)) return;
  if (tame && of_above.accepted && !(finite(logits) && finite(weights) && finite(penalties)))
    fail(seed, "a gradient is not finite");
  if (random.one_in(3)) repeat(kv_mean_field_gradient, a, running, {&logits, &weights, &penalties}, random);
}

void mean_field(Random& random, uint64_t seed) {
  Expected expected;
  Running running;
  running.seed = seed;
  running.choose(random, expected);
  kv_mean_field_arguments a{};
  choose_sizes(random, a);
  a.iterations = static_cast<int32_t>(random.from(0, 3));
  a.normalization = static_cast<int32_t>(random.from(0, 3));
  const int64_t pixels = a.height * a.width;

  Kernels kernels;
  for (int64_t k = a.channels < 6 && random.one_in(40) ? 16 : random.from(0, 3); k > 0; --k)
    kernels.add(random, a.channels, static_cast<double>(pixels), std::max(a.height, a.width), a.normalization != KV_NONE, expected);
  Array logits(random, a.batch * pixels * a.labels), image(random, a.batch * pixels * a.channels);
  Array marginals(random, logits.size()), penalties(random, a.labels * a.labels);
  Array kept(random, random.one_in(2) ? logits.size() * a.iterations : 0);
  if (kept.size()) a.kept = kept.data();
  fill(random, logits, random.between_powers(-1, 1.5f), expected);
  Expected of_image, of_penalties;
  fill(random, image, random.between_powers(0, 2), of_image);
  fill(random, penalties, 1, of_penalties);
  if (kernels.looks && !of_image.accepted) expected.doubt();
  a.logits = logits.data();
  a.image = kernels.looks || random.one_in(2) ? image.data() : nullptr;
  a.kernels = kernels.all.empty() ? nullptr : kernels.all.data();
  a.kernel_count = static_cast<int32_t>(kernels.all.size());
  a.marginals = marginals.data();
  if (random.one_in(3)) {
    a.penalties = penalties.data();
    if (!of_penalties.accepted) expected.doubt();
    if (!finite(penalties)) expected.refuse();
  }
  const bool limited = running.run.memory_limit > 0 || running.patience >= 0;
  if (impossible(logits, a.labels) && !limited) expected.refuse();
  if (kernels.lasting && a.labels > 1 && a.iterations > 0 && !finite(image) && !limited) expected.refuse();
  const int64_t labels = a.labels;
  if (random.one_in(40)) {
    if (kernels.looks)
      spoil(random, {&a.batch, &a.height, &a.width, &a.labels, &a.channels}, expected);
    else
      spoil(random, {&a.batch, &a.height, &a.width, &a.labels}, expected);
  } else if (random.one_in(60)) {
    const int32_t bad[] = {-1, INT32_MIN, 4, INT32_MAX};
    a.normalization = random.any(bad);
    expected.refuse();
  } else if (random.one_in(60)) {
    (random.one_in(2) ? a.iterations : a.kernel_count) = -1;
    expected.refuse();
  } else if (random.one_in(60)) {
    (random.one_in(2) ? a.logits : *const_cast<const float**>(&a.marginals)) = nullptr;
    expected.refuse();
  } else if (random.one_in(60)) {
    a.iterations = INT32_MAX;
    a.kept = nullptr;
    running.cancel_after(random.from(0, 20));
    if (labels == 1) running.run.cancelled = nullptr, running.patience = -1;  // done before anybody is asked
    expected = {};
    expected.doubt();
  }
  if (!call(kv_mean_field, a, running, expected, random)) return;
  check_marginals(marginals, labels, seed);
  if (a.iterations > 10) return;
  if (random.one_in(3)) repeat(kv_mean_field, a, running, {&marginals}, random);
  if (random.one_in(2)) gradient(random, a, expected.accepted && of_image.accepted, seed);
}

void filter(Random& random, uint64_t seed) {
  Expected expected;
  Running running;
  running.seed = seed;
  running.choose(random, expected);
  kv_filter_arguments a{};
  const bool large = random.one_in(12);
  a.batch = large ? 1 : random.from(1, 3);
  a.dimensions = random.one_in(15) ? random.from(1, 63) : random.from(1, large ? 4 : 8);
  a.channels = random.one_in(15) ? random.from(1, 300) : random.from(1, large ? 5 : 40);
  a.points = random.from(1, std::max<int64_t>(1, (large ? 100000 : 20000) / (a.channels + 2 * a.dimensions * a.dimensions)));
  if (large) a.points = std::max<int64_t>(a.points, random.from(1, 20000));
  a.reverse = static_cast<int32_t>(random.from(0, 1));
  Array values(random, a.batch * a.points * a.channels), features(random, a.batch * a.points * a.dimensions);
  Array filtered(random, values.size());
  Expected of_values;
  fill(random, values, random.between_powers(-1, 2), of_values);
  fill(random, features, random.between_powers(-2, 2), expected);
  if (a.dimensions > 15) expected.doubt();
  if (!finite(features) && running.run.memory_limit == 0 && running.patience < 0) expected.refuse();
  a.values = values.data();
  a.features = features.data();
  a.filtered = filtered.data();
  if (random.one_in(40)) {
    spoil(random, {&a.batch, &a.points, &a.channels, &a.dimensions}, expected);
  } else if (random.one_in(60)) {
    (random.one_in(2) ? a.values : a.features) = nullptr;
    expected.refuse();
  }
  if (!call(kv_permutohedral_filter, a, running, expected, random)) return;
  if (of_values.accepted && !finite(filtered)) fail(seed, "filtered values are not finite");
  if (random.one_in(3) && (of_values.accepted)) repeat(kv_permutohedral_filter, a, running, {&filtered}, random);
}

// A size that cannot fit the limit has to be refused without touching the arrays, which are not there.
void too_large(Random& random, uint64_t seed) {
  Running running;
  running.seed = seed;
  running.run.memory_limit = random.from(1, 64 * MIB);
  running.run.threads = 2;
  char message[512];
  float one = 0;
  int status;
  if (random.one_in(2)) {
    kv_filter_arguments a{random.from(1, 4), int64_t{1} << random.from(24, 50), random.from(1, 99), random.from(1, 63), &one, &one, 0, &one};
    status = kv_permutohedral_filter(&a, &running.run, message, sizeof message);
  } else {
    const int64_t height = random.from(4000, 9000), width = random.from(4000, 9000), labels = random.from(2, 9);
    const double pixels = static_cast<double>(height) * static_cast<double>(width);
    Untouched logits(pixels * static_cast<double>(labels)), marginals(pixels * static_cast<double>(labels)), image(pixels);
    if (!logits.data() || !marginals.data() || !image.data()) return;
    float theta = 10;
    const kv_kernel kernels[] = {{3, 3, 3, nullptr}, {3, 80, 80, &theta}};
    kv_mean_field_arguments a{1, height, width, labels, 1, logits.data(), image.data(), kernels, 2, nullptr, 1, 0, marginals.data()};
    status = kv_mean_field(&a, &running.run, message, sizeof message);
  }
  if (status != KV_NO_MEMORY && status != KV_INVALID) fail(seed, "status " + std::to_string(status) + " of what cannot fit");
  if (running.run.memory_peak > running.run.memory_limit) fail(seed, "took more memory than allowed");
}

void one_call(uint64_t seed) {
  Random random(seed);
  if (random.one_in(200))
    too_large(random, seed);
  else if (random.one_in(3))
    filter(random, seed);
  else
    mean_field(random, seed);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return std::fprintf(stderr, "usage: fuzz SECONDS SEED\n"), 2;
  const double seconds = std::atof(arguments[1]);
  const uint64_t seed = std::strtoull(arguments[2], nullptr, 10);
  if (seconds == 0) return one_call(seed), 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::atomic<int64_t> calls{0};
  auto work = [&](uint64_t stream) {  // calls are independent, so two threads make them at the same time
    Random random(seed * 1000003 + stream);
    while (std::chrono::steady_clock::now() < end) {
      one_call(random.bits());
      ++calls;
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  std::printf("%lld calls\n", static_cast<long long>(calls.load()));
}
