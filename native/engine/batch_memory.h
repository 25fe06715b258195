// The packet memory of one worker.
#pragma once

#include "mapping.h"
#include "packet.h"

namespace kagemusha {

//   ┌────────────────────── batch ──────────────────────────────┬────────── meanwhile ─────────┐
//   │ headroom │ packet │ headroom │ next packet │ headroom │ … │ headroom │ packet │          │
//
// A packet is read once, behind the headroom, and is never copied again in userspace: what goes in front of
// it is written into the headroom. Packets that have to stay lie one behind the other.
class BatchMemory {
 public:
  // Octets of packets that a batch may have before its last one.
  static constexpr std::size_t kBatchBytes = 512 * 1024;

  // Where the next packets are read to.
  class Place {
   public:
    Place(std::uint8_t* start, std::uint8_t* end) : at_(start), end_(end) {}
    // kMaxPacket octets with kHeadroom writable ones before them.
    Bytes next() const { return Bytes(at_ + kHeadroom, kMaxPacket); }
    // What was read to next(), so many octets, stays there.
    void keep(std::size_t length) { at_ += (kHeadroom + length + kLine - 1) / kLine * kLine; }
    bool full() const { return static_cast<std::size_t>(end_ - at_) < kRoom; }

   private:
    static constexpr std::size_t kLine = 64;
    std::uint8_t *at_, *end_;
  };

  BatchMemory() : mapping_(kWhole, Mapping::Sharing::kPrivate) {}
  // A batch's packets.
  Place batch() const { return {start(), start() + kBatch}; }
  // For the time that those of a batch stay because the uplink cannot send them.
  Place meanwhile() const { return {start() + kBatch, start() + kWhole}; }
  Bytes bytes() const { return mapping_.bytes(); }

 private:
  // That one packet may take.
  static constexpr std::size_t kRoom =
      (kHeadroom + kMaxPacket + Mapping::kPage - 1) / Mapping::kPage * Mapping::kPage;
  static constexpr std::size_t kBatch = kBatchBytes + kRoom;
  static constexpr std::size_t kWhole = kBatch + 2 * kRoom;

  std::uint8_t* start() const { return mapping_.bytes().data(); }

  Mapping mapping_;
};

}  // namespace kagemusha
