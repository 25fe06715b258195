// A ring of packets in shared memory, one direction of the slow path between the engine and JavaScript.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "packet.h"

namespace kagemusha {

enum class SlowPathKind : std::uint32_t {
  control,
  tooBig,
  inner,
  firstFrame,
  unbound,
  correspondent,  // an IPv6 header of the guest's
  homeAddress,    // headers with a Home Address option that no binding covers
  heard,          // an IPv6 header of a correspondent's, as the guest gets it: it came straight
  hopLimit,       // an inner packet whose hop limit ran out between two tunnels of ours
  // May not enter the tunnel, by the limit of 0 that it carries; `mtu`: where that stands.
  encapsulationLimit,
  firstDelivery,        // the headers of a frame that the guest got out of a tunnel
  filler = 0xffffffff,  // no packet
};

inline constexpr std::uint32_t kNone = 0xffffffff;      // no port, no tunnel
inline constexpr std::uint32_t kToUplink = 0xfffffffe;  // transmit ring: the uplink instead of a port

// What stands before the bytes of a packet; 32-bit fields in host byte order. In the transmit ring only
// `port` and `length` count.
struct SlowPathRecord {
  SlowPathKind kind = SlowPathKind::control;
  std::uint32_t port = kNone;
  std::uint32_t tunnelSlot = kNone;
  std::uint32_t mtu = 0;
  std::uint32_t length = 0;          // bytes in the ring
  std::uint32_t originalLength = 0;  // of the packet; more than `length` when it was cut off
};

//   memory   ┌ head ┬ tail ┬ kicked ┬ cell 0 ┬ cell 1 ┬ … ┐
//            0      64     128      192      256      320
//
//   an entry   ┌ one cell: record … vnet header ┬ packet, in as many cells as it takes ┐
//
// head, tail and kicked are 32 bits wide, each on a cache line of its own.
//
// head and tail only grow (modulo 2^32): tail - head cells are taken, position p lives in cell p mod kCells.
// An entry lies in one piece: where it would run past the end, an entry of kind `filler` takes the rest, of
// which nothing but the kind counts. One producer moves tail after it has written, one consumer moves head
// when it is done with the entry; each side may live in another process.
class SlowPathRing {
 public:
  static constexpr std::size_t kPayload = 9280;  // a jumbo frame: probes of the path are as long as it
  static constexpr std::size_t kCell = 64;
  // The record and, right before the payload, room for a vnet header.
  static constexpr std::size_t kRecord = kCell;
  static constexpr std::size_t kTail = 64;
  static constexpr std::size_t kKicked = 128;
  static constexpr std::size_t kFirstCell = 192;

  // That an entry takes whose packet has so many octets.
  static constexpr std::uint32_t cellsOf(std::size_t length) {
    return static_cast<std::uint32_t>((kRecord + length + kCell - 1) / kCell);
  }
  // Octets of a ring with so many cells.
  static constexpr std::size_t sizeOf(std::uint32_t cells) { return kFirstCell + cells * kCell; }

  // `memory`: sizeOf(cells) zeroed bytes, 64-byte aligned, that outlive the ring; `cells`: a power of two, at
  // least 2 * cellsOf(kPayload).
  SlowPathRing(Bytes memory, std::uint32_t cells) : memory_(memory.data()), cells_(cells) {}
  std::uint32_t cells() const { return cells_; }

  // Copies as much of `bytes` as fits an entry, `most` octets at most; sets both lengths. False when there is
  // no room for it.
  bool push(SlowPathRecord record, ConstBytes bytes, std::size_t most = kPayload);

  struct Entry {
    SlowPathRecord record;  // a copy: the other side cannot change it any more
    Bytes bytes;            // in the ring, sizeof(Offload) writable bytes before it; valid until pop()
  };
  // The oldest entry, std::nullopt when empty. A length that cannot be is cut.
  std::optional<Entry> front() const;
  void pop();

  // Positions, for the producer: cells from head up to tail are taken.
  std::uint32_t head() const { return word(0).load(std::memory_order_acquire); }
  std::uint32_t tail() const { return word(kTail).load(std::memory_order_relaxed); }

  // The producer asks for a wake-up once: true when nobody has asked since the consumer last called
  // answered().
  bool ask() { return word(kKicked).exchange(1) == 0; }
  // Exchanged, not stored: it reads what the producer wrote last, so that a look at the ring afterwards finds
  // all that was put there before an ask() that gave false (on every memory model; a store would let the look
  // overtake it).
  void answered() { word(kKicked).exchange(0); }

 private:
  std::atomic_ref<std::uint32_t> word(std::size_t offset) const {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory_ + offset));
  }
  std::uint8_t* cell(std::uint32_t position) const {
    return memory_ + kFirstCell + position % cells_ * kCell;
  }
  std::uint32_t toEnd(std::uint32_t position) const { return cells_ - position % cells_; }
  // Where the oldest entry begins, behind a filler that may stand before it.
  std::uint32_t first() const;
  SlowPathRecord recordAt(std::uint32_t position) const;

  std::uint8_t* memory_;
  std::uint32_t cells_;
};

}  // namespace kagemusha
