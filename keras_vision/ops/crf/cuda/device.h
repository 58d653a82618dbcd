// The GPU, or with -DKV_EMULATE the CPU in its place: memory, copies, and functors over a flat index. The work is written
// once, as `void operator()(int64_t i) const` of a functor whose calls may run in any order: nvcc makes kernels of them,
// and any C++ compiler loops, so that the index arithmetic is tested where there is no GPU.
#pragma once

#include <cstdint>
#include <cstring>

#include "../core/context.h"
#include "crf_cuda.h"

#define KV_LEVEL kv_cuda  // namespace of what both cores share; so this header comes before any of those

#ifdef KV_EMULATE
#define KV_DEVICE inline
#else
#include <cuda_runtime.h>
#define KV_DEVICE __device__ __forceinline__
#endif

namespace kv_cuda {

// i / n, in 32 bits where that is enough: a division in 64 bits takes a GPU some hundred instructions.
KV_DEVICE int64_t quotient(int64_t i, int64_t n) {
  return (i | n) >> 32 ? i / n : static_cast<int64_t>(static_cast<uint32_t>(i) / static_cast<uint32_t>(n));
}

#ifndef KV_EMULATE

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // reported here, and not once more to whoever asks next
  kv::stop(KV_CUDA_FAILED, "CUDA failed to %s: %s", what, cudaGetErrorString(error));
}

template <class F>
__global__ void __launch_bounds__(256) run_each(int64_t count, F functor) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) functor(i);
}

template <class F>
void launch(void* stream, int64_t count, F functor) {
  constexpr int64_t MOST = int64_t{1} << 24;  // blocks; beyond it a thread takes several
  const int64_t blocks = (count + 255) / 256;
  void* arguments[] = {&count, &functor};
  // Its own return value: cudaGetLastError would also report what others left behind.
  check(cudaLaunchKernel(reinterpret_cast<const void*>(&run_each<F>), dim3(static_cast<unsigned>(blocks < MOST ? blocks : MOST)),
                         dim3(256), arguments, 0, static_cast<cudaStream_t>(stream)),
        "start its work");
}

inline void copy(void* stream, void* to, const void* from, int64_t bytes, bool back) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), back ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice,
                        static_cast<cudaStream_t>(stream)),
        "copy");
}

inline void wait(void* stream) { check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "finish its work"); }

#else

// The stream is a number here, which says in what order: 0 forward, 1 backward, others mixed.
template <class F>
void launch(void* stream, int64_t count, F functor) {
  const int64_t order = reinterpret_cast<intptr_t>(stream);
  auto common = [](int64_t a, int64_t b) {
    while (b) {
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  };
  int64_t step = order < 2 ? 1 : (count / 3 * 2 + order) % count;
  while (common(step, count) != 1) ++step;
  int64_t at = order % count;
  for (int64_t n = 0; n < count; ++n) {
    functor(order == 0 ? n : order == 1 ? count - 1 - n : at);
    at = (at + step) % count;
  }
}

inline void copy(void*, void* to, const void* from, int64_t bytes, bool) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

inline void wait(void*) {}

#endif

template <class T>
struct Fill {
  T* to;
  T value;
  KV_DEVICE void operator()(int64_t i) const { to[i] = value; }
};

// The stream and the memory of one call.
class Device {
 public:
  explicit Device(const kv_cuda_run& run) : run_(run) {}

  void* stream() const { return run_.stream; }

  void* allocate(int64_t bytes) {
    if (void* memory = run_.allocate(run_.allocator, bytes)) return memory;
    kv::stop(KV_NO_MEMORY, "the GPU has no %.3g GiB of memory left. Use a smaller image, a smaller batch or fewer labels",
             static_cast<double>(bytes) / (1 << 30));
  }

  template <class F>
  void for_each(int64_t count, F functor) {
    if (count > 0) launch(run_.stream, count, functor);
  }

  template <class T>
  void fill(T* to, int64_t count, T value) {
    for_each(count, Fill<T>{to, value});
  }

  // From host memory, which may change after the call.
  template <class T>
  void upload(T* to, const T* from, int64_t count) {
    copy(run_.stream, to, from, count * int64_t{sizeof(T)}, false);
  }

  // To host memory; waits for all work before it.
  template <class T>
  void download(T* to, const T* from, int64_t count) {
    copy(run_.stream, to, from, count * int64_t{sizeof(T)}, true);
    wait(run_.stream);
  }

  void check_cancelled() const {
    if (run_.cancelled && run_.cancelled(run_.token)) kv::stop(KV_CANCELLED, "%s", "the call was cancelled");
  }

 private:
  const kv_cuda_run& run_;
};

// An array in the GPU's memory. It keeps its memory when it shrinks; memory that it outgrows is lost until the end of the
// call, so that it grows by half at least.
template <class T>
class Array {
 public:
  explicit Array(Device& device) : device_(&device) {}
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  // Makes room for `size` elements of unknown content.
  void resize(int64_t size) {
    if (size <= capacity_) return;
    const int64_t grown = capacity_ + capacity_ / 2;
    const int64_t capacity = size > grown ? size : grown;
    data_ = static_cast<T*>(device_->allocate(capacity * int64_t{sizeof(T)}));
    capacity_ = capacity;
  }

  T* data() const { return data_; }

 private:
  Device* device_;
  T* data_ = nullptr;
  int64_t capacity_ = 0;
};

}  // namespace kv_cuda
