// The gradient of mean-field inference, from the last iteration to the first. Iteration t is
//
//   x_t = logits - P sum_k w_k K_k Q_{t-1},   Q_t = softmax(x_t),
//
// with the penalties P over labels and the kernels K over pixels, which commute. With g_t = dL/dx_t and
// R_tk = K_k^T g_t, the transposed kernel's answer,
//
//   dL/dlogits = sum_t g_t,   dL/dQ_{t-1} = -P^T sum_k w_k R_tk,   g_t = Q_t (dL/dQ_t - <dL/dQ_t, Q_t>),
//   dL/dw_k = sum_t <R_tk, -P Q_{t-1}>,   dL/dP = -sum_t sum_k w_k R_tk Q_{t-1}^T.
//
// So a pass needs the marginals alone, no messages, and is built as those of mean_field.h are: read the transposed
// kernels, go through the softmax, write into the kernels. For Potts -P is the identity.
#pragma once

#include "mean_field.h"

namespace KV_LEVEL {

// What is asked for, and where the sums of each image go.
struct GradientTask {
  const kv_mean_field_gradient_arguments& arguments;
  int64_t batch;
  double* weights;    // (batch, kernels), or NULL
  double* penalties;  // (batch, labels, labels), or NULL
};

class MeanFieldGradient : private MeanField {
 public:
  MeanFieldGradient(kv::Context& context, const GradientTask& task)
      : MeanField(context, task.arguments.forward), task_(task), own_(context), parts_(context), transposed_(context),
        products_(context), product_sums_(context) {
    parts_.resize(int64_t{PARTS} * shape_.bands * TILE * lanes_);
    if (!penalties_.size()) return;
    const int64_t size = a_.labels * lanes_;
    transposed_.resize(size);
    transposed_.zero();
    for (int64_t l = 0; l < a_.labels; ++l)
      std::memcpy(transposed_.data() + l * lanes_, a_.penalties + l * a_.labels, a_.labels * sizeof(float));
    if (!task.penalties) return;
    products_.resize(shape_.bands * size);
    product_sums_.resize(shape_.bands * size);
  }

  void image(int64_t n) {
    prepare(n);
    if (!kept_ && a_.iterations > 0) {
      own_.resize(a_.iterations * pixels_ * a_.labels);
      kept_ = own_.data();
      with_lanes(lanes_, [&](auto lanes) { iterate<decltype(lanes)::value>(a_.iterations - 1); });
    }
    add_silent(n);
    transpose();
    for (int64_t i = 0; i < int64_t{shape_.bands} * kv::MAX_KERNELS; ++i) dots_[i] = 0;
    products_.zero();
    product_sums_.zero();
    with_lanes(lanes_, [&](auto lanes) { differentiate<decltype(lanes)::value>(n); });
    sum_bands(n);
    for (int k = 0; k < kernels_; ++k)
      if (grids_[k]) grids_[k]->transpose();  // back, for the next image
    remove_silent();
  }

 private:
  static constexpr int PARTS = 4;     // of a band's scratch: marginals, gradient, one kernel's answer, -P Q
  static constexpr int64_t FEW = 64;  // tiles whose products are summed in float32

  // Kernels that the forward pass leaves out, with a weight of 1: the weight 0 has a gradient, too.
  void add_silent(int64_t n) {
    for (int k = 0; k < kernels_; ++k) {
      silent_[k] = task_.weights && !lattices_[k] && !grids_[k] && a_.iterations > 0;
      if (!silent_[k]) continue;
      kv_kernel kernel = a_.kernels[k];
      kernel.weight = 1;
      build(k, kernel, n);
    }
  }

  void remove_silent() {
    for (int k = 0; k < kernels_; ++k) {
      if (!silent_[k]) continue;
      delete lattices_[k];
      delete grids_[k];
      lattices_[k] = nullptr;
      grids_[k] = nullptr;
    }
  }

  void transpose() {
    for (int k = 0; k < kernels_; ++k) {
      if (grids_[k]) grids_[k]->transpose();
      if (lattices_[k]) lattices_[k]->transpose(context_);
    }
  }

  template <int LANES>
  void differentiate(int64_t n) {
    const int64_t size = pixels_ * a_.labels;
    above_ = task_.arguments.marginals_gradient + n * size;
    below_ = task_.arguments.logits_gradient + n * size;
    for (int t = a_.iterations; t >= 0; --t) {
      auto pass = [&](int64_t b) { band<LANES>(b, t); };
      context_.parallel(shape_.bands, pass);
      if (t == 0) break;
      context_.check_cancelled();
      blur_kernels<LANES>(true);
    }
  }

