// What outer headers say, and which packets get none.
#include "../engine/outer.h"

#include <doctest/doctest.h>

#include <functional>
#include <tuple>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr std::uint8_t kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3;  // RFC 3168 5

// The world's tunnels, each changed by `change`.
template <class Change>
struct OuterWorld : World<> {
  explicit OuterWorld(Change change) {
    TableSpec spec{{{.slot = 0,
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
                   {{careOf, Side::kMobileNode}, {agent, Side::kHomeAgent}}};
    for (TunnelSpec& tunnel : spec.tunnels) change(tunnel);
    table = TunnelTable(spec, {port}, std::make_shared<Uplink>(network), region);
  }

  // A packet into the tunnel in each of the three ways that there are: the guest's, one that the kernel
  // brings for a mobile node, and one from a mobile node to another.
  void threeWays(const std::function<Octets(const Address&, const Address&)>& make) {
    fromPort(Slot(frame(make(home, far))));
    fromUplink(Slot(make(far, home)));
    fromUplink(Slot(tunnelled(make(home, other), careOf, agent)));
  }
  std::optional<Octets> sent() {
    const auto item = network->take();
    return item ? std::optional(item->bytes) : std::nullopt;
  }
};

int trafficClassOf(const Octets& packet, std::size_t at = 0) {
  return (packet[at] & 0x0f) << 4 | packet[at + 1] >> 4;
}
std::uint32_t labelOf(const Octets& packet) { return reference::number(packet, 0, 4) & 0xfffff; }

Octets marked(const Address& source, const Address& destination, std::uint8_t trafficClass,
              std::size_t payload = 100) {
  TcpFields fields{.source = source, .destination = destination, .trafficClass = trafficClass};
  fields.payload = Octets(payload, 1);
  return complete(buildTcp(fields));
}

// A tunnel packet with the limit in it, `length` octets of IPv6 in all.
Octets limited(const Address& source, const Address& destination, std::uint8_t limit,
               std::size_t length = 200) {
  TcpFields inside{.source = addressOf(0xa1), .destination = addressOf(0xa2)};
  inside.payload = Octets(length - 48 - 60, 7);
  Octets options{kIpv6, 0, 4, 1, limit, 1, 1, 0};
  return chain(source, destination, kDestination, {options, buildTcp(inside)});
}

}  // namespace

TEST_CASE(
    "RFC 2473 6.3, 6.4: the outer hop limit and a pinned DSCP, whatever the packet says; never its mark") {
  OuterWorld world([](TunnelSpec& tunnel) {
    tunnel.hopLimit = 9;
    tunnel.dscp = std::uint8_t{46};
  });
  world.threeWays([](const Address& source, const Address& destination) {
    return marked(source, destination, 0x28 | kEct0);
  });
  for (int way = 0; way < 3; ++way) {
    const auto sent = world.sent();
    REQUIRE(sent);
    CHECK(trafficClassOf(*sent) == (46 << 2 | kEct0));
    CHECK(trafficClassOf(*sent, 40) == (0x28 | kEct0));
    CHECK((*sent)[7] == 9);
  }
  CHECK(world.allDrops() == 0);
}

TEST_CASE("RFC 6040 4.1, RFC 2473 6.4: a tunnel that is told nothing copies the whole traffic class") {
  World world;
  for (int trafficClass = 0; trafficClass < 256; ++trafficClass) {
    world.fromPort(Slot(frame(marked(home, far, static_cast<std::uint8_t>(trafficClass)))));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(trafficClassOf(item->bytes) == trafficClass);
    CHECK(item->bytes[7] == 64);
  }
}

TEST_CASE(
    "RFC 6438 3, RFC 6040 4.1: one label for a flow, as packets and as a train's segments, and its mark") {
  World world;
  TcpFields fields{.source = home, .destination = far, .trafficClass = kEct0};
  fields.flags = tcp::kAck | tcp::kCwr;
  fields.payload = Octets(5000, 1);
  const Octets train = partial(buildTcp(fields));
  Offload offload = trainOf(54, 74, 1000);
  offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
  world.fromPort(Slot(frame(train), offload));
  fields.payload = Octets(10, 1);
  world.fromPort(Slot(frame(complete(buildTcp(fields)))));
  for (int part = 0; part < 6; ++part) {
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(labelOf(item->bytes) == flowLabel(train));
    CHECK(trafficClassOf(item->bytes) == kEct0);
    // RFC 3168 6.1.2: a window is halved once.
    CHECK(((item->bytes[40 + 40 + tcp::kFlags] & tcp::kCwr) != 0) == (part == 0 || part == 5));
  }
  CHECK(!world.network->take());
}

TEST_CASE("RFC 6438 3: the label is a hash of the inner flow in every direction") {
  OuterWorld world([](TunnelSpec&) {});
  world.threeWays(
      [](const Address& source, const Address& destination) { return marked(source, destination, 0); });
  for (int way = 0; way < 3; ++way) {
    const auto sent = world.sent();
    REQUIRE(sent);
    CHECK(labelOf(*sent) == flowLabel(Octets(sent->begin() + 40, sent->end())));
  }
}

TEST_CASE("RFC 6040 4.2: marks are counted at the tunnel, at both ends") {
  // {inner, outer, what arrives or -1, whether figure 4 raises an alarm}
  constexpr int kCells[5][4] = {{kNotEct, kCe, -1, 1},
                                {kNotEct, kEct0, kNotEct, 1},
                                {kEct1, kEct0, kEct1, 1},
                                {kEct0, kCe, kCe, 0},
                                {kCe, kEct1, kCe, 1}};
  for (const auto& cell : kCells) {
    CAPTURE(cell[0]);
    CAPTURE(cell[1]);
    World world;
    const auto arriving = [&](const Address& source, const Address& destination, const Address& outerSource,
                              const Address& outerDestination) {
      Octets packet = tunnelled(marked(source, destination, static_cast<std::uint8_t>(0xb8 | cell[0])),
                                outerSource, outerDestination);
      packet[1] = static_cast<std::uint8_t>((packet[1] & 0xcf) | cell[1] << 4);
      return packet;
    };
    world.fromUplink(Slot(arriving(far, home, agent, careOf)));
    world.fromUplink(Slot(arriving(home, far, careOf, agent)));
    const auto guest = world.guest->take();
    const auto network = world.network->take();
    for (std::uint32_t slot = 0; slot < 2; ++slot) {
      CHECK(world.traffic(slot, TunnelCounter::ecnAlarms) == static_cast<std::uint64_t>(cell[3]));
      CHECK(world.tunnelDrops(slot, Drop::ecn_congestion) == (cell[2] < 0 ? 1 : 0));
    }
    CHECK(world.allDrops() == (cell[2] < 0 ? 2 : 0));
    REQUIRE(guest.has_value() == (cell[2] >= 0));
    REQUIRE(network.has_value() == (cell[2] >= 0));
    if (cell[2] < 0) continue;
    CHECK(trafficClassOf(guest->bytes, 14) == (0xb8 | cell[2]));
    CHECK(trafficClassOf(network->bytes) == (0xb8 | cell[2]));
  }
}

TEST_CASE("RFC 6040 4.2: whoever is not a tunnel's other end raises no alarm in it") {
  World world;
  Octets forged = tunnelled(marked(home, far, kNotEct), otherCareOf, agent);
  forged[1] = static_cast<std::uint8_t>(forged[1] | kCe << 4);
  world.fromUplink(Slot(forged));
  CHECK(world.tunnelDrops(1, Drop::outer_source) == 1);
  CHECK(world.traffic(1, TunnelCounter::ecnAlarms) == 0);
  CHECK(world.allDrops() == 1);
}

TEST_CASE("RFC 6040 4.2: a marked segment is not merged with those that are not") {
  World world;
  std::vector<Slot> slots;
  for (std::uint32_t part = 0; part < 5; ++part) {
    TcpFields fields{
        .source = far, .destination = home, .sequence = 1000 + part * 1000, .trafficClass = kEct0};
    fields.payload = Octets(1000, 1);
    Octets packet = tunnelled(complete(buildTcp(fields)), agent, careOf);
    if (part == 2) packet[1] = static_cast<std::uint8_t>(packet[1] | kCe << 4);
    slots.emplace_back(packet);
  }
  world.fromUplink(slots);
  for (const auto& [mark, payload] : {std::pair{kEct0, 2000u}, {kCe, 1000u}, {kEct0, 2000u}}) {
    const auto train = world.guest->take();
    REQUIRE(train);
    CHECK(trafficClassOf(train->bytes, 14) == mark);
    CHECK(train->bytes.size() == 14 + 60 + payload);
  }
  CHECK(!world.guest->take());
}

TEST_CASE("RFC 2473 4.1.1: a tunnel told to sends its limit in every packet, and its packets still fit") {
  OuterWorld world([](TunnelSpec& tunnel) {
    tunnel.encapsulationLimit = std::uint8_t{4};
    tunnel.mtu = 1452;
  });
  CHECK(outerOverhead(world.table.tunnel(0).spec) == 48);
  world.threeWays(
      [](const Address& source, const Address& destination) { return packetOf(source, destination, 1452); });
  for (int way = 0; way < 3; ++way) {
    const auto sent = world.sent();
    REQUIRE(sent);
    CHECK(sent->size() == 1500);
    CHECK(reference::number(*sent, 4, 2) == 1460);
    CHECK((*sent)[6] == kDestination);
    CHECK(Octets(sent->begin() + 40, sent->begin() + 48) == hex("29 00 04 01 04 01 01 00"));
  }
  world.fromPort(Slot(frame(packetOf(home, far, 1453))));
  CHECK(world.portDrops(Drop::too_big) == 1);

  // A train too: every segment as large as it may be, checksums in their places.
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Random(3).octets(4000);
  world.fromPort(Slot(frame(partial(buildTcp(fields))), trainOf(54, 74, 9000)));
  Octets payload;
  for (int part = 0; part < 3; ++part) {
    auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->bytes.size() == (part < 2 ? 1500 : 48 + 60 + 4000 - 2 * 1392));
    CHECK(item->bytes[44] == 4);
    Packet packet{item->bytes, item->offload};
    REQUIRE(completeChecksum(packet));
    REQUIRE(decapsulate(packet) == Congestion::kUsual);
    CHECK(reference::checksumIsRight(copy(packet.bytes), 40));
    payload.insert(payload.end(), packet.bytes.begin() + 60, packet.bytes.end());
  }
  CHECK(payload == fields.payload);
}

