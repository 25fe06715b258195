#include "region.h"

#include <atomic>
#include <cstring>
#include <span>

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
  sequences = engineCounters + alignUp(EngineCounters::kValues * sizeof(std::uint64_t));
  receiveRing = sequences + alignUp(maxSignalers * sizeof(std::uint32_t));
  transmitRing = receiveRing + alignUp(SlowPathRing::sizeOf(Region::kReceiveCells));
  portCounters = transmitRing + alignUp(SlowPathRing::sizeOf(Region::kTransmitCells));
  tunnelCounters = portCounters + maxPorts * portStride;
  size = tunnelCounters + maxTunnels * tunnelStride;
}

Region::Region(std::uint32_t maxPorts, std::uint32_t maxTunnels, std::uint32_t maxSignalers)
    : layout_(maxPorts, maxTunnels, maxSignalers),
      mapping_(layout_.size, Mapping::Sharing::kShared, Mapping::Extent::kClaimed) {
  mapping_.require(0, layout_.portCounters);
  std::memcpy(mapping_.bytes().data(), &layout_, sizeof layout_);
  for (std::uint32_t index = 0; index < maxSignalers; ++index) expectSequence(index, kNoSequence);
}

void Region::clear(std::size_t offset, std::size_t length) {
  for (std::uint64_t& value : std::span(claimed(offset, length), length / sizeof(std::uint64_t)))
    std::atomic_ref(value).store(0, std::memory_order_relaxed);
}

}  // namespace kagemusha
