// Which frames the kernel copies to a packet socket (classic BPF, linux/filter.h).
#pragma once

#include <linux/filter.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipv6.h"
#include "mac.h"

namespace kagemusha {

using PacketFilter = std::vector<sock_filter>;

// What a link's control port sees: ICMPv6, directly or behind hop-by-hop options (MLD), but not that between
// others.
PacketFilter icmpv6Only();
// Besides: signaling, and what may have it behind.
PacketFilter icmpv6AndSignaling();
// Neighbor Discovery, directly behind the IPv6 header, and MLD, for `mac` or a group.
PacketFilter neighborDiscoveryFor(const Mac& mac);

// A filter may have this many care-of addresses: the kernel walks through them for every frame, and gives a
// socket's filters about 20 KiB (net.core.optmem_max), the one before included while they change.
inline constexpr std::size_t kMaxFiltered = 64;

// What a packet uplink sees: IPv6 for `mac`, without a VLAN tag, but for Neighbor Discovery directly behind
// the IPv6 header. `destinations`: only what is for one of these addresses; with more than kMaxFiltered of
// them as if there were none given.
PacketFilter uplinkFrames(const Mac& mac, std::optional<std::span<const Address>> destinations);

// Attaches it, in place of the one before. False: errno tells.
bool attachFilter(int fd, const PacketFilter& filter);

}  // namespace kagemusha
