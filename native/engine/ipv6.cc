#include "ipv6.h"

#include "bytes.h"

namespace kagemusha {
std::optional<Ipv6View> viewIpv6(ConstBytes bytes) {
  if (bytes.size() < kIpv6Header || bytes[0] >> 4 != 6) return std::nullopt;
  const std::size_t payload = readBig16(bytes, 4);
  if (payload == 0) return Ipv6View{bytes};
  if (payload > bytes.size() - kIpv6Header) return std::nullopt;
  return Ipv6View{bytes.first(kIpv6Header + payload)};
}

std::optional<UpperLayer> findUpperLayer(const Ipv6View& packet) {
  return walkHeaders(packet, [](std::uint8_t, ConstBytes) { return true; });
}

}  // namespace kagemusha
