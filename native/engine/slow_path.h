// The engine's end of the slow path: what JavaScript decides about.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "region.h"

namespace kagemusha {

// All workers push through one of these: the ring has one producer, this lock makes the workers one.
//
// Nobody has the ring alone, or a guest that floods its link with solicitations would keep every other
// guest's registration from being renewed: a port's packets may take kPortShare of the ring, those of all
// ports together kSideShare, and so much what comes from the network.
class SlowPath {
 public:
  // Cells.
  static constexpr std::uint32_t kPortShare = Region::kReceiveCells / 4;
  static constexpr std::uint32_t kSideShare = Region::kReceiveCells / 4 * 3;

  // `wake` makes JavaScript look at the ring; any thread may call it, often.
  SlowPath(const Region& region, std::function<void()> wake)
      : ring_(region.receiveRing()), wake_(std::move(wake)), perPort_(region.layout().maxPorts) {}

  // Copies as much of `bytes` as fits an entry, `most` octets at most. False when the ring, or the share of
  // `record.port` (kNone: the network), is full.
  bool push(const SlowPathRecord& record, ConstBytes bytes, std::size_t most = SlowPathRing::kPayload);
  void wake() const { wake_(); }

 private:
  struct Owner {
    std::uint32_t port, cells;
  };

  std::uint32_t& waiting(std::uint32_t port) { return port == kNone ? network_ : allPorts_; }

  std::mutex mutex_;
  SlowPathRing ring_;
  std::function<void()> wake_;
  // Of the entries that JavaScript has not yet released, as far as the last push knew; in cells.
  std::vector<Owner> owners_ = std::vector<Owner>(Region::kReceiveCells);  // by the entry's first cell
  std::vector<std::uint32_t> perPort_;
  std::uint32_t allPorts_ = 0, network_ = 0;
  std::uint32_t oldest_ = 0;  // position
};

inline bool SlowPath::push(const SlowPathRecord& record, ConstBytes bytes, std::size_t most) {
  const std::lock_guard lock(mutex_);
  const auto tail = ring_.tail(), head = ring_.head();
  while (oldest_ != tail && head - oldest_ >= owners_[oldest_ % owners_.size()].cells) {
    const Owner owner = owners_[oldest_ % owners_.size()];
    waiting(owner.port) -= owner.cells;
    if (owner.port != kNone) perPort_[owner.port] -= owner.cells;
    oldest_ += owner.cells;
  }
  if (waiting(record.port) >= kSideShare) return false;
  if (record.port != kNone && perPort_[record.port] >= kPortShare) return false;
  if (!ring_.push(record, bytes, most)) return false;
  const std::uint32_t cells = ring_.tail() - tail;  // with a filler before it
  owners_[tail % owners_.size()] = {record.port, cells};
  waiting(record.port) += cells;
  if (record.port != kNone) perPort_[record.port] += cells;
  return true;
}

}  // namespace kagemusha
