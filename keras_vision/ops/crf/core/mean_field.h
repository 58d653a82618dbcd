// Mean-field inference of the fully-connected CRF (Krähenbühl & Koltun, 2011, Algorithm 1): for each tile of 16 pixels
// read the messages of all kernels, add them to the logits, softmax, and write the new marginals into the kernels at
// once, so that the marginals themselves are stored only at the end.
#pragma once

#include "bilateral.h"
#include "checks.h"
#include "softmax.h"
#include "spatial_rows.h"

namespace KV_LEVEL {

class MeanField {
 public:
  // At least two labels, so that the padding of a pixel's lanes never reaches further than the next pixel.
  MeanField(kv::Context& context, const kv_mean_field_arguments& arguments)
      : context_(context), a_(arguments), pixels_(arguments.height * arguments.width), shape_(context), pad_(context),
        tiles_(context), tail_(context), penalties_(context) {
    lanes_ = lanes_for(arguments.labels);
    if (arguments.labels > 48) ahead_ = 1;  // three tiles would fill the first cache
    split_into_bands(pixels_, shape_);
    pad_.resize(lanes_);
    for (int c = 0; c < lanes_; ++c) pad_[c] = c < arguments.labels ? 0.f : -INFINITY;
    tiles_.resize(int64_t{2} * shape_.bands * TILE * lanes_);
    tail_.resize(TILE * arguments.labels + lanes_);
    if (arguments.penalties) {  // transposed, so that one message meets a row
      penalties_.resize(arguments.labels * lanes_);
      penalties_.zero();
      for (int64_t l = 0; l < arguments.labels; ++l)
        for (int64_t m = 0; m < arguments.labels; ++m)
          penalties_[m * lanes_ + l] = arguments.penalties[l * arguments.labels + m];
    }
  }

  ~MeanField() {
    for (int k = 0; k < kernels_; ++k) {
      delete lattices_[k];
      delete grids_[k];
    }
    delete[] lattices_;
    delete[] grids_;
  }

  void image(int64_t n) {
    prepare(n);
    with_lanes(lanes_, [&](auto lanes) { iterate<decltype(lanes)::value>(a_.iterations); });
  }

 protected:
  void prepare(int64_t n) {
    const int64_t size = pixels_ * a_.labels;
    logits_ = a_.logits + n * size;
    marginals_ = a_.marginals + n * size;
    kept_ = a_.kept ? a_.kept + n * a_.iterations * size : nullptr;
    if (!lattices_) {
      lattices_ = new Lattice*[a_.kernel_count + 1]();
      grids_ = new Spatial*[a_.kernel_count + 1]();
      kernels_ = a_.kernel_count;
    }
    // The logits of the last tile are read a row of lanes at a time, past the end of the logits.
    const int64_t tail = (shape_.tiles - 1) * TILE;
    std::memset(tail_.data(), 0, tail_.size() * sizeof(float));
    std::memcpy(tail_.data(), logits_ + tail * a_.labels, (pixels_ - tail) * a_.labels * sizeof(float));
    for (int k = 0; k < kernels_; ++k) {
      const kv_kernel& kernel = a_.kernels[k];
      context_.check_cancelled();
      if (std::fabs(kernel.weight) >= kv::LEAST_WEIGHT && a_.iterations > 0) build(k, kernel, n);
    }
  }

  void build(int k, const kv_kernel& kernel, int64_t n) {
    if (!kernel.theta_image) {
      if (grids_[k]) return;  // the same for every image of the batch
      grids_[k] = new Spatial(context_);
      grids_[k]->build(context_, shape_, a_.height, a_.width, kernel, a_.normalization, lanes_);
    } else {
      if (!lattices_[k]) lattices_[k] = new Lattice(context_);
      lattices_[k]->build(context_, features_of(a_, kernel, n), kernel.weight, a_.normalization);
      lattices_[k]->values.resize(context_, lattices_[k]->points, lanes_);
    }
  }

