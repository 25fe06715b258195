// Fragments on their way through the engine: a packet that was put together is a packet like any other.
#include <doctest/doctest.h>

#include "fragments.h"
#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

// What came to the slow path, oldest first.
struct Told {
  SlowPathRecord record;
  Octets bytes;
};
std::vector<Told> told(const Region& region) {
  std::vector<Told> all;
  SlowPathRing ring = region.receiveRing();
  while (const auto entry = ring.front()) {
    all.push_back({entry->record, copy(entry->bytes)});
    ring.pop();
  }
  return all;
}

template <class AnyWorld>
void give(AnyWorld& world, const std::vector<Octets>& packets, const Offload& offload = {}) {
  std::vector<Slot> slots;
  for (const Octets& packet : packets) slots.emplace_back(packet, offload);
  world.fromUplink(slots);
}

Octets echo(const Address& source, const Address& destination, std::uint8_t type, std::size_t length) {
  Octets message(length, 0x33);
  message[0] = type;
  message[1] = 0;
  return chain(source, destination, kIcmpv6, {message});
}

Octets withoutEthernet(const std::optional<MemoryDevice::Item>& item) {
  REQUIRE(item);
  return {item->bytes.begin() + 14, item->bytes.end()};
}

}  // namespace

TEST_CASE("RFC 2473 7.1: fragments of a tunnel packet reach the guest as the inner packet") {
  const Octets inner = packetOf(far, home, 1280);
  const Octets outer = tunnelled(inner, agent, careOf);
  const auto fragments = fragmentsOf(outer, {1232});
  for (const bool reversed : {false, true}) {
    World world;
    // In one batch, and in two.
    give(world, {fragments[reversed], fragments[!reversed]});
    CHECK(withoutEthernet(world.guest->take()) == inner);
    give(world, {fragments[reversed]});
    CHECK(!world.guest->take());
    give(world, {fragments[!reversed]});
    CHECK(withoutEthernet(world.guest->take()) == inner);
    CHECK(!world.guest->take());
    CHECK(world.traffic(0, TunnelCounter::toGuestPackets) == 2);
    CHECK(world.traffic(0, TunnelCounter::toGuestBytes) == 2 * 1280);
    CHECK(world.allDrops() == 0);
  }
}

TEST_CASE("fragments at the home agent: to the home network, and to another mobile node") {
  World world;
  const Octets toHome = packetOf(home, far, 1280), between = packetOf(home, other, 1280);
  give(world, fragmentsOf(tunnelled(toHome, careOf, agent), {1232}));
  const auto item = world.network->take();
  REQUIRE(item);
  CHECK(item->bytes == toHome);
  give(world, fragmentsOf(tunnelled(between, careOf, agent), {600, 1232}));
  const auto again = world.network->take();
  REQUIRE(again);
  Octets decremented = between;
  --decremented[7];
  CHECK(Octets(again->bytes.begin() + 40, again->bytes.end()) == decremented);
  CHECK(reference::addressAt(again->bytes, 24) == otherCareOf);
  CHECK(world.allDrops() == 0);
}

TEST_CASE("RFC 2473 4.1.1: a tunnel encapsulation limit before the fragment header, or behind it") {
  const Octets inner = packetOf(far, home, 1280);
  Octets outer = chain(agent, careOf, kDestination, {hex("29000401 04010000"), inner});
  for (const std::size_t headers : {40, 48}) {
    World world;
    give(world, fragmentsOf(outer, {1200}, {.headers = headers}));
    CHECK(withoutEthernet(world.guest->take()) == inner);
    CHECK(world.allDrops() == 0);
  }
}

TEST_CASE("segments that were put together in one batch are merged, each from its own memory") {
  World world;
  std::vector<Octets> packets;
  Octets stream;
  for (std::uint32_t part = 0; part < 8; ++part) {
    TcpFields fields{.source = far, .destination = home, .sequence = 1000 + part * 1220};
    fields.payload = Random(part).octets(1220);
    put(stream, fields.payload);
    const auto fragments =
        fragmentsOf(tunnelled(complete(buildTcp(fields)), agent, careOf), {1232}, {.identification = part});
    packets.insert(packets.end(), fragments.begin(), fragments.end());
  }
  give(world, packets);
  const auto train = world.guest->take();
  REQUIRE(train);
  CHECK(!world.guest->take());
  CHECK(train->offload.gso_size == 1220);
  CHECK(Octets(train->bytes.begin() + 14 + 60, train->bytes.end()) == stream);
}

