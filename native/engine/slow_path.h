// The engine's end of the slow path: what JavaScript decides about.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <vector>

#include "region.h"

namespace kagemusha {

// All workers push through one of these: the ring has one producer, this lock makes the workers one.
//
// Nobody has the ring alone, or a guest that floods its link with solicitations would keep every other
// guest's registration from being renewed: a port may have kPortShare entries waiting, all ports together
// kSideShare, and so many what comes from the network.
class SlowPath {
 public:
  static constexpr std::uint32_t kPortShare = SlowPathRing::kSlots / 4;
  static constexpr std::uint32_t kSideShare = SlowPathRing::kSlots / 4 * 3;

  // `wake` makes JavaScript look at the ring; any thread may call it, often.
  SlowPath(const Region& region, std::function<void()> wake)
      : ring_(region.receiveRing()), wake_(std::move(wake)), perPort_(region.layout().maxPorts) {}

  // Copies as much of `bytes` as fits a slot, `most` octets at most. False when the ring, or the share of
  // `record.port` (kNone: the network), is full.
  bool push(const SlowPathRecord& record, ConstBytes bytes, std::size_t most = SlowPathRing::kPayload);
  void wake() const { wake_(); }

 private:
  std::uint32_t& waiting(std::uint32_t port) { return port == kNone ? network_ : allPorts_; }

  std::mutex mutex_;
  SlowPathRing ring_;
  std::function<void()> wake_;
  // Of the entries that JavaScript has not yet released, as far as the last push knew.
  std::array<std::uint32_t, SlowPathRing::kSlots> owners_{};  // by slot: the port
  std::vector<std::uint32_t> perPort_;
  std::uint32_t allPorts_ = 0, network_ = 0;
  std::uint32_t oldest_ = 0;  // position
};

inline bool SlowPath::push(const SlowPathRecord& record, ConstBytes bytes, std::size_t most) {
  const std::lock_guard lock(mutex_);
  const auto tail = ring_.tail();
  for (const auto head = ring_.head(); oldest_ != head && oldest_ != tail; ++oldest_) {
    const auto owner = owners_[oldest_ % SlowPathRing::kSlots];
    --waiting(owner);
    if (owner != kNone) --perPort_[owner];
  }
  if (waiting(record.port) >= kSideShare) return false;
  if (record.port != kNone && perPort_[record.port] >= kPortShare) return false;
  if (!ring_.push(record, bytes, most)) return false;
  owners_[tail % SlowPathRing::kSlots] = record.port;
  ++waiting(record.port);
  if (record.port != kNone) ++perPort_[record.port];
  return true;
}

}  // namespace kagemusha
