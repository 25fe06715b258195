// The one mapping that the engine shares with JavaScript: counters and both slow-path rings.
#pragma once

#include <atomic>
#include <cstdint>

#include "counters.h"
#include "mapping.h"
#include "slow_path_ring.h"

namespace kagemusha {

// Where things lie in the region: byte offsets from its start, all multiples of 64. It stands at the region's
// start too, so that a reader in another process finds its way.
struct RegionLayout {
  static constexpr std::uint32_t kMagic = 0x6b67656e;  // "kgen"
  static constexpr std::uint32_t kVersion = 3;

  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t maxPorts;
  std::uint32_t maxTunnels;
  std::uint32_t maxSignalers;
  std::uint32_t engineCounters;
  std::uint32_t portCounters;    // maxPorts blocks
  std::uint32_t portStride;      // bytes from one port's block to the next
  std::uint32_t tunnelCounters;  // maxTunnels blocks
  std::uint32_t tunnelStride;
  std::uint32_t sequences;     // maxSignalers words, JavaScript → engine
  std::uint32_t receiveRing;   // engine → JavaScript
  std::uint32_t transmitRing;  // JavaScript → engine
  std::uint32_t size;

  RegionLayout(std::uint32_t maxPorts, std::uint32_t maxTunnels, std::uint32_t maxSignalers);
};

// In a signaler's sequence word: nothing is known of the next number. ESP numbers end there, a Mobility
// Header's have 16 bits.
inline constexpr std::uint32_t kNoSequence = 0xffffffff;

class Region {
 public:
  Region(std::uint32_t maxPorts, std::uint32_t maxTunnels, std::uint32_t maxSignalers);

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
  // The last sequence number that JavaScript knows of this signaler (`index` < maxSignalers), or kNoSequence.
  std::uint32_t expectedSequence(std::uint32_t index) const {
    return std::atomic_ref(*sequence(index)).load(std::memory_order_relaxed);
  }
  void expectSequence(std::uint32_t index, std::uint32_t base) {
    std::atomic_ref(*sequence(index)).store(base, std::memory_order_relaxed);
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
  std::uint32_t* sequence(std::uint32_t index) const {
    return reinterpret_cast<std::uint32_t*>(bytes().data() + layout_.sequences) + index;
  }
  std::uint64_t* values(std::size_t offset) const {
    return reinterpret_cast<std::uint64_t*>(bytes().data() + offset);
  }

  RegionLayout layout_;
  Mapping mapping_;
};

}  // namespace kagemusha
