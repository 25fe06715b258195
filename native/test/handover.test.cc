// A guest that moved to another host: what still comes to the old one goes after it (RFC 5568 3.2).
#include <doctest/doctest.h>

#include "../engine/probe.h"
#include "fragments.h"
#include "reassembly_reference.h"
#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

const Address& oldCareOf = careOf;
const Address& newCareOf = otherCareOf;

struct Told {
  SlowPathRecord record;
  Octets bytes;
};

TunnelSpec tunnelOf(std::uint32_t slot, Side side, const Address& local, const Address& remote,
                    PortId port = kNone) {
  return {.slot = slot,
          .side = side,
          .local = local,
          .remote = remote,
          .homeAddresses = {home, secondHome},
          .port = port,
          .mtu = kMtu};
}

// At the old host: from the home agent (slot 0), and on to the new one (slot 1).
TunnelSpec leaving() {
  TunnelSpec tunnel = tunnelOf(0, Side::kMobileNode, oldCareOf, agent, 0);
  tunnel.onward = true;
  return tunnel;
}
TunnelSpec place() { return tunnelOf(1, Side::kHomeAgent, oldCareOf, newCareOf); }
// At the new host: from the old one (slot 0), and its own to the home agent (slot 1).
TunnelSpec stragglers() {
  TunnelSpec tunnel = tunnelOf(0, Side::kMobileNode, newCareOf, oldCareOf, 0);
  tunnel.inbound = true;
  return tunnel;
}
TunnelSpec registered() { return tunnelOf(1, Side::kMobileNode, newCareOf, agent, 0); }

struct Host : World<> {
  Host(const Address& careOf, const std::vector<TunnelSpec>& tunnels) { publish(careOf, tunnels); }
  void publish(const Address& careOf, const std::vector<TunnelSpec>& tunnels, bool open = true) {
    table = TunnelTable({tunnels, {{careOf, Side::kMobileNode}}}, {open ? port : nullptr},
                        std::make_shared<Uplink>(network), region);
  }
  std::vector<Told> told() {
    std::vector<Told> records;
    for (SlowPathRing ring = region.receiveRing(); const auto entry = ring.front(); ring.pop())
      records.push_back({entry->record, copy(entry->bytes)});
    return records;
  }
  // Packets that were written to the uplink, whose checksums are complete then.
  std::vector<Octets> sent() {
    std::vector<Octets> packets;
    while (auto item = network->take()) {
      Packet packet{item->bytes, item->offload};
      REQUIRE(completeChecksum(packet));
      packets.push_back(item->bytes);
    }
    return packets;
  }
  void untouched() {
    CHECK(!guest->take());
    CHECK(!network->take());
  }
};

struct OldHost : Host {
  OldHost() : Host(oldCareOf, {leaving(), place()}) {}
};
struct NewHost : Host {
  NewHost() : Host(newCareOf, {stragglers(), registered()}) {}
};

Octets hopped(Octets packet) {
  packet[7] = static_cast<std::uint8_t>(packet[7] - 1);
  return packet;
}

Octets segmentOf(const Address& source, const Address& destination, std::size_t payload = 100,
                 std::uint8_t hopLimit = 64) {
  TcpFields fields{.source = source, .destination = destination, .hopLimit = hopLimit};
  fields.payload = Random(3).octets(payload);
  return complete(buildTcp(fields));
}

Octets echo(const Address& source, std::uint8_t type, bool magic) {
  Octets message{type, 0, 0, 0, 0, 1, 0, 2};
  if (magic) put(message, std::string_view("kagemush"));
  return chain(source, home, kIcmpv6, {message});
}

}  // namespace

