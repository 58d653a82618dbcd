// The permutohedral lattice (Adams, Baek & Davis, 2010; see core/lattice.h) without a hash table and without atomics. Each
// point brings d + 1 entries, one for each vertex of its simplex. The entries are sorted by the key of their vertex; equal
// keys are a vertex, and get a row. The sort is stable and every sum is a gather in the order of the entries: the same
// arguments give the same bits.
#pragma once

#include "simplex.h"
#include "sort.h"

namespace kv_cuda {

// Entries that one thread adds up. A row of more is cut, so that a constant image keeps all threads busy.
constexpr int64_t CHUNK = 32;

// What it takes to filter, without any values. Rows count from 1; row 0 is the neighbour that is not there, and stays 0.
struct Points {
  explicit Points(Device& device)
      : row(device), weight(device), point(device), share(device), chunk(device), first(device), neighbour(device) {}
  int64_t points = 0, corners = 0, entries = 0, rows = 0, chunks = 0;  // at most so many chunks
  Array<uint32_t> row;        // (points, corners)
  Array<float> weight;        // (points, corners): of a slice
  Array<uint32_t> point;      // (entries): of the entries in the order of their rows
  Array<float> share;         // (entries): what the row takes of the point
  Array<uint32_t> chunk;      // (chunks + 1): their first entries; those beyond the last are empty
  Array<uint32_t> first;      // (rows + 2): their first chunks
  Array<uint32_t> neighbour;  // (corners, rows + 1, 2): the rows before and after along each axis
};

struct Count {
  uint32_t* to;
  KV_DEVICE void operator()(int64_t i) const { to[i] = static_cast<uint32_t>(i); }
};

// One word of the keys in the order that the entries have by now. Index: place in that order.
struct Gather {
  const uint32_t* word;
  const uint32_t* order;
  uint32_t* to;
  KV_DEVICE void operator()(int64_t i) const { to[i] = word[order[i]]; }
};

// 1 where an entry's key is another than that of the entry before. Index: place in the order.
struct Heads {
  const uint32_t* word;
  const uint32_t* order;
  int64_t entries;
  int words;
  uint32_t* head;
  KV_DEVICE void operator()(int64_t i) const {
    uint32_t different = i == 0;
    if (i > 0)
      for (int w = 0; w < words; ++w) different |= word[w * entries + order[i]] ^ word[w * entries + order[i - 1]];
    head[i] = different != 0;
  }
};

// From the rows in the order of the entries: the row of each entry, the first entry and the key of each row, and what a
// splat reads. Index: place in the order.
struct Number {
  const uint32_t* word;
  const uint32_t* order;
  const uint32_t* sorted_row;
  const float* weight;
  int64_t entries, corners, stride;
  int words;
  uint32_t* row;
  uint32_t* begin;   // (rows + 1)
  uint32_t* unique;  // (words, rows + 1)
  uint32_t* point;
  float* share;
  KV_DEVICE void operator()(int64_t i) const {
    const uint32_t entry = order[i], own = sorted_row[i];
    row[entry] = own;
    point[i] = static_cast<uint32_t>(quotient(entry, corners));  // may be where order is
    share[i] = weight[entry];
    if (i > 0 && sorted_row[i - 1] == own) return;
    begin[own] = static_cast<uint32_t>(i);
    for (int w = 0; w < words; ++w) unique[w * stride + own] = word[w * entries + entry];
  }
};

// 1 where a chunk begins. Index: place in the order.
struct ChunkHeads {
  const uint32_t* sorted_row;
  const uint32_t* begin;
  uint32_t* head;
  KV_DEVICE void operator()(int64_t i) const { head[i] = (i - begin[sorted_row[i]]) % CHUNK == 0; }
};

// The first entry of each chunk and the first chunk of each row. Index: place in the order.
struct NumberChunks {
  const uint32_t* sorted_row;
  const uint32_t* sum;  // of the heads
  int64_t entries;
  uint32_t* chunk;
  uint32_t* first;
  KV_DEVICE void operator()(int64_t i) const {
    const uint32_t before = i > 0 ? sum[i - 1] : 0, row = sorted_row[i];
    if (sum[i] != before) chunk[before] = static_cast<uint32_t>(i);
    if (i == 0 || sorted_row[i - 1] != row) first[row] = before;
    if (i == 0) first[0] = 0;  // row 0 has no chunks
    if (i == entries - 1) first[row + 1] = sum[i];
  }
};

// Looks for the row one step along an axis, and tells both. Index: (axis, row - 1).
template <int W>
struct Neighbours {
  Packing packing;
  const uint32_t* unique;
  int64_t rows;
  uint32_t* neighbour;

  KV_DEVICE void operator()(int64_t i) const {
    const int64_t axis = quotient(i, rows), row = i - axis * rows + 1;
    uint32_t wanted[W];
    step(static_cast<int>(axis), row, wanted);
    int64_t low = 1, high = rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (compare(middle, wanted) < 0)
        low = middle + 1;
      else
        high = middle;
    }
    if (compare(low, wanted) != 0) return;
    uint32_t* of_axis = neighbour + axis * (rows + 1) * 2;
    of_axis[2 * row] = static_cast<uint32_t>(low);  // nobody else writes these: a row has one before and one after
    of_axis[2 * low + 1] = static_cast<uint32_t>(row);
  }

