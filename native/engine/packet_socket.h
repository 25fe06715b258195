// A packet socket on an interface of the home link that sees ICMPv6 only.
#pragma once

#include <memory>
#include <string>

#include "kernel_device.h"
#include "mac.h"

namespace kagemusha {

struct PacketSocket {
  std::unique_ptr<Device> device;
  Mac mac;  // the interface's
};

// Receives the Ethernet frames of `interface` that carry ICMPv6, directly or behind a hop-by-hop header
// (MLD), whatever multicast group they go to, and not what this machine sends. Needs CAP_NET_RAW. Throws
// EngineError DEVICE_MISSING, DEVICE_PERMISSION, DEVICE_KIND.
PacketSocket openPacketSocket(const std::string& interface);

}  // namespace kagemusha
