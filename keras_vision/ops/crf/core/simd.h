// Vectors as the compiler's own types: one source for AVX-512, AVX2 and plain machines. Each level of instructions is
// compiled in a namespace of its own (KV_LEVEL), and this code uses no template of the standard library: a function
// instantiated for AVX-512 must never be the one that the linker keeps for the others.
#pragma once

#include <cstdint>
#include <cstring>

#define KV_INLINE inline __attribute__((always_inline))
// One step of the work on a tile: alone it has the registers for itself (5 % faster than all inlined into one function).
#define KV_STEP __attribute__((noinline))

namespace KV_LEVEL {

typedef float f4 __attribute__((vector_size(16)));
typedef float f8 __attribute__((vector_size(32)));
typedef float f16 __attribute__((vector_size(64)));
typedef uint32_t u4 __attribute__((vector_size(16)));
typedef uint32_t u8 __attribute__((vector_size(32)));
typedef uint32_t u16 __attribute__((vector_size(64)));

// The widest vectors of the level: compilers split wider ones badly.
#if defined(__AVX512F__)
typedef f16 vf;
typedef u16 vu;
typedef int32_t vi __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef f8 vf;
typedef u8 vu;
typedef int32_t vi __attribute__((vector_size(32)));
#else
typedef f4 vf;
typedef u4 vu;
typedef int32_t vi __attribute__((vector_size(16)));
#endif

template <class V>
constexpr int LENGTH = static_cast<int>(sizeof(V) / sizeof(float));
constexpr int NATIVE = LENGTH<vf>;

template <int N>
struct Constant {
  static constexpr int value = N;
};

template <class V>
KV_INLINE V load(const float* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class V>
KV_INLINE void store(float* to, V v) {
  std::memcpy(to, &v, sizeof v);
}

// Asks for the bytes from..from + count of a stream that the processor does not see in time by itself.
KV_INLINE void prefetch(const void* from, int64_t count) {
  for (int64_t at = 0; at < count; at += 64) __builtin_prefetch(static_cast<const char*>(from) + at);
}

template <class V>
KV_INLINE V larger(V a, V b) {
  return a > b ? a : b;
}

// Round to the nearest integer, ties to even; for |x| < 2^22.
template <class V>
KV_INLINE V nearest(V x) {
  constexpr float shift = 12582912.f;  // 1.5 * 2^23
  return (x + shift) - shift;
}

constexpr float LOG2_E = 1.44269504f;

// 2^x for x <= 0, relative error below 2e-7 beside that of x; exactly 0 below -126, NaN for NaN. 2^n is built apart from
// the polynomial (a minimax fit of 2^f, |f| <= 1/2) and multiplied with it, so that a NaN stays one.
template <class V, class U>
KV_INLINE V exp2_of_negative(V x, U) {
  constexpr float shift = 12582912.f + 127.f;  // nearest(), with the exponent's bias in its lowest bits
  const V y = x + shift;
  const V f = x - (y - shift);
  V p = f * 1.32764991e-3f + 9.67554095e-3f;
  p = p * f + 5.55071327e-2f;
  p = p * f + 2.40221204e-1f;
  p = p * f + 6.93146974e-1f;
  p = p * f + 1.00000007f;
  U bits;
  std::memcpy(&bits, &y, sizeof bits);
  bits <<= 23;
  V power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -126.f ? V{} : p * power;
}
KV_INLINE f4 exp2_of_negative(f4 x) { return exp2_of_negative(x, u4{}); }
KV_INLINE f8 exp2_of_negative(f8 x) { return exp2_of_negative(x, u8{}); }
KV_INLINE f16 exp2_of_negative(f16 x) { return exp2_of_negative(x, u16{}); }

template <class V, class F>
KV_INLINE void pieces_of(int lanes, F&& f) {
  constexpr int n = LENGTH<V>;
  int c = 0;
  for (; c + 4 * n <= lanes; c += 4 * n) f(V{}, Constant<4>{}, c);
  for (; c < lanes; c += n) f(V{}, Constant<1>{}, c);
}

template <int LANES, class V, class F>
KV_INLINE void known_pieces_of(F&& f) {
  if constexpr (LANES / LENGTH<V> <= 4)
    f(V{}, Constant<LANES / LENGTH<V>>{}, 0);
  else
    pieces_of<V>(LANES, f);
}

// Calls f(V{}, Constant<N>{}, offset) for `lanes` floats in pieces of N vectors V, at most four so that they fit the
// registers; V is the widest that divides `lanes`, so that rows of `lanes` floats stay aligned to it. `lanes` is 1 or a
// multiple of 4; LANES is the number when it is known to the compiler, else 0.
template <int LANES, class F>
KV_INLINE void pieces(int lanes, F&& f) {
  if constexpr (LANES == 1) {
    f(0.f, Constant<1>{}, 0);
  } else if constexpr (LANES > 0) {
    if constexpr (LANES % NATIVE == 0)
      known_pieces_of<LANES, vf>(f);
    else if constexpr (LANES % 8 == 0)
      known_pieces_of<LANES, f8>(f);
    else
      known_pieces_of<LANES, f4>(f);
  } else {
    if (lanes % NATIVE == 0)
      pieces_of<vf>(lanes, f);
    else if (NATIVE > 8 && lanes % 8 == 0)
      pieces_of<f8>(lanes, f);
    else
      pieces_of<f4>(lanes, f);
  }
}

// As pieces, one vector at a time: f(V{}, offset).
template <int LANES, class F>
KV_INLINE void blocks(int lanes, F&& f) {
  pieces<LANES>(lanes, [&](auto v, auto number, int c) {
    for (int n = 0; n < number.value; ++n) f(v, c + n * LENGTH<decltype(v)>);
  });
}

}  // namespace KV_LEVEL
