// Softmax over the labels of the 16 pixels of a tile, in place up to a factor for each pixel, which every reader has to
// apply: it costs nothing beside other factors. Padding lanes hold -inf and become 0.
//
// The largest label and the sum of each pixel are found for four pixels at a time, and every step is done for the whole
// tile before the next: one pixel after the other would wait for itself.
#pragma once

#include "simd.h"

namespace KV_LEVEL {

#if defined(__clang__) || __GNUC__ >= 12
#define KV_SHUFFLE4(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define KV_SHUFFLE4(a, b, ...) __builtin_shuffle(a, b, u4{__VA_ARGS__})
#endif

struct Larger {
  template <class V>
  KV_INLINE V operator()(V a, V b) const { return a > b ? a : b; }
};

struct Sum {
  template <class V>
  KV_INLINE V operator()(V a, V b) const { return a + b; }
};

KV_INLINE f4 low(f8 v) { return load<f4>(reinterpret_cast<const float*>(&v)); }
KV_INLINE f4 high(f8 v) { return load<f4>(reinterpret_cast<const float*>(&v) + 4); }
KV_INLINE f8 low(f16 v) { return load<f8>(reinterpret_cast<const float*>(&v)); }
KV_INLINE f8 high(f16 v) { return load<f8>(reinterpret_cast<const float*>(&v) + 8); }

template <class Op>
KV_INLINE f4 fold(f4 v, Op) { return v; }
template <class Op>
KV_INLINE f4 fold(f8 v, Op op) { return op(low(v), high(v)); }
template <class Op>
KV_INLINE f4 fold(f16 v, Op op) { return fold(op(low(v), high(v)), op); }

// Reduces each of four vectors to one number.
template <class Op>
KV_INLINE f4 across(const f4* v, Op op) {
  const f4 a = op(KV_SHUFFLE4(v[0], v[1], 0, 2, 4, 6), KV_SHUFFLE4(v[0], v[1], 1, 3, 5, 7));
  const f4 b = op(KV_SHUFFLE4(v[2], v[3], 0, 2, 4, 6), KV_SHUFFLE4(v[2], v[3], 1, 3, 5, 7));
  return op(KV_SHUFFLE4(a, b, 0, 2, 4, 6), KV_SHUFFLE4(a, b, 1, 3, 5, 7));
}

// x: (16, lanes), scale: (16). Returns false if the sum of a pixel is no number of at least 1, as with NaN, +inf, or -inf for all
// labels.
template <int LANES>
KV_STEP bool softmax_of_tile(int lanes_, float* x, float* scale) {
  const int lanes = LANES ? LANES : lanes_;
  alignas(64) float top[16];
  bool valid = true;
  for (int i = 0; i < 16; i += 4) {
    f4 most[4];
    for (int j = 0; j < 4; ++j) {
      const float* own = x + (i + j) * lanes;
      most[j] = load<f4>(own);
      pieces<LANES>(lanes, [&](auto v, auto number, int c) {
        using V = decltype(v);
        V largest = load<V>(own + c);
        for (int n = 1; n < number.value; ++n) largest = larger(largest, load<V>(own + c + n * LENGTH<V>));
        most[j] = larger(most[j], fold(largest, Larger{}));
      });
    }
    store<f4>(top + i, across(most, Larger{}));
  }
  if constexpr (LANES > 0 && LANES < NATIVE) {  // several pixels in one vector
    alignas(64) float tops[16 * LANES];
    for (int i = 0; i < 16; ++i)
      for (int c = 0; c < LANES; ++c) tops[i * LANES + c] = top[i];
    for (int c = 0; c < 16 * LANES; c += NATIVE)
      store<vf>(x + c, exp2_of_negative((load<vf>(x + c) - load<vf>(tops + c)) * LOG2_E));
  }
  for (int i = 0; i < 16; i += 4) {
    f4 sum[4];
    for (int j = 0; j < 4; ++j) {
      float* own = x + (i + j) * lanes;
      sum[j] = f4{};
      pieces<LANES>(lanes, [&](auto v, auto number, int c) {
        using V = decltype(v);
        V total = {};
        for (int n = 0; n < number.value; ++n) {
          V e = load<V>(own + c + n * LENGTH<V>);
          if constexpr (LANES == 0 || LANES >= NATIVE) {
            e = exp2_of_negative((e - top[i + j]) * LOG2_E);
            store<V>(own + c + n * LENGTH<V>, e);
          }
          total += e;
        }
        sum[j] += fold(total, Sum{});
      });
    }
    const f4 all = across(sum, Sum{});
    for (int j = 0; j < 4; ++j) valid &= all[j] > 0.999f;  // the largest label alone adds 1, up to rounding
    store<f4>(scale + i, 1.f / all);
  }
  return valid;
}

}  // namespace KV_LEVEL
