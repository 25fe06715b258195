// Sends many Ethernet frames with one call, straight to the interface's driver: an AF_XDP socket in copy mode
// (Documentation/networking/af_xdp.rst).
#pragma once

#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "device.h"
#include "mapping.h"
#include "unique_fd.h"

namespace kagemusha {

// Cheaper than a packet socket: no message for each frame, no queueing discipline. Whoever captures on
// this machine does not see them, and none of its rules (tc, nftables) applies to them.
//
//   slots      │ request │ frame ···      │ request │ frame ···      │    written here
//   transmit   [ slot, length ][ slot, length ]···            the kernel is to take these
//   completed  [ slot ]···                                    it has no more use for these
//
// The kernel copies a frame when it takes it, or (virtio_net) has the interface read it from the slot: that
// one is ours again when it is completed. One thread at a time sends.
class XdpSender {
 public:
  // So many frames may wait here for the interface to have room.
  static constexpr std::uint32_t kWaiting = 64;

  // kComplete: also where the kernel could be asked to, it is not left to compute a checksum.
  enum class Checksums { kAsked, kComplete };

  // By the interface's first queue. Null, and `why`: this kernel, this interface, this process' limits do not
  // allow it. Needs CAP_NET_RAW, or a spare socket.
  static std::unique_ptr<XdpSender> open(const std::string& interface, std::string& why,
                                         Checksums checksums = Checksums::kAsked);
  ~XdpSender();
  XdpSender(const XdpSender&) = delete;
  XdpSender& operator=(const XdpSender&) = delete;

  // As Device::send(): where all were sent some may wait here. kRefused: nothing waits, and the next one is a
  // train, or too long for this way. kDown, kGone: what waited from calls before is lost.
  Io send(std::span<const mmsghdr> messages, std::size_t& sent);
  // Readable when it is time for another attempt, after kAgain or retryLater().
  int fd() const { return timer_.get(); }
  // Frames that were taken and lost since the last call. Any thread.
  std::uint64_t takeLost() { return lost_.exchange(0, std::memory_order_relaxed); }
  // @param progress: something has left since the last attempt.
  void retryLater(bool progress);
  // Once in a while: the interface's MTU may have changed.
  void learnMtu();

 private:
  // Memory that the kernel shares: two counters that only grow, and as many entries as a power of two.
  struct Ring {
    Bytes memory;
    std::uint32_t* produced = nullptr;
    std::uint32_t* consumed = nullptr;
    std::uint8_t* entries = nullptr;
  };

  XdpSender(UniqueFd fd, UniqueFd timer, const std::string& interface, std::size_t mtu);
  bool prepare(Checksums checksums);
  bool registerSlots(Checksums checksums);
  bool map(Ring& ring, std::uint64_t place, const ::xdp_ring_offset& offsets, std::size_t entry,
           std::uint32_t count) const;
  std::uint32_t waiting() const;
  void takeCompleted();
  void release(std::uint64_t slot);
  std::uint32_t room();
  bool put(const msghdr& message);
  Io kick();
  // What waits is not sent any more; how many of the last `given` frames that is: all others are lost.
  std::size_t withdraw(std::size_t given);

  // As many frames as may be on their way, and those that wait.
  static constexpr std::uint32_t kSlots = 256;

  const UniqueFd fd_, timer_;
  const std::string interface_;
  const std::size_t slot_;         // octets
  std::atomic<std::size_t> most_;  // octets of a frame
  Mapping slots_;
  Ring transmit_, completed_;
  std::array<std::uint16_t, kSlots> free_;  // the last one first: it is in the cache
  std::uint32_t freeCount_ = kSlots;
  std::array<bool, kSlots> used_{};
  std::uint32_t produced_ = 0;  // of transmit_
  // Of transmit_: what was produced before this one does not wait any more, whatever the kernel saw of it.
  std::uint32_t withdrawn_ = 0;
  bool hasRequests_ = false;  // the kernel takes a checksum as a request
  bool isExact_ = false;      // the kernel tells at once what it has taken
  bool full_ = false;         // as many are on their way as may be
  std::int64_t pause_;        // nanoseconds until the next attempt
  std::atomic<std::uint64_t> lost_ = 0;
};

}  // namespace kagemusha
