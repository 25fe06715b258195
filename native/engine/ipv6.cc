#include "ipv6.h"

#include "bytes.h"

namespace kagemusha {
namespace {

constexpr int kMaxExtensionHeaders = 8;

// RFC 8200 4.5: next header, reserved, 13 bits of offset, 2 reserved bits, M, identification.
constexpr std::size_t kFragmentHeader = 8;
constexpr std::uint16_t kFragmentOffset = 0xfff8;
constexpr std::uint16_t kFragmentMore = 0x0001;

}  // namespace

std::optional<Ipv6View> viewIpv6(ConstBytes bytes) {
  if (bytes.size() < kIpv6Header || bytes[0] >> 4 != 6) return std::nullopt;
  const std::size_t payload = readBig16(bytes, 4);
  if (payload == 0) return Ipv6View{bytes};
  if (payload > bytes.size() - kIpv6Header) return std::nullopt;
  return Ipv6View{bytes.first(kIpv6Header + payload)};
}

std::optional<UpperLayer> findUpperLayer(const Ipv6View& packet) {
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
    if (length > left) return std::nullopt;

    const std::uint16_t position = fragment ? readBig16(bytes, upper.offset + 2) : std::uint16_t{0};
    upper.protocol = bytes[upper.offset];
    upper.offset += length;
    if (position & (kFragmentOffset | kFragmentMore)) upper.fragment = true;
    // Behind a later fragment's header lies the middle of the packet, not another header.
    if (position & kFragmentOffset) return upper;
  }
}

}  // namespace kagemusha