TEST_CASE("after each batch the memory of what was passed on is there again") {
  World world;
  const auto fragments = fragmentsOf(tunnelled(packetOf(far, home, 1280), agent, careOf), {1232});
  for (std::size_t count = 0; count < 3 * Reassembler::kContexts; ++count) {
    give(world, fragments);
    CHECK(world.guest->take());
  }
  CHECK(world.allDrops() == 0);
}

TEST_CASE("more packets in a batch than the coalescer holds") {
  World world;
  std::vector<Octets> packets;
  for (std::uint32_t part = 0; part < 100; ++part)
    for (const Octets& fragment : fragmentsOf(tunnelled(packetOf(far, home, 1000 + part), agent, careOf),
                                              {800}, {.identification = part}))
      packets.push_back(fragment);
  give(world, packets);
  for (std::uint32_t part = 0; part < 100; ++part)
    CHECK(withoutEthernet(world.guest->take()) == packetOf(far, home, 1000 + part));
  CHECK(world.allDrops() == 0);
}

TEST_CASE("signaling, echo replies and errors of the tunnel's other end come whole to the slow path") {
  const auto padded = [](Octets packet, std::size_t length) {
    packet.resize(length);
    reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(length - 40));
    return packet;
  };
  const std::vector<Octets> packets{
      echo(agent, careOf, 129, 1600), echo(agent, careOf, 1, 1240), padded(update(careOf, home, 7), 1400),
      padded(espUpdate(otherCareOf, other, 1000, 1), 1400), padded(acknowledgement(secondHome, 7), 1400)};
  for (const Octets& packet : packets) {
    World whole, cut;
    give(whole, {packet});
    give(cut, fragmentsOf(packet, {800}));
    const auto expected = told(whole.region), result = told(cut.region);
    REQUIRE(expected.size() == 1);
    REQUIRE(result.size() == 1);
    CHECK(result[0].bytes == packet);
    CHECK(result[0].bytes == expected[0].bytes);
    CHECK(result[0].record.kind == expected[0].record.kind);
    CHECK(result[0].record.tunnelSlot == expected[0].record.tunnelSlot);
    CHECK(cut.allDrops() == 0);
  }
}

TEST_CASE("what is dropped whole is dropped when it was put together") {
  World world;
  give(world, fragmentsOf(tunnelled(packetOf(far, other, 1280), agent, careOf), {1232}));
  CHECK(world.tunnelDrops(0, Drop::inner_destination) == 1);
  give(world, fragmentsOf(packetOf(agent, careOf, 1280), {1232}));
  CHECK(world.engineDrops(Drop::unexpected_protocol) == 1);
  CHECK(world.allDrops() == 2);
  CHECK(!world.guest->take());
}

