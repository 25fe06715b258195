// Echo messages between the two ends of a tunnel that probe the path between them.
#pragma once

#include <array>
#include <cstring>

#include "ipv6.h"

namespace kagemusha {

// The data of such an ICMPv6 echo begins with it: "kagemush".
inline constexpr std::array<std::uint8_t, 8> kProbeMagic{'k', 'a', 'g', 'e', 'm', 'u', 's', 'h'};

inline constexpr std::uint8_t kEchoRequest = 128;  // RFC 4443 4.1
inline constexpr std::uint8_t kEchoReply = 129;    // RFC 4443 4.2

// Whether it is an echo message of `type`, without extension headers, that has the magic.
inline bool isProbe(const Ipv6View& packet, std::uint8_t type) {
  constexpr std::size_t kData = kIpv6Header + 8;
  return packet.nextHeader() == kIcmpv6 && packet.bytes.size() >= kData + kProbeMagic.size() &&
         packet.bytes[kIpv6Header] == type &&
         std::memcmp(packet.bytes.data() + kData, kProbeMagic.data(), kProbeMagic.size()) == 0;
}

}  // namespace kagemusha
