// The permutohedral lattice of Adams, Baek & Davis (2010): points of d features are spread over the d + 1 vertices of
// the simplex they lie in (splat), vertices are blurred along d + 1 axes, and read at the points again (slice).
//
// A vertex has d + 1 integer coordinates that sum to 0 and are all equal modulo d + 1. Coordinate i is
// (d + 1) q_i + r; the key of a vertex packs q_0..q_{d-1} and the remainder r into 32-bit words, with widths that
// come from the range of the features.
//
// Points are taken 16 at a time (a tile) and in bands of tiles that depend on the number of points only. A band numbers
// the vertices that it touches in its own rows; a vertex of several bands is owned by the first, and its other rows
// (ghosts) are added to the owner before the blur and copied from it after. So any number of threads gives the same sums.
#pragma once

#include "vertex.h"

namespace KV_LEVEL {

// One bit for each of the D + 1 axes.
template <int D>
struct BitsOf {
  typedef uint64_t type;
};
template <>
struct BitsOf<3> {
  typedef uint8_t type;
};
template <>
struct BitsOf<5> {
  typedef uint8_t type;
};

template <int D, int W>
class Builder {
 public:
  typedef typename BitsOf<D>::type Bits;

  Builder(kv::Context& context, Points& to) : context_(context), to_(to), global_(context) {}

  void build(const Features& features, const Packing& packing) {
    const int corners = packing.dimensions + 1;
    to_.corners = corners;
    to_.row.resize(to_.tiles * corners * TILE);
    to_.weight.resize(to_.tiles * corners * TILE);
    Band* bands[MAX_BANDS] = {};
    struct Owner {  // of the bands, also when something is thrown
      Band** bands;
      ~Owner() {
        for (int b = 0; b < MAX_BANDS; ++b) delete bands[b];
      }
    } owner{bands};
    for (int b = 0; b < to_.bands; ++b) bands[b] = new Band(context_);

    auto touch = [&](int64_t b) { touch_vertices(features, packing, static_cast<int>(b), *bands[b]); };
    context_.parallel(to_.bands, touch);
    to_.rows = 0;
    for (int b = 0; b < to_.bands; ++b) {
      to_.band_row[b] = to_.rows;
      to_.rows += bands[b]->count;
    }
    to_.band_row[to_.bands] = to_.rows;
    if (to_.rows >= int64_t{1} << 31) kv::stop(KV_INVALID, "the lattice would have %lld vertices; at most 2^31 can be numbered",
                                               static_cast<long long>(to_.rows));
    find_owners(bands);
    find_lines(packing, bands);
  }

 private:
  struct Band {
    explicit Band(kv::Context& context) : table(context), keys(context) {}
    Table<W> table;
    Buffer<Key<W>> keys;  // of local rows 1, 2, ...
    int64_t count = 0;
  };

  void touch_vertices(const Features& features, const Packing& packing, int b, Band& band) {
    const int corners = (D ? D : packing.dimensions) + 1;
    const int64_t first = to_.band_tile[b], last = to_.band_tile[b + 1];
    band.table.reset(512);
    band.keys.resize(band.table.room() + 1);
    constexpr int CAPACITY = (D ? D : MAX_DIMENSIONS) + 1;
    alignas(64) float feature[CAPACITY][TILE];
    vu key[CAPACITY][W];
    for (int64_t tile = first; tile < last; ++tile) {
      read_features<D>(features, tile, to_.points, feature);
      if (band.count + corners * TILE > band.table.room()) enlarge(band);
      for (int lane = 0; lane < TILE; lane += NATIVE) {
        const int64_t at = tile * corners * TILE + lane;
        find_simplex<D, W>(packing, reinterpret_cast<const float(*)[TILE]>(&feature[0][lane]),
                           reinterpret_cast<float(*)[TILE]>(to_.weight.data() + at), key);
        number(band, corners, key, to_.row.data() + at);
      }
    }
  }