TEST_CASE("RFC 6275 6.4: fragments behind a type 2 routing header are the guest's, but for what is ours") {
  const auto routed = [](const Octets& packet) {
    Octets result = packet;
    const Octets header = type2Routing(home, packet[6]);
    std::copy(careOf.octets.begin(), careOf.octets.end(), result.begin() + 24);
    result[6] = kRouting;
    result.insert(result.begin() + 40, header.begin(), header.end());
    reference::setNumber(result, 4, 2, static_cast<std::uint32_t>(result.size() - 40));
    return result;
  };
  const Cut behindRouting{.headers = 64};
  SUBCASE("data goes on in fragments, in any order") {
    for (const std::uint8_t type : {kUdp, kIcmpv6}) {
      const Octets packet = type == kUdp ? packetOf(agent, home, 2000) : echo(agent, home, 128, 2000);
      const auto arrive = fragmentsOf(routed(packet), {1200}, behindRouting);
      const auto leave = fragmentsOf(packet, {1200});
      World world;
      for (const std::size_t index : {0, 1, 1, 0}) {
        give(world, {arrive[index]});
        CHECK(withoutEthernet(world.guest->take()) == leave[index]);
      }
      CHECK(world.allDrops() == 0);
    }
  }
  SUBCASE("an echo reply, or signaling, is put together for us") {
    Octets message = mobility(kBindingAcknowledgement, 1);
    message.resize(1500);
    for (const Octets& packet : {echo(agent, home, 129, 1500), chain(agent, home, kMobility, {message})}) {
      World world;
      give(world, fragmentsOf(routed(packet), {1200}, behindRouting));
      const auto records = told(world.region);
      REQUIRE(records.size() == 1);
      CHECK(records[0].record.kind == SlowPathKind::control);
      CHECK(records[0].bytes == routed(packet));
      CHECK(!world.guest->take());
      CHECK(world.allDrops() == 0);
    }
  }
  SUBCASE("the same identification to the care-of address is another packet's") {
    World world;
    const Octets inner = packetOf(far, home, 1280);
    const auto tunnel = fragmentsOf(tunnelled(inner, agent, careOf), {1200});
    const auto reply = fragmentsOf(routed(echo(agent, home, 129, 1500)), {1200}, behindRouting);
    give(world, {tunnel[0], reply[0], tunnel[1], reply[1]});
    CHECK(withoutEthernet(world.guest->take()) == inner);
    CHECK(told(world.region).size() == 1);
    CHECK(world.allDrops() == 0);
  }
  SUBCASE("of anybody else it is what it was: nobody's") {
    World world;
    const auto fragments = fragmentsOf(routed(echo(far, home, 129, 1500)), {1200}, behindRouting);
    give(world, fragments);
    CHECK(world.engineDrops(Drop::routing_header) == 2);
    Octets wrong = fragments[0];
    std::copy(agent.octets.begin(), agent.octets.end(), wrong.begin() + 8);
    std::copy(other.octets.begin(), other.octets.end(), wrong.begin() + 48);
    give(world, {wrong});
    CHECK(world.tunnelDrops(0, Drop::routing_header) == 1);
    CHECK(world.allDrops() == 3);
  }
  SUBCASE("cut off, or atomic") {
    World world;
    const Octets packet = packetOf(agent, home, 100);
    give(world, {fragmentOf(routed(packet), 0, 60, false, behindRouting)});
    CHECK(withoutEthernet(world.guest->take()) == packet);
    Octets cut = fragmentOf(routed(packet), 0, 48, true, behindRouting);
    cut.resize(64 + 7);
    cut[5] = 24 + 7;
    give(world, {cut});
    CHECK(world.tunnelDrops(0, Drop::fragment_malformed) == 1);
    CHECK(world.allDrops() == 1);
  }
}

TEST_CASE("who is at the other end of no tunnel gets no memory") {
  World world;
  const Octets inner = packetOf(far, home, 1280);
  give(world, fragmentsOf(tunnelled(inner, far, careOf), {1232}));
  give(world, fragmentsOf(tunnelled(inner, otherCareOf, careOf), {1232}));
  give(world, fragmentsOf(tunnelled(inner, far, agent), {1232}));
  CHECK(world.engineDrops(Drop::fragment_stranger) == 6);
  CHECK(world.allDrops() == 6);
  CHECK(told(world.region).empty());
}

TEST_CASE("other headers in front of the fragment header") {
  const Octets padding = hex("2c000104 00000000"), inner = packetOf(far, home, 1280);
  const Octets fragmentHeader = hex("29000001 00000001");
  const Octets foreign = hex("2c020001 00000000 00000000 00000000 00000000 00000000");
  World world;
  give(world,
       {chain(agent, careOf, kHopByHop, {padding, fragmentHeader, inner}),
        chain(agent, careOf, kDestination, {hex("3c000104 00000000"), padding, fragmentHeader, inner})});
  CHECK(world.engineDrops(Drop::fragment_header) == 2);
  give(world, {chain(agent, careOf, kRouting, {foreign, fragmentHeader, inner})});
  CHECK(world.engineDrops(Drop::routing_header) == 1);
  Octets options(Reassembler::kMostHeaders - 40 + 8);
  options[0] = kFragment;
  options[1] = static_cast<std::uint8_t>(options.size() / 8 - 1);
  give(world, {chain(agent, careOf, kDestination, {options, fragmentHeader, inner})});
  CHECK(world.tunnelDrops(0, Drop::fragment_header) == 1);
  CHECK(world.allDrops() == 4);
  CHECK(told(world.region).empty());
}

