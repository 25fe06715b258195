// Merges consecutive TCP segments of one flow into one train (GRO) by gathering iovecs: no payload byte is
// copied.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include "ipv6.h"
#include "packet.h"

namespace kagemusha {

// What leaves the coalescer: `iov[0]` starts with the IPv6 header (of the first packet, rewritten in place:
// payload length, PSH of the last joined, checksum field = pseudo-header sum when merged), the rest are
// payloads. The first packet keeps its headroom.
struct Train {
  Packet head;                  // the first packet's bytes; head.bytes.size() is its own length only
  std::span<const iovec> tail;  // payloads of the packets merged behind it
  std::size_t length;           // whole IPv6 packet
  std::size_t segments;
  Offload offload;  // GSO_TCPV6 + NEEDS_CSUM when merged; the packet's own otherwise
};

// Holds the packets of one batch for many destinations. Bounded: `maxPackets` given at construction, no
// allocation afterwards. A packet may join a train when (as Linux' tcp_gro_receive): same destination key,
// same IPv6 header but payload length (flow label, traffic class, hop limit alike), no extension headers, TCP
// with the same ports, ack number, window, options and flags (ACK only; PSH may end a train), in sequence,
// payload of every merged segment equal to the first's (a shorter one ends the train), total at most 65535
// octets of IPv6 payload, checksum vouched for (NEEDS_CSUM, or DATA_VALID) or verified here. A packet whose
// checksum is wrong passes through alone, untouched. Order within a flow never changes: a packet that cannot
// join (e.g. FIN, SYN, RST, URG, other ack) first closes its flow's train. Packets that are already GSO
// trains pass through (after closing their flow's train).
class Coalescer {
 public:
  explicit Coalescer(std::size_t maxPackets);
  ~Coalescer();
  // `key` names where the packet goes (a port); trains of different keys never mix. The packet's bytes must
  // stay in place until flush(). False when full: flush first.
  bool add(std::uint32_t key, const Packet& packet);
  // Emits everything in order of each flow's first packet: emit(key, const Train&). Empty afterwards.
  template <class Emit>
  void flush(Emit&& emit);

 private:
  enum class Trust : std::uint8_t { kUnknown, kGood, kBad };

  // A train being built, or a packet that stays alone.
  struct Held {
    std::uint32_t key;
    Packet head;
    std::size_t length;
    std::size_t segments;
    std::size_t headers;      // IPv6 and TCP with its options
    std::size_t segmentSize;  // the first packet's payload
    std::uint32_t nextSequence;
    std::uint32_t firstLink, lastLink;
    Trust trust;
    bool open;  // may grow
    bool push;  // the last joined packet had PSH
  };

  // The payload of a packet that joined a train, and the next one of the same train.
  struct Link {
    iovec payload;
    std::uint32_t next;
  };

  struct Candidate;

  std::uint32_t& slotOf(std::uint32_t key, ConstBytes packet);
  Held& hold(std::uint32_t key, const Packet& packet);
  void closeBetween(std::uint32_t key, ConstBytes packet);
  bool join(Held& train, const Candidate& candidate, Trust& trust);
  Train finish(const Held& held);
  void clear();

  std::size_t packets_ = 0;
  std::vector<Held> held_;  // in order of arrival
  std::vector<Link> links_;
  std::vector<std::uint32_t> slots_;  // open addressing by flow: index into held_ of the flow's latest train
  std::vector<iovec> gathered_;       // the tail of the train being emitted
};

template <class Emit>
void Coalescer::flush(Emit&& emit) {
  for (const Held& held : held_) {
    const Train train = finish(held);
    emit(held.key, train);
  }
  clear();
}

}  // namespace kagemusha