TEST_CASE("RFC 2473 4.1.1 c: one goes from the limit that a packet brings, whatever the tunnel is told") {
  for (const bool told : {false, true}) {
    OuterWorld world([told](TunnelSpec& tunnel) {
      if (told) tunnel.encapsulationLimit = std::uint8_t{200};
    });
    for (const std::uint8_t limit : std::to_array<std::uint8_t>({1, 2, 5, 255})) {
      world.threeWays([limit](const Address& source, const Address& destination) {
        return limited(source, destination, limit);
      });
      for (int way = 0; way < 3; ++way) {
        const auto sent = world.sent();
        REQUIRE(sent);
        CHECK(sent->size() == 248);
        CHECK((*sent)[6] == kDestination);
        CHECK((*sent)[44] == limit - 1);
        CHECK((*sent)[48 + 44] == limit);
      }
    }
    CHECK(world.allDrops() == 0);
  }
}

TEST_CASE("RFC 2473 4.1.1 c: what is longer for its limit has less room") {
  OuterWorld world([](TunnelSpec&) {});
  world.fromPort(Slot(frame(limited(home, far, 3, kMtu - 8))));
  const auto sent = world.sent();
  REQUIRE(sent);
  CHECK(sent->size() == kMtu + 40);
  world.fromPort(Slot(frame(limited(home, far, 3, kMtu - 7))));
  CHECK(!world.sent());
  CHECK(world.portDrops(Drop::too_big) == 1);
  const auto entry = world.region.receiveRing().front();
  REQUIRE(entry);
  CHECK(entry->record.kind == SlowPathKind::tooBig);
  CHECK(entry->record.mtu == kMtu - 8);

  TunnelSpec spec = world.table.tunnel(0).spec;
  spec.mtu = 1284;
  Outer outer;
  CHECK(innerMtu(spec, outer) == 1284);
  outer.limit = 3;
  CHECK(innerMtu(spec, outer) == 1280);  // RFC 2473 7.1: never less
  spec.encapsulationLimit = 9;
  CHECK(innerMtu(spec, outer) == 1284);
}

