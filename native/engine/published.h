// A value that one thread replaces while others read it without locks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace kagemusha {

// Readers bracket each batch of packets with enter() and leave(). publish() swaps the pointer, raises the
// epoch and waits until every reader is either outside, or has entered since: nobody can then still hold the
// old value, and it is destroyed.
//
//   epoch       ......... 7 ..........|............ 8 .............................
//   writer                  swap, 8 ──┤ waits ······························│ frees old
//   reader 0    [ seen 7: old ]       [ seen 8: new ]      (passed)
//   reader 1           [ seen 7: old or new ···············]─ leaves ───────┘
//   reader 2    parked ───────────────────────────────── (asleep: nothing to wait for)
//
// The stores to `seen` and the loads of the pointer are sequentially consistent: a reader that the writer saw
// parked cannot load the old pointer afterwards.
template <class Value>
class Published {
 public:
  Published(std::size_t readers, std::unique_ptr<const Value> first)
      : readers_(readers), current_(first.get()), owner_(std::move(first)) {}

  // The value of this moment, valid until leave(). `reader` < readers; one thread each.
  const Value& enter(std::size_t reader) {
    readers_[reader].seen.store(epoch_.load());
    return *current_.load();
  }
  void leave(std::size_t reader) { readers_[reader].seen.store(kParked, std::memory_order_release); }

  // One thread at a time. Returns when the old value is gone: after one batch at most.
  void publish(std::unique_ptr<const Value> value) {
    current_.store(value.get());
    const auto epoch = epoch_.fetch_add(1) + 1;
    for (Reader& reader : readers_) {
      int turns = 0;
      while (reader.seen.load() < epoch) {
        if (++turns < 64)
          std::this_thread::yield();
        else
          std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
    owner_ = std::move(value);
  }

 private:
  static constexpr std::uint64_t kParked = ~std::uint64_t{0};
  struct alignas(64) Reader {
    std::atomic<std::uint64_t> seen = kParked;
  };

  std::vector<Reader> readers_;
  std::atomic<std::uint64_t> epoch_ = 1;
  std::atomic<const Value*> current_;
  std::unique_ptr<const Value> owner_;
};

}  // namespace kagemusha