TEST_CASE("RFC 6946 4: an atomic fragment is a packet alone, whoever sends it and whatever is awaited") {
  const Octets inner = packetOf(far, home, 1000);
  const Octets outer = tunnelled(inner, agent, careOf);
  const auto fragments = fragmentsOf(outer, {800});
  World world;
  give(world, {fragments[0], fragmentOf(outer, 0, 1000, false), fragments[1]});
  CHECK(withoutEthernet(world.guest->take()) == inner);
  CHECK(withoutEthernet(world.guest->take()) == inner);
  CHECK(!world.guest->take());
  CHECK(world.allDrops() == 0);

  const Octets request = echo(far, careOf, 128, 100);
  give(world, {fragmentOf(request, 0, 100, false)});
  const auto records = told(world.region);
  REQUIRE(records.size() == 1);
  CHECK(records[0].bytes == request);
  CHECK(world.allDrops() == 0);

  const Octets withOptions = chain(agent, careOf, kDestination, {hex("29000401 04010000"), inner});
  give(world, {fragmentOf(withOptions, 0, 1000, false, {.headers = 48})});
  CHECK(withoutEthernet(world.guest->take()) == inner);
}

TEST_CASE("RFC 6946 4: atomic fragments inside each other, as many as a packet has room for") {
  Octets nested, withOptions;
  for (int count = 0; count < 2000; ++count) {
    put(nested, hex("2c000000 00000001"));
    put(withOptions, hex("3c000000 00000001 2c000104 00000000"));
  }
  World world;
  give(world, {chain(agent, careOf, kFragment, {nested}), chain(agent, careOf, kFragment, {withOptions}),
               chain(agent, careOf, kRouting, {type2Routing(home, kFragment), nested})});
  CHECK(world.tunnelDrops(0, Drop::fragment_malformed) == 2);
  CHECK(world.engineDrops(Drop::malformed) == 1);
  CHECK(world.allDrops() == 3);
  CHECK(told(world.region).empty());
}

TEST_CASE("a fragment in a fragment, one of several inside an atomic one") {
  World world;
  const Octets inner = packetOf(far, home, 1000);
  give(world, {chain(agent, careOf, kFragment,
                     {hex("3c000000 00000001"), hex("2c000104 00000000"), hex("29000001 00000001"), inner})});
  CHECK(world.engineDrops(Drop::fragment_header) == 1);
  CHECK(world.allDrops() == 1);
}

TEST_CASE("RFC 3168 5.3, RFC 6040 4.2: a congestion mark on one fragment reaches the guest") {
  World world;
  TcpFields fields{.source = far, .destination = home, .trafficClass = 2};
  fields.payload = Octets(1200, 1);
  const Octets inner = complete(buildTcp(fields));
  auto fragments = fragmentsOf(tunnelled(inner, agent, careOf), {800});
  fragments[1] = marked(fragments[1], 3);
  give(world, fragments);
  CHECK(withoutEthernet(world.guest->take()) == marked(inner, 3));
  CHECK(world.allDrops() == 0);
}

