// Mean-field inference (Krähenbühl & Koltun, 2011, Algorithm 1).
#pragma once

#include <memory>
#include <vector>

#include "../core/checks.h"
#include "spatial.h"

namespace kv_cuda {

// Softmax over the labels of a pixel; tells of a pixel whose sum is no number of at least 1, as with NaN, +inf, or -inf for
// all labels. Index: pixel.
struct Softmax {
  const float* from;
  int64_t labels;
  float* to;  // may be `from`
  uint32_t* invalid;
  KV_DEVICE void operator()(int64_t i) const {
    const float* x = from + i * labels;
    float* e = to + i * labels;
    float top = x[0], sum = 0;
    for (int64_t l = 1; l < labels; ++l) top = x[l] > top ? x[l] : top;
    for (int64_t l = 0; l < labels; ++l) sum += power(x[l], top);
    if (!(sum > 0.999f)) *invalid = 1;  // the largest label alone adds 1, up to rounding
    const float scale = 1.f / sum;
    for (int64_t l = 0; l < labels; ++l) e[l] = power(x[l], top) * scale;  // cheaper once more than stored and read
  }

 private:
  KV_DEVICE float power(float x, float top) const { return exp2f((x - top) * 1.44269504f); }
};

// to = logits - penalties * message. Index: (pixel, label).
struct Penalize {
  const float* logits;  // NULL: 0
  const float* message;
  const float* penalties;  // transposed, so that threads side by side read side by side
  int64_t labels;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t pixel = quotient(i, labels), l = i - pixel * labels;
    float sum = logits ? logits[i] : 0.f;
    for (int64_t m = 0; m < labels; ++m) sum -= penalties[m * labels + l] * message[pixel * labels + m];
    to[i] = sum;
  }
};

// The only label has probability 1. Index: (image, pixel).
struct Certain {
  const float* logits;
  float* marginals;
  float* kept;  // (image, iteration, pixel), or NULL
  int64_t pixels, iterations;
  uint32_t* invalid;
  KV_DEVICE void operator()(int64_t i) const {
    if (logits[i] - logits[i] != 0) *invalid = 1;
    marginals[i] = 1.f;
    if (!kept) return;
    const int64_t first = i + quotient(i, pixels) * (iterations - 1) * pixels;
    for (int64_t t = 0; t < iterations; ++t) kept[first + t * pixels] = 1.f;
  }
};

class MeanField {
 public:
  MeanField(Device& device, const kv_mean_field_arguments& arguments)
      : device_(device), a_(arguments), pixels_(arguments.height * arguments.width), size_(pixels_ * arguments.labels),
        builder_(device), spare_(device), penalties_(device), message_(device), invalid_(device) {}

  void run() {
    forget_invalid();
    if (a_.labels == 1) {
      device_.for_each(a_.batch * pixels_, Certain{a_.logits, a_.marginals, a_.kept, pixels_, a_.iterations, invalid_.data()});
    } else {
      prepare();
      for (int64_t n = 0; n < a_.batch; ++n) {
        build_lattices(kernels_, n);
        iterate(n, a_.marginals + n * size_, a_.kept ? a_.kept + n * a_.iterations * size_ : nullptr, a_.iterations);
      }
    }
    refuse_invalid();
  }

 protected:
  struct Kernel {
    const kv_kernel* given = nullptr;
    float weight = 0;
    std::unique_ptr<Spatial> grid;  // or
    std::unique_ptr<Bilateral> lattice;
  };
  typedef std::vector<Kernel> Kernels;

  static bool silent(const kv_kernel& kernel) { return std::fabs(kernel.weight) < kv::LEAST_WEIGHT; }

  void forget_invalid() {
    invalid_.resize(1);
    device_.fill(invalid_.data(), 1, uint32_t{0});
  }

  // Waits for all work before it.
  void refuse_invalid() {
    uint32_t invalid;
    device_.download(&invalid, invalid_.data(), 1);
    if (invalid) kv::refuse_logits();
  }

