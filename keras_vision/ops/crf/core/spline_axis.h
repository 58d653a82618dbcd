// The tables of the Gaussian over positions along one axis. No vector code: both cores share it.
//
// Splat and slice with cubic B-splines of step h = 0.9 theta have a variance of h²/3 each. A blur of five taps on the grid
// adds what is missing to theta², and cancels the splines' fourth cumulant (8 boxes of -h⁴/120). Below theta = 1.5 pixels
// the grid is the image itself and the blur a sampled Gaussian of 4.5 theta.
#pragma once

#include <cmath>
#include <cstdint>

#include "context.h"

namespace KV_LEVEL {

constexpr int TAPS = 4;
constexpr int MAX_RADIUS = 7;

// One axis: `positions` pixels on `nodes` nodes. A pixel reads and writes nodes first, ..., first + 3.
// Array is Buffer, or what else holds numbers; an Array is made from a Memory, such as a Context.
template <template <class> class Array, class Memory>
struct SplineAxis {
  explicit SplineAxis(Memory& memory) : first(memory), slice(memory), splat(memory) {}
  int positions = 0, nodes = 0, radius = 0;
  int reach = 0;              // nodes from the first on that have a weight
  Array<int32_t> first;       // (positions)
  Array<float> slice, splat;  // (positions, 4)
  float tap[2 * MAX_RADIUS + 1];

  void build(Memory& memory, int64_t count, float theta, int normalization, float strength) {
    positions = static_cast<int>(count);
    first.resize(count);
    slice.resize(count * TAPS);
    splat.resize(count * TAPS);
    if (theta >= 1.5f)
      splines(theta);
    else
      pixels(theta);
    Array<double> sum(memory);
    sum.resize(count);
    sums(memory, sum);
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
    reach = TAPS;
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
    reach = 1;
    for (int k = -radius; k <= radius; ++k)  // not 0 / theta: a denormal theta counts as 0 while denormals are flushed
      tap[k + radius] = k == 0 ? 1.f : std::exp(-0.5f * (k / theta) * (k / theta));
    for (int i = 0; i < positions; ++i) {
      first[i] = i;
      for (int t = 0; t < TAPS; ++t) slice[i * TAPS + t] = t == 0;
    }
    nodes = positions + TAPS - 1;
  }

  void sums(Memory& memory, Array<double>& sum) {
    Array<double> mass(memory), blurred(memory);
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

}  // namespace KV_LEVEL
