// A packet as the engine holds it: bytes in a worker's memory and what the kernel said of its checksum
// and segmentation (struct virtio_net_hdr, linux/virtio_net.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// The kernel's header is C and names a member `class`: include it through this file only.
#define class class_
#include <linux/virtio_net.h>
#undef class

namespace kagemusha {

using Bytes = std::span<std::uint8_t>;
using ConstBytes = std::span<const std::uint8_t>;

// The kernel's virtio_net_hdr, host byte order; `csum_start` counts from the first byte of `Packet::bytes`.
using Offload = virtio_net_hdr;

// Bytes that every slot keeps free before a packet as it was read: room for a vnet header, an Ethernet header
// and an outer IPv6 header with a tunnel encapsulation limit option.
inline constexpr std::size_t kHeadroom = 128;
// The largest packet: 64 KiB of IPv6 payload, the IPv6 header, an Ethernet header.
inline constexpr std::size_t kMaxPacket = 65535 + 40 + 14;

// Where a checksum still to be computed may start, so that no header put in front makes csum_start wrap.
inline constexpr std::size_t kMaxChecksumStart = 0xffff - kHeadroom;

struct Packet {
  Bytes bytes;      // IPv6 header first, once past the port; inside a slot, kHeadroom before it is writable
  Offload offload;  // as read; kept true by whatever moves `bytes`
};

// Packets on the wire that a train stands for, at most; 1 for what is none. Headers count as payload.
inline std::size_t segmentsAtMost(const Packet& packet) {
  const std::size_t size = packet.offload.gso_size;
  if (packet.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE || size == 0) return 1;
  return packet.bytes.size() / size + 1;
}

// Takes `count` bytes off the front of a packet and keeps csum_start and hdr_len true; a csum_start in what
// goes becomes 0, which no check lets pass. `count` must not exceed the length. (A tap refuses a frame whose
// hdr_len is longer than itself.)
inline void trimFront(Packet& packet, std::size_t count) {
  const auto less = [count](std::uint16_t value) {
    return value > count ? static_cast<std::uint16_t>(value - count) : std::uint16_t{0};
  };
  packet.bytes = packet.bytes.subspan(count);
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    packet.offload.csum_start = less(packet.offload.csum_start);
  packet.offload.hdr_len = less(packet.offload.hdr_len);
}

}  // namespace kagemusha
