// What a lattice knows of the points in it, and the features that place them.
#pragma once

#include "buffer.h"
#include "point_features.h"
#include "simd.h"

namespace KV_LEVEL {

constexpr int TILE = 16;
constexpr int MAX_BANDS = 8;

constexpr uint32_t LINE_END = uint32_t{1} << 31;

// The points in their simplices, the vertices, and who is whose neighbour. What it takes to filter, without any values.
struct Points {
  explicit Points(kv::Context& context)
      : row(context), weight(context), line(context), owned(context), ghost(context), owner(context), first_ghost(context) {}
  int64_t points = 0, tiles = 0, rows = 0;  // rows of vertices and ghosts, without row 0, which stays 0
  int bands = 0, corners = 0;               // corners = d + 1
  int64_t band_tile[MAX_BANDS + 1], band_row[MAX_BANDS + 1];      // first tile of each band; number of rows before it
  Buffer<uint32_t> row;         // (tiles, corners, 16): counts from 1 within the band
  Buffer<float> weight;         // (tiles, corners, 16): barycentric weights
  // Rows that have neighbours along an axis, from one end of a line of vertices to the other; the last of a line has
  // LINE_END set. A row without neighbours is in no line: the blur does not touch it.
  Buffer<uint32_t> line;
  int64_t first_line[MAX_DIMENSIONS + 1], last_line[MAX_DIMENSIONS + 1];  // of each axis; behind the last
  Buffer<uint32_t> owned;          // (rows): the rows of each band that are no ghosts, from band_row on
  int64_t owned_rows[MAX_BANDS];          // number of them in each band
  Buffer<uint32_t> ghost, owner;   // pairs of rows, by the band of the owner
  Buffer<int64_t> first_ghost;     // (bands + 1)
};

// Bands of at least 256 tiles, MAX_BANDS at most: every band more brings ghosts.
inline void split_into_bands(int64_t points, Points& to) {
  to.points = points;
  to.tiles = (points + TILE - 1) / TILE;
  const int64_t bands = to.tiles / 256;
  to.bands = static_cast<int>(bands < 1 ? 1 : bands > MAX_BANDS ? MAX_BANDS : bands);
  for (int b = 0; b <= to.bands; ++b) to.band_tile[b] = to.tiles * b / to.bands;
}

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

// Lower and upper bound of each feature over all points, and the channels' offsets; refuses NaN and infinity.
inline void feature_ranges(kv::Context& context, Features& features, const Points& points, float* low, float* high) {
  const int channels = static_cast<int>(features.count), positions = features.width ? 2 : 0;
  float lows[MAX_BANDS][MAX_DIMENSIONS], highs[MAX_BANDS][MAX_DIMENSIONS];
  bool finite[MAX_BANDS];
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
    if (!finite[b]) refuse_features(features);
    for (int c = 0; c < channels; ++c) {
      if (b == 0 || lows[b][c] < low[positions + c]) low[positions + c] = lows[b][c];
      if (b == 0 || highs[b][c] > high[positions + c]) high[positions + c] = highs[b][c];
    }
  }
  place_features(features, low, high);
}

}  // namespace KV_LEVEL
