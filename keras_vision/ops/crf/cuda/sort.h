// Sorting and running sums: CUB's on the GPU, the standard library's in the emulation.
#pragma once

#include "device.h"

#ifdef KV_EMULATE
#include <algorithm>
#include <numeric>
#include <vector>
#else
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#endif

namespace kv_cuda {

// Two arrays of which one holds what is worked on; a sort reads it and leaves its result in either.
struct Pair {
  uint32_t* now;
  uint32_t* other;
  void swap() {
    uint32_t* before = now;
    now = other;
    other = before;
  }
};

class Sorter {
 public:
  explicit Sorter(Device& device) : device_(device), scratch_(device) {}

  // Sorts values by the lowest bits of their keys. Equal keys keep their order.
  void sort(Pair& keys, Pair& values, int64_t count, int bits) {
#ifdef KV_EMULATE
    const uint32_t mask = bits < 32 ? (uint32_t{1} << bits) - 1 : ~uint32_t{0};
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return (keys.now[a] & mask) < (keys.now[b] & mask); });
    for (int64_t i = 0; i < count; ++i) {
      keys.other[i] = keys.now[order[i]];
      values.other[i] = values.now[order[i]];
    }
    keys.swap();
    values.swap();
#else
    cub::DoubleBuffer<uint32_t> k(keys.now, keys.other), v(values.now, values.other);
    with_scratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceRadixSort::SortPairs(scratch, bytes, k, v, static_cast<int>(count), 0, bits, static_cast<cudaStream_t>(device_.stream()));
    });
    keys = Pair{k.Current(), k.Alternate()};
    values = Pair{v.Current(), v.Alternate()};
#endif
  }

  // Replaces each number by the sum of those up to it.
  void sum_up(uint32_t* numbers, int64_t count) {
#ifdef KV_EMULATE
    std::partial_sum(numbers, numbers + count, numbers);
#else
    with_scratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceScan::InclusiveSum(scratch, bytes, numbers, numbers, static_cast<int>(count), static_cast<cudaStream_t>(device_.stream()));
    });
#endif
  }

 private:
#ifndef KV_EMULATE
  // CUB's functions say first how much memory they need. They ask CUDA for its last error, so what others left there must
  // not be taken for theirs. It cannot be put back.
  template <class F>
  void with_scratch(F&& work) {
    size_t bytes = 0;
    cudaGetLastError();
    check(work(nullptr, bytes), "prepare to sort");
    scratch_.resize(static_cast<int64_t>(bytes) + 1);  // never NULL, which would ask once more
    cudaGetLastError();
    check(work(scratch_.data(), bytes), "sort");
  }
#endif

  Device& device_;
  Array<char> scratch_;
};

}  // namespace kv_cuda
