// The C interface: checks what is given, chooses the instructions, counts the memory, runs the tasks.
#include "crf.h"

#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "checks.h"

#ifdef __linux__
#include <sys/mman.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define KV_X86 1
#endif

namespace kv_plain {
extern const kv::Level level;
}
#ifdef KV_X86
namespace kv_avx2 {
extern const kv::Level level;
}
namespace kv_avx512 {
extern const kv::Level level;
}
#endif

namespace kv {
namespace {

// Softmax tails reach 1e-38, and sums of their products below it; denormals would cost ten times the rest.
class FlushDenormals {
 public:
#if defined(KV_X86)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" ::"r"(before_ | (uint64_t{1} << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

 private:
  uint64_t before_;
#endif
};

// Threads for the length of one call, for callers that bring none.
class Pool {
 public:
  explicit Pool(int threads) {
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::exception&) {
      // No more threads to be had: those that are there do the work.
    }
  }
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    start_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  static void parallel_for(void* pool, int64_t count, kv_task task, void* state) {
    static_cast<Pool*>(pool)->run(count, task, state);
  }

 private:
  void run(int64_t count, kv_task task, void* state) {
    if (workers_.empty() || count < 2) {
      for (int64_t i = 0; i < count; ++i) task(state, i);
      return;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    task_ = task;
    state_ = state;
    count_ = count;
    next_ = done_ = 0;
    start_.notify_all();
    take(lock);
    finished_.wait(lock, [this] { return done_ == count_; });
  }

  void take(std::unique_lock<std::mutex>& lock) {
    while (next_ < count_) {
      const int64_t i = next_++;
      lock.unlock();
      task_(state_, i);
      lock.lock();
      if (++done_ == count_) finished_.notify_all();
    }
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      start_.wait(lock, [this] { return ended_ || next_ < count_; });
      if (ended_) return;
      take(lock);
    }
  }

  std::mutex mutex_;
  std::condition_variable start_, finished_;
  kv_task task_ = nullptr;
  void* state_ = nullptr;
  int64_t count_ = 0, next_ = 0, done_ = 0;
  bool ended_ = false;
  std::vector<std::thread> workers_;
};

void quietly(const char* pattern, const char* path, long long* value) {
  if (FILE* file = std::fopen(path, "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file))
      if (std::sscanf(line, pattern, value) == 1) break;
    std::fclose(file);
  }
}

const Level& choose(int level) {
  const int best = kv_best_level();
  if (level < KV_BEST || level > best)
    stop(KV_INVALID, "level %d of instructions is not one that this processor has (0 to %d)", level, best);
  if (level == KV_BEST) level = best;
#ifdef KV_X86
  if (level == KV_AVX512) return kv_avx512::level;
  if (level == KV_AVX2) return kv_avx2::level;
#endif
  return kv_plain::level;
}

// Runs `body` with the threads and the memory of the call.
template <class F>
int guarded(kv_run* run, char* message, int64_t size, F&& body) {
  kv_run defaults{};
  if (!run) run = &defaults;
  Context context;
  const int status = status_of(message, size, [&] {
    context.run = run;
    context.limit = run->memory_limit > 0 ? run->memory_limit : kv_available_memory();
    const kv_run given = *run;
    kv_run own = given;
    struct Restore {
      kv_run*& at;
      kv_run* before;
      ~Restore() { at = before; }
    } restore{context.run, run};
    Pool pool(given.parallel_for ? 1 : given.threads);
    if (!given.parallel_for) {
      own.parallel_for = Pool::parallel_for;
      own.pool = &pool;
    }
    context.run = &own;
    body(context, choose(given.level));
  });
  run->memory_peak = context.peak;
  return status;
}

constexpr int64_t LARGE = int64_t{1} << 20;
constexpr size_t HUGE_PAGE = size_t{1} << 21;

}  // namespace

void* Context::allocate(int64_t bytes) {
  if (parent) return parent->allocate(bytes);
  const int64_t after = used.fetch_add(bytes) + bytes;
  void* memory = nullptr;
  const bool large = bytes >= LARGE;
  if (after <= limit && ::posix_memalign(&memory, large ? HUGE_PAGE : 64, static_cast<size_t>(bytes < 64 ? 64 : bytes)) == 0) {
#ifdef __linux__
    if (large) ::madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);  // a hint: fewer page faults and TLB misses
#endif
    int64_t most = peak;
    while (after > most && !peak.compare_exchange_weak(most, after)) {
    }
    return memory;
  }
  used -= bytes;
  stop(KV_NO_MEMORY, "the call needs more than %.3g GiB of memory; %.3g GiB are available. Use a smaller image or fewer labels",
       static_cast<double>(after) / (1 << 30), static_cast<double>(limit) / (1 << 30));
}

