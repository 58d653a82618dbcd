// The gradient of mean-field inference, from the last iteration to the first; the equations are those of
// core/mean_field_gradient.h. Sums over pixels are of shares of them, each one thread's, in double: no atomics, and the
// same arguments give the same bits.
#pragma once

#include "mean_field.h"

namespace kv_cuda {

constexpr int64_t FEW = 64;          // numbers summed up in float32
constexpr int64_t SHARES = 1 << 14;  // of a sum over an image, at most
constexpr int64_t SUMS = 1 << 18;    // shares of the sums of all pairs of labels, unless there are more pairs

// gradient = marginals * (given - <given, marginals>), which is added to the logits' gradient. Index: pixel.
struct ThroughSoftmax {
  const float* marginals;
  const float* given;
  int64_t labels;
  bool first;
  float* gradient;  // may be `given`
  float* logits_gradient;
  KV_DEVICE void operator()(int64_t i) const {
    float mean = 0;
    for (int64_t c = i * labels; c < (i + 1) * labels; ++c) mean += given[c] * marginals[c];
    for (int64_t c = i * labels; c < (i + 1) * labels; ++c) {
      const float value = marginals[c] * (given[c] - mean);
      gradient[c] = value;
      logits_gradient[c] = first ? value : logits_gradient[c] + value;
    }
  }
};

// Adds <answer, other> over a share of the numbers to its sum, and the answer to `all` unless that is NULL. Index: share.
struct Dot {
  const float* answer;
  const float* other;
  int64_t count, shares;
  bool first;  // `all` holds nothing yet
  float* all;
  double* sums;
  KV_DEVICE void operator()(int64_t share) const {
    double sum = sums[share];
    for (int64_t i = share; i < count;) {
      float few = 0;
      for (int64_t n = 0; n < FEW && i < count; ++n, i += shares) {
        few += answer[i] * other[i];
        if (all) all[i] = first ? answer[i] : all[i] + answer[i];
      }
      sum += static_cast<double>(few);
    }
    sums[share] = sum;
  }
};

// Subtracts answer marginals^T over a share of the pixels from its sums. Index: (share, label, label).
struct Products {
  const float* answer;
  const float* marginals;
  int64_t pixels, labels, shares;
  double* sums;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t row = quotient(i, labels), m = i - row * labels, share = quotient(row, labels), l = row - share * labels;
    const int64_t end = pixels * (share + 1) / shares;
    double sum = sums[i];
    for (int64_t p = pixels * share / shares; p < end;) {
      const int64_t until = p + FEW < end ? p + FEW : end;
      float few = 0;
      for (; p < until; ++p) few += answer[p * labels + l] * marginals[p * labels + m];
      sum -= static_cast<double>(few);
    }
    sums[i] = sum;
  }
};

// Index: number.
struct SumShares {
  const double* sums;  // (shares, count)
  int64_t count, shares;
  double* to;
  KV_DEVICE void operator()(int64_t i) const {
    double sum = 0;
    for (int64_t s = 0; s < shares; ++s) sum += sums[s * count + i];
    to[i] = sum;
  }
};

class MeanFieldGradient : private MeanField {
 public:
  MeanFieldGradient(Device& device, const kv_mean_field_gradient_arguments& arguments)
      : MeanField(device, arguments.forward), g_(arguments), pairs_(a_.labels * a_.labels),
        shares_(size_ < SHARES ? size_ : SHARES), own_(device), gradient_(device), answer_(device), received_(device),
        plain_penalties_(device), dots_(device), products_(device), totals_(device) {
    pixel_shares_ = SUMS / pairs_ < 1 ? 1 : SUMS / pairs_;
    if (pixel_shares_ > (pixels_ + FEW - 1) / FEW) pixel_shares_ = (pixels_ + FEW - 1) / FEW;
  }

  void run() {
    weights_.assign(g_.weights_gradient ? static_cast<size_t>(a_.kernel_count) : 0, 0.);
    penalties_sum_.assign(g_.penalties_gradient ? static_cast<size_t>(pairs_) : 0, 0.);
    forget_invalid();
    if (a_.labels == 1) {  // of probability 1, whatever the logits
      device_.fill(g_.logits_gradient, a_.batch * pixels_, 0.f);
    } else {
      prepare_gradient();
      for (int64_t n = 0; n < a_.batch; ++n) image(n);
    }
    refuse_invalid();
    for (size_t k = 0; k < weights_.size(); ++k) g_.weights_gradient[k] = static_cast<float>(weights_[k]);
    for (size_t i = 0; i < penalties_sum_.size(); ++i) g_.penalties_gradient[i] = static_cast<float>(penalties_sum_[i]);
  }

 private:
  void prepare_gradient() {
    prepare();
    gradient_.resize(size_);
    if (a_.iterations == 0) return;
    // The weight 0 has a gradient, too: that of the kernel with a weight of 1.
    for (int k = 0; k < a_.kernel_count; ++k)
      if (g_.weights_gradient && silent(a_.kernels[k])) add(silent_, a_.kernels[k], 1.f);
    for (Array<float>* array : {&answer_, &received_}) array->resize(size_);
    if (!a_.kept) own_.resize(a_.iterations * size_);
    dots_.resize(a_.kernel_count * shares_);
    if (!a_.penalties) return;
    plain_penalties_.resize(pairs_);
    device_.upload(plain_penalties_.data(), a_.penalties, pairs_);
    message_.resize(size_);
    if (!g_.penalties_gradient) return;
    products_.resize(pixel_shares_ * pairs_);
    totals_.resize(pairs_);
  }