TEST_CASE("a straggler leaves the old host for the new one, one hop less, and the guest gets it there") {
  OldHost before;
  NewHost after;
  const Octets packet = segmentOf(far, home);
  before.fromUplink(Slot(tunnelled(packet, agent, oldCareOf)));
  CHECK(!before.guest->take());
  const auto sent = before.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0] == tunnelled(hopped(packet), oldCareOf, newCareOf));
  for (const std::uint32_t slot : {0u, 1u}) {
    CHECK(before.traffic(slot, TunnelCounter::toGuestPackets) == 1);
    CHECK(before.traffic(slot, TunnelCounter::toGuestBytes) == packet.size());
    CHECK(before.traffic(slot, TunnelCounter::toHomePackets) == 0);
  }

  after.fromUplink(Slot(sent[0]));
  const auto delivered = after.guest->take();
  REQUIRE(delivered);
  CHECK(Octets(delivered->bytes.begin() + 14, delivered->bytes.end()) == hopped(packet));
  CHECK(after.traffic(0, TunnelCounter::toGuestPackets) == 1);
  CHECK(after.traffic(1, TunnelCounter::toGuestPackets) == 0);
  CHECK(before.allDrops() + after.allDrops() == 0);
  CHECK(before.told().empty());
}

TEST_CASE("a train of stragglers, as it was read, is cut at the old host and merged at the new one") {
  OldHost before;
  NewHost after;
  TcpFields fields{.source = far, .destination = home};
  fields.payload = Random(1).octets(3000);
  const Octets packet = buildTcp(fields);
  before.fromUplink(Slot(tunnelled(partial(packet), agent, oldCareOf), trainOf(80, 100, 1200)));
  const auto sent = before.sent();
  REQUIRE(sent.size() == 3);
  std::vector<Slot> slots;
  for (const Octets& outer : sent) {
    CHECK(reference::addressAt(outer, 8) == oldCareOf);
    CHECK(reference::addressAt(outer, 24) == newCareOf);
    CHECK(outer[47] == 63);
    CHECK(reference::checksumIsRight(Octets(outer.begin() + 40, outer.end()), 40));
    slots.emplace_back(outer);
  }
  CHECK(before.traffic(0, TunnelCounter::toGuestPackets) == 3);
  CHECK(before.traffic(0, TunnelCounter::toGuestBytes) == 3000 + 3 * 60);
  CHECK(before.traffic(1, TunnelCounter::toGuestPackets) == 3);

  after.fromUplink(slots);
  const auto train = after.guest->take();
  REQUIRE(train);
  CHECK(!after.guest->take());
  CHECK(train->offload.gso_size == 1200);
  CHECK(Octets(train->bytes.begin() + 14 + 60, train->bytes.end()) == fields.payload);
  CHECK(after.traffic(0, TunnelCounter::toGuestPackets) == 3);
  CHECK(before.allDrops() + after.allDrops() == 0);
}

TEST_CASE("what the guest sends at the new host goes to its home agent, whatever the order of the table") {
  for (const bool inboundFirst : {true, false}) {
    NewHost after;
    after.publish(newCareOf, inboundFirst ? std::vector{stragglers(), registered()}
                                          : std::vector{registered(), stragglers()});
    const Octets packet = segmentOf(home, far);
    after.fromPort(Slot(frame(packet)));
    CHECK(after.sent() == std::vector<Octets>{tunnelled(packet, newCareOf, agent)});
    CHECK(after.traffic(1, TunnelCounter::toHomePackets) == 1);
    CHECK(after.traffic(0, TunnelCounter::toHomePackets) == 0);
    CHECK(after.allDrops() == 0);
  }
}

TEST_CASE(
    "before it is registered there, stragglers come, and the guest sends nothing by the way they came") {
  NewHost after;
  after.publish(newCareOf, {stragglers()});
  after.fromUplink(Slot(tunnelled(segmentOf(far, home), oldCareOf, newCareOf)));
  CHECK(after.guest->take());
  after.fromPort(Slot(frame(segmentOf(home, far))));
  CHECK(after.portDrops(Drop::no_tunnel) == 1);
  CHECK(after.allDrops() == 1);
  after.untouched();
}

