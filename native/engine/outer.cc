#include "outer.h"

#include <algorithm>

#include "flow_label.h"

namespace kagemusha {
namespace {

constexpr std::size_t kMinimumMtu = 1280;  // RFC 8200 5

}  // namespace

std::size_t outerOverhead(const TunnelSpec& spec) {
  return kIpv6Header + (spec.encapsulationLimit ? kLimitHeader : 0);
}

Outer outerFor(const TunnelSpec& spec, const Ipv6View& inner,
               const std::optional<EncapsulationLimit>& limit) {
  Outer outer{.local = spec.local,
              .remote = spec.remote,
              .trafficClass = outerTrafficClass(inner.bytes, spec.dscp),
              .flowLabel = flowLabel(inner.bytes),
              .hopLimit = spec.hopLimit,
              .limit = spec.encapsulationLimit};
  if (limit) outer.limit = static_cast<std::uint8_t>(limit->value - 1);
  return outer;
}

std::size_t innerMtu(const TunnelSpec& spec, const Outer& outer) {
  const std::size_t more = outer.length() - std::min(outer.length(), outerOverhead(spec));
  return more == 0 ? spec.mtu : std::max(spec.mtu - more, kMinimumMtu);
}

}  // namespace kagemusha
