// A receive ring that the kernel writes and we read (TPACKET_V2, Documentation/networking/packet_mmap.rst).
#pragma once

#include <linux/if_packet.h>

#include "device.h"
#include "raw_socket.h"

namespace kagemusha {

//   ring    ┌─ frame 0 ─┬─ frame 1 ─┬ … ┬ frame n-1 ┐     each the kernel's, or ours
//           └───────────┴───────────┴   ┴───────────┘
//   frame   │ header │ reserve │ vnet │ Ethernet │ IPv6 ···│
//
// What the NIC merged (GRO) may be longer than a frame: such a packet waits whole in the socket's queue, in
// order, and its frame says so (TP_STATUS_COPY).
//
// The kernel does not survive a frame that it cannot describe (virtio_net_hdr_from_skb: UFO): its place
// is taken, but the ring does not move on, and all that comes later is dropped (tpacket_rcv, Linux 6.18 and
// before). Only another ring helps: close(), open().
class PacketRing {
 public:
  static constexpr std::size_t kFrame = 2048;  // octets
  static constexpr std::size_t kBlock = 65536;
  static constexpr std::uint32_t kLeast = 64, kMost = 65536;  // frames

  // `frames`: a multiple of 32. Before the socket is bound; it must stay. Throws DEVICE_KIND, OUT_OF_MEMORY.
  PacketRing(const RawSocket& socket, const std::string& interface, std::uint32_t frames);
  ~PacketRing();
  // What was given by next() must be released; what comes from now on is in the socket's queue.
  void close();
  // What is in the socket's queue is lost. Needs no capability. False: errno tells.
  bool open();
  bool isOpen() const { return !memory_.empty(); }
  // Nothing waits in it, and nothing that it gave is not released.
  bool isEmpty() const;
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;

  struct Frame {
    Offload offload;  // csum_start from the Ethernet header
    Bytes bytes;      // Ethernet header first; the reserve before it is writable
    bool queued;      // longer than that, whole in the socket's queue
    bool cut;         // longer than that, and lost
    bool losing;      // packets were lost before or after
  };
  // The next one that is ours. False: there is none.
  bool next(Frame& frame);
  // All that next() gave are the kernel's again.
  void release();
  // When it is open, octets.
  std::size_t size() const { return frames_ * kFrame; }

 private:
  tpacket2_hdr* header(std::uint32_t index) const {
    return reinterpret_cast<tpacket2_hdr*>(memory_.data() + std::size_t{index} * kFrame);
  }

  const int fd_;
  const std::uint32_t frames_;
  Bytes memory_;
  std::uint32_t next_ = 0, taken_ = 0;  // the next one to read; how many before it are not yet released
};

}  // namespace kagemusha