TEST_CASE("offload of a fragment: a checksum or a train to be made of it cannot be") {
  const Octets outer = tunnelled(packetOf(far, home, 1280), agent, careOf);
  const auto fragments = fragmentsOf(outer, {1232});
  World world;
  give(world, fragments, needsChecksum(88));
  Offload train{};
  train.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
  train.gso_size = 100;
  give(world, fragments, train);
  CHECK(world.tunnelDrops(0, Drop::bad_offload) == 4);
  CHECK(world.allDrops() == 4);
  give(world, {fragmentOf(outer, 0, 1280, false)}, train);
  for (const std::size_t start : {0, 39, 40, 47})
    give(world, {fragmentOf(outer, 0, 1280, false)}, needsChecksum(start));
  CHECK(world.tunnelDrops(0, Drop::bad_offload) == 9);
  CHECK(!world.guest->take());

  // In an atomic one it is as good as in a whole packet.
  give(world, {fragmentOf(outer, 0, 1280, false)}, needsChecksum(88));
  const auto item = world.guest->take();
  REQUIRE(item);
  CHECK(item->offload.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
  CHECK(item->offload.csum_start == 54);
}

TEST_CASE("nobody vouches for the checksum of what was put together") {
  World world;
  Offload valid{};
  valid.flags = VIRTIO_NET_HDR_F_DATA_VALID;
  give(world, fragmentsOf(tunnelled(packetOf(far, home, 1280), agent, careOf), {1232}), valid);
  const auto item = world.guest->take();
  REQUIRE(item);
  CHECK(item->offload.flags == 0);
}

TEST_CASE(
    "fragments that are lost are counted at the tunnel, or at the engine when it may be one of several") {
  World world;
  const auto fragments = fragmentsOf(tunnelled(packetOf(home, far, 1280), careOf, agent), {1232});
  give(world, {fragments[0]});
  world.now += 60 * kSecond + 1;
  give(world, {fragments[1]});
  CHECK(world.tunnelDrops(1, Drop::fragment_timeout) == 1);

  const TunnelSpec one{.slot = 1,
                       .side = Side::kHomeAgent,
                       .local = agent,
                       .remote = careOf,
                       .homeAddresses = {home},
                       .mtu = kMtu};
  TunnelSpec two = one;
  two.slot = 2;
  two.homeAddresses = {other};
  World shared;
  shared.table = TunnelTable({{one, two}, {{agent, Side::kHomeAgent}}}, {},
                             std::make_shared<Uplink>(shared.network), shared.region);
  for (const Address& source : {home, other}) {
    const Octets inner = packetOf(source, far, 1280);
    give(shared, fragmentsOf(tunnelled(inner, careOf, agent), {1232}));
    const auto item = shared.network->take();
    REQUIRE(item);
    CHECK(item->bytes == inner);
  }
  give(shared, {fragments[0]});
  shared.now += 60 * kSecond + 1;
  give(shared, {fragments[1]});
  CHECK(shared.engineDrops(Drop::fragment_timeout) == 1);
  CHECK(shared.allDrops() == 1);
}

TEST_CASE("whatever fragments arrive, nothing is read or written outside its packet") {
  World world;
  Random random(20260202);
  const std::vector<Octets> wholes{
      tunnelled(packetOf(far, home, 1280), agent, careOf),
      tunnelled(packetOf(home, other, 1280), careOf, agent),
      chain(agent, careOf, kDestination, {hex("29000401 04010000"), packetOf(far, home, 1280)}),
      chain(agent, careOf, kRouting, {type2Routing(home, kIcmpv6), Octets(300, 129)}),
      chain(agent, careOf, kRouting, {type2Routing(home, kMobility), Octets(300, 1)}),
      echo(agent, careOf, 129, 1300),
      update(careOf, home, 1),
      espUpdate(otherCareOf, other, 1000, 1)};
  const std::array<std::size_t, 8> prefixes{40, 40, 48, 64, 64, 40, 40, 40};
  std::uint64_t passed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<Slot> slots;
    for (auto count = random.below(8); count > 0; --count) {
      const std::size_t which = random.below(wholes.size());
      const std::size_t length = wholes[which].size() - prefixes[which];
      const std::size_t cut = length > 1000 ? 800 : 24;
      const Cut number{.identification = static_cast<std::uint32_t>(random.below(4)),
                       .headers = prefixes[which]};
      Octets fragment = fragmentsOf(wholes[which], {cut}, number)[random.below(2)];
      if (random.oneIn(4))
        for (auto flips = random.below(4); flips > 0; --flips)
          fragment[random.below(std::min<std::size_t>(fragment.size(), 120))] = random.octet();
      if (random.oneIn(10)) fragment.resize(random.below(fragment.size() + 1));
      Offload offload{};
      if (random.oneIn(10)) offload = needsChecksum(random.below(120));
      if (random.oneIn(20)) offload = trainOf(random.below(120), random.below(200), random.below(100));
      slots.emplace_back(fragment, offload);
    }
    world.fromUplink(slots);
    world.now += random.below(kSecond);
    while (world.guest->take()) ++passed;
    world.empty();
  }
  CHECK(passed > 1000);
}

TEST_CASE("fragments for others pass, and a guest's own leave as they are") {
  World world;
  const Octets toGuest = packetOf(far, home, 1280), fromGuest = packetOf(home, far, 1280);
  for (const Octets& fragment : fragmentsOf(toGuest, {1000})) {
    give(world, {fragment});
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(Octets(item->bytes.begin() + 40, item->bytes.end()) == fragment);
    give(world, {tunnelled(fragment, agent, careOf)});
    CHECK(withoutEthernet(world.guest->take()) == fragment);
  }
  for (const Octets& fragment : fragmentsOf(fromGuest, {1000})) {
    world.fromPort(Slot(frame(fragment)));
    CHECK(world.network->take());
  }
  CHECK(world.allDrops() == 0);
}
