// The permutohedral filter of any values.
#pragma once

#include "values.h"

namespace kv_cuda {

inline void filter(Device& device, const kv_filter_arguments& a) {
  Builder builder(device);
  Points points(device);
  Array<float> values(device), spare(device);
  Features features;
  features.count = a.dimensions;
  for (int64_t i = 0; i < a.dimensions; ++i) features.scale[i] = 1.f;
  for (int64_t n = 0; n < a.batch; ++n) {
    features.channels = a.features + n * a.points * a.dimensions;
    builder.build(features, a.points, points);
    values.resize(room(points, a.channels));
    spare.resize(room(points, a.channels));
    device.check_cancelled();
    const int64_t first = n * a.points * a.channels;
    splat_and_blur(device, points, a.values + first, a.channels, a.reverse != 0, values.data(), spare.data());
    device.for_each(a.points * a.channels, slice_of(points, nullptr, values.data(), a.channels,
                                                    amplitude(static_cast<int>(a.dimensions)), a.filtered + first));
    device.check_cancelled();
  }
  wait(device.stream());
}

}  // namespace kv_cuda