  // Passes 0 to `last`; pass i gives the marginals after i iterations.
  template <int LANES>
  void iterate(int last) {
    for (int i = 0; i <= last; ++i) {
      std::atomic<bool> valid{true};
      float* to = i == a_.iterations ? marginals_ : kept_ ? kept_ + i * pixels_ * a_.labels : nullptr;
      auto pass = [&](int64_t b) {
        if (!band<LANES>(b, i > 0, i == last, to)) valid = false;
      };
      context_.parallel(shape_.bands, pass);
      if (!valid) kv::refuse_logits();
      if (i == last) break;
      context_.check_cancelled();
      blur_kernels<LANES>(false);
    }
  }

  template <int LANES>
  void blur_kernels(bool reverse) {
    for (int k = 0; k < kernels_; ++k) {
      if (Lattice* lattice = lattices_[k]) blur<LANES>(context_, lattice->points, lattice->values, reverse);
      if (Spatial* grid = grids_[k]) {
        auto blur_rows = [&](int64_t task) { grid->blur<LANES>(task); };
        context_.parallel(grid->tasks(), blur_rows);
      }
    }
  }

  // Where the kernels of a band are read and written.
  template <int LANES>
  struct Rows {
    Reader<LANES> reader[kv::MAX_KERNELS];
    Writer<LANES> writer[kv::MAX_KERNELS];
  };

  template <int LANES>
  void start(Rows<LANES>& rows, int64_t b, bool reads, bool writes) {
    for (int k = 0; k < kernels_; ++k) {
      const int64_t first = shape_.band_tile[b] * TILE;
      if (Spatial* grid = grids_[k]) {
        float* scratch = grid->part.data() + 2 * b * grid->row;
        if (reads) rows.reader[k].start(*grid, first, scratch);
        if (writes) rows.writer[k].start(*grid, b, first, scratch + grid->row);
      }
      if (lattices_[k] && writes) lattices_[k]->values.clear_band(lattices_[k]->points, b);
    }
  }

  template <int LANES>
  KV_INLINE void read(Rows<LANES>& rows, int k, int64_t b, int64_t tile, int count, float* message) const {
    if (grids_[k]) rows.reader[k].add(count, message);
    if (lattices_[k]) slice<LANES>(*lattices_[k], lanes_, b, tile, count, message);
  }

  template <int LANES>
  KV_INLINE void write(Rows<LANES>& rows, int64_t b, int64_t tile, int count, const float* x, const float* scale) {
    for (int k = 0; k < kernels_; ++k) {
      if (grids_[k]) rows.writer[k].add(count, x, scale);
      if (lattices_[k]) splat<LANES>(*lattices_[k], lanes_, b, tile, count, x, scale);
    }
  }

  template <int LANES>
  void finish(Rows<LANES>& rows) {
    for (int k = 0; k < kernels_; ++k)
      if (grids_[k]) rows.writer[k].finish();
  }

  int pixels_of(int64_t tile) const {
    return static_cast<int>(pixels_ - tile * TILE < TILE ? pixels_ - tile * TILE : TILE);
  }

  // One pass over the pixels of a band; false if a pixel gets no valid probabilities. They are stored unless there is no place.
  template <int LANES>
  bool band(int64_t b, bool reads, bool last, float* marginals) {
    const int lanes = LANES ? LANES : lanes_;
    float* x = tiles_.data() + 2 * b * TILE * lanes;
    float* message = penalties_.size() ? x + TILE * lanes : x;
    Rows<LANES> rows;
    start(rows, b, reads, !last);
    bool valid = true;
    for (int64_t tile = shape_.band_tile[b]; tile < shape_.band_tile[b + 1]; ++tile) {
      const int count = pixels_of(tile);
      const int64_t later = tile + ahead_ < shape_.band_tile[b + 1] ? tile + ahead_ : tile;
      prefetch_quarter(later, 0);
      load_logits<LANES>(tile, count, x);
      if (reads) {
        if (message != x) std::memset(message, 0, TILE * lanes * sizeof(float));
        prefetch_quarter(later, 1);
        for (int k = 0; k < kernels_; ++k) read(rows, k, b, tile, count, message);
        if (message != x) subtract<LANES>(penalties_.data(), count, message, x);
      }
      prefetch_quarter(later, 2);
      alignas(64) float scale[TILE];
      valid &= softmax_of_tile<LANES>(lanes, x, scale);
      if (marginals) store_marginals<LANES>(marginals, tile, count, x, scale);
      if (last) continue;
      prefetch_quarter(later, 3);
      write(rows, b, tile, count, x, scale);
    }
    if (!last) finish(rows);
    return valid;
  }

