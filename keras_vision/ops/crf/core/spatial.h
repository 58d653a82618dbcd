// The Gaussian over positions: separable, on a grid of cubic B-splines as coarse as theta.
#pragma once

#include "spline_axis.h"
#include "values.h"

namespace KV_LEVEL {

typedef SplineAxis<Buffer, kv::Context> Axis;

struct Spatial {
  explicit Spatial(kv::Context& context) : x(context), y(context), written(context), read(context), part(context) {}
  Axis x, y;
  int lanes = 0;
  int64_t row = 0;                        // floats of one row of the grid
  int bands = 0;
  int band_first[MAX_BANDS + 1], band_rows[MAX_BANDS + 1];      // rows of the grid that each band writes
  int64_t band_at[MAX_BANDS + 1];                    // and where they start, in rows of `written`
  Buffer<float> written;                  // each band's own rows
  Buffer<float> read;                     // (y.nodes, x.nodes, lanes), blurred
  Buffer<float> part;                     // (bands, 2 rows): scratch

  void build(kv::Context& context, const Points& points, int64_t height, int64_t width, const kv_kernel& kernel,
             int normalization, int lanes_) {
    y.build(context, height, kernel.theta_y, normalization, 1.f);
    x.build(context, width, kernel.theta_x, normalization, kernel.weight);
    lanes = lanes_;
    row = int64_t{x.nodes} * lanes;
    if (row > INT32_MAX) kv::stop(KV_INVALID, "an image of %lld columns is too wide for its labels", static_cast<long long>(width));
    bands = points.bands;
    int64_t rows = 0;
    for (int b = 0; b < bands; ++b) {
      const int64_t begin = points.band_tile[b] * TILE;
      int64_t end = points.band_tile[b + 1] * TILE;
      if (end > points.points) end = points.points;
      band_first[b] = y.first[begin / width];
      band_rows[b] = y.first[(end - 1) / width] + TAPS - band_first[b];
      band_at[b] = rows;
      rows += band_rows[b];
    }
    context.require(static_cast<double>(rows + y.nodes + 2 * bands) * static_cast<double>(row) * 4);
    written.resize(rows * row);
    read.resize(y.nodes * row);
    part.resize(2 * bands * row);
  }

  // Exchanges what splats and slices take: the transposed kernel, for the blur is symmetric.
  void transpose() {
    x.slice.swap(x.splat);
    y.slice.swap(y.splat);
  }

  // Number of tasks of `blur`.
  int64_t tasks() const { return bands; }

  // Rows of the blurred grid, one share of `tasks()`.
  template <int LANES>
  void blur(int64_t task) {
    float* sum = part.data() + 2 * task * row;
    for (int64_t n = y.nodes * task / bands; n < y.nodes * (task + 1) / bands; ++n) {
      const float* from[(2 * MAX_RADIUS + 1) * MAX_BANDS];
      float tap[(2 * MAX_RADIUS + 1) * MAX_BANDS];
      int count = 0;
      for (int k = -y.radius; k <= y.radius; ++k)
        for (int b = 0; b < bands; ++b) {
          const int64_t at = n + k - band_first[b];
          if (at < 0 || at >= band_rows[b]) continue;
          from[count] = written.data() + (band_at[b] + at) * row;
          tap[count++] = y.tap[k + y.radius];
        }
      pieces<0>(static_cast<int>(row), [&](auto v, auto number, int c) {
        using V = decltype(v);
        V total[number.value] = {};
        for (int i = 0; i < count; ++i)
          for (int m = 0; m < number.value; ++m) total[m] += load<V>(from[i] + c + m * LENGTH<V>) * tap[i];
        for (int m = 0; m < number.value; ++m) store<V>(sum + c + m * LENGTH<V>, total[m]);
      });
      blur_along_x<LANES>(sum, read.data() + n * row);
    }
  }

 private:
  template <int LANES>
  void blur_along_x(const float* from, float* to) const {
    for (int m = 0; m < x.nodes; ++m) {
      const int first = m < x.radius ? -m : -x.radius;
      const int last = m + x.radius < x.nodes ? x.radius : x.nodes - 1 - m;
      pieces<LANES>(lanes, [&](auto v, auto number, int c) {
        using V = decltype(v);
        V total[number.value] = {};
        for (int k = first; k <= last; ++k)
          for (int n = 0; n < number.value; ++n)
            total[n] += load<V>(from + int64_t{m + k} * lanes + c + n * LENGTH<V>) * x.tap[k + x.radius];
        for (int n = 0; n < number.value; ++n) store<V>(to + int64_t{m} * lanes + c + n * LENGTH<V>, total[n]);
      });
    }
  }
};

}  // namespace KV_LEVEL
