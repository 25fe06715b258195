// What a packet to one of our own addresses is, as far as policing must know. Nothing here judges it: that is
// JavaScript's.
#pragma once

#include <optional>

#include "ipv6.h"

namespace kagemusha {

struct ControlPacket {
  enum class Kind : std::uint8_t {
    kMobility,
    kEsp,
    kIcmpv6Error,
    kTunnelError,  // an ICMPv6 error that quotes a tunnel packet of ours
    kIcmpv6,       // informational
    kOther,        // everything else, and every part of a fragmented packet
    kCount,
  };
  Kind kind = Kind::kOther;
  // A routing header that is none of type 2 with one segment left (RFC 6275 6.4).
  bool foreignRouting = false;
  bool fragment = false;                     // one of several
  std::optional<Address> homeAddressOption;  // RFC 6275 6.3, the first one
  std::optional<Address> routed;             // home address of the type 2 routing header
  std::uint8_t mobilityType = 0;
  std::uint32_t spi = 0;
  // Of ESP (RFC 4303 2.2), or of a Binding Update or Acknowledgement (RFC 6275 6.1.7, 6.1.8).
  std::optional<std::uint32_t> sequence;
};

inline constexpr std::uint8_t kBindingUpdate = 5;           // RFC 6275 6.1.7
inline constexpr std::uint8_t kBindingAcknowledgement = 6;  // RFC 6275 6.1.8

// std::nullopt when an extension header or an option runs past its end, or there are more than 8 headers.
std::optional<ControlPacket> viewControl(const Ipv6View& packet);

}  // namespace kagemusha
