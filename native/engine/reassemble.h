// Puts fragmented packets for our own addresses together (RFC 8200 4.5), in bounded memory.
#pragma once

#include <array>
#include <optional>

#include "counters.h"
#include "ipv6.h"
#include "mapping.h"
#include "token_bucket.h"

namespace kagemusha {

// A packet with a fragment header, that stands directly behind the IPv6 header or behind one extension
// header.
struct Fragment {
  ConstBytes packet;     // from its IPv6 header on
  std::size_t position;  // of the fragment header in it
  std::uint8_t nextHeader;
  std::uint32_t identification;
  std::size_t offset;  // octets
  bool more;
  ConstBytes payload;  // behind the fragment header

  bool isAtomic() const { return offset == 0 && !more; }  // RFC 6946
  bool isFirst() const { return offset == 0; }
  // Of the octet of the header before it that names the fragment header.
  std::size_t nextHeaderField() const { return position == kIpv6Header ? 6 : kIpv6Header; }
};

// Where a tunnel packet's fragment header stands: behind the IPv6 header, or behind the destination options
// (RFC 2473 4.1.1) that Linux' ip6_tunnel leaves in front of it. 0: there is none.
inline std::size_t fragmentPosition(const Ipv6View& packet) {
  if (packet.nextHeader() == kFragment) return kIpv6Header;
  if (packet.nextHeader() != kDestination || packet.bytes.size() < kIpv6Header + 8 ||
      packet.bytes[kIpv6Header] != kFragment)
    return 0;
  return kIpv6Header + (packet.bytes[kIpv6Header + 1] + std::size_t{1}) * 8;
}

// std::nullopt when the header runs past the end, or the packet does not say how long it is (RFC 2675 3).
std::optional<Fragment> viewFragment(const Ipv6View& packet, std::size_t position);

// Takes the header of an atomic fragment off (RFC 6946 4): what stands before moves up to what stands behind,
// payload length, next header and csum_start follow. False, and nothing written, when a checksum to be
// computed would lie before the payload.
bool stripAtomic(Packet& packet, const Fragment& fragment);

// Fragments that belong together: RFC 8200 4.5. The destination is the one that counts where the fragment
// header stands, which behind a type 2 routing header is the home address.
struct FragmentKey {
  Address source, destination;
  std::uint32_t identification;
  bool operator==(const FragmentKey&) const = default;
};

// A packet being put together lies in a context of its own, in the place where it will be passed on from:
//
//   one of kContexts   ┌──────────────┬──────────┬──────────────────────┬─────────────────────────────┐
//   12 KiB in one      │ which blocks │ headroom │      headers of the  │ payload: each fragment's is │
//   mapping            │ are there    │          │ ◀─── first fragment, │ copied once, to its offset  │
//                      └──────────────┴──────────┴──────────────────────┴─────────────────────────────┘
//                                                  up to the fragment header
//
// A source may have kPerPair contexts with one destination: its oldest gives way to a new one, and so does
// the oldest of all when none is free. Time is only looked at when a fragment comes. A context takes memory
// from its first use on. No lock: one thread.
class Reassembler {
 public:
  static constexpr std::size_t kContexts = 128;
  static constexpr std::size_t kPerPair = 8;
  static constexpr Instant kTimeout = 60 * kSecond;
  static constexpr std::size_t kContextSize = 12 * 1024;
  static constexpr std::size_t kBitmaps = 384;
  static constexpr std::size_t kMostHeaders = 128;  // octets before the fragment header
  static constexpr std::size_t kMostPayload = kContextSize - kBitmaps - kHeadroom - kMostHeaders;

  Reassembler();

  // Takes a fragment, that is not an atomic one and whose `position` is at most kMostHeaders. Returns the
  // whole packet when none was missing any more: its bytes stay where they are until release(), with
  // kHeadroom before them. What is lost is counted in fragments: this one at `drops`, an older packet's where
  // its first one said.
  //
  // RFC 5722 4, RFC 8200 4.5: fragments that overlap, or cannot be of one packet, are dropped with all of it
  // that came and that comes yet; an exact duplicate alone. RFC 7112 5: so is a packet whose first fragment
  // ends before its upper-layer header does, and one with another fragment header inside. RFC 3168 5.3: a
  // congestion mark of any fragment is the packet's; where others say that nobody would listen, it is
  // dropped. (RFC 8200 has a host tell of some of these by ICMPv6, and of a timeout too: we do not, whoever
  // forges fragments would choose whom we tell.)
  std::optional<Bytes> add(const FragmentKey& key, const Fragment& fragment, const DropCounters& drops,
                           Instant now);

  // Whether the packet is being put together.
  bool expects(const FragmentKey& key) const { return find(key) != kContexts; }

  // Takes the memory of the packets that add() returned back.
  void release();

 private:
  struct Context {
    FragmentKey key{};
    std::optional<DropCounters> drops;
    std::optional<Drop> lost;   // why all of it is
    Instant since = 0;          // of the first fragment that came
    std::size_t fragments = 0;  // that are here
    std::size_t received = 0;   // octets
    std::size_t end = 0;        // of the farthest fragment
    std::size_t total = 0;      // 0: the last fragment has not come
    std::size_t headers = 0;    // 0: the first one has not
    unsigned congestion = 0;    // bit n: a fragment with codepoint n
  };
  using Index = std::uint8_t;

  std::size_t find(const FragmentKey& key) const;
  void expire(Instant now);
  // std::nullopt: all memory is on loan until release(), or the system has no more.
  std::optional<Index> open(const FragmentKey& key, const DropCounters& drops, Instant now);
  void close(std::size_t place, Drop reason);
  void lose(Context& context, Drop reason);
  std::optional<Drop> place(Context& context, Index index, const Fragment& fragment);
  bool isDuplicate(const Context& context, Index index, const Fragment& fragment) const;
  std::optional<Bytes> finish(const Context& context, Index index) const;

  // Words of a context: a bit for each 8 octets of payload.
  std::uint64_t* received(Index index) const;
  std::uint64_t* starts(Index index) const;  // where fragments begin
  Bytes payload(Index index) const;

  Mapping mapping_;
  std::array<Context, kContexts> contexts_;
  std::array<Index, kContexts> order_{};  // the first active_ of them are in use, oldest first
  std::array<Index, kContexts> free_{};   // a stack: what was used last is in the cache
  std::array<Index, kContexts> lent_{};
  std::size_t active_ = 0, freeCount_ = 0, lentCount_ = 0;
};

}  // namespace kagemusha
