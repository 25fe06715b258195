// Bounds-checked views of IPv6 and its extension headers (RFC 8200). Nothing here allocates or throws.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>

#include "bytes.h"
#include "hash.h"
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

inline constexpr int kMaxExtensionHeaders = 8;

// RFC 8200 4.5: next header, reserved, 13 bits of offset, 2 reserved bits, M, identification.
inline constexpr std::size_t kFragmentHeader = 8;
inline constexpr std::uint16_t kFragmentOffset = 0xfff8;
inline constexpr std::uint16_t kFragmentMore = 0x0001;

// Shows `visit(protocol, header)` each extension header, whole; it stops where that gives false. Behind a
// fragment header with an offset nothing more is looked at. std::nullopt when a header runs past the end, the
// chain has more than 8 extension headers, or the visitor stopped.
template <class Visit>
std::optional<UpperLayer> walkHeaders(const Ipv6View& packet, Visit&& visit) {
  const ConstBytes bytes = packet.bytes;
  UpperLayer upper{packet.nextHeader(), kIpv6Header, false};
  for (int seen = 0;; ++seen) {
    const bool fragment = upper.protocol == kFragment;
    const bool options =
        upper.protocol == kHopByHop || upper.protocol == kDestination || upper.protocol == kRouting;
    if (!fragment && !options) return upper;

    const std::size_t left = bytes.size() - upper.offset;
    if (seen == kMaxExtensionHeaders || left < 8) return std::nullopt;
    // RFC 8200 4.3, 4.4, 4.6: the length is in 8 octets, the first 8 not counted.
    const std::size_t length = fragment ? kFragmentHeader : (bytes[upper.offset + 1] + std::size_t{1}) * 8;
    if (length > left || !visit(upper.protocol, bytes.subspan(upper.offset, length))) return std::nullopt;

    const std::uint16_t position = fragment ? readBig16(bytes, upper.offset + 2) : std::uint16_t{0};
    upper.protocol = bytes[upper.offset];
    upper.offset += length;
    if (position & (kFragmentOffset | kFragmentMore)) upper.fragment = true;
    // Behind a later fragment's header lies the middle of the packet, not another header.
    if (position & kFragmentOffset) return upper;
  }
}

std::optional<UpperLayer> findUpperLayer(const Ipv6View& packet);

}  // namespace kagemusha

template <>
struct std::hash<kagemusha::Address> {
  std::size_t operator()(const kagemusha::Address& address) const noexcept {
    std::uint64_t high, low;
    std::memcpy(&high, address.octets.data(), 8);
    std::memcpy(&low, address.octets.data() + 8, 8);
    const auto& key = kagemusha::kHashKey;
    return static_cast<std::size_t>(kagemusha::mix(kagemusha::mix(high ^ key[0], low ^ key[1]), key[2] | 1));
  }
};
