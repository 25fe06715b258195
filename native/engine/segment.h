// Cuts a guest's TCP train (GSO) into IPv6 packets that fit the tunnel. Headers are built per segment, the
// payload is only referenced.
#pragma once

#include <cstdint>
#include <functional>

#include "ipv6.h"
#include "packet.h"

namespace kagemusha {

// One packet to send: `headers` lies in the caller's scratch with `headroom` writable bytes before it,
// `payload` in the train.
struct Segment {
  Bytes headers;
  ConstBytes payload;
  Offload offload;  // gso_type NONE; NEEDS_CSUM with csum_start from the first byte of `headers`,
                    // pseudo-header sum stored
};

enum class SegmentResult {
  kDone,
  kNotTcp,  // gso_type is not TCPV6 (NONE is no train: send it as it is), or the packet is no TCP over IPv6,
            // or a fragment
  kMalformed,  // headers outside the packet, or a GSO size of 0
  kNoRoom,     // the headers alone do not fit `mtu`, or `scratch` is too small
};

// Calls `emit` once per segment, in order. Every segment's IPv6 length is at most min(mtu, headers +
// gso_size). Sequence numbers, payload lengths and pseudo-header sums are per segment; FIN and PSH stay on
// the last, CWR on the first (RFC 3168; Linux' tcp_gso_segment). hdr_len of the offload is not trusted:
// headers are parsed. A train that already fits (single segment) comes out as one segment. `scratch` needs
// headroom + headers (≤ 512 octets); it is reused for each segment, so `emit` must send before it returns.
template <class Emit>
SegmentResult segment(const Packet& train, std::size_t mtu, Bytes scratch, std::size_t headroom, Emit&& emit);

}  // namespace kagemusha

#include "segment.inl"
