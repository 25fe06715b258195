#include "route.h"

#include <cstring>

#include "bytes.h"
#include "checksum.h"
#include "tcp.h"

namespace kagemusha {
namespace {

constexpr std::uint8_t kAuthentication = 51;  // RFC 4302
constexpr std::size_t kUdpChecksum = 6;       // RFC 768

// RFC 8200 4.2, RFC 6275 6.3.
constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;
constexpr std::uint8_t kHomeAddress = 0xc9;

void put(std::uint8_t* into, const Address& address) { std::memcpy(into, address.octets.data(), 16); }

// Next header, length 2, type 2, segments left 1, 4 reserved octets, the home address.
void writeRouting(std::uint8_t* into, std::uint8_t nextHeader, const Address& homeAddress) {
  const std::uint8_t fixed[8] = {nextHeader, 2, 2, 1, 0, 0, 0, 0};
  std::memcpy(into, fixed, sizeof fixed);
  put(into + 8, homeAddress);
}

// Next header, length 2, four octets of padding, the option.
void writeHomeAddress(std::uint8_t* into, std::uint8_t nextHeader, const Address& homeAddress) {
  const std::uint8_t fixed[8] = {nextHeader, 2, kPadN, 2, 0, 0, kHomeAddress, 16};
  std::memcpy(into, fixed, sizeof fixed);
  put(into + 8, homeAddress);
}

}  // namespace

bool canGoStraight(const Ipv6View& packet) {
  switch (packet.nextHeader()) {
    case kHopByHop:
    case kRouting:
    case kDestination:
    case kAuthentication:
    case kNoNext:
    case kMobility:
      return false;
    default:
      return true;
  }
}

void goStraight(Packet& packet, const Address& local, const RouteSpec& route) {
  const std::size_t count = straightOverhead(route);
  const std::size_t payload = readBig16(packet.bytes, 4);
  std::uint8_t* const start = packet.bytes.data() - count;
  std::memmove(start, packet.bytes.data(), kIpv6Header);
  packet.bytes = Bytes(start, packet.bytes.size() + count);
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    packet.offload.csum_start = static_cast<std::uint16_t>(packet.offload.csum_start + count);

  const std::uint8_t nextHeader = start[6];
  std::uint8_t* behind = start + kIpv6Header;
  start[6] = kDestination;
  if (route.isMobile()) {
    start[6] = kRouting;
    writeRouting(behind, kDestination, route.correspondent);
    behind += kType2RoutingHeader;
    put(start + 24, route.careOf);
  }
  writeHomeAddress(behind, nextHeader, route.homeAddress);
  put(start + 8, local);
  writeBig16(packet.bytes, 4, payload + count);
}

std::optional<HomeAddressHeader> viewHomeAddress(const Ipv6View& packet) {
  if (packet.nextHeader() != kDestination) return std::nullopt;
  const ConstBytes header = packet.bytes.subspan(kIpv6Header);
  if (header.size() < 8) return std::nullopt;
  const std::size_t length = (header[1] + std::size_t{1}) * 8;
  if (length > header.size()) return std::nullopt;

  std::optional<HomeAddressHeader> found;
  for (std::size_t at = 2; at < length;) {
    if (header[at] == kPad1) {
      ++at;
      continue;
    }
    if (at + 2 > length) return std::nullopt;
    const std::size_t data = header[at + 1];
    if (at + 2 + data > length) return std::nullopt;
    if (header[at] == kHomeAddress && data == 16 && !found) {
      found = HomeAddressHeader{{}, length, header[0]};
      std::memcpy(found->homeAddress.octets.data(), header.data() + at + 2, 16);
    } else if (header[at] != kPadN) {
      return std::nullopt;
    }
    at += 2 + data;
  }
  return found;
}

bool stripHomeAddress(Packet& packet) {
  const auto view = viewIpv6(packet.bytes);
  const auto header = view ? viewHomeAddress(*view) : std::nullopt;
  if (!header) return false;
  if ((packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
      packet.offload.csum_start < kIpv6Header + header->length)
    return false;

  packet.bytes = packet.bytes.first(view->bytes.size());
  const std::size_t payload = readBig16(packet.bytes, 4);
  trimFront(packet, header->length);
  std::memmove(packet.bytes.data(), packet.bytes.data() - header->length, kIpv6Header);
  if (payload != 0) writeBig16(packet.bytes, 4, payload - header->length);
  packet.bytes[6] = header->nextHeader;
  put(packet.bytes.data() + 8, header->homeAddress);
  return true;
}

void refreshPseudoSum(const Packet& packet) {
  if (!(packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) return;
  const auto view = viewIpv6(packet.bytes);
  const auto upper = view ? findUpperLayer(*view) : std::nullopt;
  if (!upper || upper->fragment || packet.offload.csum_start != upper->offset) return;
  const std::size_t field = upper->protocol == kTcp ? tcp::kChecksum : kUdpChecksum;
  if ((upper->protocol != kTcp && upper->protocol != kUdp) || packet.offload.csum_offset != field ||
      upper->offset + field + 2 > view->bytes.size())
    return;
  const auto length = static_cast<std::uint32_t>(view->bytes.size() - upper->offset);
  writeBig16(packet.bytes, upper->offset + field,
             pseudoHeaderSum(view->source(), view->destination(), length, upper->protocol));
}

bool RecentlyTold::due(const Address& one, const Address& other, Instant now) {
  const std::hash<Address> hash;
  const std::uint64_t pair = mix(hash(one), hash(other) ^ kHashKey[2]);
  Place& place = places_[pair % kPlaces];
  if (place.at != 0 && now < place.at + (place.pair == pair ? again_ : kOther)) return false;
  place = {pair, now == 0 ? 1 : now};
  return true;
}

}  // namespace kagemusha
