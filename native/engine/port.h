// The two ends of the engine: a guest's port (Ethernet) and the uplink (IPv6).
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "counters.h"
#include "device.h"
#include "mac.h"

namespace kagemusha {

using PortId = std::uint32_t;

class Port {
 public:
  enum class Role {
    kGuest,    // frames of a guest
    kControl,  // a link on which we only speak ICMPv6: every frame goes to the slow path
  };

  Port(PortId number, Role what, std::shared_ptr<Device> opened, const Mac& local, const PortCounters& block)
      : id(number), role(what), device(std::move(opened)), localMac(local), counters(block) {}

  const PortId id;
  const Role role;
  const std::shared_ptr<Device> device;
  const Mac localMac;  // what we are on this link
  const PortCounters counters;

  // False until the guest was seen, or the control side named it.
  bool peerMac(Mac& mac) const {
    const auto bits = peerMac_.load(std::memory_order_relaxed);
    mac = Mac::fromBits(bits);
    return bits != 0;
  }
  void setPeerMac(const Mac& mac) {
    if (peerMac_.load(std::memory_order_relaxed) != mac.bits())
      peerMac_.store(mac.bits(), std::memory_order_relaxed);
  }

  void watchFirstFrame() { frameWatched_.store(true, std::memory_order_relaxed); }
  // True once after watchFirstFrame().
  bool takeFirstFrame() { return take(frameWatched_); }
  void watchFirstDelivery() { deliveryWatched_.store(true, std::memory_order_relaxed); }
  // True once after watchFirstDelivery().
  bool takeFirstDelivery() { return take(deliveryWatched_); }

  // Some kernels refuse merged trains: from the first refusal on, packets go one by one.
  std::atomic<bool> mergeable = true;

 private:
  static bool take(std::atomic<bool>& watched) {
    return watched.load(std::memory_order_relaxed) && watched.exchange(false);
  }

  std::atomic<std::uint64_t> peerMac_ = 0;
  std::atomic<bool> frameWatched_ = false, deliveryWatched_ = false;
};

struct Uplink {
  explicit Uplink(std::shared_ptr<Device> opened, std::optional<Mac> own = std::nullopt)
      : device(std::move(opened)), mac(own) {}
  const std::shared_ptr<Device> device;
  // Of an Ethernet interface: what we are there, and each packet that is written is a frame. What is read is
  // an IPv6 packet always.
  const std::optional<Mac> mac;
  std::atomic<bool> mergeable = true;
};

}  // namespace kagemusha