  // Asks for a quarter of a tile's logits. All at once would fill the processor's queue, and the tile at work would wait.
  KV_INLINE void prefetch_quarter(int64_t tile, int quarter) const {
    prefetch(logits_ + (tile * TILE + quarter * TILE / 4) * a_.labels, TILE / 4 * a_.labels * int64_t{sizeof(float)});
  }

  template <int LANES>
  KV_STEP void load_logits(int64_t tile, int count, float* x) const {
    const int lanes = LANES ? LANES : lanes_;
    const float* from = tile == shape_.tiles - 1 ? tail_.data() : logits_ + tile * TILE * a_.labels;
    const float* pad = pad_.data();
    const int64_t labels = a_.labels;
    pieces<LANES>(lanes, [&](auto v, auto number, int c) {
      using V = decltype(v);
      V padding[number.value];
      for (int n = 0; n < number.value; ++n) padding[n] = load<V>(pad + c + n * LENGTH<V>);
      for (int i = 0; i < count; ++i)
        for (int n = 0; n < number.value; ++n)
          store<V>(x + i * lanes + c + n * LENGTH<V>, load<V>(from + i * labels + c + n * LENGTH<V>) + padding[n]);
    });
    if (count < TILE) std::memset(x + count * lanes, 0, (TILE - count) * lanes * sizeof(float));
  }

  // x -= penalties * message, for each pixel; of the penalties the transpose is given.
  template <int LANES>
  KV_INLINE void subtract(const float* penalties, int count, const float* message, float* x) const {
    const int lanes = LANES ? LANES : lanes_;
    for (int i = 0; i < count; ++i)
      for (int64_t m = 0; m < a_.labels; ++m) {
        const float value = message[i * lanes + m];
        blocks<LANES>(lanes, [&](auto v, int c) {
          using V = decltype(v);
          store<V>(x + i * lanes + c, load<V>(x + i * lanes + c) - load<V>(penalties + m * lanes + c) * value);
        });
      }
  }

  // A row of lanes reaches into the next pixel, which is written after it; the last pixel of the tile is cut.
  template <int LANES>
  KV_INLINE void store_marginals(float* marginals, int64_t tile, int count, const float* x, const float* scale) const {
    const int lanes = LANES ? LANES : lanes_;
    float* to = marginals + tile * TILE * a_.labels;
    for (int i = 0; i < count - 1; ++i)
      blocks<LANES>(lanes, [&](auto v, int c) {
        using V = decltype(v);
        store<V>(to + i * a_.labels + c, load<V>(x + i * lanes + c) * scale[i]);
      });
    for (int64_t l = 0; l < a_.labels; ++l) to[(count - 1) * a_.labels + l] = x[(count - 1) * lanes + l] * scale[count - 1];
  }

  kv::Context& context_;
  const kv_mean_field_arguments& a_;
  int64_t pixels_;
  int lanes_ = 0, kernels_ = 0;
  int ahead_ = 3;  // tiles between a prefetch of logits and their use
  Points shape_;
  Buffer<float> pad_;
  Buffer<float> tiles_;      // (bands, 2, 16, lanes): marginals and messages of the tile at work
  Buffer<float> tail_;
  Buffer<float> penalties_;
  Lattice** lattices_ = nullptr;
  Spatial** grids_ = nullptr;
  const float* logits_ = nullptr;
  float* marginals_ = nullptr;
  float* kept_ = nullptr;    // (iterations, pixels, labels)
};

}  // namespace KV_LEVEL
