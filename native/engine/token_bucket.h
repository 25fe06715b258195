// A rate with a burst, kept in one word.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace kagemusha {

// Nanoseconds of a clock that only goes forward; a batch of packets shares one.
using Instant = std::uint64_t;

inline constexpr Instant kSecond = 1'000'000'000;

// So many a second, and so many at once after a pause.
struct Limit {
  constexpr Limit(std::uint32_t perSecond, std::uint32_t burst)
      : step(kSecond / perSecond), depth(step * burst) {}
  Instant step;   // that one token takes to come back
  Instant depth;  // that all of them take
};

// The word is the moment at which the bucket will be full again (the "theoretical arrival time" of ATM's
// generic cell rate algorithm), so that a zeroed one is full and nobody has to fill it up. Any thread may
// take; threads whose clocks differ by a batch are a batch stricter, never more generous.
struct TokenBucket {
  std::uint64_t fullAt = 0;

  bool take(const Limit& limit, Instant now) {
    const std::atomic_ref word(fullAt);
    auto before = word.load(std::memory_order_relaxed);
    Instant after;
    do {
      after = std::max(before, now) + limit.step;
      if (after - now > limit.depth) return false;
    } while (!word.compare_exchange_weak(before, after, std::memory_order_relaxed));
    return true;
  }
};

}  // namespace kagemusha
