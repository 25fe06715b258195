// Ethernet's addresses and header.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "packet.h"

namespace kagemusha {

inline constexpr std::size_t kEthernetHeader = 14;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;

struct Mac {
  std::array<std::uint8_t, 6> octets{};
  bool operator==(const Mac&) const = default;
  bool isGroup() const { return octets[0] & 1; }
  // As a number whose value 0 means "none": for atomics.
  std::uint64_t bits() const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, octets.data(), 6);
    return bits;
  }
  static Mac fromBits(std::uint64_t bits) {
    Mac mac;
    std::memcpy(mac.octets.data(), &bits, 6);
    return mac;
  }
};

// `frame`: at least kEthernetHeader bytes, as the two below.
inline Mac sourceMac(ConstBytes frame) {
  Mac mac;
  std::memcpy(mac.octets.data(), frame.data() + 6, 6);
  return mac;
}
inline std::uint16_t etherType(ConstBytes frame) {
  return static_cast<std::uint16_t>(frame[12] << 8 | frame[13]);
}

inline void writeEthernetHeader(Bytes into, const Mac& destination, const Mac& source) {
  std::memcpy(into.data(), destination.octets.data(), 6);
  std::memcpy(into.data() + 6, source.octets.data(), 6);
  into[12] = kEtherTypeIpv6 >> 8;
  into[13] = kEtherTypeIpv6 & 0xff;
}

}  // namespace kagemusha
