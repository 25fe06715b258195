#include "mss.h"

#include "bytes.h"
#include "checksum.h"

namespace kagemusha {
namespace {

// RFC 9293 3.2.
constexpr std::uint8_t kEndOfOptions = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kMaximumSegmentSize = 2;
constexpr std::size_t kMssOption = 4;

// Shows `visit` where each MSS option's value stands in `header`, a TCP header with its options. False: an
// option runs past the end or has a length that cannot be.
template <class Visit>
bool walkOptions(ConstBytes header, Visit&& visit) {
  for (std::size_t at = tcp::kHeader; at < header.size();) {
    if (header[at] == kEndOfOptions) return true;
    if (header[at] == kNoOperation) {
      ++at;
      continue;
    }
    if (at + 2 > header.size()) return false;
    const std::size_t length = header[at + 1];
    if (length < 2 || at + length > header.size()) return false;
    if (header[at] == kMaximumSegmentSize) {
      if (length != kMssOption) return false;
      visit(at + 2);
    }
    at += length;
  }
  return true;
}

// RFC 1624 3: HC' = ~(~HC + ~m + m'). A value that stands across two words of the sum counts with its octets
// turned.
void updateChecksum(Bytes header, std::size_t at, std::uint16_t before, std::uint16_t after) {
  const auto inPlace = [at](std::uint16_t value) { return at % 2 == 0 ? value : __builtin_bswap16(value); };
  const auto complement = [](std::uint16_t value) { return static_cast<std::uint16_t>(~value); };
  const std::uint64_t sum = std::uint64_t{complement(readBig16(header, tcp::kChecksum))} +
                            complement(inPlace(before)) + inPlace(after);
  writeBig16(header, tcp::kChecksum, complement(foldSum(sum)));
}

}  // namespace

bool clampMss(const Packet& packet, std::size_t most) {
  const auto view = viewIpv6(packet.bytes);
  const auto upper = view ? findUpperLayer(*view) : std::nullopt;
  if (!upper || upper->protocol != kTcp || upper->fragment ||
      view->bytes.size() - upper->offset < tcp::kHeader)
    return false;
  const std::size_t room = view->bytes.size() - upper->offset;
  const Bytes segment = packet.bytes.subspan(upper->offset, room);
  const std::size_t length = static_cast<std::size_t>(segment[tcp::kDataOffset] >> 4) * 4;
  if (!(segment[tcp::kFlags] & tcp::kSyn) || length < tcp::kHeader || length > room) return false;

  const Offload& offload = packet.offload;
  const bool missing = offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
  // A checksum that is missing elsewhere says that this is not what it looks like.
  if (missing && (offload.csum_start != upper->offset || offload.csum_offset != tcp::kChecksum)) return false;

  const Bytes header = segment.first(length);
  bool tooLarge = false;
  const auto look = [&](std::size_t at) { tooLarge = tooLarge || readBig16(header, at) > most; };
  if (!walkOptions(header, look) || !tooLarge) return false;
  walkOptions(header, [&](std::size_t at) {
    const std::uint16_t before = readBig16(header, at);
    if (before <= most) return;
    writeBig16(header, at, most);
    if (!missing) updateChecksum(header, at, before, static_cast<std::uint16_t>(most));
  });
  return true;
}

}  // namespace kagemusha
