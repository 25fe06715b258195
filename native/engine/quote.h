// What an ICMPv6 error says it is about.
#pragma once

#include "ipv6.h"

namespace kagemusha {

// Whether `quoted`, an IPv6 packet that may be cut off, has the flow label that a tunnel packet of ours would
// have: a keyed hash of what is inside (flow_label.h), which nobody off the path can know. Looked for behind
// one destination options header and one fragment header at most (RFC 2473 5); a later fragment, which shows
// no inner packet, has none.
bool quotesTunnelPacket(ConstBytes quoted);

}  // namespace kagemusha
