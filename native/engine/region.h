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
  static constexpr std::uint32_t kVersion = 4;

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

// The blocks of ports and tunnels that are in use take memory, and no others. One thread asks for them.
class Region {
 public:
  // Of the rings, in cells of SlowPathRing::kCell octets.
  static constexpr std::uint32_t kReceiveCells = 8192, kTransmitCells = 4096;

  Region(std::uint32_t maxPorts, std::uint32_t maxTunnels, std::uint32_t maxSignalers);

  Bytes bytes() const { return mapping_.bytes(); }
  const RegionLayout& layout() const { return layout_; }
  EngineCounters engineCounters() const { return EngineCounters(values(layout_.engineCounters)); }
  // `port` < maxPorts, `slot` < maxTunnels. Theirs is memory from the first call on: EngineError
  // OUT_OF_MEMORY.
  PortCounters portCounters(std::uint32_t port) const {
    return PortCounters(claimed(layout_.portCounters + port * layout_.portStride, layout_.portStride));
  }
  TunnelCounters tunnelCounters(std::uint32_t slot) const {
    return TunnelCounters(
        claimed(layout_.tunnelCounters + slot * layout_.tunnelStride, layout_.tunnelStride));
  }
  // The last sequence number that JavaScript knows of this signaler (`index` < maxSignalers), or kNoSequence.
  std::uint32_t expectedSequence(std::uint32_t index) const {
    return std::atomic_ref(*sequence(index)).load(std::memory_order_relaxed);
  }
  void expectSequence(std::uint32_t index, std::uint32_t base) {
    std::atomic_ref(*sequence(index)).store(base, std::memory_order_relaxed);
  }
  // For a number that is used again.
  void clearPortCounters(std::uint32_t port) {
    clear(layout_.portCounters + port * layout_.portStride, layout_.portStride);
  }
  void clearTunnelCounters(std::uint32_t slot) {
    clear(layout_.tunnelCounters + slot * layout_.tunnelStride, layout_.tunnelStride);
  }
  SlowPathRing receiveRing() const {
    return SlowPathRing(bytes().subspan(layout_.receiveRing), kReceiveCells);
  }
  SlowPathRing transmitRing() const {
    return SlowPathRing(bytes().subspan(layout_.transmitRing), kTransmitCells);
  }

 private:
  std::uint32_t* sequence(std::uint32_t index) const {
    return reinterpret_cast<std::uint32_t*>(bytes().data() + layout_.sequences) + index;
  }
  void clear(std::size_t offset, std::size_t length);
  std::uint64_t* claimed(std::size_t offset, std::size_t length) const {
    mapping_.require(offset, length);
    return values(offset);
  }
  std::uint64_t* values(std::size_t offset) const {
    return reinterpret_cast<std::uint64_t*>(bytes().data() + offset);
  }

  RegionLayout layout_;
  mutable Mapping mapping_;  // a claim changes nothing that anyone sees
};

}  // namespace kagemusha
