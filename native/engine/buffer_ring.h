// The packet buffers of one worker.
#pragma once

#include "mapping.h"
#include "packet.h"

namespace kagemusha {

//   one mapped region   ┌─────────── slot 0 ───────────┬─ slot 1 ─┬ … ┬ slot 31 ┐
//                       │ headroom │ packet as read …  │          │   │         │
//                       0          128                 69632
//
// A packet is read once into a slot, behind the headroom, and is never copied again in userspace: what goes
// in front of it is written into the headroom. Slots are whole pages, so a worker whose batches are short
// never touches the later ones.
class BufferRing {
 public:
  static constexpr std::size_t kSlots = 32;
  // The first ones, for what comes from ports: an uplink that cannot send keeps them, and goes on receiving
  // into the others.
  static constexpr std::size_t kPortSlots = 24;
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kSlotSize = (kHeadroom + kMaxPacket + kPage - 1) / kPage * kPage;

  BufferRing() : mapping_(kSlots * kSlotSize, Mapping::Sharing::kPrivate) {}

  // Where a packet is read to: kMaxPacket bytes with kHeadroom writable bytes before them. `index` < kSlots.
  Bytes slot(std::size_t index) const {
    return mapping_.bytes().subspan(index * kSlotSize + kHeadroom, kMaxPacket);
  }

 private:
  Mapping mapping_;
};

}  // namespace kagemusha
