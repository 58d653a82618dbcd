// A counted, 64-byte aligned array. It keeps its memory when it shrinks, so that a batch allocates once.
#pragma once

#include <cstdint>
#include <cstring>

#include "context.h"

namespace KV_LEVEL {

template <class T>
class Buffer {
 public:
  explicit Buffer(kv::Context& context) : context_(&context) {}
  Buffer(Buffer&& other) noexcept
      : context_(other.context_), data_(other.data_), size_(other.size_), capacity_(other.capacity_) {
    other.data_ = nullptr;
    other.size_ = other.capacity_ = 0;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free(); }

  // Makes room for `size` elements of unknown content.
  void resize(int64_t size) {
    if (size > capacity_) {
      free();
      data_ = static_cast<T*>(context_->allocate(size * int64_t{sizeof(T)}));
      capacity_ = size;
    }
    size_ = size;
  }

  // Bytes that resize would take beside those that are held.
  double missing(int64_t size) const {
    return size > capacity_ ? static_cast<double>(size - capacity_) * sizeof(T) : 0.;
  }

  // As resize, keeping the first `kept` elements.
  void grow(int64_t size, int64_t kept) {
    if (size > capacity_) {
      T* data = static_cast<T*>(context_->allocate(size * int64_t{sizeof(T)}));
      if (kept) std::memcpy(data, data_, kept * sizeof(T));
      free();
      data_ = data;
      capacity_ = size;
    }
    size_ = size;
  }

  void zero() {
    if (size_) std::memset(static_cast<void*>(data_), 0, size_ * sizeof(T));
  }

  void swap(Buffer& other) {
    T* data = data_;
    data_ = other.data_;
    other.data_ = data;
    int64_t number = size_;
    size_ = other.size_;
    other.size_ = number;
    number = capacity_;
    capacity_ = other.capacity_;
    other.capacity_ = number;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  void free() {
    if (data_) context_->release(data_, capacity_ * int64_t{sizeof(T)});
    data_ = nullptr;
    capacity_ = 0;
  }

  kv::Context* context_;
  T* data_ = nullptr;
  int64_t size_ = 0, capacity_ = 0;
};

}  // namespace KV_LEVEL
