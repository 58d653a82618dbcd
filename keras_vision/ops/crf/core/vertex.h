// The vertices of the permutohedral lattice: their simplices, their keys, and a table of them.
#pragma once

#include "packing.h"
#include "points.h"

namespace KV_LEVEL {

// Elevates a vector of points, finds their simplices (Adams et al., section 3.1), and gives barycentric weights and keys.
template <int D, int W>
KV_INLINE void find_simplex(const Packing& packing, const float (*feature)[TILE], float (*weight)[TILE], vu (*key)[W]) {
  constexpr int CAPACITY = (D ? D : MAX_DIMENSIONS) + 1;
  const int d = D ? D : packing.dimensions;
  const float inverse = 1.f / static_cast<float>(d + 1);
  vf delta[CAPACITY];  // elevated coordinates, then what is left beside the nearest remainder-0 vertex; unit d + 1
  vf rounded[CAPACITY];
  vi rank[CAPACITY];

  vf sum = {};
  for (int i = d; i > 0; --i) {
    const vf step = load<vf>(feature[i - 1]) * packing.step[i - 1];
    delta[i] = sum - step * static_cast<float>(i);
    sum += step;
  }
  delta[0] = sum;

  vf total = {};
  for (int i = 0; i <= d; ++i) {
    delta[i] *= inverse;
    rounded[i] = nearest(delta[i]);
    delta[i] -= rounded[i];
    total += rounded[i];
    rank[i] = vi{};
  }
  for (int i = 0; i < d; ++i)
    for (int j = i + 1; j <= d; ++j) {
      const vi less = delta[i] < delta[j];  // -1 where true
      rank[i] -= less;
      rank[j] += less + 1;
    }
  const vi excess = __builtin_convertvector(total, vi);
  for (int i = 0; i <= d; ++i) {  // bring the coordinates back to a sum of 0
    rank[i] += excess;
    const vi below = rank[i] < 0, above = rank[i] > d;
    rank[i] += (below & (d + 1)) - (above & (d + 1));
    const vf moved = __builtin_convertvector(above - below, vf);  // +1 below, -1 above
    rounded[i] += moved;
    delta[i] -= moved;
  }

  for (int w = 0; w < W; ++w) key[0][w] = vu{};
  for (int i = 0; i < d; ++i) {
    const vu q = reinterpret_cast<vu>(__builtin_convertvector(rounded[i], vi) + packing.bias[i]);
    key[0][W == 1 ? 0 : packing.word[i]] += q * packing.unit[i];
  }
  vf nearest_weight = {};
  vf previous = {};  // the delta of rank r + 1
  for (int r = d; r >= 0; --r) {
    // The vertex of remainder k = d - r + 1 lies one step below vertex k - 1 in the coordinate whose rank is r.
    const int k = d - r + 1;
    vf sorted = {};
    if (k <= d)
      for (int w = 0; w < W; ++w) key[k][w] = key[k - 1][w];
    for (int i = 0; i <= d; ++i) {
      const vi here = rank[i] == r;
      sorted += here ? delta[i] : vf{};
      if (k <= d && i < d) key[k][W == 1 ? 0 : packing.word[i]] -= reinterpret_cast<vu>(here) & packing.unit[i];
    }
    if (k <= d) key[k][W == 1 ? 0 : packing.word[d]] += packing.unit[d];
    if (r == d)
      nearest_weight = sorted + 1.f;
    else
      store<vf>(weight[d - r], sorted - previous);
    previous = sorted;
  }
  store<vf>(weight[0], nearest_weight - previous);
}

template <int W>
struct Key {
  uint32_t word[W];
  KV_INLINE bool operator==(const Key& other) const {
    uint32_t different = 0;
    for (int w = 0; w < W; ++w) different |= word[w] ^ other.word[w];
    return different == 0;
  }
  KV_INLINE uint32_t hash() const {
    uint32_t h = word[0] * 0x9E3779B1u;
    for (int w = 1; w < W; ++w) h = ((h ^ (h >> 15)) + word[w]) * 0x85EBCA77u;
    return h;
  }
};

// Open addressing with linear probing, at most a quarter full, or half full where the table outgrows the caches.
// Rows count from 1; 0 marks an empty slot.
template <int W>
class Table {
 public:
  struct Slot {
    Key<W> key;
    uint32_t row;
  };

  explicit Table(kv::Context& context) : slots_(context) {}

  void reset(int64_t rows) {
    const int64_t share = rows < LARGE ? 4 : 2;
    int bits = 10;
    while ((int64_t{1} << bits) < share * rows && bits < 32) ++bits;
    shift_ = 32 - bits;
    mask_ = static_cast<uint32_t>((int64_t{1} << bits) - 1);
    slots_.resize(int64_t{1} << bits);
    slots_.zero();
    room_ = (int64_t{1} << bits) / share;
  }

  int64_t room() const { return room_; }
  int shift() const { return shift_; }
  const Slot* slots() const { return slots_.data(); }

  KV_INLINE void prefetch(const Key<W>& key) const { __builtin_prefetch(&slots_[start(key)]); }

  // The row of the key, or 0.
  KV_INLINE uint32_t find(const Key<W>& key) const {
    for (uint32_t at = start(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.row == 0 || slot.key == key) return slot.row;
    }
  }

  // The row of the key, which becomes `row` if there was none.
  KV_INLINE uint32_t insert(const Key<W>& key, uint32_t row) {
    uint32_t at = start(key);
    while (slots_[at].row != 0) {
      if (slots_[at].key == key) return slots_[at].row;
      at = (at + 1) & mask_;
    }
    slots_[at] = Slot{key, row};
    return row;
  }

 private:
  static constexpr int64_t LARGE = 1 << 16;
  KV_INLINE uint32_t start(const Key<W>& key) const { return key.hash() >> shift_; }

  Buffer<Slot> slots_;
  uint32_t mask_ = 0;
  int shift_ = 0;
  int64_t room_ = 0;
};

}  // namespace KV_LEVEL
