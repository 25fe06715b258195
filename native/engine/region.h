// The one mapping that the engine shares with JavaScript: counters and both slow-path rings.
#pragma once

#include <cstdint>

#include "counters.h"
#include "mapping.h"
#include "slow_path_ring.h"

namespace kagemusha {

// Where things lie in the region: byte offsets from its start, all multiples of 64. It stands at the region's
// start too, so that a reader in another process finds its way.
struct RegionLayout {
  static constexpr std::uint32_t kMagic = 0x6b67656e;  // "kgen"
  static constexpr std::uint32_t kVersion = 1;

  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t maxPorts;
  std::uint32_t maxTunnels;
  std::uint32_t engineCounters;
  std::uint32_t portCounters;    // maxPorts blocks
  std::uint32_t portStride;      // bytes from one port's block to the next
  std::uint32_t tunnelCounters;  // maxTunnels blocks
  std::uint32_t tunnelStride;
  std::uint32_t receiveRing;   // engine → JavaScript
  std::uint32_t transmitRing;  // JavaScript → engine
  std::uint32_t size;

  RegionLayout(std::uint32_t maxPorts, std::uint32_t maxTunnels);
};

class Region {
 public:
  Region(std::uint32_t maxPorts, std::uint32_t maxTunnels);

  Bytes bytes() const { return mapping_.bytes(); }
  const RegionLayout& layout() const { return layout_; }
  EngineCounters engineCounters() const { return EngineCounters(values(layout_.engineCounters)); }
  // `port` < maxPorts, `slot` < maxTunnels.
  PortCounters portCounters(std::uint32_t port) const {
    return PortCounters(values(layout_.portCounters + port * layout_.portStride));
  }
  TunnelCounters tunnelCounters(std::uint32_t slot) const {
    return TunnelCounters(values(layout_.tunnelCounters + slot * layout_.tunnelStride));
  }
  // For a port number that is used again.
  void clearPortCounters(std::uint32_t port);
  SlowPathRing receiveRing() const {
    return SlowPathRing(bytes().subspan(layout_.receiveRing, SlowPathRing::kSize));
  }
  SlowPathRing transmitRing() const {
    return SlowPathRing(bytes().subspan(layout_.transmitRing, SlowPathRing::kSize));
  }

 private:
  std::uint64_t* values(std::size_t offset) const {
    return reinterpret_cast<std::uint64_t*>(bytes().data() + offset);
  }

  RegionLayout layout_;
  Mapping mapping_;
};

}  // namespace kagemusha
