// The Gaussian over positions and colours: the permutohedral lattice of an image, with normalisation and weight.
#pragma once

#include <cmath>

#include "values.h"

namespace KV_LEVEL {

// A kernel that looks at the image: its lattice, with normalisation, weight and amplitude folded into the weights.
struct Lattice {
  explicit Lattice(kv::Context& context) : points(context), values(context), ratio(context) {}
  Points points;
  Values values;
  Buffer<float> ratio;  // (tiles, 16): what a splat takes besides the weights of a slice; empty if 1

  void build(kv::Context& context, Features features, float weight, int normalization) {
    split_into_bands(features.width * features.height, points);
    build_points(context, features, points);
    const float root = std::sqrt(std::fabs(weight) * amplitude(features.dimensions()));
    const bool plain = normalization == KV_SYMMETRIC && weight > 0;
    ratio.resize(plain ? 0 : points.tiles * TILE);
    if (normalization != KV_NONE) density(context);
    const float scale = amplitude(features.dimensions());
    auto fold = [&](int64_t b) {
      for (int64_t tile = points.band_tile[b]; tile < points.band_tile[b + 1]; ++tile) {
        alignas(64) float sum[TILE], slice[TILE];
        if (normalization != KV_NONE) sums_of(tile, b, sum);
        for (int lane = 0; lane < TILE; ++lane) {
          const float density = sum[lane] * scale + 1e-20f;
          const float symmetric = normalization == KV_SYMMETRIC ? 1.f / std::sqrt(density) : 1.f;
          const float splat = normalization == KV_BEFORE ? 1.f / density : symmetric;
          slice[lane] = normalization == KV_AFTER ? 1.f / density : symmetric;
          if (!plain) ratio[tile * TILE + lane] = splat / slice[lane] * (weight < 0 ? -1.f : 1.f);
          slice[lane] *= root;
        }
        float* own = points.weight.data() + tile * points.corners * TILE;
        for (int k = 0; k < points.corners; ++k)
          for (int lane = 0; lane < TILE; ++lane) own[k * TILE + lane] *= slice[lane];
      }
    };
    context.parallel(points.bands, fold);
  }

  // Exchanges what splats and slices take, for the transposed kernel: blurred in reverse, it is that exactly.
  void transpose(kv::Context& context) {
    if (!ratio.size()) return;
    auto exchange = [&](int64_t b) {
      for (int64_t tile = points.band_tile[b]; tile < points.band_tile[b + 1]; ++tile) {
        float* own = points.weight.data() + tile * points.corners * TILE;
        for (int k = 0; k < points.corners; ++k)
          for (int lane = 0; lane < TILE; ++lane) own[k * TILE + lane] *= ratio[tile * TILE + lane];
        for (int lane = 0; lane < TILE; ++lane) ratio[tile * TILE + lane] = 1.f / ratio[tile * TILE + lane];
      }
    };
    context.parallel(points.bands, exchange);
  }

 private:
  // The filter's answer to 1 at every pixel, for the normalisation.
  void density(kv::Context& context) {
    values.resize(context, points, 1);
    auto splat = [&](int64_t b) {
      values.clear_band(points, b);
      float* to = values.written.data() + points.band_row[b];
      for (int64_t tile = points.band_tile[b]; tile < points.band_tile[b + 1]; ++tile) {
        const int real = static_cast<int>(points.points - tile * TILE < TILE ? points.points - tile * TILE : TILE);
        const uint32_t* row = points.row.data() + tile * points.corners * TILE;
        const float* weight = points.weight.data() + tile * points.corners * TILE;
        for (int k = 0; k < points.corners; ++k)
          for (int i = 0; i < real; ++i) to[row[k * TILE + i]] += weight[k * TILE + i];
      }
    };
    context.parallel(points.bands, splat);
    KV_LEVEL::blur<1>(context, points, values, false);
  }

