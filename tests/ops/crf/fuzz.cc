// Random calls of the dense CRF's core, to be run under sanitizers: fuzz SECONDS SEED, or fuzz 0 SEED to repeat the one
// call that a failure named. Arrays have exactly the stated size, so that a sanitizer sees whatever reaches further.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "crf.h"

namespace {

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr int64_t MIB = int64_t{1} << 20;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {  // splitmix64
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  bool one_in(int n) { return bits() % static_cast<uint64_t>(n) == 0; }
  int64_t from(int64_t low, int64_t high) { return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(high - low + 1)); }
  float uniform(float low, float high) { return low + (high - low) * static_cast<float>(bits() >> 40) * 0x1p-24f; }
  float normal() { return uniform(-1, 1) + uniform(-1, 1) + uniform(-1, 1); }
  float between_powers(float low, float high) { return std::pow(10.f, uniform(low, high)); }
  template <class T, size_t N>
  T any(const T (&values)[N]) { return values[bits() % N]; }

 private:
  uint64_t state_;
};

// Floats with nothing behind them, and nothing before them but up to three floats, so that they start unaligned.
class Array {
 public:
  Array(Random& random, int64_t size) : size_(size < 0 ? 0 : size), shift_(random.from(0, 3)), all_(new float[size_ + shift_]) {}
  float* data() { return all_.get() + shift_; }
  int64_t size() const { return size_; }
  float& operator[](int64_t i) { return data()[i]; }

 private:
  int64_t size_, shift_;
  std::unique_ptr<float[]> all_;
};

// A large array of zeros that takes no memory as long as nobody touches it.
class Untouched {
 public:
  explicit Untouched(double floats) : bytes_(static_cast<size_t>(floats) * 4) {
    at_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~Untouched() {
    if (at_ != MAP_FAILED) ::munmap(at_, bytes_);
  }
  float* data() { return at_ == MAP_FAILED ? nullptr : static_cast<float*>(at_); }

 private:
  size_t bytes_;
  void* at_;
};

// What a call may answer. Refused: KV_INVALID for certain; accepted: KV_OK for certain, unless it is limited.
struct Expected {
  bool refused = false, accepted = true;
  void refuse() { refused = true; }
  void doubt() { accepted = false; }
};

// Fills with moderate values of one kind, or with wilder ones, which leave the answer open.
void fill(Random& random, Array& array, float scale, Expected& expected) {
  const int64_t kind = random.from(0, 5);
  const float constant = random.normal() * scale;
  for (int64_t i = 0; i < array.size(); ++i)
    array[i] = kind == 0 ? constant : kind == 1 ? std::round(random.normal()) * scale : random.normal() * scale;
  if (!array.size() || !random.one_in(4)) return;
  expected.doubt();
  const float wild[] = {NAN, INF, -INF, 1e38f, -1e38f, 3.4e38f, 1e-39f, -1e-45f, 1e9f, -1e5f, 0.f, 1e20f};
  const float value = random.any(wild);
  const int64_t count = random.one_in(3) ? array.size() : random.from(1, 3);
  for (int64_t n = 0; n < count; ++n)
    array[count == array.size() ? n : random.from(0, array.size() - 1)] = random.one_in(5) ? random.any(wild) : value;
}

// How a call is run: instructions, threads, memory, and after how many questions it is cancelled.
struct Running {
  kv_run run{};
  std::atomic<int64_t> questions{0};
  int64_t patience = -1;
  uint64_t seed = 0;

  static int cancelled(void* token) {
    Running& own = *static_cast<Running*>(token);
    return own.questions++ >= own.patience;
  }

  static void backwards(void*, int64_t count, kv_task task, void* state) {
    for (int64_t i = count - 1; i >= 0; --i) task(state, i);
  }

  void choose(Random& random, Expected& expected) {
    run.level = static_cast<int32_t>(random.from(0, kv_best_level()));
    run.threads = static_cast<int32_t>(random.from(0, 4));
    if (random.one_in(50)) {
      const int32_t none[] = {-1, 4, 1000, INT32_MIN, INT32_MAX};
      run.level = random.any(none);
      expected.refuse();
    }
    if (random.one_in(50)) run.threads = -3;
    if (random.one_in(5)) run.parallel_for = backwards;
    if (random.one_in(6)) run.memory_limit = random.from(1, int64_t{1} << random.from(1, 24));
    if (random.one_in(6)) cancel_after(random.from(0, 20));
  }

