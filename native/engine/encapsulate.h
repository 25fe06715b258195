// RFC 2473 encapsulation and its reverse, and the type 2 routing header's (RFC 6275 6.4), as operations on
// memory.
#pragma once

#include "ipv6.h"
#include "packet.h"

namespace kagemusha {

// Writes the outer header (40 octets) for an inner packet of `innerLength` octets: version 6, traffic class
// of the inner packet, flow label 0, next header 41, hop limit 64 (RFC 2473 6); the payload length is 0 where
// 16 bits cannot say it. `into` needs 40 octets; `inner` at least the inner packet's first 4.
void writeOuterHeader(Bytes into, const Address& local, const Address& remote, ConstBytes inner,
                      std::size_t innerLength);

// Puts the outer header into the 40 octets of headroom before the packet and moves csum_start (and hdr_len of
// a train). A checksum to be computed is inside the packet (checksumIsInside).
void encapsulate(Packet& packet, const Address& local, const Address& remote);

// Takes the outer header off; false when the packet is no IPv6-in-IPv6 packet with a whole inner packet
// (outer destination options with only PadN and a tunnel encapsulation limit may stand between: RFC
// 2473 4.1.1). The inner packet is cut to its own length. A congestion mark of the outer header is carried
// into the inner one, and false returned where RFC 6040 4.2 says drop (outer CE, inner Not-ECT). Nothing is
// written when false.
bool decapsulate(Packet& packet);

// RFC 6275 6.4.1: next header, length 2, type 2, segments left 1, 4 reserved octets, the home address.
inline constexpr std::size_t kType2RoutingHeader = 24;

// Whether `header`, that of a routing header and what follows it, is one of type 2 with its length of 2 and
// one segment left.
bool isType2Routing(ConstBytes header);

// A packet with a type 2 routing header directly after the IPv6 header.
struct Type2Routing {
  Address homeAddress;
  std::uint8_t nextHeader;
};
std::optional<Type2Routing> viewType2Routing(const Ipv6View& packet);
// Delivers it: destination becomes the home address, the 24 octets of the routing header go, csum_start and
// payload length follow. The transport checksum already counts the home address (RFC 6275 6.4.1, RFC
// 8200 8.1). False when there is no such header.
bool stripType2Routing(Packet& packet);

}  // namespace kagemusha