TEST_CASE("RFC 2473 7.1: 1280 octets pass a narrow path with a limit too, which each fragment shows") {
  // {told by the tunnel, brought by the packet, what the outer header says}
  for (const auto& [told, brought, says] : {std::tuple{9, 0, 9}, {-1, 3, 2}, {9, 3, 2}}) {
    CAPTURE(told);
    CAPTURE(brought);
    const int limit = told;
    OuterWorld world([limit](TunnelSpec& tunnel) {
      tunnel.mtu = 1280;
      tunnel.pathMtu = 1320;
      if (limit >= 0) tunnel.encapsulationLimit = static_cast<std::uint8_t>(limit);
    });
    const int value = brought;
    world.threeWays([value](const Address& source, const Address& destination) {
      return value == 0 ? packetOf(source, destination, 1280)
                        : limited(source, destination, static_cast<std::uint8_t>(value), 1280);
    });
    for (int way = 0; way < 3; ++way) {
      std::size_t payload = 0;
      for (int part = 0; part < 2; ++part) {
        const auto sent = world.sent();
        REQUIRE(sent);
        CHECK(sent->size() <= 1320);
        CHECK((*sent)[6] == kDestination);
        CHECK((*sent)[40] == kFragment);
        CHECK((*sent)[44] == says);
        CHECK((*sent)[48] == kIpv6);
        payload += sent->size() - 56;
      }
      CHECK(payload == 1280);
    }
    CHECK(!world.sent());
    CHECK(world.allDrops() == 0);
  }
}

