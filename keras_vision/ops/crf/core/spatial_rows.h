// Reading and writing the grid of the spatial kernel, pixel after pixel.
#pragma once

#include "spatial.h"

namespace KV_LEVEL {

// Reads the grid pixel after pixel. The four rows of nodes that a row of pixels meets are joined into one when it starts.
template <int LANES>
class Reader {
 public:
  void start(const Spatial& grid, int64_t pixel, float* joined) {
    grid_ = &grid;
    joined_ = joined;
    y_ = pixel / grid.x.positions;
    x_ = pixel % grid.x.positions;
    join();
  }

  // Adds the messages of the next `count` pixels to (count, lanes).
  KV_STEP void add(int count, float* to) {
    const int lanes = LANES ? LANES : grid_->lanes;
    for (int done = 0; done < count;) {
      if (x_ == grid_->x.positions) {
        x_ = 0;
        ++y_;
        join();
      }
      const int64_t left = grid_->x.positions - x_;
      const int run = static_cast<int>(left < count - done ? left : count - done);
      pieces<LANES>(lanes, [&](auto v, auto number, int c) { add_run<decltype(v), number.value>(run, to + done * lanes, c); });
      done += run;
      x_ += run;
    }
  }

 private:
  // Pixels of one row; the four nodes around them stay in registers while the pixel moves on.
  template <class V, int N>
  KV_INLINE void add_run(int count, float* to, int c) const {
    const int64_t lanes = LANES ? LANES : grid_->lanes;
    const int32_t* first = grid_->x.first.data() + x_;
    const float* weight = grid_->x.slice.data() + x_ * TAPS;
    const float* from = joined_ + first[0] * lanes + c;
    V node[TAPS][N];
    for (int t = 0; t < TAPS; ++t)
      for (int n = 0; n < N; ++n) node[t][n] = load<V>(from + t * lanes + n * LENGTH<V>);
    int32_t at = first[0];
    for (int i = 0; i < count; ++i) {
      if (at < first[i]) {  // by one: theta is at least the distance of two pixels
        ++at;
        from += lanes;
        for (int t = 0; t + 1 < TAPS; ++t)
          for (int n = 0; n < N; ++n) node[t][n] = node[t + 1][n];
        for (int n = 0; n < N; ++n) node[TAPS - 1][n] = load<V>(from + (TAPS - 1) * lanes + n * LENGTH<V>);
      }
      float* own = to + i * lanes + c;
      for (int n = 0; n < N; ++n) {
        V sum = load<V>(own + n * LENGTH<V>);
        for (int t = 0; t < TAPS; ++t) sum += node[t][n] * weight[i * TAPS + t];
        store<V>(own + n * LENGTH<V>, sum);
      }
    }
  }

  KV_STEP void join() {
    const float* weight = grid_->y.slice.data() + y_ * TAPS;
    const int64_t row = grid_->row;
    const float* from = grid_->read.data() + grid_->y.first[y_] * row;
    float* to = joined_;
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
    blocks<0>(static_cast<int>(row), [=](auto v, int c) {
      using V = decltype(v);
      const V sum = load<V>(from + c) * w0 + load<V>(from + row + c) * w1 + load<V>(from + 2 * row + c) * w2 +
                    load<V>(from + 3 * row + c) * w3;
      store<V>(to + c, sum);
    });
  }

  const Spatial* grid_ = nullptr;
  float* joined_ = nullptr;
  int64_t x_ = 0, y_ = 0;
};

// Writes the grid pixel after pixel: a row of pixels is collected in one row, which is spread over four when it ends.
template <int LANES>
class Writer {
 public:
  void start(Spatial& grid, int64_t band, int64_t pixel, float* collected) {
    grid_ = &grid;
    collected_ = collected;
    y_ = pixel / grid.x.positions;
    x_ = pixel % grid.x.positions;
    to_ = grid.written.data() + (grid.band_at[band] - grid.band_first[band]) * grid.row;
    std::memset(grid.written.data() + grid.band_at[band] * grid.row, 0, grid.band_rows[band] * grid.row * sizeof(float));
    std::memset(collected, 0, grid.row * sizeof(float));
  }

  // Takes the next `count` pixels, (count, lanes), each times its scale.
  KV_STEP void add(int count, const float* from, const float* scale) {
    const int lanes = LANES ? LANES : grid_->lanes;
    for (int done = 0; done < count;) {
      if (x_ == grid_->x.positions) {
        finish();
        x_ = 0;
        ++y_;
      }
      const int64_t left = grid_->x.positions - x_;
      const int run = static_cast<int>(left < count - done ? left : count - done);
      pieces<LANES>(lanes, [&](auto v, auto number, int c) { add_run<decltype(v), number.value>(run, from + done * lanes, scale + done, c); });
      done += run;
      x_ += run;
    }
  }

  // Gives the row of pixels back to the grid.
  KV_STEP void finish() {
    const float* weight = grid_->y.splat.data() + y_ * TAPS;
    const int64_t row = grid_->row;
    float* to = to_ + grid_->y.first[y_] * row;
    float* from = collected_;
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
    blocks<0>(static_cast<int>(row), [=](auto v, int c) {
      using V = decltype(v);
      const V value = load<V>(from + c);
      store<V>(from + c, V{});
      store<V>(to + c, load<V>(to + c) + value * w0);
      store<V>(to + row + c, load<V>(to + row + c) + value * w1);
      store<V>(to + 2 * row + c, load<V>(to + 2 * row + c) + value * w2);
      store<V>(to + 3 * row + c, load<V>(to + 3 * row + c) + value * w3);
    });
  }

 private:
  template <class V, int N>
  KV_INLINE void add_run(int count, const float* from, const float* scale, int c) {
    const int64_t lanes = LANES ? LANES : grid_->lanes;
    const int32_t* first = grid_->x.first.data() + x_;
    const float* weight = grid_->x.splat.data() + x_ * TAPS;
    float* to = collected_ + first[0] * lanes + c;
    V node[TAPS][N];
    for (int t = 0; t < TAPS; ++t)
      for (int n = 0; n < N; ++n) node[t][n] = load<V>(to + t * lanes + n * LENGTH<V>);
    int32_t at = first[0];
    for (int i = 0; i < count; ++i) {
      if (at < first[i]) {
        ++at;
        for (int n = 0; n < N; ++n) store<V>(to + n * LENGTH<V>, node[0][n]);
        to += lanes;
        for (int t = 0; t + 1 < TAPS; ++t)
          for (int n = 0; n < N; ++n) node[t][n] = node[t + 1][n];
        for (int n = 0; n < N; ++n) node[TAPS - 1][n] = load<V>(to + (TAPS - 1) * lanes + n * LENGTH<V>);
      }
      for (int n = 0; n < N; ++n) {
        const V value = load<V>(from + i * lanes + c + n * LENGTH<V>) * scale[i];
        for (int t = 0; t < TAPS; ++t) node[t][n] += value * weight[i * TAPS + t];
      }
    }
    for (int t = 0; t < TAPS; ++t)
      for (int n = 0; n < N; ++n) store<V>(to + t * lanes + n * LENGTH<V>, node[t][n]);
  }

  Spatial* grid_ = nullptr;
  float* collected_ = nullptr;
  float* to_ = nullptr;
  int64_t x_ = 0, y_ = 0;
};

}  // namespace KV_LEVEL
