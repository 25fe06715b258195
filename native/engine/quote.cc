#include "quote.h"

#include "bytes.h"
#include "flow_label.h"

namespace kagemusha {

bool quotesTunnelPacket(ConstBytes quoted) {
  if (quoted.size() < 2 * kIpv6Header) return false;
  std::uint8_t next = quoted[6];
  std::size_t offset = kIpv6Header;
  for (int headers = 0; next != kIpv6; ++headers) {
    if (headers == 2 || (next != kDestination && next != kFragment)) return false;
    if (quoted.size() < offset + kFragmentHeader) return false;
    if (next == kFragment && (readBig16(quoted, offset + 2) & kFragmentOffset)) return false;
    const std::size_t length =
        next == kFragment ? kFragmentHeader : (quoted[offset + 1] + std::size_t{1}) * 8;
    next = quoted[offset];
    offset += length;
  }
  if (quoted.size() < offset + kIpv6Header) return false;
  return (readBig32(quoted, 0) & 0xfffff) == flowLabel(quoted.subspan(offset));
}

}  // namespace kagemusha