  // The rows of the keys of some points; unknown keys get the next rows, for which there is room.
  KV_INLINE void number(Band& band, int corners, const vu (*key)[W], uint32_t* row) {
    const auto* slots = band.table.slots();
    const int shift = band.table.shift();
    int missed[(D ? D + 1 : MAX_DIMENSIONS + 1) * NATIVE];
    int misses = 0;
    for (int k = 0; k < corners; ++k) {
      vu hash = key[k][0] * 0x9E3779B1u;
      for (int w = 1; w < W; ++w) hash = ((hash ^ (hash >> 15)) + key[k][w]) * 0x85EBCA77u;
      const vu at = hash >> shift;
      for (int lane = 0; lane < NATIVE; ++lane) {
        const auto& slot = slots[at[lane]];
        uint32_t different = slot.row == 0;
        for (int w = 0; w < W; ++w) different |= slot.key.word[w] ^ key[k][w][lane];
        row[k * TILE + lane] = slot.row;
        missed[misses] = k * TILE + lane;
        misses += different != 0;
      }
    }
    for (int m = 0; m < misses; ++m) {
      const int k = missed[m] / TILE, lane = missed[m] % TILE;
      Key<W> wanted;
      for (int w = 0; w < W; ++w) wanted.word[w] = key[k][w][lane];
      const uint32_t found = band.table.insert(wanted, static_cast<uint32_t>(band.count + 1));
      if (found == band.count + 1) band.keys[++band.count] = wanted;
      row[missed[m]] = found;
    }
  }

  void enlarge(Band& band) {
    const int64_t rows = 4 * (band.count + int64_t{TILE} * (MAX_DIMENSIONS + 1));
    band.table.reset(rows);
    band.keys.grow(band.table.room() + 1, band.count + 1);
    for (int64_t i = 1; i <= band.count; ++i) band.table.insert(band.keys[i], static_cast<uint32_t>(i));
  }

  void find_owners(Band* const* bands) {
    to_.first_ghost.resize(to_.bands + 1);
    to_.first_ghost.zero();
    to_.owned.resize(to_.rows);
    if (to_.bands == 1) {
      for (int64_t row = 1; row <= to_.rows; ++row) to_.owned[row - 1] = static_cast<uint32_t>(row);
      to_.owned_rows[0] = to_.rows;
      return;
    }
    global_.reset(to_.rows);
    to_.ghost.resize(to_.rows);
    to_.owner.resize(to_.rows);
    Buffer<uint32_t> ghost(context_), owner(context_);
    ghost.resize(to_.rows);
    owner.resize(to_.rows);
    int64_t ghosts = 0;
    for (int b = 0; b < to_.bands; ++b) {
      to_.owned_rows[b] = 0;
      const int64_t count = bands[b]->count;
      for (int64_t i = 1; i <= count; ++i) {
        global_.prefetch(bands[b]->keys[i + 16 < count ? i + 16 : count]);
        const uint32_t row = static_cast<uint32_t>(to_.band_row[b] + i);
        const uint32_t found = global_.insert(bands[b]->keys[i], row);
        if (found == row) {
          to_.owned[to_.band_row[b] + to_.owned_rows[b]++] = row;
        } else {
          ghost[ghosts] = row;
          owner[ghosts++] = found;
          int of = 0;
          while (found > to_.band_row[of + 1]) ++of;
          ++to_.first_ghost[of + 1];
        }
      }
    }
    for (int b = 0; b < to_.bands; ++b) to_.first_ghost[b + 1] += to_.first_ghost[b];
    int64_t next[MAX_BANDS + 1];
    for (int b = 0; b < to_.bands; ++b) next[b] = to_.first_ghost[b];
    for (int64_t g = 0; g < ghosts; ++g) {
      int of = 0;
      while (owner[g] > to_.band_row[of + 1]) ++of;
      to_.ghost[next[of]] = ghost[g];
      to_.owner[next[of]++] = owner[g];
    }
  }