  void cancel_after(int64_t questions_) {
    patience = questions_;
    run.cancelled = cancelled;
    run.token = this;
  }
};

[[noreturn]] void fail(uint64_t seed, const std::string& what) {
  std::fprintf(stderr, "fuzz 0 %llu: %s\n", static_cast<unsigned long long>(seed), what.c_str());
  std::fflush(stderr);
  std::_Exit(1);
}

// Makes the call and checks its status and message. Returns whether there is an output.
template <class Arguments>
bool call(int (*function)(const Arguments*, kv_run*, char*, int64_t), const Arguments& arguments, Running& running,
          const Expected& expected, Random& random) {
  const int64_t sizes[] = {0, 1, 20, 512};
  const int64_t size = random.any(sizes);
  std::unique_ptr<char[]> message(new char[size]);
  std::memset(message.get(), 'x', size);
  running.questions = 0;
  const int status = function(&arguments, &running.run, size ? message.get() : nullptr, size);
  std::string said;
  if (size) {
    if (!std::memchr(message.get(), 0, size)) fail(running.seed, "the message has no end");
    said = message.get();
  }
  const bool limited = running.run.memory_limit > 0, stopped = running.patience >= 0 && running.questions > running.patience;
  const std::string what = "status " + std::to_string(status) + ", message '" + said + "'";
  if (status < KV_OK || status > KV_CANCELLED) fail(running.seed, "unknown " + what);
  if (size > 1 && (status == KV_OK) != said.empty()) fail(running.seed, "a message and a status that differ: " + what);
  if (expected.refused && status != KV_INVALID) fail(running.seed, "not refused: " + what);
  if (status == KV_CANCELLED && !stopped) fail(running.seed, "not cancelled by anybody: " + what);
  if (status != KV_CANCELLED && stopped) fail(running.seed, "not cancelled: " + what);
  if (status == KV_NO_MEMORY && !limited) fail(running.seed, "out of memory: " + what);
  if (limited && running.run.memory_peak > running.run.memory_limit) fail(running.seed, "took more memory than allowed");
  if (running.run.memory_peak < 0) fail(running.seed, "memory_peak is negative");
  if (expected.accepted && !expected.refused && status == KV_INVALID) fail(running.seed, "refused: " + what);
  return status == KV_OK;
}

// The same call again on other threads has to give the same bits.
template <class Arguments>
void repeat(int (*function)(const Arguments*, kv_run*, char*, int64_t), const Arguments& arguments, Running& running,
            Array& output, Random& random) {
  const std::vector<float> before(output.data(), output.data() + output.size());
  running.run.threads = static_cast<int32_t>(random.from(1, 5));
  running.run.parallel_for = nullptr;
  running.run.memory_limit = 0;
  running.run.cancelled = nullptr;
  running.patience = -1;
  if (function(&arguments, &running.run, nullptr, 0) != KV_OK) fail(running.seed, "the second time it fails");
  if (std::memcmp(before.data(), output.data(), before.size() * sizeof(float)))
    fail(running.seed, "other threads give other bits");
}

// Sets one of the sizes to one that cannot be.
void spoil(Random& random, std::initializer_list<int64_t*> sizes, Expected& expected) {
  const int64_t bad[] = {0, -1, INT64_MIN, INT64_MAX, int64_t{1} << 50};
  *sizes.begin()[random.from(0, static_cast<int64_t>(sizes.size()) - 1)] = random.any(bad);
  expected.refuse();
}

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
    running.cancel_after(random.from(0, 20));
    if (labels == 1) running.run.cancelled = nullptr, running.patience = -1;  // done before anybody is asked
    expected = {};
    expected.doubt();
  }
  if (!call(kv_mean_field, a, running, expected, random)) return;
  check_marginals(marginals, labels, seed);
  if (random.one_in(3) && a.iterations < 10) repeat(kv_mean_field, a, running, marginals, random);
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
  if (random.one_in(3) && (of_values.accepted)) repeat(kv_permutohedral_filter, a, running, filtered, random);
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
