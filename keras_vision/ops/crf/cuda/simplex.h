// Where the points of a lattice lie: the range of their features, their simplices, and the keys of the vertices.
#pragma once

#include <cmath>

#include "device.h"

#include "../core/packing.h"

namespace kv_cuda {

// Bounds of one channel over a share of the points, or of the bounds that shares of them have. Index: (share, channel).
struct Bounds {
  const float* low_of;   // (points, count)
  const float* high_of;  // (points, count)
  int64_t points, count, shares;
  float* low;   // (shares, count)
  float* high;  // (shares, count); NaN if a channel is not finite
  KV_DEVICE void operator()(int64_t i) const {
    const int64_t share = quotient(i, count), c = i - share * count;
    float lo = low_of[i], hi = high_of[i], nothing = 0;
    for (int64_t p = share; p < points; p += shares) {
      const float a = low_of[p * count + c], b = high_of[p * count + c];
      lo = a < lo ? a : lo;
      hi = b > hi ? b : hi;
      nothing += b - b;
    }
    low[i] = lo;
    high[i] = hi + nothing;
  }
};

// Lower and upper bound of each feature over all points, and the channels' offsets; refuses NaN and infinity.
inline void feature_ranges(Device& device, Array<float>& scratch, Features& features, int64_t points, float* low, float* high) {
  constexpr int64_t STAGES[] = {4096, 64, 1};  // shares; few numbers for each thread to read one after the other
  const int64_t count = features.count;
  scratch.resize(2 * (STAGES[0] + STAGES[1] + STAGES[2]) * count);
  const float* from[] = {features.channels, features.channels};
  float* to = scratch.data();
  for (const int64_t most : STAGES) {
    const int64_t shares = points < most ? points : most;
    device.for_each(shares * count, Bounds{from[0], from[1], points, count, shares, to, to + shares * count});
    points = shares;
    from[0] = to;
    from[1] = to + shares * count;
    to += 2 * shares * count;
  }
  float both[2 * MAX_DIMENSIONS];
  device.download(both, from[0], 2 * count);
  const int positions = features.dimensions() - static_cast<int>(count);
  for (int64_t c = 0; c < count; ++c) {
    if (!std::isfinite(both[count + c])) refuse_features(features);
    low[positions + c] = both[c];
    high[positions + c] = both[count + c];
  }
  place_features(features, low, high);
}

// The simplex of a point: barycentric weights and keys of its vertices (Adams et al., section 3.1), by the same steps as
// in core/vertex.h, so that the same vertices come out. D features, or any number if 0; W words at most. Index: point.
template <int D, int W>
struct Simplex {
  Features features;
  Packing packing;
  int64_t entries;
  float* weight;   // (points, corners)
  uint32_t* word;  // (words, points, corners): the keys

  static constexpr int CAPACITY = (D ? D : MAX_DIMENSIONS) + 1;

  KV_DEVICE void operator()(int64_t point) const {
    float delta[CAPACITY];  // elevated coordinates, then what is left beside the nearest remainder-0 vertex; unit d + 1
    float rounded[CAPACITY];
    int rank[CAPACITY];
    elevate(point, delta);
    round(delta, rounded, rank);
    store(point, delta, rounded, rank);
  }

 private:
  KV_DEVICE int dimensions() const { return D ? D : packing.dimensions; }

  KV_DEVICE float feature(int64_t point, int i) const {
    const int positions = features.width ? 2 : 0;
    float value;
    if (i >= positions) {
      value = features.channels[point * features.count + i - positions] - features.offset[i - positions];
    } else {
      const int64_t y = quotient(point, features.width);
      value = static_cast<float>(i ? y : point - y * features.width);
    }
    return value * features.scale[i];
  }

  KV_DEVICE void elevate(int64_t point, float* delta) const {
    float sum = 0;
    for (int i = dimensions(); i > 0; --i) {
      const float step = feature(point, i - 1) * packing.step[i - 1];
      delta[i] = sum - step * static_cast<float>(i);
      sum += step;
    }
    delta[0] = sum;
  }

  KV_DEVICE void round(float* delta, float* rounded, int* rank) const {
    const int d = dimensions();
    const float inverse = 1.f / static_cast<float>(d + 1);
    float total = 0;
    for (int i = 0; i <= d; ++i) {
      delta[i] *= inverse;
      rounded[i] = rintf(delta[i]);
      delta[i] -= rounded[i];
      total += rounded[i];
      rank[i] = 0;
    }
    for (int i = 0; i < d; ++i)
      for (int j = i + 1; j <= d; ++j) {
        const int less = delta[i] < delta[j];
        rank[i] += less;
        rank[j] += 1 - less;
      }
    const int excess = static_cast<int>(total);
    for (int i = 0; i <= d; ++i) {  // bring the coordinates back to a sum of 0
      rank[i] += excess;
      const int below = rank[i] < 0, above = rank[i] > d;
      rank[i] += (below - above) * (d + 1);
      rounded[i] += static_cast<float>(below - above);
      delta[i] -= static_cast<float>(below - above);
    }
  }

  KV_DEVICE void store(int64_t point, const float* delta, const float* rounded, const int* rank) const {
    const int d = dimensions();
    const int64_t first = point * (d + 1);
    uint32_t key[W];
    for (int w = 0; w < W; ++w) key[w] = 0;
    for (int i = 0; i < d; ++i)
      key[W == 1 ? 0 : packing.word[i]] += static_cast<uint32_t>(static_cast<int>(rounded[i]) + packing.bias[i]) * packing.unit[i];
    store_key(first, key);
    float nearest = 0, previous = 0;  // the weight of the first vertex so far; the delta of rank r + 1
    for (int r = d; r >= 0; --r) {
      // The vertex of remainder k = d - r + 1 lies one step below vertex k - 1 in the coordinate whose rank is r.
      float sorted = 0;
      for (int i = 0; i <= d; ++i) {
        const bool here = rank[i] == r;
        sorted += here ? delta[i] : 0.f;
        if (i < d) key[W == 1 ? 0 : packing.word[i]] -= here ? packing.unit[i] : 0;
      }
      if (r > 0) {
        key[W == 1 ? 0 : packing.word[d]] += packing.unit[d];
        store_key(first + d - r + 1, key);
      }
      if (r == d)
        nearest = sorted + 1.f;
      else
        weight[first + d - r] = sorted - previous;
      previous = sorted;
    }
    weight[first] = nearest - previous;
  }

  KV_DEVICE void store_key(int64_t entry, const uint32_t* key) const {
    for (int w = 0; w < W; ++w)
      if (W == 1 || w < packing.words) word[w * entries + entry] = key[w];
  }
};

inline void find_simplices(Device& device, const Features& features, const Packing& packing, int64_t points, float* weight,
                           uint32_t* word) {
  const int d = packing.dimensions;
  const int64_t entries = points * (d + 1);
  if (packing.words == 1 && d == 5)
    device.for_each(points, Simplex<5, 1>{features, packing, entries, weight, word});
  else if (packing.words == 1 && d == 3)
    device.for_each(points, Simplex<3, 1>{features, packing, entries, weight, word});
  else if (packing.words == 1)
    device.for_each(points, Simplex<0, 1>{features, packing, entries, weight, word});
  else if (packing.words == 2)
    device.for_each(points, Simplex<0, 2>{features, packing, entries, weight, word});
  else
    device.for_each(points, Simplex<0, MAX_WORDS>{features, packing, entries, weight, word});
}

}  // namespace kv_cuda
