// How the coordinates of a lattice's vertex are packed in a key. No vector code: both cores share it.
#pragma once

#include "point_features.h"

namespace KV_LEVEL {

constexpr int MAX_WORDS = 16;
constexpr float MAX_COORDINATE = 262144.f;  // 2^18: beyond it float32 places a point worse than 1/64 of a step

// How the coordinates of a vertex are packed.
struct Packing {
  int dimensions = 0, words = 0;
  int word[MAX_DIMENSIONS + 1];        // of field i; field `dimensions` is the remainder r
  uint32_t unit[MAX_DIMENSIONS + 1];   // 1 << shift of field i
  uint32_t remainder = 0;              // mask of r in its word
  int bits[MAX_WORDS];                 // used of each word, from the lowest on
  int32_t bias[MAX_DIMENSIONS];        // added to q_i
  float step[MAX_DIMENSIONS];          // feature -> elevated coordinate
};

// Widths of the fields from the ranges of the features, with room for the neighbours of the outermost vertices.
inline Packing pack(int d, const float* low, const float* high) {
  Packing packing;
  packing.dimensions = d;
  const double deviation = std::sqrt(2.0 / 3.0) * (d + 1);  // the blur's standard deviation, in steps
  double lo[MAX_DIMENSIONS], hi[MAX_DIMENSIONS];
  for (int i = 0; i < d; ++i) {
    const double step = deviation / std::sqrt((i + 1.0) * (i + 2.0));
    packing.step[i] = static_cast<float>(step);
    lo[i] = low[i] * step;
    hi[i] = high[i] * step;
  }
  int word = 0, used = 0;
  auto place = [&](int field, int bits) {
    if (used + bits > 32) {
      ++word;
      used = 0;
    }
    packing.word[field] = word;
    packing.unit[field] = uint32_t{1} << used;
    used += bits;
    if (word < MAX_WORDS) packing.bits[word] = used;
  };
  int remainder_bits = 1;
  while ((1 << remainder_bits) <= d) ++remainder_bits;
  place(d, remainder_bits);
  packing.remainder = (uint32_t{1} << remainder_bits) - 1;
  for (int i = 0; i < d; ++i) {
    double least = i ? -i * hi[i - 1] : 0, most = i ? -i * lo[i - 1] : 0;
    for (int j = i; j < d; ++j) {
      least += lo[j];
      most += hi[j];
    }
    if (!(least > -MAX_COORDINATE && most < MAX_COORDINATE))
      kv::stop(KV_INVALID,
               "theta is too small for the range of the features: the lattice would have coordinates of %.3g; "
               "float32 allows %.0f. Raise theta, or scale the image down",
               -least > most ? -least : most, static_cast<double>(MAX_COORDINATE));
    const double from = std::floor(least / (d + 1)) - 4, to = std::ceil(most / (d + 1)) + 4;
    packing.bias[i] = static_cast<int32_t>(-from);
    int bits = 1;
    while ((int64_t{1} << bits) < static_cast<int64_t>(to - from) + 1) ++bits;
    place(i, bits);
  }
  packing.words = word + 1;
  if (packing.words > MAX_WORDS)
    kv::stop(KV_INVALID, "theta is too small for the range of %d features: a vertex would take %d bits, %d are allowed. Raise theta", d,
             32 * word + used, 32 * MAX_WORDS);
  return packing;
}

// What makes the filter's answer at a point close to the Gaussian sum (Adams et al., 2010).
inline float amplitude(int dimensions) { return 1.f / (1.f + std::ldexp(1.f, -dimensions)); }

}  // namespace KV_LEVEL
