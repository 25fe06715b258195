// The engine's end of the slow path: what JavaScript decides about.
#pragma once

#include <functional>
#include <mutex>

#include "region.h"

namespace kagemusha {

// All workers push through one of these: the ring has one producer, this lock makes the workers one.
class SlowPath {
 public:
  // `wake` makes JavaScript look at the ring; any thread may call it, often.
  SlowPath(const Region& region, std::function<void()> wake)
      : ring_(region.receiveRing()), wake_(std::move(wake)) {}

  // Copies as much of `bytes` as fits a slot. False when the ring is full.
  bool push(const SlowPathRecord& record, ConstBytes bytes) {
    const std::lock_guard lock(mutex_);
    return ring_.push(record, bytes);
  }
  void wake() const { wake_(); }

 private:
  std::mutex mutex_;
  SlowPathRing ring_;
  std::function<void()> wake_;
};

}  // namespace kagemusha
