// TUN and tap devices (Documentation/networking/tuntap.rst).
#pragma once

#include <memory>
#include <string>

#include "kernel_device.h"

namespace kagemusha {

enum class TunMode {
  kTun,      // raw IPv6
  kTunNapi,  // the same; what is written waits for the device's NAPI, which merges it again (GRO) before it
             // is routed. Worth it where the NAPI has a thread of its own (/sys/class/net/NAME/threaded); see
             // bench/README.md.
  kTap,      // Ethernet
};

// Attaches to `name`, or creates it and makes it persistent when there is none and we have the right. Neither
// brings it up nor configures it. An ordinary user can attach to a persistent device that belongs to them.
// Throws EngineError TUN_UNAVAILABLE, DEVICE_MISSING, DEVICE_BUSY, DEVICE_PERMISSION, DEVICE_KIND.
std::unique_ptr<Device> openTunDevice(const std::string& name, TunMode mode);

}  // namespace kagemusha
