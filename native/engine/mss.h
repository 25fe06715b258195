// What a TCP connection is told of the tunnel's MTU: the maximum segment size of its SYNs (RFC 9293 3.7.1,
// RFC 6691).
#pragma once

#include "ipv6.h"
#include "packet.h"
#include "tcp.h"

namespace kagemusha {

// Octets of an IPv6 and a TCP header without options: what an MSS leaves out (RFC 6691 2).
inline constexpr std::size_t kMssHeaders = kIpv6Header + tcp::kHeader;

// Whether it is worth while to look for a SYN: cheap, and never false for one. `packet`: an IPv6 packet.
inline bool maySyn(ConstBytes packet) {
  const std::uint8_t next = packet[6];
  if (next == kTcp) return packet.size() >= kMssHeaders && (packet[kIpv6Header + tcp::kFlags] & tcp::kSyn);
  return next == kHopByHop || next == kRouting || next == kFragment || next == kDestination;
}

// Lowers each MSS option of a SYN to `most`; it raises none and adds none. The checksum follows (RFC 1624),
// or is left as it is where it is still to be computed, for then it holds the pseudo-header's sum only. True
// when something was changed. What is no SYN, a fragment, or has malformed options stays as it is.
bool clampMss(const Packet& packet, std::size_t most);

}  // namespace kagemusha
