// The uplink on a network interface: packet sockets, past the kernel's own IP.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device.h"
#include "ipv6.h"
#include "mac.h"

namespace kagemusha {

struct PacketUplinkOptions {
  // What our frames come from and go to. None: the interface's own, and then only what is for the addresses
  // of setDestinations() comes.
  std::optional<Mac> mac{};
  std::uint32_t rxFrames = 1024;  // of the receive ring, 2 KiB each; a multiple of 64
  // Octets of larger packets, as the NIC merged them, that may wait beside the ring.
  std::uint32_t rxQueue = 4 << 20;
  // What we send passes by the interface's queueing discipline and captures, and where AF_XDP can be had by
  // netfilter, too: see XdpSender.
  bool bypassQdisc = false;
};

// Receives by a ring that the kernel writes, sends many packets with one call.
class PacketUplink : public Device {
 public:
  virtual const Mac& mac() const = 0;
  // Which packets are for us, where the interface's own MAC is used. Throws EngineError OUT_OF_MEMORY. Up to
  // kMaxFiltered (packet_filter.h) addresses; with more, all IPv6 for that MAC comes.
  virtual void setDestinations(const std::vector<Address>& addresses) = 0;
  // Why it does not send by AF_XDP; empty: it does, or that was not asked for.
  virtual const std::string& withoutXdp() const = 0;
  // Of the receive ring, octets.
  virtual std::size_t ringBytes() const = 0;
};

// Receives the IPv6 packets, Ethernet header taken off, that come to `interface` for our MAC, but for
// Neighbor Discovery; what is written is an Ethernet frame. Not what this machine sends itself. Needs
// CAP_NET_RAW while it is opened. Throws EngineError DEVICE_MISSING, DEVICE_PERMISSION, DEVICE_KIND,
// OUT_OF_MEMORY, UPLINK_OPTIONS.
std::shared_ptr<PacketUplink> openPacketUplink(const std::string& interface,
                                               const PacketUplinkOptions& options);

}  // namespace kagemusha