  // The pass over the marginals after t iterations, for the pixels of a band.
  template <int LANES>
  void band(int64_t b, int t) {
    const int lanes = LANES ? LANES : lanes_;
    const bool first = t == a_.iterations, last = t == 0;
    const float* from = first ? marginals_ : kept_ + t * pixels_ * a_.labels;
    float* marginals = parts_.data() + PARTS * b * TILE * lanes;
    float* gradient = marginals + TILE * lanes;
    alignas(64) float one[TILE];
    for (float& scale : one) scale = 1;
    Rows<LANES> rows;
    start(rows, b, !first, !last);
    for (int64_t tile = shape_.band_tile[b]; tile < shape_.band_tile[b + 1]; ++tile) {
      const int count = pixels_of(tile);
      load_rows<LANES>(from, tile, count, marginals);
      if (first)
        load_rows<LANES>(above_, tile, count, gradient);
      else
        receive<LANES>(rows, b, tile, count, marginals, gradient);
      through_softmax<LANES>(marginals, gradient);
      add_rows<LANES>(tile, count, gradient, first);
      if (!last) write(rows, b, tile, count, gradient, one);
    }
    if (!last) finish(rows);
  }

  // The tile's rows of labels as rows of lanes; what is behind the labels becomes 0.
  template <int LANES>
  KV_STEP void load_rows(const float* all, int64_t tile, int count, float* to) {
    const int lanes = LANES ? LANES : lanes_;
    const float* from = all + tile * TILE * a_.labels;
    if (tile == shape_.tiles - 1) {  // a row of lanes would reach behind the end
      std::memcpy(tail_.data(), from, count * a_.labels * sizeof(float));
      from = tail_.data();
    }
    const float* pad = pad_.data();
    const int64_t labels = a_.labels;
    for (int i = 0; i < count; ++i)
      blocks<LANES>(lanes, [&](auto v, int c) {
        using V = decltype(v);
        store<V>(to + i * lanes + c, load<V>(pad + c) == 0.f ? load<V>(from + i * labels + c) : V{});
      });
    if (count < TILE) std::memset(to + count * lanes, 0, (TILE - count) * lanes * sizeof(float));
  }

  // dL/dQ from the kernels, and what the tile adds to the sums of weights and penalties.
  template <int LANES>
  KV_INLINE void receive(Rows<LANES>& rows, int64_t b, int64_t tile, int count, const float* marginals, float* gradient) {
    const int lanes = LANES ? LANES : lanes_;
    const size_t bytes = TILE * lanes * sizeof(float);
    float* answer = gradient + TILE * lanes;
    float* paid = answer + TILE * lanes;
    const bool potts = !penalties_.size(), weighs = !potts && task_.weights;
    if (weighs) {
      std::memset(paid, 0, bytes);
      subtract<LANES>(penalties_.data(), count, marginals, paid);
    }
    std::memset(gradient, 0, bytes);
    for (int k = 0; k < kernels_; ++k) {
      std::memset(answer, 0, bytes);
      read(rows, k, b, tile, count, answer);
      dots_[b * kv::MAX_KERNELS + k] += dot(lanes, answer, weighs ? paid : marginals, silent_[k] ? nullptr : gradient);
    }
    if (potts) return;
    if (task_.penalties) add_products<LANES>(b, tile, count, gradient, marginals);
    std::memcpy(answer, gradient, bytes);
    std::memset(gradient, 0, bytes);
    subtract<LANES>(transposed_.data(), count, answer, gradient);
  }

  // <answer, other> over a tile; the answer is added to `sum` unless that is NULL.
  KV_STEP double dot(int lanes, const float* answer, const float* other, float* sum) const {
    vf total = {};
    for (int i = 0; i < TILE * lanes; i += NATIVE) {
      const vf value = load<vf>(answer + i);
      total += value * load<vf>(other + i);
      if (sum) store<vf>(sum + i, load<vf>(sum + i) + value);
    }
    double all = 0;
    for (int i = 0; i < NATIVE; ++i) all += total[i];
    return all;
  }

