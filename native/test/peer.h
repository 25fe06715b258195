// Who is at the other end of a wire, and guests whose packets go there.
#pragma once

#include <doctest/doctest.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "../engine/engine.h"
#include "../engine/raw_socket.h"
#include "world.h"

namespace kagemusha::test {

inline const Mac own{{2, 0, 0, 0, 0, 0x44}}, stranger{{2, 0, 0, 0, 0, 0x45}};

// IPv6 frames, to and from `interface`.
struct Peer {
  RawSocket socket;
  explicit Peer(const std::string& interface = "kgu1") : socket(openRawSocket(interface)) {
    setRawOption(socket, interface, PACKET_IGNORE_OUTGOING, 1);
    const int much = 16 << 20;
    ::setsockopt(socket.fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &much, sizeof much);
    bindRaw(socket, interface, kEtherTypeIpv6);
  }
  void send(const Octets& frame) const {
    REQUIRE(::send(socket.fd.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()));
  }
  // The next one; it is waited for.
  std::optional<Octets> receive(int milliseconds = 2000) const {
    pollfd readable{socket.fd.get(), POLLIN, 0};
    if (::poll(&readable, 1, milliseconds) != 1) return std::nullopt;
    Octets frame(70000);
    const auto count = ::recv(socket.fd.get(), frame.data(), frame.size(), 0);
    if (count < 0) return std::nullopt;
    frame.resize(static_cast<std::size_t>(count));
    return frame;
  }
};

// Two guests, each with a care-of address of its own; all that they send goes to `router`.
inline std::vector<Engine::MemoryPort> openTwoGuests(Engine& engine, const Mac& router) {
  TableSpec spec;
  std::vector<Engine::MemoryPort> ports;
  for (std::uint32_t guest = 0; guest < 2; ++guest) {
    ports.push_back(engine.openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}}));
    spec.tunnels.push_back({.slot = guest,
                            .side = Side::kMobileNode,
                            .local = guest == 0 ? careOf : otherCareOf,
                            .remote = agent,
                            .homeAddresses = {guest == 0 ? home : other},
                            .port = ports[guest].id,
                            .mtu = kMtu});
  }
  spec.locals = {{careOf, Side::kMobileNode}, {otherCareOf, Side::kMobileNode}};
  spec.defaultNextHop = router;
  engine.publish(spec);
  for (const auto& port : ports) engine.setPeerMac(port.id, stranger);
  return ports;
}

}  // namespace kagemusha::test
