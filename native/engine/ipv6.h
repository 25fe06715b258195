// Bounds-checked views of IPv6 and its extension headers (RFC 8200). Nothing here allocates or throws.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>

#include "packet.h"

namespace kagemusha {

inline constexpr std::size_t kIpv6Header = 40;

enum Protocol : std::uint8_t {
  kHopByHop = 0,
  kTcp = 6,
  kUdp = 17,
  kIpv6 = 41,
  kRouting = 43,
  kFragment = 44,
  kEsp = 50,
  kIcmpv6 = 58,
  kNoNext = 59,
  kDestination = 60,
  kMobility = 135,
};

struct Address {
  std::array<std::uint8_t, 16> octets{};  // network byte order
  bool operator==(const Address&) const = default;
  bool isMulticast() const { return octets[0] == 0xff; }
  bool isLinkLocal() const { return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80; }  // fe80::/10
  bool isUnspecified() const { return *this == Address{}; }
};

// The fixed header of an IPv6 packet whose version, and whose length against the bytes at hand, were checked.
struct Ipv6View {
  ConstBytes bytes;  // header and payload, trailing padding of the frame cut off
  Address source() const { return at(8); }
  Address destination() const { return at(24); }
  std::uint8_t nextHeader() const { return bytes[6]; }
  std::uint8_t hopLimit() const { return bytes[7]; }

 private:
  Address at(std::size_t offset) const {
    Address address;
    std::memcpy(address.octets.data(), bytes.data() + offset, 16);
    return address;
  }
};

// std::nullopt when `bytes` is no whole IPv6 packet: version, payload length, at least 40 octets. A payload
// length of 0 with more than 40 octets at hand (a GSO train beyond 64 KiB) takes all of them.
std::optional<Ipv6View> viewIpv6(ConstBytes bytes);

// Where the upper layer starts behind hop-by-hop, destination, routing and fragment headers.
struct UpperLayer {
  std::uint8_t protocol;
  std::size_t offset;  // from the start of the IPv6 header
  bool fragment;       // a fragment header with offset or more-fragments set stood before
};

// Behind a fragment header with an offset nothing more is looked at. std::nullopt when a header runs past the
// end, or the chain has more than 8 extension headers.
std::optional<UpperLayer> findUpperLayer(const Ipv6View& packet);

}  // namespace kagemusha

template <>
struct std::hash<kagemusha::Address> {
  std::size_t operator()(const kagemusha::Address& address) const noexcept {
    std::uint64_t high, low;
    std::memcpy(&high, address.octets.data(), 8);
    std::memcpy(&low, address.octets.data() + 8, 8);
    return static_cast<std::size_t>((high ^ (low * 0x9e3779b97f4a7c15ULL)) * 0xff51afd7ed558ccdULL);
  }
};