void Context::release(void* memory, int64_t bytes) {
  if (parent) return parent->release(memory, bytes);
  std::free(memory);
  used -= bytes;
}

void Context::require(double bytes) const {
  if (parent) return parent->require(bytes);
  if (static_cast<double>(used) + bytes > static_cast<double>(limit))
    stop(KV_NO_MEMORY, "the call needs more than %.3g GiB of memory; %.3g GiB are available. Use a smaller image or fewer labels",
         (static_cast<double>(used) + bytes) / (1 << 30), static_cast<double>(limit) / (1 << 30));
}

void Context::check_cancelled() const {
  if (run->cancelled && run->cancelled(run->token)) stop(KV_CANCELLED, "%s", "the call was cancelled");
}

void Context::parallel(int64_t count, kv_task task, void* state) {
  if (parent) {
    for (int64_t i = 0; i < count; ++i) task(state, i);
    return;
  }
  struct Shared {
    kv_task task;
    void* state;
    std::mutex mutex;
    bool failed = false;
    Stop error;
  } shared{task, state, {}, false, {}};
  auto one = [](void* pointer, int64_t i) {
    Shared& all = *static_cast<Shared*>(pointer);
    FlushDenormals flush;
    Stop error{KV_OK, ""};
    try {
      all.task(all.state, i);
    } catch (const Stop& stopped) {
      error = stopped;
    } catch (const std::bad_alloc&) {
      error.status = KV_NO_MEMORY;
      std::snprintf(error.message, sizeof error.message, "out of memory");
    }
    if (error.status != KV_OK) {
      std::lock_guard<std::mutex> lock(all.mutex);
      if (!all.failed || error.status == KV_CANCELLED) all.error = error;  // whoever cancels hears of that alone
      all.failed = true;
    }
  };
  if (count == 1)
    one(&shared, 0);
  else
    run->parallel_for(run->pool, count, one, &shared);
  if (shared.failed) throw shared.error;
}

}  // namespace kv

extern "C" {

int kv_mean_field(const kv_mean_field_arguments* arguments, kv_run* run, char* message, int64_t message_size) {
  return kv::guarded(run, message, message_size, [&](kv::Context& context, const kv::Level& level) {
    kv::check(*arguments);
    level.mean_field(context, *arguments);
  });
}

int kv_mean_field_gradient(const kv_mean_field_gradient_arguments* arguments, kv_run* run, char* message,
                           int64_t message_size) {
  return kv::guarded(run, message, message_size, [&](kv::Context& context, const kv::Level& level) {
    kv::check(*arguments);
    level.mean_field_gradient(context, *arguments);
  });
}

int kv_permutohedral_filter(const kv_filter_arguments* arguments, kv_run* run, char* message, int64_t message_size) {
  return kv::guarded(run, message, message_size, [&](kv::Context& context, const kv::Level& level) {
    kv::check(*arguments);
    level.filter(context, *arguments);
  });
}

int kv_best_level(void) {
#ifdef KV_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return KV_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return KV_AVX2;
#endif
  return KV_PLAIN;
}

int64_t kv_available_memory(void) {
  long long kibibytes = -1, limit = -1, used = -1;
  kv::quietly("MemAvailable: %lld kB", "/proc/meminfo", &kibibytes);
  kv::quietly("%lld", "/sys/fs/cgroup/memory.max", &limit);
  kv::quietly("%lld", "/sys/fs/cgroup/memory.current", &used);
  int64_t available = kibibytes < 0 ? INT64_MAX : kibibytes * 1024;
  if (limit >= 0 && used >= 0 && limit - used < available) available = limit > used ? limit - used : 0;
  return available;
}

}  // extern "C"
