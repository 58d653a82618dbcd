// Where the features of points come from and the range that they have. No vector code: both cores share it.
#pragma once

#include <cmath>
#include <cstdint>

#include "context.h"

namespace KV_LEVEL {

constexpr int MAX_DIMENSIONS = 63;

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

// Of the pixels of an image of the batch, as a kernel looks at them.
inline Features features_of(const kv_mean_field_arguments& arguments, const kv_kernel& kernel, int64_t n) {
  Features features;
  features.channels = arguments.image + n * arguments.height * arguments.width * arguments.channels;
  features.count = arguments.channels;
  features.width = arguments.width;
  features.height = arguments.height;
  features.scale[0] = 1.f / kernel.theta_x;
  features.scale[1] = 1.f / kernel.theta_y;
  for (int64_t c = 0; c < arguments.channels; ++c) features.scale[2 + c] = 1.f / kernel.theta_image[c];
  return features;
}

[[noreturn]] inline void refuse_features(const Features& features) {
  kv::stop(KV_INVALID, "the %s NaN or infinite values", features.width ? "image holds" : "features hold");
}

constexpr float FAR = 1024.f;  // thetas from 0

// From the bounds of the channels, in low[positions...] and high[positions...], the bounds of all features and the channels'
// offsets.
inline void place_features(Features& features, float* low, float* high) {
  const int positions = features.width ? 2 : 0;
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

}  // namespace KV_LEVEL