  void find_lines(const Packing& packing, Band* const* bands) {
    const int corners = to_.corners;
    const int64_t stride = to_.rows + 1;
    Buffer<uint32_t> after(context_);  // (corners, rows + 1): the next row along each axis; 0: none
    Buffer<Bits> before(context_);     // (rows + 1): bit j: there is a row before along axis j
    after.resize(stride * corners);
    before.resize(stride);
    after.zero();
    const Table<W>& table = to_.bands == 1 ? bands[0]->table : global_;
    int64_t pairs[MAX_BANDS][(D ? D : MAX_DIMENSIONS) + 1];  // of neighbours, by band and axis
    auto search = [&](int64_t b) { link(packing, *bands[b], table, b, before.data(), after.data(), pairs[b]); };
    context_.parallel(to_.bands, search);

    int64_t size = 0;
    for (int j = 0; j < corners; ++j) {
      int64_t linked = 0;  // at most: two rows of each pair
      for (int b = 0; b < to_.bands; ++b) linked += 2 * pairs[b][j];
      to_.first_line[j] = size;
      size += linked < to_.rows ? linked : to_.rows;
    }
    to_.line.resize(size);
    auto write = [&](int64_t axis) {
      const uint32_t* next = after.data() + axis * stride;
      uint32_t* to = to_.line.data() + to_.first_line[axis];
      for (int b = 0; b < to_.bands; ++b)
        for (int64_t i = 0; i < to_.owned_rows[b]; ++i) {
          uint32_t row = to_.owned[to_.band_row[b] + i];
          if (!next[row] || (before[row] >> axis & 1)) continue;
          for (; next[row]; row = next[row]) *to++ = row;
          *to++ = row | LINE_END;
        }
      to_.last_line[axis] = to - to_.line.data();
    };
    context_.parallel(corners, write);
  }

  // Finds the rows before those of band b along every axis.
  void link(const Packing& packing, Band& band, const Table<W>& table, int64_t b, Bits* before, uint32_t* after,
            int64_t* pairs) const {
    constexpr int BATCH = 8;  // rows whose slots are asked for before they are read
    const int corners = to_.corners, d = packing.dimensions;
    const int64_t stride = to_.rows + 1;
    const uint32_t unit = packing.unit[d];
    Key<W> wanted[BATCH][(D ? D : MAX_DIMENSIONS) + 1];
    for (int j = 0; j < corners; ++j) pairs[j] = 0;
    for (int64_t start = 0; start < to_.owned_rows[b]; start += BATCH) {
      const int64_t count = to_.owned_rows[b] - start < BATCH ? to_.owned_rows[b] - start : BATCH;
      const uint32_t* rows = to_.owned.data() + to_.band_row[b] + start;
      for (int64_t i = 0; i < count; ++i) {
        // One step along axis j: every coordinate falls by 1, coordinate j rises by d. With remainder r > 0 that is
        // r - 1 and q_j + 1; with r = 0 it is r = d and q_i - 1 for all i but j.
        Key<W> base = band.keys[rows[i] - to_.band_row[b]];
        if (base.word[packing.word[d]] & packing.remainder) {
          base.word[packing.word[d]] -= unit;
        } else {
          base.word[packing.word[d]] += unit * static_cast<uint32_t>(d);
          for (int f = 0; f < d; ++f) base.word[packing.word[f]] -= packing.unit[f];
        }
        for (int j = 0; j < corners; ++j) {
          wanted[i][j] = base;
          if (j < d) wanted[i][j].word[packing.word[j]] += packing.unit[j];
          table.prefetch(wanted[i][j]);
        }
      }
      for (int64_t i = 0; i < count; ++i) {
        Bits bits = 0;
        for (int j = 0; j < corners; ++j)
          if (const uint32_t found = table.find(wanted[i][j])) {
            bits = static_cast<Bits>(bits | Bits{1} << j);
            after[j * stride + found] = rows[i];
            ++pairs[j];
          }
        before[rows[i]] = bits;
      }
    }
  }

  kv::Context& context_;
  Points& to_;
  Table<W> global_;
};

inline void build_points(kv::Context& context, Features& features, Points& to) {
  const int d = features.dimensions();
  if (to.points > (int64_t{1} << 36)) kv::stop(KV_INVALID, "an image of %lld pixels is too large", static_cast<long long>(to.points));
  context.require(to.row.missing(to.tiles * (d + 1) * TILE) + to.weight.missing(to.tiles * (d + 1) * TILE));
  float low[MAX_DIMENSIONS], high[MAX_DIMENSIONS];
  feature_ranges(context, features, to, low, high);
  const Packing packing = pack(d, low, high);
  if (packing.words == 1 && d == 5)
    Builder<5, 1>(context, to).build(features, packing);
  else if (packing.words == 1 && d == 3)
    Builder<3, 1>(context, to).build(features, packing);
  else if (packing.words == 1)
    Builder<0, 1>(context, to).build(features, packing);
  else if (packing.words == 2)
    Builder<0, 2>(context, to).build(features, packing);
  else
    Builder<0, MAX_WORDS>(context, to).build(features, packing);
}

}  // namespace KV_LEVEL