  void image(int64_t n) {
    const float* kept = a_.kept ? a_.kept + n * a_.iterations * size_ : own_.data();
    build_lattices(kernels_, n);
    if (!a_.kept && a_.iterations > 0) iterate(n, answer_.data(), own_.data(), a_.iterations - 1);
    build_lattices(silent_, n);
    transpose();
    if (dots_.data()) device_.fill(dots_.data(), a_.kernel_count * shares_, 0.);
    if (products_.data()) device_.fill(products_.data(), pixel_shares_ * pairs_, 0.);
    differentiate(n, kept);
    sum_up();
    for (Kernels* kernels : {&kernels_, &silent_})  // back, for the next image
      for (Kernel& kernel : *kernels)
        if (kernel.grid) kernel.grid->transpose();
  }

  void transpose() {
    for (Kernels* kernels : {&kernels_, &silent_})
      for (Kernel& kernel : *kernels) {
        if (kernel.grid) kernel.grid->transpose();
        if (kernel.lattice) kernel.lattice->transpose(device_, a_.normalization);
      }
  }

  void differentiate(int64_t n, const float* kept) {
    float* below = g_.logits_gradient + n * size_;
    device_.for_each(pixels_, ThroughSoftmax{a_.marginals + n * size_, g_.marginals_gradient + n * size_, a_.labels, true,
                                             gradient_.data(), below});
    for (int t = a_.iterations - 1; t >= 0; --t) {
      device_.check_cancelled();
      splat(kernels_, gradient_.data(), true);
      splat(silent_, gradient_.data(), true);
      const float* given = receive_gradient(kept + t * size_);
      device_.for_each(pixels_, ThroughSoftmax{kept + t * size_, given, a_.labels, false, gradient_.data(), below});
    }
  }

  // dL/dQ from the kernels, and what the marginals of an iteration add to the sums of weights and penalties.
  const float* receive_gradient(const float* marginals) {
    const float* paid = marginals;
    if (a_.penalties && !weights_.empty()) {
      device_.for_each(size_, Penalize{nullptr, marginals, penalties_.data(), a_.labels, message_.data()});
      paid = message_.data();
    }
    if (kernels_.empty()) device_.fill(received_.data(), size_, 0.f);
    for (Kernel& kernel : kernels_) weigh(kernel, paid, &kernel == kernels_.data(), received_.data());
    for (Kernel& kernel : silent_) weigh(kernel, paid, false, nullptr);
    if (!a_.penalties) return received_.data();
    if (products_.data())
      device_.for_each(pixel_shares_ * pairs_,
                       Products{received_.data(), marginals, pixels_, a_.labels, pixel_shares_, products_.data()});
    device_.for_each(size_, Penalize{nullptr, received_.data(), plain_penalties_.data(), a_.labels, answer_.data()});
    return answer_.data();
  }

  void weigh(Kernel& kernel, const float* paid, bool first, float* all) {
    slice(kernel, nullptr, answer_.data());
    double* sums = dots_.data() + (kernel.given - a_.kernels) * shares_;
    device_.for_each(shares_, Dot{answer_.data(), paid, size_, shares_, first, all, sums});
  }

  // Adds the sums of an image to those of the batch.
  void sum_up() {
    if (!weights_.empty() && a_.iterations > 0) {
      std::vector<double> sums(static_cast<size_t>(a_.kernel_count * shares_));
      device_.download(sums.data(), dots_.data(), a_.kernel_count * shares_);
      for (Kernels* kernels : {&kernels_, &silent_})
        for (Kernel& kernel : *kernels) {
          const int64_t k = kernel.given - a_.kernels;
          double sum = 0;
          for (int64_t s = 0; s < shares_; ++s) sum += sums[k * shares_ + s];
          weights_[k] += sum / static_cast<double>(kernel.weight);
        }
    }
    if (!products_.data()) return;
    std::vector<double> totals(static_cast<size_t>(pairs_));
    device_.for_each(pairs_, SumShares{products_.data(), pairs_, pixel_shares_, totals_.data()});
    device_.download(totals.data(), totals_.data(), pairs_);
    for (int64_t i = 0; i < pairs_; ++i) penalties_sum_[i] += totals[i];
  }

  const kv_mean_field_gradient_arguments& g_;
  int64_t pairs_, shares_, pixel_shares_;
  Kernels silent_;
  Array<float> own_;                          // (iterations, pixels, labels): marginals that nobody kept
  Array<float> gradient_, answer_, received_;  // dL/dx, one kernel's answer, and that of all
  Array<float> plain_penalties_;
  Array<double> dots_;                        // (kernels, shares)
  Array<double> products_, totals_;           // (pixel shares, labels, labels), (labels, labels)
  std::vector<double> weights_, penalties_sum_;  // of the batch
};

}  // namespace kv_cuda
