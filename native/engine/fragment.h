// Cuts a tunnel packet into fragments (RFC 2473 7.1, RFC 8200 4.5). Headers are built per fragment, the rest
// is only referenced.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "ipv6.h"
#include "packet.h"

namespace kagemusha {

// The fragments of one packet, first to last.
//
//   packet     │ IPv6 │ limit │ inner packet ·························│
//   fragments  │ IPv6 │ limit │ fragment header │ ········ │
//              │ IPv6 │ limit │ fragment header │ ········ │
//              └── perFragment ┘
//
// Destination options with a Tunnel Encapsulation Limit stay in front of the fragment header, in each
// fragment: they are what a tunnel's entry within our tunnel has to look for in every packet (RFC
// 2473 4.1.1), which makes them a header "that must be processed by nodes en route" (RFC 8200 4.5). Behind it
// only the first fragment would have the limit, and the others could nest without end. (Linux does the same.)
class Fragments {
 public:
  // What stands before a fragment's payload: the per-fragment part and the fragment header; in the scratch
  // memory, which the next one uses again.
  struct Fragment {
    Bytes headers;
    ConstBytes payload;  // in the packet; a multiple of 8 octets in all but the last
  };

  static constexpr std::size_t kMaxPerFragment = 256;

  // `packet`: a whole IPv6 packet with complete checksums whose first `perFragment` octets are the IPv6
  // header and whole extension headers. `mtu`: the most octets of a fragment. `scratch`: perFragment + 8
  // octets, not in the packet. No fragments come of a packet whose payload is longer than fragment offsets
  // can say (65535 octets), of an `mtu` that has no room for 8 octets of payload, and of a perFragment beyond
  // the packet, the scratch memory or kMaxPerFragment.
  Fragments(ConstBytes packet, std::size_t perFragment, std::size_t mtu, std::uint32_t identification,
            Bytes scratch);

  // std::nullopt: that was all.
  std::optional<Fragment> next();

 private:
  Bytes headers_;
  ConstBytes rest_;
  std::size_t step_ = 0;    // payload octets of all but the last
  std::size_t offset_ = 0;  // of `rest_`
};

// Identifications for one worker's fragments: none comes again before 2^32 others have, and who has seen some
// cannot tell the next (RFC 7739): a counter under a block cipher of that width, Speck32/64.
class FragmentIdentifications {
 public:
  using Key = std::array<std::uint16_t, 4>;  // as the cipher's authors write it: k0 is the last

  FragmentIdentifications();  // a random key; throws where there is no randomness
  explicit FragmentIdentifications(const Key& key);

  std::uint32_t next() { return encrypt(counter_++); }
  std::uint32_t encrypt(std::uint32_t block) const;

 private:
  static constexpr std::size_t kRounds = 22;
  std::array<std::uint16_t, kRounds> roundKeys_;
  std::uint32_t counter_ = 0;
};

}  // namespace kagemusha
