#include "flow_label.h"

#include "hash.h"

namespace kagemusha {
namespace {

constexpr std::size_t kPorts = 4;

std::uint64_t load(ConstBytes bytes, std::size_t offset) {
  std::uint64_t word;
  std::memcpy(&word, bytes.data() + offset, sizeof word);
  return word;
}

// Protocol and ports, or the flow label; the two never give the same number.
std::uint64_t flowOf(ConstBytes inner) {
  const auto upper = findUpperLayer(Ipv6View{inner});
  const bool ports = upper && !upper->fragment && (upper->protocol == kTcp || upper->protocol == kUdp) &&
                     inner.size() - upper->offset >= kPorts;
  if (ports) return (std::uint64_t{upper->protocol} << 32) | readBig32(inner, upper->offset);
  return (std::uint64_t{1} << 63) | (readBig32(inner, 0) & 0xfffff);
}

}  // namespace

const FlowKey kFlowKey = randomWords<8>();

std::uint32_t flowLabel(ConstBytes inner, const FlowKey& key) {
  std::uint64_t sum = key[0];
  if (inner.size() >= kIpv6Header) {
    const std::uint64_t source = mix(load(inner, 8) ^ key[1], load(inner, 16) ^ key[2]);
    const std::uint64_t destination = mix(load(inner, 24) ^ key[3], load(inner, 32) ^ key[4]);
    sum = mix(source ^ key[5], destination ^ key[6]) + flowOf(inner);
  }
  const auto label = static_cast<std::uint32_t>(mix(sum ^ key[7], key[0] | 1) >> 44);
  return label == 0 ? 1 : label;
}

}  // namespace kagemusha