TEST_CASE("RFC 8200 3: two hosts that send a packet to each other stop when its hop limit is used up") {
  TunnelSpec here = tunnelOf(0, Side::kMobileNode, oldCareOf, newCareOf, 0);
  TunnelSpec there = tunnelOf(0, Side::kMobileNode, newCareOf, oldCareOf, 0);
  here.onward = there.onward = true;
  Host one(oldCareOf, {here, tunnelOf(1, Side::kHomeAgent, oldCareOf, newCareOf)});
  Host two(newCareOf, {there, tunnelOf(1, Side::kHomeAgent, newCareOf, oldCareOf)});
  std::vector<Octets> way{tunnelled(segmentOf(far, home), newCareOf, oldCareOf)};
  int times = 0;
  for (; !way.empty(); ++times) {
    REQUIRE(way.size() == 1);
    REQUIRE(times < 100);
    Host& host = times % 2 == 0 ? one : two;
    host.fromUplink(Slot(way[0]));
    CHECK(!host.guest->take());
    way = host.sent();
  }
  CHECK(times == 64);
  CHECK(two.tunnelDrops(0, Drop::hop_limit) == 1);
  CHECK(one.allDrops() + two.allDrops() == 1);
  const auto told = two.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::hopLimit);
  CHECK(told[0].record.tunnelSlot == 0);
  CHECK(told[0].record.port == kNone);
  CHECK(one.told().empty());
}

TEST_CASE("RFC 2473 4.1.2: a place that is the home address itself is entered once") {
  TunnelSpec circle = place();
  circle.remote = home;
  Host before(oldCareOf, {leaving(), circle});
  before.fromUplink(Slot(tunnelled(segmentOf(far, home), agent, oldCareOf)));
  const auto sent = before.sent();
  REQUIRE(sent.size() == 1);
  before.fromUplink(Slot(tunnelled(sent[0], agent, oldCareOf)));
  CHECK(before.tunnelDrops(1, Drop::recursive_encapsulation) == 1);
  CHECK(before.allDrops() == 1);
  before.untouched();
}

TEST_CASE("where nobody knows the guest's new place, or its port is closed, each packet is a counted drop") {
  SUBCASE("no place") {
    OldHost before;
    TunnelSpec elsewhere = place();
    elsewhere.homeAddresses = {secondHome};
    before.publish(oldCareOf, {leaving(), elsewhere});
    before.fromUplink(Slot(tunnelled(segmentOf(far, home), agent, oldCareOf)));
    CHECK(before.tunnelDrops(0, Drop::guest_left) == 1);
    before.untouched();
    TcpFields fields{.source = far, .destination = home};
    fields.payload = Octets(3000, 1);
    before.fromUplink(Slot(tunnelled(partial(buildTcp(fields)), agent, oldCareOf), trainOf(80, 100, 1200)));
    CHECK(before.tunnelDrops(0, Drop::guest_left) == 1 + 3);
    CHECK(before.allDrops() == 4);
    before.untouched();
    before.fromUplink(Slot(tunnelled(segmentOf(far, secondHome), agent, oldCareOf)));
    CHECK(before.sent().size() == 1);
  }
  SUBCASE("no port at the new host") {
    NewHost after;
    after.publish(newCareOf, {stragglers(), registered()}, false);
    after.fromUplink(Slot(tunnelled(segmentOf(far, home), oldCareOf, newCareOf)));
    CHECK(after.tunnelDrops(0, Drop::no_port) == 1);
    CHECK(after.allDrops() == 1);
    after.untouched();
  }
  SUBCASE("the old port is closed already, and stragglers do not need it") {
    OldHost before;
    before.publish(oldCareOf, {leaving(), place()}, false);
    before.fromUplink(Slot(tunnelled(segmentOf(far, home), agent, oldCareOf)));
    CHECK(before.sent().size() == 1);
    CHECK(before.allDrops() == 0);
  }
}

