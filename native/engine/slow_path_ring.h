// A ring of fixed slots in shared memory, one direction of the slow path between the engine and JavaScript.
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
};

inline constexpr std::uint32_t kNone = 0xffffffff;      // no port, no tunnel
inline constexpr std::uint32_t kToUplink = 0xfffffffe;  // transmit ring: the uplink instead of a port

// What stands before the bytes of a slot; 32-bit fields in host byte order. In the transmit ring only `port`
// and `length` count.
struct SlowPathRecord {
  SlowPathKind kind = SlowPathKind::control;
  std::uint32_t port = kNone;
  std::uint32_t tunnelSlot = kNone;
  std::uint32_t mtu = 0;
  std::uint32_t length = 0;          // bytes in the slot
  std::uint32_t originalLength = 0;  // of the packet; more than `length` when it was cut off
};

//   memory   ┌ head ┬ tail ┬ kicked ┬ slot 0: record, payload ┬ slot 1 ┬ … ┐
//            0      64     128      192                       +9344    …
//
// head, tail and kicked are 32 bits wide, each on a cache line of its own.
//
// head and tail only grow (modulo 2^32): tail - head slots are taken, position p lives in slot p mod kSlots.
// One producer moves tail after it has written, one consumer moves head when it is done with the slot; each
// side may live in another process.
class SlowPathRing {
 public:
  static constexpr std::size_t kSlots = 256;
  static constexpr std::size_t kPayload = 9280;  // a jumbo frame: probes of the path are as long as it
  static constexpr std::size_t kRecord =
      64;  // the record and, right before the payload, room for a vnet header
  static constexpr std::size_t kSlotSize = kRecord + kPayload;
  static constexpr std::size_t kTail = 64;
  static constexpr std::size_t kKicked = 128;
  static constexpr std::size_t kFirstSlot = 192;
  static constexpr std::size_t kSize = kFirstSlot + kSlots * kSlotSize;

  // `memory`: kSize zeroed bytes, 64-byte aligned, that outlive the ring.
  explicit SlowPathRing(Bytes memory) : memory_(memory.data()) {}

  // Copies as much of `bytes` as fits a slot, `most` octets at most; sets both lengths. False when every slot
  // is taken.
  bool push(SlowPathRecord record, ConstBytes bytes, std::size_t most = kPayload);

  struct Entry {
    SlowPathRecord record;  // a copy: the other side cannot change it any more
    Bytes bytes;            // in the slot, sizeof(Offload) writable bytes before it; valid until pop()
  };
  // The oldest entry, std::nullopt when empty. A length that does not fit the slot is cut to it.
  std::optional<Entry> front() const;
  void pop();

  // Positions, for the producer: entries from head up to tail are taken.
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
  std::uint8_t* slot(std::uint32_t position) const {
    return memory_ + kFirstSlot + position % kSlots * kSlotSize;
  }

  std::uint8_t* memory_;
};

}  // namespace kagemusha