  // What is the same for every image of the batch.
  void prepare() {
    for (int k = 0; k < a_.kernel_count; ++k) {
      device_.check_cancelled();
      if (!silent(a_.kernels[k]) && a_.iterations > 0) add(kernels_, a_.kernels[k], a_.kernels[k].weight);
    }
    if (!a_.penalties || a_.iterations == 0 || a_.kernel_count == 0) return;
    std::vector<float> transposed(static_cast<size_t>(a_.labels * a_.labels));
    for (int64_t l = 0; l < a_.labels; ++l)
      for (int64_t m = 0; m < a_.labels; ++m) transposed[m * a_.labels + l] = a_.penalties[l * a_.labels + m];
    penalties_.resize(a_.labels * a_.labels);
    device_.upload(penalties_.data(), transposed.data(), a_.labels * a_.labels);
    message_.resize(size_);
  }

  void add(Kernels& to, const kv_kernel& given, float weight) {
    to.emplace_back();
    Kernel& kernel = to.back();
    kernel.given = &given;
    kernel.weight = weight;
    if (given.theta_image) {
      kernel.lattice.reset(new Bilateral(device_));
      return;
    }
    kv_kernel weighed = given;
    weighed.weight = weight;
    kernel.grid.reset(new Spatial(device_));
    kernel.grid->build(spare_, a_.height, a_.width, weighed, a_.normalization, a_.labels);
  }

  void build_lattices(Kernels& kernels, int64_t n) {
    for (Kernel& kernel : kernels) {
      if (!kernel.lattice) continue;
      device_.check_cancelled();
      kernel.lattice->build(device_, builder_, spare_, features_of(a_, *kernel.given, n), kernel.weight, a_.normalization,
                            a_.labels);
    }
  }

  // The passes 0 to `last` over an image; pass i gives the marginals after i iterations. Those before the last iteration
  // go to `kept`, if that is not NULL, else to `x`, as those after it do; there the messages are added to the logits, too.
  void iterate(int64_t n, float* x, float* kept, int last) {
    const float* logits = a_.logits + n * size_;
    auto place = [&](int i) { return kept && i < a_.iterations ? kept + i * size_ : x; };
    device_.for_each(pixels_, Softmax{logits, a_.labels, place(0), invalid_.data()});
    if (kernels_.empty() && !kept) return;  // the logits say all
    for (int i = 1; i <= last; ++i) {
      device_.check_cancelled();
      if (!kernels_.empty()) receive(logits, place(i - 1), x);
      device_.for_each(pixels_, Softmax{kernels_.empty() ? logits : x, a_.labels, place(i), invalid_.data()});
    }
  }

  // x = logits + what the marginals say to each other through the kernels. x may be where the marginals are.
  void receive(const float* logits, const float* marginals, float* x) {
    splat(kernels_, marginals, false);
    float* to = a_.penalties ? message_.data() : x;
    const float* base = a_.penalties ? nullptr : logits;
    for (Kernel& kernel : kernels_) {
      slice(kernel, base, to);
      base = to;
    }
    if (a_.penalties) device_.for_each(size_, Penalize{logits, message_.data(), penalties_.data(), a_.labels, x});
  }

  void splat(Kernels& kernels, const float* values, bool reverse) {
    for (Kernel& kernel : kernels) {
      if (kernel.grid)
        kernel.grid->splat_and_blur(spare_, values);
      else
        splat_and_blur(device_, kernel.lattice->points, values, a_.labels, reverse, kernel.lattice->values.data(),
                       spare_.one.data());
    }
  }

  // to = base + what the kernel answers.
  void slice(Kernel& kernel, const float* base, float* to) {
    if (kernel.grid)
      kernel.grid->slice(base, to);
    else
      device_.for_each(size_, slice_of(kernel.lattice->points, base, kernel.lattice->values.data(), a_.labels, 1.f, to));
  }

  Device& device_;
  const kv_mean_field_arguments& a_;
  int64_t pixels_, size_;
  Builder builder_;
  Spare spare_;
  Kernels kernels_;
  Array<float> penalties_, message_;  // the penalties transposed
  Array<uint32_t> invalid_;
};

}  // namespace kv_cuda