  void sums_of(int64_t tile, int64_t b, float* sum) const {
    const float* from = values.read.data() + points.band_row[b];
    const uint32_t* row = points.row.data() + tile * points.corners * TILE;
    const float* weight = points.weight.data() + tile * points.corners * TILE;
    for (int lane = 0; lane < TILE; ++lane) sum[lane] = 0;
    for (int k = 0; k < points.corners; ++k)
      for (int lane = 0; lane < TILE; ++lane) sum[lane] += from[row[k * TILE + lane]] * weight[k * TILE + lane];
  }
};

// Adds what the lattice says to the pixels of a tile, (16, lanes).
template <int LANES, int CORNERS>
KV_STEP void slice_corners(const Lattice& lattice, int lanes_, int64_t b, int64_t tile, int count, float* to) {
  const Points& points = lattice.points;
  const int corners = CORNERS ? CORNERS : points.corners;
  const int64_t lanes = LANES ? LANES : lanes_;
  const float* from = lattice.values.read.data() + points.band_row[b] * lanes;
  const uint32_t* row = points.row.data() + tile * corners * TILE;
  const float* weight = points.weight.data() + tile * corners * TILE;
  for (int i = 0; i < count; ++i)
    pieces<LANES>(lanes_, [&](auto v, auto number, int c) {
      using V = decltype(v);
      float* own = to + i * lanes + c;
      V sum[number.value];
      for (int n = 0; n < number.value; ++n) sum[n] = load<V>(own + n * LENGTH<V>);
      for (int k = 0; k < corners; ++k) {
        const float* value = from + row[k * TILE + i] * lanes + c;
        for (int n = 0; n < number.value; ++n) sum[n] += load<V>(value + n * LENGTH<V>) * weight[k * TILE + i];
      }
      for (int n = 0; n < number.value; ++n) store<V>(own + n * LENGTH<V>, sum[n]);
    });
}

// Gives the pixels of a tile to the lattice, each times its scale.
template <int LANES, int CORNERS>
KV_STEP void splat_corners(Lattice& lattice, int lanes_, int64_t b, int64_t tile, int count, const float* x, const float* scale) {
  const Points& points = lattice.points;
  const int corners = CORNERS ? CORNERS : points.corners;
  const int64_t lanes = LANES ? LANES : lanes_;
  float* to = lattice.values.written.data() + points.band_row[b] * lanes;
  const uint32_t* row = points.row.data() + tile * corners * TILE;
  const float* weight = points.weight.data() + tile * corners * TILE;
  const float* ratio = lattice.ratio.size() ? lattice.ratio.data() + tile * TILE : nullptr;
  for (int i = 0; i < count; ++i) {
    const float factor = ratio ? scale[i] * ratio[i] : scale[i];
    pieces<LANES>(lanes_, [&](auto v, auto number, int c) {
      using V = decltype(v);
      V value[number.value];
      for (int n = 0; n < number.value; ++n) value[n] = load<V>(x + i * lanes + c + n * LENGTH<V>) * factor;
      for (int k = 0; k < corners; ++k) {
        float* own = to + row[k * TILE + i] * lanes + c;
        for (int n = 0; n < number.value; ++n)
          store<V>(own + n * LENGTH<V>, load<V>(own + n * LENGTH<V>) + value[n] * weight[k * TILE + i]);
      }
    });
  }
}

// Both with the corners of an image of three channels known to the compiler.
template <int LANES>
KV_INLINE void slice(const Lattice& lattice, int lanes, int64_t b, int64_t tile, int count, float* to) {
  if (lattice.points.corners == 6)
    slice_corners<LANES, 6>(lattice, lanes, b, tile, count, to);
  else
    slice_corners<LANES, 0>(lattice, lanes, b, tile, count, to);
}

template <int LANES>
KV_INLINE void splat(Lattice& lattice, int lanes, int64_t b, int64_t tile, int count, const float* x, const float* scale) {
  if (lattice.points.corners == 6)
    splat_corners<LANES, 6>(lattice, lanes, b, tile, count, x, scale);
  else
    splat_corners<LANES, 0>(lattice, lanes, b, tile, count, x, scale);
}

}  // namespace KV_LEVEL
