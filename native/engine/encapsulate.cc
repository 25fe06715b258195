#include "encapsulate.h"

#include <algorithm>
#include <cstring>

#include "bytes.h"

namespace kagemusha {
namespace {

// RFC 8200 4.2, RFC 2473 4.1.1.
constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;
constexpr std::uint8_t kTunnelEncapsulationLimit = 4;
constexpr std::uint8_t kAuthentication = 51;  // RFC 4302

// RFC 3168 5: the low two bits of the traffic class.
constexpr std::uint8_t kNotEct = 0;
constexpr std::uint8_t kEct1 = 1;
constexpr std::uint8_t kEct0 = 2;
constexpr std::uint8_t kCe = 3;

// RFC 6040 4.2, figure 4: the mark that goes on, and whether the combination is in use.
struct Fate {
  std::uint8_t mark;
  Congestion congestion;
};

constexpr Fate usual(std::uint8_t mark) { return {mark, Congestion::kUsual}; }
constexpr Fate alarm(std::uint8_t mark) { return {mark, Congestion::kAlarm}; }
constexpr Fate kLost{kNotEct, Congestion::kDrop};

// A row for each inner mark, a column for each outer one, in the order of their values: Not-ECT, ECT(1),
// ECT(0), CE.
constexpr Fate kFates[4][4] = {{usual(kNotEct), alarm(kNotEct), alarm(kNotEct), kLost},
                               {usual(kEct1), usual(kEct1), alarm(kEct1), usual(kCe)},
                               {usual(kEct0), usual(kEct1), usual(kEct0), usual(kCe)},
                               {usual(kCe), alarm(kCe), usual(kCe), usual(kCe)}};

std::uint8_t congestion(ConstBytes header) { return (header[1] >> 4) & 3; }

// The octets before the inner packet, or 0 when what stands there is not a tunnel's.
std::size_t outerLength(const Ipv6View& outer) {
  if (outer.nextHeader() == kIpv6) return kIpv6Header;
  if (outer.nextHeader() != kDestination) return 0;
  const ConstBytes rest = outer.bytes.subspan(kIpv6Header);
  if (rest.size() < 8 || rest[0] != kIpv6) return 0;
  const std::size_t length = (rest[1] + std::size_t{1}) * 8;
  if (length > rest.size()) return 0;
  for (std::size_t at = 2; at < length;) {
    if (rest[at] == kPad1) {
      ++at;
      continue;
    }
    if (at + 2 > length) return 0;
    const std::size_t data = rest[at + 1];
    const bool known = rest[at] == kPadN || (rest[at] == kTunnelEncapsulationLimit && data == 1);
    if (!known || at + 2 + data > length) return 0;
    at += 2 + data;
  }
  return kIpv6Header + length;
}

// The option's value among the options from `at` to the end of `bytes`.
std::optional<EncapsulationLimit> limitAmong(ConstBytes bytes, std::size_t at) {
  while (at < bytes.size()) {
    if (bytes[at] == kPad1) {
      ++at;
      continue;
    }
    if (at + 2 > bytes.size()) return std::nullopt;
    const std::size_t data = bytes[at + 1];
    if (at + 2 + data > bytes.size()) return std::nullopt;
    if (bytes[at] == kTunnelEncapsulationLimit && data == 1) return EncapsulationLimit{bytes[at + 2], at + 2};
    at += 2 + data;
  }
  return std::nullopt;
}

// Whether a checksum still to be computed lies in what remains behind the first `count` octets.
bool checksumBehind(const Offload& offload, std::size_t count) {
  return !(offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || offload.csum_start >= count;
}

}  // namespace

std::uint8_t outerTrafficClass(ConstBytes inner, std::optional<std::uint8_t> dscp) {
  const auto own = static_cast<std::uint8_t>((inner[0] << 4) | (inner[1] >> 4));
  return dscp ? static_cast<std::uint8_t>((*dscp << 2) | (own & 3)) : own;
}

void writeOuterHeader(Bytes into, const Outer& outer, std::size_t innerLength) {
  const std::size_t payload = outer.length() - kIpv6Header + innerLength;
  writeBig32(into, 0, 0x60000000u | (std::uint32_t{outer.trafficClass} << 20) | outer.flowLabel);
  writeBig16(into, 4, payload > 0xffff ? 0 : payload);
  into[6] = outer.limit ? kDestination : kIpv6;
  into[7] = outer.hopLimit;
  std::memcpy(into.data() + 8, outer.local.octets.data(), 16);
  std::memcpy(into.data() + 24, outer.remote.octets.data(), 16);
  if (!outer.limit) return;
  const std::uint8_t options[kLimitHeader] = {kIpv6, 0, kTunnelEncapsulationLimit, 1, *outer.limit, kPadN,
                                              1,     0};
  std::memcpy(into.data() + kIpv6Header, options, sizeof options);
}

void encapsulate(Packet& packet, const Outer& outer) {
  const std::size_t length = outer.length();
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    packet.offload.csum_start = static_cast<std::uint16_t>(packet.offload.csum_start + length);
  if (packet.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
    packet.offload.hdr_len =
        static_cast<std::uint16_t>(std::min<std::size_t>(packet.offload.hdr_len + length, 0xffff));
  const Bytes whole{packet.bytes.data() - length, packet.bytes.size() + length};
  writeOuterHeader(whole, outer, packet.bytes.size());
  packet.bytes = whole;
}

std::optional<EncapsulationLimit> findEncapsulationLimit(const Ipv6View& packet) {
  const ConstBytes bytes = packet.bytes;
  std::uint8_t protocol = packet.nextHeader();
  std::size_t offset = kIpv6Header;
  for (int seen = 0; seen < kMaxExtensionHeaders; ++seen) {
    const bool options = protocol == kHopByHop || protocol == kDestination || protocol == kRouting;
    if (!options && protocol != kFragment && protocol != kAuthentication) return std::nullopt;
    const std::size_t left = bytes.size() - offset;
    if (left < 8) return std::nullopt;
    const std::size_t said = bytes[offset + 1];
    // RFC 4302 2.2: in 4 octets, the first 8 not counted.
    const std::size_t length = protocol == kFragment         ? kFragmentHeader
                               : protocol == kAuthentication ? (said + 2) * 4
                                                             : (said + 1) * 8;
    if (length > left) return std::nullopt;
    if (protocol == kFragment && (readBig16(bytes, offset + 2) & kFragmentOffset)) return std::nullopt;
    if (protocol == kDestination)
      if (const auto found = limitAmong(bytes.first(offset + length), offset + 2)) return found;
    protocol = bytes[offset];
    offset += length;
  }
  return std::nullopt;
}

std::optional<Congestion> decapsulate(Packet& packet) {
  const auto outer = viewIpv6(packet.bytes);
  if (!outer) return std::nullopt;
  const std::size_t length = outerLength(*outer);
  if (length == 0) return std::nullopt;
  const auto inner = viewIpv6(outer->bytes.subspan(length));
  if (!inner || !checksumBehind(packet.offload, length + kIpv6Header)) return std::nullopt;

  const Fate fate = kFates[congestion(inner->bytes)][congestion(outer->bytes)];
  const std::size_t innerSize = inner->bytes.size();
  trimFront(packet, length);
  packet.bytes = packet.bytes.first(innerSize);
  packet.offload.hdr_len =
      static_cast<std::uint16_t>(std::min<std::size_t>(packet.offload.hdr_len, innerSize));
  packet.bytes[1] = static_cast<std::uint8_t>((packet.bytes[1] & 0xcf) | (fate.mark << 4));
  return fate.congestion;
}

bool isType2Routing(ConstBytes header) {
  return header.size() >= kType2RoutingHeader && header[1] == 2 && header[2] == 2 && header[3] == 1;
}

std::optional<Type2Routing> viewType2Routing(const Ipv6View& packet) {
  if (packet.nextHeader() != kRouting) return std::nullopt;
  const ConstBytes header = packet.bytes.subspan(kIpv6Header);
  if (!isType2Routing(header)) return std::nullopt;
  Type2Routing routing{{}, header[0]};
  std::memcpy(routing.homeAddress.octets.data(), header.data() + 8, 16);
  return routing;
}

bool stripType2Routing(Packet& packet) {
  const auto view = viewIpv6(packet.bytes);
  if (!view) return false;
  const auto routing = viewType2Routing(*view);
  if (!routing || !checksumBehind(packet.offload, kIpv6Header + kType2RoutingHeader)) return false;

  packet.bytes = packet.bytes.first(view->bytes.size());
  const std::size_t payload = readBig16(packet.bytes, 4);
  trimFront(packet, kType2RoutingHeader);
  std::memmove(packet.bytes.data(), packet.bytes.data() - kType2RoutingHeader, kIpv6Header);
  if (payload != 0) writeBig16(packet.bytes, 4, payload - kType2RoutingHeader);
  packet.bytes[6] = routing->nextHeader;
  std::memcpy(packet.bytes.data() + 24, routing->homeAddress.octets.data(), 16);
  return true;
}

}  // namespace kagemusha
