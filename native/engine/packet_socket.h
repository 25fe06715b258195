// A packet socket on an interface of the home link, or of a foreign link, that sees ICMPv6, and signaling
// where asked.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernel_device.h"
#include "mac.h"

namespace kagemusha {

struct PacketSocket {
  std::unique_ptr<Device> device;
  Mac mac;  // the one that was asked for, or else the interface's
};

struct PacketSocketOptions {
  // Mobility Headers too, ESP, and what may have one of them behind: destination options, routing headers.
  bool signaling = false;
  // Frames to others' MAC addresses: a bridge shows what it carries between its ports only so. Of those, not
  // the ICMPv6: it is others' conversation.
  bool promiscuous = false;
  // Of ICMPv6 only Neighbor Discovery and MLD, for this MAC, which need not be the interface's, and for
  // groups: what a packet uplink (packet_uplink.h) leaves to others. `signaling` does not count then.
  std::optional<Mac> mac{};
};

// Receives the Ethernet frames of `interface` that carry ICMPv6, directly or behind a hop-by-hop header
// (MLD), whatever multicast group they go to, and not what this machine sends. Needs CAP_NET_RAW. Throws
// EngineError DEVICE_MISSING, DEVICE_PERMISSION, DEVICE_KIND.
PacketSocket openPacketSocket(const std::string& interface, const PacketSocketOptions& options);

}  // namespace kagemusha
