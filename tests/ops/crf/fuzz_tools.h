// What random calls of the core are made of, and how each is checked.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
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
            std::initializer_list<Array*> outputs, Random& random) {
  std::vector<std::vector<float>> before;
  for (Array* output : outputs) before.emplace_back(output->data(), output->data() + output->size());
  running.run.threads = static_cast<int32_t>(random.from(1, 5));
  running.run.parallel_for = nullptr;
  running.run.memory_limit = 0;
  running.run.cancelled = nullptr;
  running.patience = -1;
  if (function(&arguments, &running.run, nullptr, 0) != KV_OK) fail(running.seed, "the second time it fails");
  auto first = before.begin();
  for (Array* output : outputs) {
    if (output->size() && std::memcmp(first->data(), output->data(), first->size() * sizeof(float)))
      fail(running.seed, "other threads give other bits");
    ++first;
  }
}

// Sets one of the sizes to one that cannot be.
void spoil(Random& random, std::initializer_list<int64_t*> sizes, Expected& expected) {
  const int64_t bad[] = {0, -1, INT64_MIN, INT64_MAX, int64_t{1} << 50};
  *sizes.begin()[random.from(0, static_cast<int64_t>(sizes.size()) - 1)] = random.any(bad);
  expected.refuse();
}

}  // namespace
