#include "region.h"

#include <atomic>
#include <cstring>

namespace kagemusha {
namespace {

constexpr std::uint32_t alignUp(std::size_t size) {
  return static_cast<std::uint32_t>((size + 63) / 64 * 64);
}

}  // namespace

RegionLayout::RegionLayout(std::uint32_t ports, std::uint32_t tunnels, std::uint32_t signalers)
    : maxPorts(ports), maxTunnels(tunnels), maxSignalers(signalers) {
  portStride = alignUp(PortCounters::kValues * sizeof(std::uint64_t));
  tunnelStride = alignUp(TunnelCounters::kValues * sizeof(std::uint64_t));
  engineCounters = alignUp(sizeof(RegionLayout));
  portCounters = engineCounters + alignUp(EngineCounters::kValues * sizeof(std::uint64_t));
  tunnelCounters = portCounters + maxPorts * portStride;
  sequences = tunnelCounters + maxTunnels * tunnelStride;
  receiveRing = sequences + alignUp(maxSignalers * sizeof(std::uint32_t));
  transmitRing = receiveRing + alignUp(SlowPathRing::kSize);
  size = transmitRing + alignUp(SlowPathRing::kSize);
}

Region::Region(std::uint32_t maxPorts, std::uint32_t maxTunnels, std::uint32_t maxSignalers)
    : layout_(maxPorts, maxTunnels, maxSignalers), mapping_(layout_.size, Mapping::Sharing::kShared) {
  std::memcpy(mapping_.bytes().data(), &layout_, sizeof layout_);
  for (std::uint32_t index = 0; index < maxSignalers; ++index) expectSequence(index, kNoSequence);
}

void Region::clearPortCounters(std::uint32_t port) {
  auto* first = values(layout_.portCounters + port * layout_.portStride);
  for (std::size_t index = 0; index < PortCounters::kValues; ++index)
    std::atomic_ref(first[index]).store(0, std::memory_order_relaxed);
}

}  // namespace kagemusha