 private:
  // Every coordinate falls by 1, that of the axis rises by d. With remainder r > 0 that is r - 1 and q_axis + 1; with r = 0
  // it is r = d and q_i - 1 for all i but the axis.
  KV_DEVICE void step(int axis, int64_t row, uint32_t* key) const {
    const int d = packing.dimensions;
    for (int w = 0; w < W; ++w) key[w] = W == 1 || w < packing.words ? unique[w * (rows + 1) + row] : 0;
    uint32_t& last = key[W == 1 ? 0 : packing.word[d]];
    if (last & packing.remainder) {
      last -= packing.unit[d];
    } else {
      last += packing.unit[d] * static_cast<uint32_t>(d);
      for (int f = 0; f < d; ++f) key[W == 1 ? 0 : packing.word[f]] -= packing.unit[f];
    }
    if (axis < d) key[W == 1 ? 0 : packing.word[axis]] += packing.unit[axis];
  }

  // As the sort: the last word counts most.
  KV_DEVICE int compare(int64_t row, const uint32_t* wanted) const {
    for (int w = W == 1 ? 0 : packing.words - 1; w >= 0; --w) {
      const uint32_t own = unique[w * (rows + 1) + row];
      if (own != wanted[w]) return own < wanted[w] ? -1 : 1;
    }
    return 0;
  }
};

// Builds lattices one after the other; keeps the memory that is needed only meanwhile.
class Builder {
 public:
  explicit Builder(Device& device)
      : device_(device), sorter_(device), word_(device), key_(device), other_key_(device), other_order_(device), row_(device),
        begin_(device), unique_(device), bounds_(device) {}

  void build(Features features, int64_t points, Points& to) {
    const int d = features.dimensions();
    float low[MAX_DIMENSIONS], high[MAX_DIMENSIONS];
    if (static_cast<double>(points) * (d + 1) >= 2147483648.)
      kv::stop(KV_INVALID, "an image of %lld pixels is too large", static_cast<long long>(points));
    feature_ranges(device_, bounds_, features, points, low, high);
    const Packing packing = pack(d, low, high);
    to.points = points;
    to.corners = d + 1;
    to.entries = points * (d + 1);
    to.weight.resize(to.entries);
    word_.resize(to.entries * packing.words);
    find_simplices(device_, features, packing, points, to.weight.data(), word_.data());
    const uint32_t* order = sort(packing, to);
    number(packing, order, to);
    cut_into_chunks(to);
    find_neighbours(packing, to);
  }

 private:
  // The entries by their keys.
  const uint32_t* sort(const Packing& packing, Points& to) {
    for (Array<uint32_t>* array : {&key_, &other_key_, &other_order_, &to.point}) array->resize(to.entries);
    Pair keys{key_.data(), other_key_.data()}, order{to.point.data(), other_order_.data()};
    device_.for_each(to.entries, Count{order.now});
    for (int w = 0; w < packing.words; ++w) {
      device_.for_each(to.entries, Gather{word_.data() + w * to.entries, order.now, keys.now});
      sorter_.sort(keys, order, to.entries, packing.bits[w]);
    }
    return order.now;
  }

  void number(const Packing& packing, const uint32_t* order, Points& to) {
    row_.resize(to.entries);
    device_.for_each(to.entries, Heads{word_.data(), order, to.entries, packing.words, row_.data()});
    sorter_.sum_up(row_.data(), to.entries);
    uint32_t rows;
    device_.download(&rows, row_.data() + to.entries - 1, 1);
    to.rows = rows;
    to.row.resize(to.entries);
    to.share.resize(to.entries);
    begin_.resize(to.rows + 1);
    unique_.resize((to.rows + 1) * packing.words);
    device_.for_each(to.entries, Number{word_.data(), order, row_.data(), to.weight.data(), to.entries, to.corners, to.rows + 1,
                                        packing.words, to.row.data(), begin_.data(), unique_.data(), to.point.data(),
                                        to.share.data()});
  }

  void cut_into_chunks(Points& to) {
    uint32_t* sum = key_.data();  // sorted and done with
    device_.for_each(to.entries, ChunkHeads{row_.data(), begin_.data(), sum});
    sorter_.sum_up(sum, to.entries);
    to.chunks = to.rows + to.entries / CHUNK;
    to.chunk.resize(to.chunks + 1);
    to.first.resize(to.rows + 2);
    device_.fill(to.chunk.data(), to.chunks + 1, static_cast<uint32_t>(to.entries));
    device_.for_each(to.entries, NumberChunks{row_.data(), sum, to.entries, to.chunk.data(), to.first.data()});
  }

  void find_neighbours(const Packing& packing, Points& to) {
    const int64_t size = to.corners * (to.rows + 1) * 2;
    to.neighbour.resize(size);
    device_.fill(to.neighbour.data(), size, uint32_t{0});
    const int64_t count = to.corners * to.rows;
    if (packing.words == 1)
      device_.for_each(count, Neighbours<1>{packing, unique_.data(), to.rows, to.neighbour.data()});
    else if (packing.words == 2)
      device_.for_each(count, Neighbours<2>{packing, unique_.data(), to.rows, to.neighbour.data()});
    else
      device_.for_each(count, Neighbours<MAX_WORDS>{packing, unique_.data(), to.rows, to.neighbour.data()});
  }

  Device& device_;
  Sorter sorter_;
  Array<uint32_t> word_;                           // (words, entries): keys
  Array<uint32_t> key_, other_key_, other_order_;  // of the sort
  Array<uint32_t> row_;                            // (entries): in the order of their rows
  Array<uint32_t> begin_;                          // (rows + 1): first entry of each row
  Array<uint32_t> unique_;                         // (words, rows + 1): keys of the rows
  Array<float> bounds_;
};

}  // namespace kv_cuda
