// Packets that wait to be sent with one system call.
#pragma once

#include <array>
#include <utility>

#include "counters.h"
#include "device.h"

namespace kagemusha {

// A batch's packets for a device that takes many at a time, in order. Headers and small packets are kept
// here; other payload is only referred to, and must stay where it is until it was sent (refers()).
//
//   messages   [ 0 ][ 1 ]···[ n ]                  sendmmsg(), 64 at a time
//                │     └─▶ │ vnet │ packet of up to 246 octets │           kept here
//                └───────▶ │ vnet │ headers │ ··▶ payload in the slot, or in the receive ring
//
// Where the device has no more room (kAgain) they wait: waiting(). One thread uses it; nothing allocates.
class OutgoingQueue {
 public:
  // A call takes so many: what a call costs is then spread thin enough.
  static constexpr std::size_t kBatch = 64;
  // So many may wait: a batch, and the rest of a train that was being cut.
  static constexpr std::size_t kCapacity = 4 * kBatch;
  // So many more of ours, whatever guests send.
  static constexpr std::size_t kReserve = kBatch;
  static constexpr std::size_t kKept = 256 - sizeof(Offload);

  explicit OutgoingQueue(const EngineCounters& counters) : counters_(counters) {}
  OutgoingQueue(const OutgoingQueue&) = delete;
  OutgoingQueue& operator=(const OutgoingQueue&) = delete;

  // Whether add() can take such a packet: its headers fit, and it has one part of payload at most.
  static bool takes(const Packet& head, std::span<const iovec> tail) {
    return tail.empty() || (tail.size() == 1 && head.bytes.size() <= kKept);
  }
  // As Device::write(), sooner or later. `drops`: where it is counted if it is not sent after all. `ours`: it
  // may have the reserve. False: there is no room.
  bool add(Device& device, const Packet& head, std::span<const iovec> tail, const DropCounters& drops,
           bool ours = false);
  // Sends what is there. False: something still waits.
  bool flush(Device& device);
  // The rest waits until the device has room; flush() then.
  bool waiting() const { return waiting_; }
  // The device was deleted; true once.
  bool takeGone() { return std::exchange(gone_, false); }
  // Something is kept that refers to memory outside.
  bool refers() const { return referring_ != 0; }
  // What is added from now on may refer to memory that does not stay: see forgetReferring().
  void mark() { mark_ = end_; }
  // Of what was added since mark(), what refers to memory outside is dropped: the memory goes.
  void forgetReferring();

 private:
  struct Kept {
    std::array<std::uint8_t, sizeof(Offload) + kKept> octets;
    iovec parts[2];
    DropCounters drops{nullptr, 0};
    bool live, refers;
  };

  void drop(std::size_t index, Drop reason);

  const EngineCounters counters_;
  std::size_t first_ = 0, end_ = 0, mark_ = 0;
  std::size_t referring_ = 0;
  bool waiting_ = false, gone_ = false;
  std::array<mmsghdr, kCapacity + kReserve> messages_{};
  std::array<Kept, kCapacity + kReserve> kept_;
};

}  // namespace kagemusha
