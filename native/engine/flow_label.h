// The flow label of the outer header: what routers of the path spread flows by without looking inside the
// tunnel (RFC 6438 3).
#pragma once

#include <array>
#include <cstdint>

#include "ipv6.h"

namespace kagemusha {

using FlowKey = std::array<std::uint64_t, 8>;

// Chosen at random when the process starts: nobody else can tell which label a packet gets, nor choose
// packets that share one.
extern const FlowKey kFlowKey;

// 20 bits, never 0 (RFC 6437 2: 0 is no label), host byte order. The same for every packet, and every segment
// of a train, with these addresses, protocol and ports (TCP and UDP, not fragmented), or else with these
// addresses and this flow label of its own (RFC 6437 2, the 3-tuple). `inner` is an IPv6 packet; it may be
// cut off, as ICMPv6 errors quote it: what stands behind the ports does not count. Fewer than 40 octets give
// a label that no packet has for a reason.
std::uint32_t flowLabel(ConstBytes inner, const FlowKey& key = kFlowKey);

}  // namespace kagemusha
