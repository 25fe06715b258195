// A forwarder between doubles of its devices, driven by hand: no threads.
#pragma once

#include <memory>
#include <vector>

#include "../engine/flow_label.h"
#include "../engine/forwarder.h"
#include "../engine/memory_device.h"
#include "support.h"

namespace kagemusha::test {

inline const Address home = addressOf(0x10), secondHome = addressOf(0x12), other = addressOf(0x11);
inline const Address far = addressOf(0x99), agent = addressOf(1), careOf = addressOf(0x44);
inline const Address otherCareOf = addressOf(0x45);
inline constexpr std::uint32_t kMtu = 1460;

// At the home agent: home in the clear, other protected; at the mobile node the other way round.
inline const std::vector<SignalerSpec> signalers{
    {.index = 0, .side = Side::kHomeAgent, .local = agent, .homeAddress = home},
    {.index = 1, .side = Side::kHomeAgent, .local = agent, .homeAddress = other, .esp = true, .spi = 1000},
    {.index = 2, .side = Side::kMobileNode, .local = careOf, .homeAddress = secondHome},
    {.index = 3, .side = Side::kMobileNode, .local = careOf, .homeAddress = home, .esp = true, .spi = 1001}};

// Empties the slow path: how many packets were there.
inline std::size_t takeAll(const Region& region) {
  std::size_t count = 0;
  for (SlowPathRing ring = region.receiveRing(); ring.front(); ring.pop()) ++count;
  return count;
}

// One engine that is mobile node (slot 0) and home agent (slots 1 and 2) at once.
template <class GuestDevice = MemoryDevice, class NetworkDevice = MemoryDevice>
struct World {
  Region region{4, 4, 4};
  Policing policing{region};
  Instant now = 10 * kSecond;
  int wakes = 0;
  SlowPath slowPath{region, [this] { ++wakes; }};
  Forwarder forwarder{region, slowPath, policing};
  std::shared_ptr<GuestDevice> guest = std::make_shared<GuestDevice>();
  std::shared_ptr<NetworkDevice> network = std::make_shared<NetworkDevice>();
  std::shared_ptr<Port> port =
      std::make_shared<Port>(0, Port::Role::kGuest, guest, Mac{{2, 0, 0, 0, 0, 1}}, region.portCounters(0));
  TunnelTable table{{{{.slot = 0,
                       .side = Side::kMobileNode,
                       .local = careOf,
                       .remote = agent,
                       .homeAddresses = {home, secondHome},
                       .port = 0,
                       .mtu = kMtu},
                      {.slot = 1,
                       .side = Side::kHomeAgent,
                       .local = agent,
                       .remote = careOf,
                       .homeAddresses = {home, secondHome},
                       .mtu = kMtu},
                      {.slot = 2,
                       .side = Side::kHomeAgent,
                       .local = agent,
                       .remote = otherCareOf,
                       .homeAddresses = {other},
                       .mtu = kMtu}},
                     {{careOf, Side::kMobileNode}, {agent, Side::kHomeAgent}},
                     signalers},
                    {port},
                    std::make_shared<Uplink>(network),
                    region};

  World() {
    port->setPeerMac(Mac{{2, 0, 0, 0, 0, 2}});
    for (std::uint32_t index = 0; index < 4; ++index) {
      policing.claimTunnel(index);
      policing.claimSignaler(index);
    }
  }

  void fromPort(Slot& slot) {
    forwarder.beginBatch(table, now);
    forwarder.fromPort(*port, slot.packet);
    forwarder.endBatch();
  }
  void fromPort(Slot&& slot) { fromPort(slot); }
  void fromUplink(std::vector<Slot>& slots) {
    forwarder.beginBatch(table, now);
    for (Slot& slot : slots) forwarder.fromUplink(slot.packet);
    forwarder.endBatch();
  }
  void fromUplink(Slot&& slot) {
    forwarder.beginBatch(table, now);
    forwarder.fromUplink(slot.packet);
    forwarder.endBatch();
  }
  void empty() {
    while (guest->take()) continue;
    while (network->take()) continue;
    takeAll(region);
  }

