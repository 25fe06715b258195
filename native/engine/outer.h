// Which outer header a tunnel gives a packet.
#pragma once

#include "encapsulate.h"
#include "tunnel_table.h"

namespace kagemusha {

// Octets that every packet of the tunnel gains: 40, or 48 where the tunnel sends encapsulation limits of its
// own accord. A packet that brings a limit may gain 48 where the others gain 40: Outer::length() tells.
std::size_t outerOverhead(const TunnelSpec& spec);

// The outer header for `inner`. `limit`: the one that it carries, not 0, from which one goes; otherwise the
// tunnel's own holds (RFC 2473 4.1.1 c).
Outer outerFor(const TunnelSpec& spec, const Ipv6View& inner, const std::optional<EncapsulationLimit>& limit);

// What an inner packet with this outer header may have, at most: the tunnel's MTU, or as much less as its
// outer header is longer than the others', but never less than 1280 octets (RFC 2473 7.1).
std::size_t innerMtu(const TunnelSpec& spec, const Outer& outer);

}  // namespace kagemusha
