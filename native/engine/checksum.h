// The Internet checksum (RFC 1071) over any length and alignment.
#pragma once

#include <cstdint>

#include "ipv6.h"
#include "packet.h"

namespace kagemusha {

// Folds a sum of 16-bit words to 16 bits, the carries added in again. 0 only when nothing but zeros was
// summed.
constexpr std::uint16_t foldSum(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// One's complement sum of `bytes` as big-endian 16-bit words, odd end padded with zero, added to `seed`;
// folded to 16 bits, not complemented.
std::uint16_t checksumAdd(ConstBytes bytes, std::uint16_t seed = 0);

// Sum of the IPv6 pseudo-header (RFC 8200 8.1), folded, not complemented: what CHECKSUM_PARTIAL wants in the
// checksum field.
std::uint16_t pseudoHeaderSum(const Address& source, const Address& destination, std::uint32_t upperLength,
                              std::uint8_t protocol);

// Whether the checksum that `offload` says is missing (VIRTIO_NET_HDR_F_NEEDS_CSUM), if it says so, lies
// behind the IPv6 header and inside the packet. The kernel takes any place: one in the header would let a
// guest rewrite its source after we have looked at it.
bool checksumIsInside(const Packet& packet);

// Computes and stores the missing checksum and clears the flag. False, and nothing written, when it is not
// inside. `tail`: what follows the packet's own bytes, of which an even number is covered then.
bool completeChecksum(Packet& packet, ConstBytes tail = {});

// The same, octet by octet as RFC 1071 1 says it: what tests compare with.
namespace reference {
std::uint16_t checksumAdd(ConstBytes bytes, std::uint16_t seed = 0);
}

}  // namespace kagemusha
