#include "encapsulate.h"

#include <algorithm>
#include <cstring>

#include "bytes.h"

namespace kagemusha {
namespace {

constexpr std::uint8_t kTunnelHopLimit = 64;

// RFC 8200 4.2, RFC 2473 4.1.1.
constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;
constexpr std::uint8_t kTunnelEncapsulationLimit = 4;

// RFC 3168 5: the low two bits of the traffic class.
constexpr std::uint8_t kNotEct = 0;
constexpr std::uint8_t kEct1 = 1;
constexpr std::uint8_t kEct0 = 2;
constexpr std::uint8_t kCongestionExperienced = 3;

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

// Whether a checksum still to be computed lies in what remains behind the first `count` octets.
bool checksumBehind(const Offload& offload, std::size_t count) {
  return !(offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || offload.csum_start >= count;
}

}  // namespace

void writeOuterHeader(Bytes into, const Address& local, const Address& remote, ConstBytes inner,
                      std::size_t innerLength) {
  into[0] = static_cast<std::uint8_t>(0x60 | (inner[0] & 0x0f));
  into[1] = inner[1] & 0xf0;
  into[2] = 0;
  into[3] = 0;
  writeBig16(into, 4, innerLength > 0xffff ? 0 : innerLength);
  into[6] = kIpv6;
  into[7] = kTunnelHopLimit;
  std::memcpy(into.data() + 8, local.octets.data(), 16);
  std::memcpy(into.data() + 24, remote.octets.data(), 16);
}

void encapsulate(Packet& packet, const Address& local, const Address& remote) {
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    packet.offload.csum_start = static_cast<std::uint16_t>(packet.offload.csum_start + kIpv6Header);
  if (packet.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
    packet.offload.hdr_len =
        static_cast<std::uint16_t>(std::min<std::size_t>(packet.offload.hdr_len + kIpv6Header, 0xffff));
  const Bytes outer{packet.bytes.data() - kIpv6Header, packet.bytes.size() + kIpv6Header};
  writeOuterHeader(outer, local, remote, packet.bytes, packet.bytes.size());
  packet.bytes = outer;
}

bool decapsulate(Packet& packet) {
  const auto outer = viewIpv6(packet.bytes);
  if (!outer) return false;
  const std::size_t length = outerLength(*outer);
  if (length == 0) return false;
  const auto inner = viewIpv6(outer->bytes.subspan(length));
  if (!inner || !checksumBehind(packet.offload, length + kIpv6Header)) return false;

  // RFC 6040 4.2, figure 4: what routers told the outer header reaches the inner one; where its transport
  // could not understand, the packet is lost instead.
  const std::uint8_t told = congestion(outer->bytes);
  const std::uint8_t known = congestion(inner->bytes);
  if (told == kCongestionExperienced && known == kNotEct) return false;
  const bool raise =
      (told == kCongestionExperienced && known != kNotEct) || (told == kEct1 && known == kEct0);

  const std::size_t innerSize = inner->bytes.size();
  trimFront(packet, length);
  packet.bytes = packet.bytes.first(innerSize);
  packet.offload.hdr_len =
      static_cast<std::uint16_t>(std::min<std::size_t>(packet.offload.hdr_len, innerSize));
  if (raise) packet.bytes[1] = static_cast<std::uint8_t>((packet.bytes[1] & 0xcf) | (told << 4));
  return true;
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
