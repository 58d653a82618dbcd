// The Gaussian over positions on a grid of cubic B-splines (see core/spline_axis.h): separable, every step a gather along
// one axis of an array (outer, axis, inner).
#pragma once

#include <utility>
#include <vector>

#include "values.h"

#include "../core/spline_axis.h"

namespace kv_cuda {

// Host memory for the tables.
struct HostMemory {};
template <class T>
class HostArray {
 public:
  explicit HostArray(HostMemory&) {}
  void resize(int64_t size) { values_.resize(static_cast<size_t>(size)); }
  void zero() { std::fill(values_.begin(), values_.end(), T{}); }
  T& operator[](int64_t i) { return values_[static_cast<size_t>(i)]; }
  const T* data() const { return values_.data(); }
  int64_t size() const { return static_cast<int64_t>(values_.size()); }

 private:
  std::vector<T> values_;
};

// One axis as the functors see it.
struct AxisView {
  int64_t positions, nodes;
  int radius, reach;      // reach: nodes that a pixel touches
  const int32_t* first;   // (positions): the first of them
  const int32_t* until;   // (nodes + reach): until[n + reach] pixels touch no node above n
  const float* slice;     // (positions, 4)
  const float* splat;     // (positions, 4)
  float tap[2 * MAX_RADIUS + 1];
};

struct Place {
  int64_t outer, at, inner;
};

KV_DEVICE Place place_of(int64_t i, int64_t length, int64_t inner) {
  const int64_t row = quotient(i, inner), outer = quotient(row, length);
  return Place{outer, row - outer * length, i - row * inner};
}

// (outer, positions, inner) -> (outer, nodes, inner). Index: in the result.
struct SplatAlong {
  AxisView axis;
  const float* from;
  int64_t inner;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const Place place = place_of(i, axis.nodes, inner);
    const float* own = from + place.outer * axis.positions * inner + place.inner;
    const int64_t last = axis.until[place.at + axis.reach];
    float sum = 0;
    for (int64_t p = axis.until[place.at]; p < last; ++p) sum += own[p * inner] * axis.splat[p * TAPS + place.at - axis.first[p]];
    to[i] = sum;
  }
};

// (outer, nodes, inner) -> (outer, nodes, inner). Index: in the result.
struct BlurAlong {
  AxisView axis;
  const float* from;
  int64_t inner;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t at = place_of(i, axis.nodes, inner).at;
    float sum = 0;
    for (int k = -axis.radius; k <= axis.radius; ++k)
      if (at + k >= 0 && at + k < axis.nodes) sum += from[i + k * inner] * axis.tap[k + axis.radius];
    to[i] = sum;
  }
};

// base + (outer, nodes, inner) -> (outer, positions, inner). Index: in the result.
struct SliceAlong {
  AxisView axis;
  const float* base;  // may be `to`; NULL: 0
  const float* from;
  int64_t inner;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const Place place = place_of(i, axis.positions, inner);
    const float* own = from + (place.outer * axis.nodes + axis.first[place.at]) * inner + place.inner;
    float sum = base ? base[i] : 0.f;
    for (int t = 0; t < axis.reach; ++t) sum += own[t * inner] * axis.slice[place.at * TAPS + t];
    to[i] = sum;
  }
};

// The tables of one axis, here and on the GPU.
class Axis {
 public:
  explicit Axis(Device& device) : device_(device), first_(device), until_(device), slice_(device), splat_(device) {}

  void build(int64_t count, float theta, int normalization, float strength) {
    HostMemory memory;
    SplineAxis<HostArray, HostMemory> table(memory);
    table.build(memory, count, theta, normalization, strength);
    view.positions = table.positions;
    view.nodes = table.nodes;
    view.radius = table.radius;
    view.reach = table.reach;
    std::memcpy(view.tap, table.tap, sizeof view.tap);
    HostArray<int32_t> until(memory);
    until.resize(view.nodes + view.reach);
    int32_t touched = 0;
    for (int64_t n = 0; n < view.nodes; ++n) {
      while (touched < count && table.first[touched] <= n) ++touched;
      until[n + view.reach] = touched;
    }
    view.first = uploaded(table.first, first_);
    view.until = uploaded(until, until_);
    view.slice = uploaded(table.slice, slice_);
    view.splat = uploaded(table.splat, splat_);
  }

  AxisView view{};

 private:
  template <class T>
  const T* uploaded(const HostArray<T>& from, Array<T>& to) {
    to.resize(from.size());
    device_.upload(to.data(), from.data(), from.size());
    return to.data();
  }

  Device& device_;
  Array<int32_t> first_, until_;
  Array<float> slice_, splat_;
};

// A kernel that looks at positions only.
class Spatial {
 public:
  explicit Spatial(Device& device) : device_(device), x_(device), y_(device), rows_(device) {}

  void build(Spare& spare, int64_t height, int64_t width, const kv_kernel& kernel, int normalization, int64_t labels) {
    y_.build(height, kernel.theta_y, normalization, 1.f);
    x_.build(width, kernel.theta_x, normalization, kernel.weight);
    labels_ = labels;
    inner_ = x_.view.nodes * labels;
    rows_.resize(height * inner_);
    spare.one.resize(y_.view.nodes * inner_);
    spare.other.resize(y_.view.nodes * inner_);
  }

  // Exchanges what splats and slices take: the transposed kernel, for the blur is symmetric.
  void transpose() {
    std::swap(x_.view.slice, x_.view.splat);
    std::swap(y_.view.slice, y_.view.splat);
  }

  // Values (height, width, labels) on the grid, blurred, and read along y.
  void splat_and_blur(const Spare& spare, const float* values) {
    const AxisView &x = x_.view, &y = y_.view;
    const int64_t size = y.nodes * inner_;
    float* one = spare.one.data();
    float* other = spare.other.data();
    device_.for_each(y.positions * inner_, SplatAlong{x, values, labels_, rows_.data()});
    device_.for_each(size, SplatAlong{y, rows_.data(), inner_, one});
    device_.for_each(size, BlurAlong{y, one, inner_, other});
    device_.for_each(size, BlurAlong{x, other, labels_, one});
    device_.for_each(y.positions * inner_, SliceAlong{y, nullptr, one, inner_, rows_.data()});
  }

  // to = base + messages, (height, width, labels).
  void slice(const float* base, float* to) {
    const AxisView& x = x_.view;
    device_.for_each(y_.view.positions * x.positions * labels_, SliceAlong{x, base, rows_.data(), labels_, to});
  }

 private:
  Device& device_;
  Axis x_, y_;
  int64_t labels_ = 0, inner_ = 0;
  Array<float> rows_;  // (height, x nodes, labels)
};

}  // namespace kv_cuda