  std::uint64_t value(std::size_t block, std::size_t index) {
    return reinterpret_cast<std::uint64_t*>(region.bytes().data() + block)[index];
  }
  std::uint64_t engineDrops(Drop reason) {
    return value(region.layout().engineCounters,
                 kEngineCounterNames.size() + static_cast<std::size_t>(reason));
  }
  std::uint64_t portDrops(Drop reason) {
    return value(region.layout().portCounters, kPortCounterNames.size() + static_cast<std::size_t>(reason));
  }
  std::uint64_t tunnelDrops(std::uint32_t slot, Drop reason) {
    return value(region.layout().tunnelCounters + slot * region.layout().tunnelStride,
                 kTunnelCounterNames.size() + static_cast<std::size_t>(reason));
  }
  std::uint64_t traffic(std::uint32_t slot, TunnelCounter counter) {
    return value(region.layout().tunnelCounters + slot * region.layout().tunnelStride,
                 static_cast<std::size_t>(counter));
  }
  // Drops of any reason, anywhere.
  std::uint64_t allDrops() {
    std::uint64_t sum = 0;
    for (std::size_t reason = 0; reason < kDropNames.size(); ++reason) {
      const Drop drop{reason};
      sum += engineDrops(drop) + portDrops(drop);
      for (std::uint32_t slot = 0; slot < 3; ++slot) sum += tunnelDrops(slot, drop);
    }
    return sum;
  }
};

inline Octets frame(const Octets& packet) {
  Octets result = hex("02 00 00 00 00 01  02 00 00 00 00 02  86dd");
  put(result, packet);
  return result;
}

// An IPv6 header with the traffic class of another one, next header 41, no flow label, hop limit 64.
inline void writeOuterHeader(Bytes into, const Address& local, const Address& remote, ConstBytes inner,
                             std::size_t innerLength) {
  kagemusha::writeOuterHeader(
      into, {.local = local, .remote = remote, .trafficClass = outerTrafficClass(inner, std::nullopt)},
      innerLength);
}

// The packet as a tunnel of default settings carries it.
inline Octets tunnelled(const Octets& inner, const Address& source, const Address& destination) {
  Octets result(kIpv6Header);
  kagemusha::writeOuterHeader(result,
                              {.local = source,
                               .remote = destination,
                               .trafficClass = outerTrafficClass(inner, std::nullopt),
                               .flowLabel = flowLabel(inner)},
                              inner.size());
  put(result, inner);
  return result;
}

// A packet of exactly `length` octets of IPv6, of no protocol in particular.
inline Octets packetOf(const Address& source, const Address& destination, std::size_t length,
                       std::uint8_t protocol = kUdp) {
  TcpFields fields{.source = source, .destination = destination};
  fields.firstHeader = protocol;
  fields.payload = Octets(length - 60, 0x5a);
  return buildTcp(fields);
}

// --- signaling ---

inline Octets homeAddressOption(const Address& address, std::uint8_t next) {
  Octets header{next, 2, 1, 2, 0, 0, 0xc9, 16};
  put(header, address.octets);
  return header;
}

inline Octets type2Routing(const Address& address, std::uint8_t next, std::uint8_t segmentsLeft = 1) {
  Octets header{next, 2, 2, segmentsLeft, 0, 0, 0, 0};
  put(header, address.octets);
  return header;
}

// 12 octets of a Mobility Header; its checksum is not looked at here.
inline Octets mobility(std::uint8_t type, std::uint16_t sequence) {
  Octets message{59, 1, type, 0, 0, 0};
  if (type == kBindingAcknowledgement) put16(message, 0);
  put16(message, sequence);
  message.resize(16);
  return message;
}

inline Octets esp(std::uint32_t spi, std::uint32_t sequence) {
  Octets octets;
  put32(octets, spi);
  put32(octets, sequence);
  octets.resize(44);
  return octets;
}

// `first`: next header of the IPv6 header; `parts` follow it.
inline Octets chain(const Address& source, const Address& destination, std::uint8_t first,
                    std::initializer_list<Octets> parts) {
  Octets payload;
  for (const Octets& part : parts) put(payload, part);
  Octets packet(kIpv6Header);
  writeOuterHeader(packet, source, destination, packet, payload.size());
  packet[6] = first;
  put(packet, payload);
  return packet;
}

// What a mobile node that is away sends (RFC 6275 11.7.1, RFC 3776 3.1), and what a home agent answers.
inline Octets update(const Address& source, const Address& homeAddress, std::uint16_t sequence) {
  return chain(source, agent, kDestination,
               {homeAddressOption(homeAddress, kMobility), mobility(kBindingUpdate, sequence)});
}
inline Octets espUpdate(const Address& source, const Address& homeAddress, std::uint32_t spi,
                        std::uint32_t sequence) {
  return chain(source, agent, kDestination, {homeAddressOption(homeAddress, kEsp), esp(spi, sequence)});
}
inline Octets acknowledgement(const Address& homeAddress, std::uint16_t sequence) {
  return chain(agent, careOf, kRouting,
               {type2Routing(homeAddress, kMobility), mobility(kBindingAcknowledgement, sequence)});
}
inline Octets espAcknowledgement(const Address& homeAddress, std::uint32_t spi, std::uint32_t sequence) {
  return chain(agent, careOf, kRouting, {type2Routing(homeAddress, kEsp), esp(spi, sequence)});
}

// A router solicitation: for the slow path.
inline Octets solicitation() {
  Octets packet(kIpv6Header);
  writeOuterHeader(packet, Address{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
                   Address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}}, packet, 8);
  packet[6] = kIcmpv6;
  put(packet, hex("85 00 00 00 00 00 00 00"));
  return packet;
}

}  // namespace kagemusha::test