TEST_CASE("only what a guest would have got goes after it") {
  OldHost before;
  before.fromUplink(Slot(tunnelled(segmentOf(far, home), far, oldCareOf)));
  CHECK(before.engineDrops(Drop::outer_source) == 1);
  before.fromUplink(Slot(tunnelled(segmentOf(far, home), newCareOf, oldCareOf)));
  CHECK(before.engineDrops(Drop::outer_source) == 2);
  before.fromUplink(Slot(tunnelled(segmentOf(far, other), agent, oldCareOf)));
  CHECK(before.tunnelDrops(0, Drop::inner_destination) == 1);
  before.fromUplink(Slot(tunnelled(segmentOf(Address{{0xfe, 0x80}}, home), agent, oldCareOf)));
  CHECK(before.tunnelDrops(0, Drop::inner_source) == 1);
  Octets advertisement = chain(far, home, kIcmpv6, {Octets{136, 0, 0, 0, 0, 0, 0, 0}});
  advertisement[7] = 255;
  before.fromUplink(Slot(tunnelled(advertisement, agent, oldCareOf)));
  CHECK(before.tunnelDrops(0, Drop::neighbor_discovery) == 1);
  // We are no home agent: what somebody lets into our uplink for the home address came out of no tunnel.
  before.fromUplink(Slot(segmentOf(far, home)));
  CHECK(before.engineDrops(Drop::not_ours) == 1);
  CHECK(before.allDrops() == 6);
  before.untouched();
}

TEST_CASE("what the home agent asks or answers the old host is the old host's") {
  OldHost before;
  for (const auto& [type, magic, kind] : {std::tuple{kEchoRequest, true, SlowPathKind::inner},
                                          {kEchoReply, true, SlowPathKind::control},
                                          {kEchoReply, false, SlowPathKind::control}}) {
    before.fromUplink(Slot(tunnelled(echo(agent, type, magic), agent, oldCareOf)));
    const auto told = before.told();
    REQUIRE(told.size() == 1);
    CHECK(told[0].record.kind == kind);
    CHECK(told[0].record.tunnelSlot == 0);
  }
  before.untouched();
  // What it asks the guest is the guest's, wherever that is.
  before.fromUplink(Slot(tunnelled(echo(agent, kEchoRequest, false), agent, oldCareOf)));
  CHECK(before.sent().size() == 1);
  CHECK(before.told().empty());
  CHECK(before.allDrops() == 0);
}

TEST_CASE("Mobility Headers go after the guest, unless the table says that they are ours") {
  const Octets message = chain(far, home, kMobility, {mobility(kBindingUpdate, 7)});
  OldHost before;
  before.fromUplink(Slot(tunnelled(message, agent, oldCareOf)));
  CHECK(before.sent() == std::vector<Octets>{tunnelled(hopped(message), oldCareOf, newCareOf)});
  TunnelSpec ours = leaving();
  ours.signaling = true;
  before.publish(oldCareOf, {ours, place()});
  before.fromUplink(Slot(tunnelled(message, agent, oldCareOf)));
  CHECK(before.told().size() == 1);
  before.untouched();
}

TEST_CASE("RFC 6275 6.4: nor does what came by a routing header reach the guest's old port") {
  const Octets message = segmentOf(agent, home);
  Octets routed = chain(agent, oldCareOf, kRouting,
                        {type2Routing(home, kTcp), Octets(message.begin() + 40, message.end())});
  OldHost before;
  SUBCASE("from the home agent") {
    before.fromUplink(Slot(routed));
    const auto sent = before.sent();
    REQUIRE(sent.size() == 1);
    CHECK(reference::addressAt(sent[0], 24) == newCareOf);
    CHECK(Octets(sent[0].begin() + 80, sent[0].end()) == Octets(message.begin() + 40, message.end()));
    CHECK(before.allDrops() == 0);
  }
  SUBCASE("from a correspondent, where that is not asked for") {
    std::copy(far.octets.begin(), far.octets.end(), routed.begin() + 8);
    before.fromUplink(Slot(routed));
    CHECK(before.engineDrops(Drop::routing_header) == 1);
    CHECK(before.allDrops() == 1);
    CHECK(!before.network->take());
  }
  SUBCASE("from a correspondent with a binding") {
    TunnelSpec optimised = leaving();
    optimised.optimise = true;
    optimised.routes = {{home, far, {}, true, true}};
    before.publish(oldCareOf, {optimised, place()});
    std::copy(far.octets.begin(), far.octets.end(), routed.begin() + 8);
    before.fromUplink(Slot(routed));
    const auto sent = before.sent();
    REQUIRE(sent.size() == 1);
    CHECK(reference::addressAt(sent[0], 24) == newCareOf);
    CHECK(reference::addressAt(sent[0], 48) == far);
    CHECK(reference::addressAt(sent[0], 64) == home);
    CHECK(before.allDrops() == 0);
  }
  CHECK(!before.guest->take());
}

