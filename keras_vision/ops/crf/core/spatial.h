// The Gaussian over positions: separable, on a grid of cubic B-splines as coarse as theta.
//
// Splat and slice with cubic B-splines of step h = 0.9 theta have a variance of h²/3 each. A blur of five taps on the grid
// adds what is missing to theta², and cancels the splines' fourth cumulant (8 boxes of -h⁴/120). Below theta = 1.5 pixels
// the grid is the image itself and the blur a sampled Gaussian of 4.5 theta.
#pragma once

#include <cmath>

#include "values.h"

namespace KV_LEVEL {

constexpr int TAPS = 4;
constexpr int MAX_RADIUS = 7;

// One axis: `positions` pixels on `nodes` nodes. A pixel reads and writes nodes first, ..., first + 3.
struct Axis {
  explicit Axis(kv::Context& context) : first(context), slice(context), splat(context) {}
  int positions = 0, nodes = 0, radius = 0;
  Buffer<int32_t> first;       // (positions)
  Buffer<float> slice, splat;  // (positions, 4)
  float tap[2 * MAX_RADIUS + 1];

  void build(kv::Context& context, int64_t count, float theta, int normalization, float strength) {
    positions = static_cast<int>(count);
    first.resize(count);
    slice.resize(count * TAPS);
    splat.resize(count * TAPS);
    if (theta >= 1.5f)
      splines(theta);
    else
      pixels(theta);
    Buffer<double> sum(context);
    sum.resize(count);
    sums(context, sum);
    for (int64_t i = 0; i < count; ++i) {
      const double s = normalization == KV_SYMMETRIC ? 1 / std::sqrt(sum[i] + 1e-20) : 1 / (sum[i] + 1e-20);
      const double on_slice = normalization == KV_SYMMETRIC || normalization == KV_AFTER ? s : 1;
      const double on_splat = normalization == KV_SYMMETRIC || normalization == KV_BEFORE ? s : 1;
      for (int t = 0; t < TAPS; ++t) {
        splat[i * TAPS + t] = static_cast<float>(slice[i * TAPS + t] * on_splat);
        slice[i * TAPS + t] = static_cast<float>(slice[i * TAPS + t] * on_slice * strength);
      }
    }
  }

 private:
  void splines(float theta) {
    radius = 2;
    const double step = 0.9 * theta, variance = 1 / (0.9 * 0.9) - 2.0 / 3, moment = 8.0 / 120 + 3 * variance * variance;
    const double two = (moment - variance) / 24, one = variance / 2 - 4 * two;  // of the taps, in steps
    const double taps[3] = {1 - 2 * one - 2 * two, one, two};
    const double scale = std::sqrt(2 * 3.14159265358979323846) / 0.9;  // to the mass of a Gaussian of height 1
    for (int k = -2; k <= 2; ++k) tap[k + 2] = static_cast<float>(scale * taps[k < 0 ? -k : k]);
    for (int i = 0; i < positions; ++i) {
      const double at = i / step, whole = std::floor(at), t = at - whole;
      first[i] = static_cast<int32_t>(whole);
      const double u = 1 - t;
      slice[i * TAPS] = static_cast<float>(u * u * u / 6);
      slice[i * TAPS + 1] = static_cast<float>((4 - 6 * t * t + 3 * t * t * t) / 6);
      slice[i * TAPS + 2] = static_cast<float>((4 - 6 * u * u + 3 * u * u * u) / 6);
      slice[i * TAPS + 3] = static_cast<float>(t * t * t / 6);
    }
    nodes = first[positions - 1] + TAPS;
  }

  void pixels(float theta) {
    radius = static_cast<int>(std::ceil(4.5f * theta));
    for (int k = -radius; k <= radius; ++k)  // not 0 / theta: a denormal theta counts as 0 while denormals are flushed
      tap[k + radius] = k == 0 ? 1.f : std::exp(-0.5f * (k / theta) * (k / theta));
    for (int i = 0; i < positions; ++i) {
      first[i] = i;
      for (int t = 0; t < TAPS; ++t) slice[i * TAPS + t] = t == 0;
    }
    nodes = positions + TAPS - 1;
  }

  void sums(kv::Context& context, Buffer<double>& sum) {
    Buffer<double> mass(context), blurred(context);
    mass.resize(nodes);
    blurred.resize(nodes);
    mass.zero();
    for (int64_t i = 0; i < positions; ++i)
      for (int t = 0; t < TAPS; ++t) mass[first[i] + t] += slice[i * TAPS + t];
    for (int n = 0; n < nodes; ++n) {
      blurred[n] = 0;
      for (int k = -radius; k <= radius; ++k)
        if (n + k >= 0 && n + k < nodes) blurred[n] += tap[k + radius] * mass[n + k];
    }
    for (int64_t i = 0; i < positions; ++i) {
      sum[i] = 0;
      for (int t = 0; t < TAPS; ++t) sum[i] += slice[i * TAPS + t] * blurred[first[i] + t];
    }
  }
};

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