  // products += answer marginals^T, summed over the pixels of the tile.
  template <int LANES>
  KV_STEP void add_products(int64_t b, int64_t tile, int count, const float* answer, const float* marginals) {
    const int lanes = LANES ? LANES : lanes_;
    float* products = products_.data() + b * a_.labels * lanes;
    for (int64_t l = 0; l < a_.labels; ++l)
      pieces<LANES>(lanes, [&](auto v, auto number, int c) {
        using V = decltype(v);
        float* own = products + l * lanes + c;
        V sum[number.value];
        for (int n = 0; n < number.value; ++n) sum[n] = load<V>(own + n * LENGTH<V>);
        for (int i = 0; i < count; ++i)
          for (int n = 0; n < number.value; ++n)
            sum[n] += load<V>(marginals + i * lanes + c + n * LENGTH<V>) * answer[i * lanes + l];
        for (int n = 0; n < number.value; ++n) store<V>(own + n * LENGTH<V>, sum[n]);
      });
    if (tile % FEW != FEW - 1 && tile + 1 < shape_.band_tile[b + 1]) return;
    double* sums = product_sums_.data() + b * a_.labels * lanes;
    for (int64_t i = 0; i < a_.labels * lanes; ++i) sums[i] += static_cast<double>(products[i]);
    std::memset(products, 0, a_.labels * lanes * sizeof(float));
  }

  // gradient = marginals (gradient - <gradient, marginals>), for each pixel.
  template <int LANES>
  KV_STEP void through_softmax(const float* marginals, float* gradient) const {
    const int lanes = LANES ? LANES : lanes_;
    for (int i = 0; i < TILE; i += 4) {
      f4 sum[4];
      for (int j = 0; j < 4; ++j) {
        sum[j] = f4{};
        blocks<LANES>(lanes, [&](auto v, int c) {
          using V = decltype(v);
          const int64_t at = (i + j) * lanes + c;
          sum[j] += fold(load<V>(marginals + at) * load<V>(gradient + at), Sum{});
        });
      }
      const f4 all = across(sum, Sum{});
      for (int j = 0; j < 4; ++j)
        blocks<LANES>(lanes, [&](auto v, int c) {
          using V = decltype(v);
          const int64_t at = (i + j) * lanes + c;
          store<V>(gradient + at, load<V>(marginals + at) * (load<V>(gradient + at) - all[j]));
        });
    }
  }

  // Adds the tile to the logits' gradient. A row of lanes reaches into the next pixel, where it adds 0; the last pixel of
  // the tile is cut.
  template <int LANES>
  KV_STEP void add_rows(int64_t tile, int count, const float* x, bool first) const {
    const int lanes = LANES ? LANES : lanes_;
    float* to = below_ + tile * TILE * a_.labels;
    if (first) std::memset(to, 0, count * a_.labels * sizeof(float));
    for (int i = 0; i < count - 1; ++i)
      blocks<LANES>(lanes, [&](auto v, int c) {
        using V = decltype(v);
        float* own = to + i * a_.labels + c;
        store<V>(own, load<V>(own) + load<V>(x + i * lanes + c));
      });
    for (int64_t l = 0; l < a_.labels; ++l) to[(count - 1) * a_.labels + l] += x[(count - 1) * lanes + l];
  }

  // In the order of the bands, whoever computed them.
  void sum_bands(int64_t n) const {
    for (int k = 0; task_.weights && k < kernels_; ++k) {
      double sum = 0;
      for (int b = 0; b < shape_.bands; ++b) sum += dots_[b * kv::MAX_KERNELS + k];
      const bool weighed = !silent_[k] && a_.iterations > 0;
      task_.weights[n * kernels_ + k] = weighed ? sum / static_cast<double>(a_.kernels[k].weight) : sum;
    }
    if (!task_.penalties) return;
    double* to = task_.penalties + n * a_.labels * a_.labels;
    for (int64_t l = 0; l < a_.labels; ++l)
      for (int64_t m = 0; m < a_.labels; ++m) {
        double sum = 0;
        for (int b = 0; b < shape_.bands; ++b) sum += product_sums_[(b * a_.labels + l) * lanes_ + m];
        to[l * a_.labels + m] = -sum;
      }
  }

  const GradientTask& task_;
  Buffer<float> own_;             // (iterations, pixels, labels): marginals that nobody kept
  Buffer<float> parts_;           // (bands, PARTS, 16, lanes)
  Buffer<float> transposed_;      // (labels, lanes): the penalties as they are given
  Buffer<float> products_;        // (bands, labels, lanes): of the last few tiles
  Buffer<double> product_sums_;
  double dots_[MAX_BANDS * kv::MAX_KERNELS];
  bool silent_[kv::MAX_KERNELS] = {};
  const float* above_ = nullptr;  // dL/dQ of the result
  float* below_ = nullptr;        // dL/dlogits
};

}  // namespace KV_LEVEL
