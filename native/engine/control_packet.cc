#include "control_packet.h"

#include "bytes.h"
#include "encapsulate.h"
#include "quote.h"

namespace kagemusha {
namespace {

constexpr std::uint8_t kPad1 = 0;                  // RFC 8200 4.2
constexpr std::uint8_t kHomeAddressOption = 0xc9;  // RFC 6275 6.3
constexpr std::size_t kAddress = 16;

constexpr std::size_t kEspHeader = 8;  // SPI, sequence number (RFC 4303 2)

// RFC 6275 6.1.1, 6.1.7, 6.1.8.
constexpr std::size_t kMobilityType = 2;
constexpr std::size_t kMobilityHeader = 8;
constexpr std::size_t kUpdateSequence = 6;
constexpr std::size_t kAcknowledgementSequence = 8;
constexpr std::size_t kSmallestMessage = 12;

constexpr std::uint8_t kFirstInformational = 128;  // RFC 4443 2.1
constexpr std::size_t kErrorHeader = 8;            // RFC 4443 3.1 to 3.4, before what is quoted

// False: an option runs past the header's end. `header` is a whole destination options header.
bool readOptions(ConstBytes header, ControlPacket& control) {
  for (std::size_t at = 2; at < header.size();) {
    if (header[at] == kPad1) {
      ++at;
      continue;
    }
    if (at + 2 > header.size()) return false;
    const std::size_t length = header[at + 1];
    if (at + 2 + length > header.size()) return false;
    if (header[at] == kHomeAddressOption && length == kAddress && !control.homeAddressOption)
      std::memcpy(control.homeAddressOption.emplace().octets.data(), header.data() + at + 2, kAddress);
    at += 2 + length;
  }
  return true;
}

void readRouting(ConstBytes header, ControlPacket& control) {
  if (!isType2Routing(header) || control.routed)
    control.foreignRouting = true;
  else
    std::memcpy(control.routed.emplace().octets.data(), header.data() + 8, kAddress);
}

void readMobility(ConstBytes message, ControlPacket& control) {
  control.kind = ControlPacket::Kind::kMobility;
  if (message.size() < kMobilityHeader) return;
  control.mobilityType = message[kMobilityType];
  if (message.size() < kSmallestMessage) return;
  if (control.mobilityType == kBindingUpdate) control.sequence = readBig16(message, kUpdateSequence);
  if (control.mobilityType == kBindingAcknowledgement)
    control.sequence = readBig16(message, kAcknowledgementSequence);
}

void readEsp(ConstBytes esp, ControlPacket& control) {
  control.kind = ControlPacket::Kind::kEsp;
  if (esp.size() < kEspHeader) return;
  control.spi = readBig32(esp, 0);
  control.sequence = readBig32(esp, 4);
}

void readUpper(std::uint8_t protocol, ConstBytes payload, ControlPacket& control) {
  if (protocol == kMobility) return readMobility(payload, control);
  if (protocol == kEsp) return readEsp(payload, control);
  if (protocol != kIcmpv6 || payload.empty()) return;
  if (payload[0] >= kFirstInformational)
    control.kind = ControlPacket::Kind::kIcmpv6;
  else if (payload.size() > kErrorHeader && quotesTunnelPacket(payload.subspan(kErrorHeader)))
    control.kind = ControlPacket::Kind::kTunnelError;
  else
    control.kind = ControlPacket::Kind::kIcmpv6Error;
}

}  // namespace

std::optional<ControlPacket> viewControl(const Ipv6View& packet) {
  ControlPacket control;
  const auto upper = walkHeaders(packet, [&](std::uint8_t protocol, ConstBytes header) {
    if (protocol == kRouting) readRouting(header, control);
    return protocol != kDestination || readOptions(header, control);
  });
  if (!upper) return std::nullopt;
  control.fragment = upper->fragment;
  if (!upper->fragment) readUpper(upper->protocol, packet.bytes.subspan(upper->offset), control);
  return control;
}

}  // namespace kagemusha
