// What a computation needs from its surroundings: tasks in parallel, counted memory, a way to stop. No vector code.
#pragma once

#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "crf.h"

namespace kv {

constexpr int MAX_KERNELS = 16;

// A kernel of a smaller weight is left out: its messages are below what rounding leaves of the logits, and its weight's
// gradient could not be had by dividing what it answers.
constexpr float LEAST_WEIGHT = 1e-16f;

// Thrown to end a call; checks.h turns it into a status and a message.
struct Stop {
  int status;
  char message[512];
};

[[noreturn]] inline __attribute__((format(printf, 2, 3))) void stop(int status, const char* format, ...) {
  Stop error{status, ""};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error.message, sizeof error.message, format, arguments);
  va_end(arguments);
  throw error;
}

// A Context made from another shares its memory, and does its tasks one after the other: for one of several images at work.
struct Context {
  Context() = default;
  explicit Context(Context& shared) : run(shared.run), parent(&shared) {}

  kv_run* run = nullptr;
  Context* parent = nullptr;
  int64_t limit = 0;
  std::atomic<int64_t> used{0}, peak{0};

  void* allocate(int64_t bytes);  // aligned to 64; throws KV_NO_MEMORY before it takes more than the limit
  void release(void* memory, int64_t bytes);
  void require(double bytes) const;  // throws KV_NO_MEMORY if so much cannot be had
  void check_cancelled() const;

  // Runs task(state, 0..count-1) with denormals flushed to zero; a Stop thrown by a task is thrown here, after all.
  void parallel(int64_t count, kv_task task, void* state);

  template <class F>
  void parallel(int64_t count, F& f) {
    parallel(count, [](void* state, int64_t i) { (*static_cast<F*>(state))(i); }, &f);
  }
};

// The computations, once for each level of instructions.
struct Level {
  void (*mean_field)(Context&, const kv_mean_field_arguments&);
  void (*mean_field_gradient)(Context&, const kv_mean_field_gradient_arguments&);
  void (*filter)(Context&, const kv_filter_arguments&);
};

}  // namespace kv
