// Mean-field inference (Krähenbühl & Koltun, 2011, Algorithm 1), and the permutohedral filter of any values.
#pragma once

#include <cfloat>
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
  const float* logits;
  const float* message;
  const float* penalties;  // transposed, so that threads side by side read side by side
  int64_t labels;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t pixel = quotient(i, labels), l = i - pixel * labels;
    float sum = logits[i];
    for (int64_t m = 0; m < labels; ++m) sum -= penalties[m * labels + l] * message[pixel * labels + m];
    to[i] = sum;
  }
};

// The only label has probability 1. Index: pixel.
struct Certain {
  const float* logits;
  float* marginals;
  uint32_t* invalid;
  KV_DEVICE void operator()(int64_t i) const {
    if (logits[i] - logits[i] != 0) *invalid = 1;
    marginals[i] = 1.f;
  }
};

class MeanField {
 public:
  MeanField(Device& device, const kv_mean_field_arguments& arguments)
      : device_(device), a_(arguments), pixels_(arguments.height * arguments.width), size_(pixels_ * arguments.labels),
        builder_(device), spare_(device), penalties_(device), message_(device), invalid_(device) {}

  void run() {
    invalid_.resize(1);
    device_.fill(invalid_.data(), 1, uint32_t{0});
    if (a_.labels == 1) {
      device_.for_each(a_.batch * pixels_, Certain{a_.logits, a_.marginals, invalid_.data()});
    } else {
      prepare();
      for (int64_t n = 0; n < a_.batch; ++n) {
        build_lattices(n);
        iterate(a_.logits + n * size_, a_.marginals + n * size_);
      }
    }
    uint32_t invalid;
    device_.download(&invalid, invalid_.data(), 1);
    if (invalid) kv::refuse_logits();
  }

 private:
  // What is the same for every image of the batch.
  void prepare() {
    for (int k = 0; k < a_.kernel_count; ++k) {
      const kv_kernel& kernel = a_.kernels[k];
      device_.check_cancelled();
      // A denormal weight counts as 0, as in the CPU's core.
      if (std::fabs(kernel.weight) < FLT_MIN || a_.iterations == 0) continue;
      kernels_.emplace_back();
      kernels_.back().given = &kernel;
      if (kernel.theta_image) {
        kernels_.back().lattice.reset(new Bilateral(device_));
      } else {
        kernels_.back().grid.reset(new Spatial(device_));
        kernels_.back().grid->build(spare_, a_.height, a_.width, kernel, a_.normalization, a_.labels);
      }
    }
    if (!a_.penalties || kernels_.empty()) return;
    std::vector<float> transposed(static_cast<size_t>(a_.labels * a_.labels));
    for (int64_t l = 0; l < a_.labels; ++l)
      for (int64_t m = 0; m < a_.labels; ++m) transposed[m * a_.labels + l] = a_.penalties[l * a_.labels + m];
    penalties_.resize(a_.labels * a_.labels);
    device_.upload(penalties_.data(), transposed.data(), a_.labels * a_.labels);
    message_.resize(size_);
  }

  void build_lattices(int64_t n) {
    for (Kernel& kernel : kernels_) {
      if (!kernel.lattice) continue;
      device_.check_cancelled();
      kernel.lattice->build(device_, builder_, spare_, features_of(a_, *kernel.given, n), kernel.given->weight,
                            a_.normalization, a_.labels);
    }
  }

  // The marginals are also where the messages are added to the logits.
  void iterate(const float* logits, float* marginals) {
    device_.for_each(pixels_, Softmax{logits, a_.labels, marginals, invalid_.data()});
    if (kernels_.empty()) return;  // and the logits say all
    for (int i = 0; i < a_.iterations; ++i) {
      device_.check_cancelled();
      for (Kernel& kernel : kernels_) {
        if (kernel.grid)
          kernel.grid->splat_and_blur(spare_, marginals);
        else
          splat_and_blur(device_, kernel.lattice->points, marginals, a_.labels, false, kernel.lattice->values.data(),
                         spare_.one.data());
      }
      float* to = a_.penalties ? message_.data() : marginals;
      const float* base = a_.penalties ? nullptr : logits;
      for (Kernel& kernel : kernels_) {
        if (kernel.grid)
          kernel.grid->slice(base, to);
        else
          device_.for_each(size_, slice_of(kernel.lattice->points, base, kernel.lattice->values.data(), a_.labels, 1.f, to));
        base = to;
      }
      if (a_.penalties) device_.for_each(size_, Penalize{logits, message_.data(), penalties_.data(), a_.labels, marginals});
      device_.for_each(pixels_, Softmax{marginals, a_.labels, marginals, invalid_.data()});
    }
  }

  struct Kernel {
    const kv_kernel* given = nullptr;
    std::unique_ptr<Spatial> grid;  // or
    std::unique_ptr<Bilateral> lattice;
  };

  Device& device_;
  const kv_mean_field_arguments& a_;
  int64_t pixels_, size_;
  Builder builder_;
  Spare spare_;
  std::vector<Kernel> kernels_;
  Array<float> penalties_, message_;
  Array<uint32_t> invalid_;
};

inline void filter(Device& device, const kv_filter_arguments& a) {
  Builder builder(device);
  Points points(device);
  Array<float> values(device), spare(device);
  Features features;
  features.count = a.dimensions;
  for (int64_t i = 0; i < a.dimensions; ++i) features.scale[i] = 1.f;
  for (int64_t n = 0; n < a.batch; ++n) {
    features.channels = a.features + n * a.points * a.dimensions;
    builder.build(features, a.points, points);
    values.resize(room(points, a.channels));
    spare.resize(room(points, a.channels));
    device.check_cancelled();
    const int64_t first = n * a.points * a.channels;
    splat_and_blur(device, points, a.values + first, a.channels, a.reverse != 0, values.data(), spare.data());
    device.for_each(a.points * a.channels, slice_of(points, nullptr, values.data(), a.channels,
                                                    amplitude(static_cast<int>(a.dimensions)), a.filtered + first));
    device.check_cancelled();
  }
  wait(device.stream());
}

}  // namespace kv_cuda