TEST_CASE(
    "a straggler that is too big for the way onward is told of, one that the path splits is whole again") {
  OldHost before;
  TunnelSpec narrow = place();
  narrow.mtu = narrow.pathMtu = 1280;
  before.publish(oldCareOf, {leaving(), narrow});
  const Octets big = packetOf(far, home, 1281), fits = packetOf(far, home, 1280);
  before.fromUplink(Slot(tunnelled(big, agent, oldCareOf)));
  const auto told = before.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::tooBig);
  CHECK(told[0].record.tunnelSlot == 1);
  CHECK(told[0].record.mtu == 1280);
  CHECK(told[0].bytes == Octets(big.begin(), big.begin() + 1280));
  CHECK(before.tunnelDrops(1, Drop::too_big) == 1);
  CHECK(before.allDrops() == 1);
  before.untouched();

  before.fromUplink(Slot(tunnelled(fits, agent, oldCareOf)));
  NewHost after;
  const auto fragments = before.sent();
  CHECK(fragments.size() == 2);
  for (const Octets& fragment : fragments) after.fromUplink(Slot(fragment));
  const auto delivered = after.guest->take();
  REQUIRE(delivered);
  CHECK(Octets(delivered->bytes.begin() + 14, delivered->bytes.end()) == hopped(fits));
  CHECK(after.allDrops() == 0);
}

TEST_CASE("a straggler that came to the old host in fragments goes on whole") {
  OldHost before;
  const Octets packet = packetOf(far, home, 1280);
  for (const Octets& fragment : fragmentsOf(tunnelled(packet, agent, oldCareOf), {800}))
    before.fromUplink(Slot(fragment));
  CHECK(before.sent() == std::vector<Octets>{tunnelled(hopped(packet), oldCareOf, newCareOf)});
  CHECK(before.allDrops() == 0);
}

TEST_CASE("the old host is no home agent to the new one") {
  NewHost after;
  // Inside the tunnel: the guest's, like anybody's.
  for (const auto& [type, magic] : {std::pair{kEchoRequest, true}, {kEchoReply, true}, {kEchoReply, false}}) {
    after.fromUplink(Slot(tunnelled(echo(oldCareOf, type, magic), oldCareOf, newCareOf)));
    CHECK(after.guest->take());
  }
  CHECK(after.told().empty());
  CHECK(after.allDrops() == 0);
  // Beside it: a stranger's.
  const Octets message = segmentOf(oldCareOf, home);
  after.fromUplink(Slot(chain(oldCareOf, newCareOf, kRouting,
                              {type2Routing(home, kTcp), Octets(message.begin() + 40, message.end())})));
  CHECK(after.engineDrops(Drop::routing_header) == 1);
  after.fromUplink(Slot(chain(oldCareOf, newCareOf, kRouting, {type2Routing(home, kEsp), esp(1000, 1)})));
  const auto told = after.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::control);
  CHECK(told[0].record.tunnelSlot == kNone);
  // Neighbor Discovery is the link's here, too.
  Octets advertisement = chain(far, home, kIcmpv6, {Octets{136, 0, 0, 0, 0, 0, 0, 0}});
  advertisement[7] = 255;
  after.fromUplink(Slot(tunnelled(advertisement, oldCareOf, newCareOf)));
  CHECK(after.tunnelDrops(0, Drop::neighbor_discovery) == 1);
  CHECK(after.allDrops() == 2);
  after.untouched();
}

