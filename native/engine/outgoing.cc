#include "outgoing.h"

#include <algorithm>
#include <cstring>

namespace kagemusha {

bool OutgoingQueue::add(Device& device, const Packet& head, std::span<const iovec> tail,
                        const DropCounters& drops, bool ours) {
  if (end_ >= (ours ? kCapacity + kReserve : kCapacity)) return false;
  Kept& kept = kept_[end_];
  const std::size_t length = sizeof(Offload) + head.bytes.size();
  kept.refers = !tail.empty() || head.bytes.size() > kKept;
  if (head.bytes.size() <= kKept) {
    std::memcpy(kept.octets.data(), &head.offload, sizeof(Offload));
    std::memcpy(kept.octets.data() + sizeof(Offload), head.bytes.data(), head.bytes.size());
    kept.parts[0] = {kept.octets.data(), length};
  } else {
    auto* start = head.bytes.data() - sizeof(Offload);
    std::memcpy(start, &head.offload, sizeof(Offload));
    kept.parts[0] = {start, length};
  }
  if (!tail.empty()) kept.parts[1] = tail.front();
  kept.drops = drops;
  kept.live = true;
  msghdr& message = messages_[end_].msg_hdr;
  message.msg_iov = kept.parts;
  message.msg_iovlen = 1 + tail.size();
  referring_ += kept.refers;
  ++end_;
  if (!waiting_ && end_ - first_ >= kBatch) flush(device);
  return true;
}

bool OutgoingQueue::flush(Device& device) {
  // Some may wait in the device although none waits here.
  bool ask = std::exchange(waiting_, false);
  while (first_ != end_ || ask) {
    if (first_ != end_ && !kept_[first_].live) {
      ++first_;
      continue;
    }
    std::size_t last = first_;
    while (last != end_ && kept_[last].live && last - first_ < kBatch) ++last;
    ask = false;
    std::size_t sent = 0;
    const Io result = device.send(std::span(messages_).subspan(first_, last - first_), sent);
    counters_.add(EngineCounter::uplinkPacketsWritten, sent);
    for (; sent != 0; --sent) referring_ -= kept_[first_++].refers;
    if (result == Io::kDone) continue;
    if (result == Io::kAgain) {
      waiting_ = true;
      if (first_ == end_) first_ = end_ = mark_ = 0;
      return false;
    }
    gone_ = gone_ || result == Io::kGone;
    if (result == Io::kDown || result == Io::kGone)
      while (first_ != end_) drop(first_++, Drop::uplink_error);
    else if (first_ != end_)
      drop(first_++, result == Io::kLost ? Drop::uplink_full : Drop::uplink_error);
  }
  first_ = end_ = mark_ = 0;
  return true;
}

void OutgoingQueue::forgetReferring() {
  for (std::size_t index = std::max(mark_, first_); index < end_; ++index)
    if (kept_[index].refers) drop(index, Drop::uplink_full);
}

void OutgoingQueue::drop(std::size_t index, Drop reason) {
  Kept& kept = kept_[index];
  if (!kept.live) return;
  kept.drops.drop(reason);
  kept.live = false;
  referring_ -= kept.refers;
}

}  // namespace kagemusha
