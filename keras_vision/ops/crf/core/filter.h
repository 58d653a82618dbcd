// The permutohedral filter of any values: splat, blur, slice. Its transpose blurs the axes in the opposite order.
#pragma once

#include "values.h"

namespace KV_LEVEL {

class Filter {
 public:
  Filter(kv::Context& context, const kv_filter_arguments& arguments)
      : context_(context), a_(arguments), points_(context), values_(context), tail_(context) {
    lanes_ = lanes_for(arguments.channels);
  }

  void image(int64_t n) {
    Features features;
    features.channels = a_.features + n * a_.points * a_.dimensions;
    features.count = a_.dimensions;
    for (int64_t i = 0; i < a_.dimensions; ++i) features.scale[i] = 1.f;
    split_into_bands(a_.points, points_);
    build_points(context_, features, points_);
    values_.resize(context_, points_, lanes_);
    tail_.resize(int64_t{points_.bands} * lanes_);
    context_.check_cancelled();
    if (lanes_ == 1)
      run<1>(n);
    else
      with_lanes(lanes_, [&](auto lanes) { run<decltype(lanes)::value>(n); });
    context_.check_cancelled();
  }

 private:
  template <int LANES>
  void run(int64_t n) {
    auto splat = [&](int64_t b) { splat_band<LANES>(n, b); };
    context_.parallel(points_.bands, splat);
    blur<LANES>(context_, points_, values_, a_.reverse != 0);
    auto slice = [&](int64_t b) { slice_band<LANES>(n, b); };
    context_.parallel(points_.bands, slice);
  }

  int count(int64_t tile) const {
    return static_cast<int>(a_.points - tile * TILE < TILE ? a_.points - tile * TILE : TILE);
  }

  template <int LANES>
  void splat_band(int64_t n, int64_t b) {
    values_.clear_band(points_, b);
    float* padded = tail_.data() + b * lanes_;  // one point's values; what is behind the channels stays 0
    std::memset(padded, 0, lanes_ * sizeof(float));
    float* to = values_.written.data() + points_.band_row[b] * lanes_;
    for (int64_t tile = points_.band_tile[b]; tile < points_.band_tile[b + 1]; ++tile) {
      const int64_t at = tile * points_.corners * TILE;
      for (int i = 0; i < count(tile); ++i) {
        std::memcpy(padded, a_.values + (n * a_.points + tile * TILE + i) * a_.channels, a_.channels * sizeof(float));
        for (int k = 0; k < points_.corners; ++k) {
          float* own = to + int64_t{points_.row[at + k * TILE + i]} * lanes_;
          const float weight = points_.weight[at + k * TILE + i];
          add<LANES>(padded, weight, own);
        }
      }
    }
  }

  template <int LANES>
  void slice_band(int64_t n, int64_t b) {
    float* sum = tail_.data() + b * lanes_;
    const float* from = values_.read.data() + points_.band_row[b] * lanes_;
    const float scale = amplitude(static_cast<int>(a_.dimensions));
    for (int64_t tile = points_.band_tile[b]; tile < points_.band_tile[b + 1]; ++tile) {
      const int64_t at = tile * points_.corners * TILE;
      for (int i = 0; i < count(tile); ++i) {
        std::memset(sum, 0, lanes_ * sizeof(float));
        for (int k = 0; k < points_.corners; ++k)
          add<LANES>(from + int64_t{points_.row[at + k * TILE + i]} * lanes_, points_.weight[at + k * TILE + i] * scale, sum);
        std::memcpy(a_.filtered + (n * a_.points + tile * TILE + i) * a_.channels, sum, a_.channels * sizeof(float));
      }
    }
  }

  template <int LANES>
  KV_INLINE void add(const float* from, float weight, float* to) const {
    blocks<LANES>(lanes_, [&](auto v, int c) {
      using V = decltype(v);
      store<V>(to + c, load<V>(to + c) + load<V>(from + c) * weight);
    });
  }

  kv::Context& context_;
  const kv_filter_arguments& a_;
  int lanes_;
  Points points_;
  Values values_;
  Buffer<float> tail_;
};

}  // namespace KV_LEVEL
