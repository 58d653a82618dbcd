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

#include <cmath>

#include "buffer.h"
#include "simd.h"

namespace KV_LEVEL {

constexpr int TILE = 16;
constexpr int MAX_DIMENSIONS = 63;
constexpr int MAX_WORDS = 16;
constexpr float MAX_COORDINATE = 262144.f;  // 2^18: beyond it float32 places a point worse than 1/64 of a step

// Where the features of a point come from: its position in an image and channels of that image, or channels alone.
struct Features {
  const float* channels = nullptr;  // (points, count)
  int64_t count = 0;
  int64_t width = 0;           // of the image; 0: positions are no features
  int64_t height = 0;
  float scale[MAX_DIMENSIONS];   // 1 / theta of each feature
  float offset[MAX_DIMENSIONS];  // taken from each channel first: not 0 where float32 is too coarse so far from 0
  int dimensions() const { return static_cast<int>(count) + (width ? 2 : 0); }
};

// One row of 16 numbers for each feature: the points of a tile. Points past the end repeat the last one.
template <int D>
KV_INLINE void read_features(const Features& from, int64_t tile, int64_t points, float (*feature)[TILE]) {
  const int positions = from.width ? 2 : 0;
  const int count = (D ? D : from.dimensions()) - positions;
  const int64_t first = tile * TILE;
  if (positions) {
    int64_t y = first / from.width, x = first - y * from.width;
    for (int lane = 0; lane < TILE; ++lane) {
      feature[0][lane] = static_cast<float>(x);
      feature[1][lane] = static_cast<float>(y);
      if (first + lane + 1 < points && ++x == from.width) {
        x = 0;
        ++y;
      }
    }
  }
  const float* channel = from.channels + first * count;
  if (first + TILE <= points) {
    for (int lane = 0; lane < TILE; ++lane)
      for (int c = 0; c < count; ++c) feature[positions + c][lane] = channel[lane * count + c];
  } else {
    const int64_t last = points - 1 - first;
    for (int lane = 0; lane < TILE; ++lane)
      for (int c = 0; c < count; ++c) feature[positions + c][lane] = channel[(lane < last ? lane : last) * count + c];
  }
  for (int i = 0; i < positions + count; ++i) {
    const float offset = i < positions ? 0 : from.offset[i - positions];
    for (int lane = 0; lane < TILE; ++lane) feature[i][lane] = (feature[i][lane] - offset) * from.scale[i];
  }
}

// How the coordinates of a vertex are packed.
struct Packing {
  int dimensions = 0, words = 0;
  int word[MAX_DIMENSIONS + 1];        // of field i; field `dimensions` is the remainder r
  uint32_t unit[MAX_DIMENSIONS + 1];   // 1 << shift of field i
  uint32_t remainder = 0;              // mask of r in its word
  int32_t bias[MAX_DIMENSIONS];        // added to q_i
  float step[MAX_DIMENSIONS];          // feature -> elevated coordinate
};

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

constexpr uint32_t LINE_END = uint32_t{1} << 31;

// The points in their simplices, the vertices, and who is whose neighbour. What it takes to filter, without any values.
struct Points {
  explicit Points(kv::Context& context)
      : row(context), weight(context), line(context), owned(context), ghost(context), owner(context), first_ghost(context) {}
  int64_t points = 0, tiles = 0, rows = 0;  // rows of vertices and ghosts, without row 0, which stays 0
  int bands = 0, corners = 0;               // corners = d + 1
  int64_t band_tile[65], band_row[65];      // first tile of each band; number of rows before it
  Buffer<uint32_t> row;         // (tiles, corners, 16): counts from 1 within the band
  Buffer<float> weight;         // (tiles, corners, 16): barycentric weights
  // Rows that have neighbours along an axis, from one end of a line of vertices to the other; the last of a line has
  // LINE_END set. A row without neighbours is in no line: the blur does not touch it.
  Buffer<uint32_t> line;
  int64_t first_line[MAX_DIMENSIONS + 1], last_line[MAX_DIMENSIONS + 1];  // of each axis; behind the last
  Buffer<uint32_t> owned;          // (rows): the rows of each band that are no ghosts, from band_row on
  int64_t owned_rows[64];          // number of them in each band
  Buffer<uint32_t> ghost, owner;   // pairs of rows, by the band of the owner
  Buffer<int64_t> first_ghost;     // (bands + 1)
};

// Bands of at least 256 tiles, 8 at most: every band more brings ghosts.
inline void split_into_bands(int64_t points, Points& to) {
  to.points = points;
  to.tiles = (points + TILE - 1) / TILE;
  const int64_t bands = to.tiles / 256;
  to.bands = static_cast<int>(bands < 1 ? 1 : bands > 8 ? 8 : bands);
  for (int b = 0; b <= to.bands; ++b) to.band_tile[b] = to.tiles * b / to.bands;
}

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
    Band* bands[64] = {};
    struct Owner {  // of the bands, also when something is thrown
      Band** bands;
      ~Owner() {
        for (int b = 0; b < 64; ++b) delete bands[b];
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
    int64_t next[65];
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
    int64_t pairs[64][(D ? D : MAX_DIMENSIONS) + 1];  // of neighbours, by band and axis
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

constexpr float FAR = 1024.f;  // thetas from 0

// Lower and upper bound of each feature over all points, and the channels' offsets; refuses NaN and infinity.
inline void feature_ranges(kv::Context& context, Features& features, const Points& points, float* low, float* high) {
  const int channels = static_cast<int>(features.count), positions = features.width ? 2 : 0;
  float lows[64][MAX_DIMENSIONS], highs[64][MAX_DIMENSIONS];
  bool finite[64];
  auto scan = [&](int64_t b) {
    const int64_t first = points.band_tile[b] * TILE;
    int64_t last = points.band_tile[b + 1] * TILE;
    if (last > points.points) last = points.points;
    float* lo = lows[b];
    float* hi = highs[b];
    float sum = 0;
    for (int c = 0; c < channels; ++c) lo[c] = hi[c] = features.channels[first * channels + c];
    for (int64_t i = first; i < last; ++i)
      for (int c = 0; c < channels; ++c) {
        const float value = features.channels[i * channels + c];
        lo[c] = value < lo[c] ? value : lo[c];
        hi[c] = value > hi[c] ? value : hi[c];
        sum += value - value;
      }
    finite[b] = sum == 0;
  };
  context.parallel(points.bands, scan);
  for (int b = 0; b < points.bands; ++b) {
    if (!finite[b]) kv::stop(KV_INVALID, "the %s NaN or infinite values", positions ? "image holds" : "features hold");
    for (int c = 0; c < channels; ++c) {
      if (b == 0 || lows[b][c] < low[positions + c]) low[positions + c] = lows[b][c];
      if (b == 0 || highs[b][c] > high[positions + c]) high[positions + c] = highs[b][c];
    }
  }
  if (positions) {
    low[0] = low[1] = 0;
    high[0] = static_cast<float>(features.width - 1);
    high[1] = static_cast<float>(features.height - 1);
  }
  for (int i = 0; i < features.dimensions(); ++i) {
    float offset = 0;
    if (i >= positions) {
      if (std::fabs(low[i] * features.scale[i]) > FAR) offset = low[i];
      features.offset[i - positions] = offset;
    }
    low[i] = (low[i] - offset) * features.scale[i];
    high[i] = (high[i] - offset) * features.scale[i];
  }
}

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