TEST_CASE("RFC 2473 4.1.1: a limit of 0 ends the way, and JavaScript is told where it stands") {
  OuterWorld world([](TunnelSpec& tunnel) { tunnel.encapsulationLimit = std::uint8_t{4}; });
  SlowPathRing ring = world.region.receiveRing();
  const auto told = [&](std::uint32_t portId, std::uint32_t slot, const Octets& bytes, std::size_t length) {
    const auto entry = ring.front();
    REQUIRE(entry);
    CHECK(entry->record.kind == SlowPathKind::encapsulationLimit);
    CHECK(entry->record.port == portId);
    CHECK(entry->record.tunnelSlot == slot);
    CHECK(entry->record.mtu == 44);
    CHECK(copy(entry->bytes) == Octets(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
    ring.pop();
  };
  const Octets own = frame(limited(home, far, 0, 1400));
  world.fromPort(Slot(own));
  told(0, 0, own, 14 + 1280);
  CHECK(world.portDrops(Drop::encapsulation_limit) == 1);

  const Octets foreign = limited(far, home, 0, 300);
  world.fromUplink(Slot(foreign));
  told(kNone, 1, foreign, 300);
  CHECK(world.tunnelDrops(1, Drop::encapsulation_limit) == 1);

  const Octets between = limited(home, other, 0, 1400);
  world.fromUplink(Slot(tunnelled(between, careOf, agent)));
  told(kNone, 2, between, 1280);
  CHECK(world.tunnelDrops(2, Drop::encapsulation_limit) == 1);

  CHECK(!world.sent());
  CHECK(!ring.front());
  CHECK(world.allDrops() == 3);
}

TEST_CASE("a flood of limits of 0 is counted, and JavaScript hears of some") {
  OuterWorld world([](TunnelSpec&) {});
  for (int count = 0; count < 1000; ++count) world.fromUplink(Slot(limited(far, home, 0)));
  CHECK(world.tunnelDrops(1, Drop::encapsulation_limit) == 1000);
  CHECK(world.allDrops() == 1000);
  CHECK(takeAll(world.region) == Policing::kError.depth / Policing::kError.step);
}

TEST_CASE("RFC 2473 4.1.2: a care-of address that is a home address itself does not make a loop") {
  // Each of two mobile nodes says that it is where the other's home address is.
  OuterWorld world([](TunnelSpec& tunnel) {
    if (tunnel.slot == 1) tunnel.remote = other;
    if (tunnel.slot == 2) tunnel.remote = home;
  });
  world.fromUplink(Slot(packetOf(far, home, 100)));
  const auto first = world.sent();
  REQUIRE(first);
  CHECK(*first == tunnelled(packetOf(far, home, 100), agent, other));
  // The kernel routes it to the other home address: into our device.
  world.fromUplink(Slot(*first));
  CHECK(!world.sent());
  CHECK(world.tunnelDrops(2, Drop::recursive_encapsulation) == 1);
  CHECK(world.allDrops() == 1);

  // With a limit, and in fragments: those behind the first show nothing of what they carry.
  TcpFields inside{.source = far, .destination = home};
  const Octets options = hex("29 00 04 01 04 01 01 00");
  world.fromUplink(Slot(chain(agent, other, kDestination, {options, buildTcp(inside)})));
  world.fromUplink(Slot(chain(agent, other, kFragment, {hex("2900 0001 00000007"), buildTcp(inside)})));
  world.fromUplink(Slot(chain(agent, other, kFragment, {hex("2900 0009 00000007"), Octets(64, 1)})));
  world.fromUplink(
      Slot(chain(agent, other, kFragment, {hex("3c00 0001 00000007"), options, buildTcp(inside)})));
  world.fromUplink(Slot(chain(agent, other, kFragment, {hex("3c00 0048 00000007"), Octets(64, 1)})));
  CHECK(world.tunnelDrops(2, Drop::recursive_encapsulation) == 6);
  CHECK(world.allDrops() == 6);
  CHECK(!world.sent());
}

TEST_CASE("RFC 2473 4.1.2: what we sent on one mobile node's behalf and comes back through others is ours") {
  OuterWorld world([](TunnelSpec&) {});
  // Another home agent, whose mobile node is at this home address, has put our packet into its tunnel.
  Octets back =
      tunnelled(tunnelled(packetOf(far, home, 100), agent, addressOf(0x70)), addressOf(0x71), other);
  world.fromUplink(Slot(back));
  CHECK(world.tunnelDrops(2, Drop::recursive_encapsulation) == 1);
  // However deep; what is too deep to tell is not looked at further.
  for (int depth = 0; depth < 10; ++depth) {
    back = tunnelled(back, addressOf(0x72), other);
    world.fromUplink(Slot(back));
  }
  CHECK(world.tunnelDrops(2, Drop::recursive_encapsulation) == 11);
  CHECK(!world.sent());
}

TEST_CASE("RFC 2473 4.1.2: others' tunnels, and our own packets that are none, go to a home address") {
  OuterWorld world([](TunnelSpec&) {});
  const auto passes = [&](const Octets& packet) {
    world.fromUplink(Slot(packet));
    return world.sent() == tunnelled(packet, agent, otherCareOf);
  };
  CHECK(passes(tunnelled(packetOf(far, other, 100), addressOf(0x71), other)));
  CHECK(passes(
      tunnelled(tunnelled(packetOf(far, other, 100), addressOf(0x72), other), addressOf(0x71), other)));
  CHECK(passes(packetOf(agent, other, 100)));
  CHECK(passes(chain(agent, other, kRouting, {type2Routing(home, kMobility), mobility(6, 1)})));
  CHECK(world.allDrops() == 0);
}

TEST_CASE("RFC 2473 4.1.2: a packet between the tunnel's own two ends never enters it") {
  OuterWorld world([](TunnelSpec& tunnel) {
    if (tunnel.slot == 2) tunnel.remote = other;  // at home, and yet away
  });
  world.fromUplink(Slot(packetOf(agent, other, 100)));
  CHECK(!world.sent());
  CHECK(world.tunnelDrops(2, Drop::recursive_encapsulation) == 1);
  CHECK(world.allDrops() == 1);
}
