// Values on the vertices of a lattice: splat and blur. A row holds `lanes` floats; row 0 is always 0.
#pragma once

#include "lattice.h"

namespace KV_LEVEL {

// Rows are as long as one of the vectors, or a multiple of 8.
inline int lanes_for(int64_t channels) {
  return channels == 1 ? 1 : channels <= 4 ? 4 : static_cast<int>((channels + 7) / 8 * 8);
}

// Calls f with the number of lanes as a constant where it is a common one, else with 0.
template <class F>
KV_INLINE void with_lanes(int lanes, F&& f) {
  switch (lanes) {
    case 4: return f(Constant<4>{});
    case 8: return f(Constant<8>{});
    case 16: return f(Constant<16>{});
    case 24: return f(Constant<24>{});
    case 32: return f(Constant<32>{});
    default: return f(Constant<0>{});
  }
}

struct Values {
  explicit Values(kv::Context& context) : read(context), written(context) {}
  Buffer<float> read, written;  // (rows + 1, lanes): what is sliced now, what is splatted now
  int lanes = 0;

  void resize(kv::Context& context, const Points& points, int lanes_) {
    lanes = lanes_;
    context.require(read.missing((points.rows + 1) * lanes) + written.missing((points.rows + 1) * lanes));
    read.resize((points.rows + 1) * lanes);
    written.resize((points.rows + 1) * lanes);
    std::memset(read.data(), 0, lanes * sizeof(float));
    std::memset(written.data(), 0, lanes * sizeof(float));
  }

  void swap() { read.swap(written); }

  void clear_band(const Points& points, int64_t b) {
    std::memset(written.data() + (points.band_row[b] + 1) * lanes, 0,
                (points.band_row[b + 1] - points.band_row[b]) * lanes * sizeof(float));
  }
};

template <int LANES>
KV_INLINE void add_row(int lanes, const float* from, float* to) {
  blocks<LANES>(lanes, [&](auto v, int c) {
    using V = decltype(v);
    store<V>(to + c, load<V>(to + c) + load<V>(from + c));
  });
}

// Adds the ghosts that band b owns to their owners.
template <int LANES>
void gather_ghosts(const Points& points, int lanes, float* values, int64_t b) {
  for (int64_t g = points.first_ghost[b]; g < points.first_ghost[b + 1]; ++g)
    add_row<LANES>(lanes, values + int64_t{points.ghost[g]} * lanes, values + int64_t{points.owner[g]} * lanes);
}

inline void return_ghosts(const Points& points, int lanes, float* values, int64_t b) {
  for (int64_t g = points.first_ghost[b]; g < points.first_ghost[b + 1]; ++g)
    std::memcpy(values + int64_t{points.ghost[g]} * lanes, values + int64_t{points.owner[g]} * lanes, lanes * sizeof(float));
}

// One axis of the blur, in place: a line of vertices is walked from end to end, half of each neighbour is added.
// Task b of the bands takes the lines that start in its share of the list.
template <int LANES>
void blur_axis(const Points& points, int lanes_, int axis, float* values, int64_t b) {
  constexpr int AHEAD = 12;
  const int64_t lanes = LANES ? LANES : lanes_;
  const uint32_t* line = points.line.data() + points.first_line[axis];
  const int64_t count = points.last_line[axis] - points.first_line[axis];
  int64_t at = count * b / points.bands, end = count * (b + 1) / points.bands;
  while (at > 0 && at < end && !(line[at - 1] & LINE_END)) ++at;
  while (at < end) {
    int64_t last = at;
    while (!(line[last] & LINE_END)) ++last;
    pieces<LANES>(lanes_, [&](auto v, auto number, int c) {
      using V = decltype(v);
      V before[number.value] = {}, own[number.value];
      float* row = values + line[at] * lanes + c;
      for (int n = 0; n < number.value; ++n) own[n] = load<V>(row + n * LENGTH<V>);
      for (int64_t i = at; i < last; ++i) {
        if (i + AHEAD < count) __builtin_prefetch(values + (line[i + AHEAD] & ~LINE_END) * lanes + c);
        float* after = values + (line[i + 1] & ~LINE_END) * lanes + c;
        for (int n = 0; n < number.value; ++n) {
          const V next = load<V>(after + n * LENGTH<V>);
          store<V>(row + n * LENGTH<V>, own[n] + (before[n] + next) * 0.5f);
          before[n] = own[n];
          own[n] = next;
        }
        row = after;
      }
      for (int n = 0; n < number.value; ++n) store<V>(row + n * LENGTH<V>, own[n] + before[n] * 0.5f);
    });
    at = last + 1;
  }
}

// Blurs values.written; the result is in values.read.
template <int LANES>
void blur(kv::Context& context, const Points& points, Values& values, bool reverse) {
  const int lanes = values.lanes;
  float* rows = values.written.data();
  if (points.bands > 1) {
    auto gather = [&](int64_t b) { gather_ghosts<LANES>(points, lanes, rows, b); };
    context.parallel(points.bands, gather);
  }
  for (int i = 0; i < points.corners; ++i) {
    const int axis = reverse ? points.corners - 1 - i : i;
    auto one = [&](int64_t b) { blur_axis<LANES>(points, lanes, axis, rows, b); };
    context.parallel(points.bands, one);
  }
  if (points.bands > 1) {
    auto give_back = [&](int64_t b) { return_ghosts(points, lanes, rows, b); };
    context.parallel(points.bands, give_back);
  }
  values.swap();
}

}  // namespace KV_LEVEL
