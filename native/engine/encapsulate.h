// RFC 2473 encapsulation and its reverse, and the type 2 routing header's (RFC 6275 6.4), as operations on
// memory.
#pragma once

#include "ipv6.h"
#include "packet.h"

namespace kagemusha {

// RFC 2473 4.1.1: a destination options header with the limit and two octets of padding behind it.
inline constexpr std::size_t kLimitHeader = 8;

// What a tunnel puts in front of a packet (RFC 2473 3.1), prepared once for the packet, or for a whole train:
// congestion marks and the flow label are alike in all its segments.
struct Outer {
  Address local, remote;
  std::uint8_t trafficClass = 0;
  std::uint32_t flowLabel = 0;          // 20 bits
  std::uint8_t hopLimit = 64;           // RFC 2473 6.3
  std::optional<std::uint8_t> limit{};  // tunnel encapsulation limit option (RFC 2473 4.1.1)

  // Octets: 40, or 48 with the option.
  std::size_t length() const { return kIpv6Header + (limit ? kLimitHeader : 0); }
};

// The traffic class of an outer header: congestion mark of the inner one (RFC 6040 4.1, normal mode), and its
// DSCP, or the one that is given (6 bits; RFC 2473 6.4, RFC 2983 4). `inner`: at least its first 2 octets.
std::uint8_t outerTrafficClass(ConstBytes inner, std::optional<std::uint8_t> dscp);

// Writes outer.length() octets for an inner packet of `innerLength` octets: the IPv6 header, next header 41,
// or 60 and the option. The payload length is 0 where 16 bits cannot say it.
void writeOuterHeader(Bytes into, const Outer& outer, std::size_t innerLength);

// Puts the outer header into the outer.length() octets of headroom before the packet and moves csum_start
// (and hdr_len of a train). A checksum to be computed is inside the packet (checksumIsInside).
void encapsulate(Packet& packet, const Outer& outer);

// The tunnel encapsulation limit that a packet carries which is to enter a tunnel: it is a tunnel packet
// itself (RFC 2473 4.1.1).
struct EncapsulationLimit {
  std::uint8_t value;  // so many tunnels it may still enter
  std::size_t offset;  // of the value, from the start of the IPv6 header
};
// Looks through the extension headers, one after the other, until one has the option, or what follows is no
// extension header. Later fragments carry none.
std::optional<EncapsulationLimit> findEncapsulationLimit(const Ipv6View& packet);

// What the two congestion marks say together at the end of the tunnel (RFC 6040 4.2, figure 4).
enum class Congestion : std::uint8_t {
  kUsual,
  kAlarm,  // a combination that no tunnel of today makes: (!) and (!!!)
  kDrop,   // marked, and its transport would not understand: (!!!), and the packet must not go on
};

// Takes the outer header off; std::nullopt, and nothing written, when the packet is no IPv6-in-IPv6 packet
// with a whole inner packet (outer destination options with only PadN and a tunnel encapsulation limit may
// stand between: RFC 2473 4.1.1). The inner packet is cut to its own length. A congestion mark of the outer
// header is carried into the inner one (RFC 6040 4.2); the inner DSCP stays (RFC 2983 5).
std::optional<Congestion> decapsulate(Packet& packet);

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