TEST_CASE("whatever arrives at a host that a guest left, its old port gets nothing") {
  Random random(20260102);
  OldHost before;
  TunnelSpec optimised = leaving();
  optimised.optimise = true;
  optimised.routes = {{home, far, {}, true, true}, {home, other, newCareOf, true, true}};
  const std::array<Address, 6> addresses{home, other, far, agent, oldCareOf, newCareOf};
  const std::array<std::uint8_t, 6> headers{kTcp, kUdp, kIpv6, kRouting, kIcmpv6, kDestination};
  std::size_t forwarded = 0;
  for (int round = 0; round < 10000; ++round) {
    if (round % 1000 == 0) before.publish(oldCareOf, {round % 2000 ? optimised : leaving(), place()});
    TcpFields fields{.source = addresses[random.below(6)],
                     .destination = random.oneIn(2) ? home : addresses[random.below(6)],
                     .hopLimit = static_cast<std::uint8_t>(random.below(4))};
    fields.firstHeader = headers[random.below(headers.size())];
    fields.payload = random.octets(random.below(200));
    Octets packet = buildTcp(fields);
    if (random.oneIn(4))
      packet = chain(random.oneIn(2) ? agent : far, oldCareOf, kRouting,
                     {type2Routing(home, kTcp), Octets(packet.begin() + 40, packet.end())});
    else
      packet = tunnelled(packet, agent, oldCareOf);
    for (auto flips = random.below(3); flips > 0; --flips)
      packet[random.below(packet.size())] = random.octet();
    Offload offload{};
    if (random.oneIn(3)) offload = needsChecksum(random.below(120));
    if (random.oneIn(4)) offload = trainOf(random.below(120), random.below(200), random.below(100));
    before.fromUplink(Slot(packet, offload));
    REQUIRE(!before.guest->take());
    for (; before.network->take(); ++forwarded) continue;
    takeAll(before.region);
  }
  CHECK(forwarded > 500);
}

TEST_CASE("the first delivery out of a tunnel is told of once, by its headers") {
  NewHost after;
  const Octets packet = segmentOf(far, home, 1000);
  const auto straggle = [&] { after.fromUplink(Slot(tunnelled(packet, oldCareOf, newCareOf))); };
  straggle();
  CHECK(after.told().empty());

  after.port->watchFirstDelivery();
  after.port->watchFirstFrame();
  straggle();
  auto told = after.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::firstDelivery);
  CHECK(told[0].record.port == 0);
  CHECK(told[0].record.tunnelSlot == 0);
  after.guest->take();
  const auto delivered = after.guest->take();
  REQUIRE(delivered);
  CHECK(told[0].bytes == Octets(delivered->bytes.begin(), delivered->bytes.begin() + 14 + 40));
  CHECK(told[0].record.originalLength == delivered->bytes.size());
  straggle();
  CHECK(after.told().empty());

  after.port->watchFirstDelivery();
  after.fromPort(Slot(frame(segmentOf(home, far))));
  told = after.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::firstFrame);
  after.fromUplink(Slot(tunnelled(segmentOf(far, home), agent, newCareOf)));
  told = after.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::firstDelivery);
  CHECK(told[0].record.tunnelSlot == 1);
}

TEST_CASE(
    "a first delivery that found no room, or no guest, is no drop of its own: the next one is told of") {
  NewHost after;
  const auto straggle = [&] {
    after.fromUplink(Slot(tunnelled(segmentOf(far, home), oldCareOf, newCareOf)));
  };
  after.port->watchFirstDelivery();
  after.publish(newCareOf, {stragglers(), registered()}, false);
  straggle();
  CHECK(after.tunnelDrops(0, Drop::no_port) == 1);
  CHECK(after.told().empty());
  after.publish(newCareOf, {stragglers(), registered()});

  for (std::uint32_t count = 0; count < SlowPath::kPortShare; ++count)
    after.fromPort(Slot(frame(solicitation())));
  const auto before = after.allDrops();
  straggle();
  CHECK(after.guest->take());
  CHECK(after.allDrops() == before);
  takeAll(after.region);
  straggle();
  const auto told = after.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.kind == SlowPathKind::firstDelivery);
  CHECK(!after.port->takeFirstDelivery());
}

TEST_CASE("a host that a guest left delivers nothing, so tells of no first delivery") {
  OldHost before;
  before.port->watchFirstDelivery();
  before.fromUplink(Slot(tunnelled(segmentOf(far, home), agent, oldCareOf)));
  CHECK(before.told().empty());
  CHECK(before.port->takeFirstDelivery());
}
