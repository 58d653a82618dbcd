// Values on the vertices of a lattice: splat, blur, slice, and the weight of a kernel with its normalisation.
#pragma once

#include "lattice.h"

namespace kv_cuda {

// What the entries of one chunk bring. Index: (chunk, channel).
struct SplatChunk {
  const float* values;  // (points, channels); NULL: all 1
  const uint32_t* point;
  const float* share;
  const uint32_t* chunk;
  int64_t channels;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t own = quotient(i, channels), c = i - own * channels;
    const int64_t end = chunk[own + 1];
    float sum = 0;
    for (int64_t s = chunk[own]; s < end; ++s) sum += (values ? values[point[s] * channels + c] : 1.f) * share[s];
    to[i] = sum;
  }
};

// What the chunks of one row bring. Index: (row, channel), row 0 among them.
struct SplatRow {
  const float* chunks;
  const uint32_t* first;
  int64_t channels;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t row = quotient(i, channels), c = i - row * channels;
    const int64_t end = first[row + 1];
    float sum = 0;
    for (int64_t k = first[row]; k < end; ++k) sum += chunks[k * channels + c];
    to[i] = sum;
  }
};

// [1/2, 1, 1/2] along an axis. Index: (row, channel), row 0 among them, whose neighbours are itself.
struct Blur {
  const float* from;
  const uint32_t* neighbour;  // (rows + 1, 2)
  int64_t channels;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t row = quotient(i, channels), c = i - row * channels;
    const int64_t before = neighbour[2 * row], after = neighbour[2 * row + 1];
    to[i] = from[i] + (from[before * channels + c] + from[after * channels + c]) * 0.5f;
  }
};

// to = base + scale * what the vertices around a point say. Index: (point, channel).
struct Slice {
  const float* base;  // may be `to`; NULL: 0
  const float* from;
  const uint32_t* row;
  const float* weight;
  int64_t corners, channels;
  float scale;
  float* to;
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t point = quotient(i, channels), c = i - point * channels;
    float sum = base ? base[i] : 0.f;
    for (int64_t e = point * corners; e < (point + 1) * corners; ++e) sum += from[row[e] * channels + c] * (weight[e] * scale);
    to[i] = sum;
  }
};

// Multiplies the weights of entries by scale * density^-power of their points; power is 0, 1/2, 1 or -1. Index: entry.
struct Fold {
  const float* density;
  const uint32_t* point;  // NULL: corners entries for each point in turn
  int64_t corners;
  float amplitude, scale;
  int twice;  // twice the power
  float* weight;
  KV_DEVICE void operator()(int64_t i) const {
    float factor = scale;
    if (twice) {
      const float d = density[point ? point[i] : quotient(i, corners)] * amplitude + 1e-20f;
      factor *= twice < 0 ? d : 1.f / (twice == 1 ? sqrtf(d) : d);
    }
    weight[i] *= factor;
  }
};

// Memory that all kernels use in turn.
struct Spare {
  explicit Spare(Device& device) : one(device), other(device) {}
  Array<float> one, other;
};

// Floats that each of two arrays needs in a filter of so many channels.
inline int64_t room(const Points& points, int64_t channels) {
  return (points.chunks > points.rows ? points.chunks : points.rows + 1) * channels;
}

// Values (points, channels) on the vertices, blurred: in `own`, (rows + 1, channels). Both arrays have the room they need.
inline void splat_and_blur(Device& device, const Points& points, const float* values, int64_t channels, bool reverse, float* own,
                           float* spare) {
  float* now = points.corners % 2 ? spare : own;  // so that the last pass ends in `own`
  float* next = points.corners % 2 ? own : spare;
  device.for_each(points.chunks * channels, SplatChunk{values, points.point.data(), points.share.data(), points.chunk.data(),
                                                       channels, next});
  const int64_t size = (points.rows + 1) * channels;
  device.for_each(size, SplatRow{next, points.first.data(), channels, now});
  for (int64_t k = 0; k < points.corners; ++k) {
    const int64_t axis = reverse ? points.corners - 1 - k : k;
    device.for_each(size, Blur{now, points.neighbour.data() + axis * (points.rows + 1) * 2, channels, next});
    float* before = now;
    now = next;
    next = before;
  }
}

inline Slice slice_of(const Points& points, const float* base, const float* from, int64_t channels, float scale, float* to) {
  return Slice{base, from, points.row.data(), points.weight.data(), points.corners, channels, scale, to};
}

// A kernel that looks at the image: its lattice, with normalisation, weight and amplitude folded into the weights.
struct Bilateral {
  explicit Bilateral(Device& device) : points(device), values(device), density(device) {}
  Points points;
  Array<float> values;   // blurred, (rows + 1, labels)
  Array<float> density;  // (points): the filter's answer to 1 at every pixel

  void build(Device& device, Builder& builder, Spare& spare, const Features& features, float weight, int normalization,
             int64_t labels) {
    const int64_t count = features.width * features.height;
    builder.build(features, count, points);
    const float root = std::sqrt(std::fabs(weight) * amplitude(features.dimensions()));
    values.resize(room(points, labels));
    spare.one.resize(room(points, labels));
    if (normalization != KV_NONE) {
      density.resize(count);
      splat_and_blur(device, points, nullptr, 1, false, values.data(), spare.one.data());
      device.for_each(count, slice_of(points, nullptr, values.data(), 1, 1.f, density.data()));
    }
    const int on_splat = normalization == KV_SYMMETRIC ? 1 : normalization == KV_BEFORE ? 2 : 0;
    const int on_slice = normalization == KV_SYMMETRIC ? 1 : normalization == KV_AFTER ? 2 : 0;
    fold(device, weight < 0 ? -root : root, on_splat, root, on_slice);
  }

  // Exchanges what splats and slices take, for the transposed kernel: blurred in reverse, it is that exactly.
  void transpose(Device& device, int normalization) {
    if (normalization == KV_BEFORE) fold(device, 1.f, -2, 1.f, 2);
    if (normalization == KV_AFTER) fold(device, 1.f, 2, 1.f, -2);
  }

 private:
  void fold(Device& device, float splat, int on_splat, float slice, int on_slice) {
    const float amplitude = kv_cuda::amplitude(static_cast<int>(points.corners - 1));
    device.for_each(points.entries, Fold{density.data(), points.point.data(), points.corners, amplitude, splat, on_splat,
                                         points.share.data()});
    device.for_each(points.entries, Fold{density.data(), nullptr, points.corners, amplitude, slice, on_slice,
                                         points.weight.data()});
  }
};

}  // namespace kv_cuda
