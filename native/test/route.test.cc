#include "../engine/route.h"

#include <doctest/doctest.h>

#include "world.h"

// sanitizer/allocator_interface.h, which not every compiler's package brings.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                                         void (*freed)(const volatile void*));

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

const Address peerCareOf = addressOf(0x77);
const Address stranger = addressOf(0x98);

// RFC 6275 6.3 and 6.4.1 as they are drawn there.
Octets homeAddressHeader(std::uint8_t next, const Address& address) {
  Octets header{next, 2, 1, 2, 0, 0, 0xc9, 16};
  put(header, address.octets);
  return header;
}
Octets routingHeader(std::uint8_t next, const Address& address) {
  Octets header{next, 2, 2, 1, 0, 0, 0, 0};
  put(header, address.octets);
  return header;
}

// What a packet looks like on the straight way, all of it copied.
Octets straightReference(const Octets& packet, const Address& local, const RouteSpec& route) {
  Octets headers;
  if (route.isMobile()) headers = routingHeader(kDestination, route.correspondent);
  put(headers, homeAddressHeader(packet[6], route.homeAddress));
  Octets result(packet.begin(), packet.begin() + 40);
  put(result, headers);
  result.insert(result.end(), packet.begin() + 40, packet.end());
  reference::setNumber(result, 4, 2, static_cast<std::uint32_t>(result.size() - 40));
  result[6] = route.isMobile() ? kRouting : kDestination;
  std::copy(local.octets.begin(), local.octets.end(), result.begin() + 8);
  if (route.isMobile())
    std::copy(route.careOf.octets.begin(), route.careOf.octets.end(), result.begin() + 24);
  return result;
}

// `packet` (source and destination are home addresses) as it comes from a correspondent.
Octets arriving(const Octets& packet, const Address& source, bool mobile, const Address& to = careOf) {
  const Address homeAddress = reference::addressAt(packet, 24),
                correspondent = reference::addressAt(packet, 8);
  Octets headers = routingHeader(mobile ? std::uint8_t{kDestination} : packet[6], homeAddress);
  if (mobile) put(headers, homeAddressHeader(packet[6], correspondent));
  Octets result(packet.begin(), packet.begin() + 40);
  put(result, headers);
  result.insert(result.end(), packet.begin() + 40, packet.end());
  reference::setNumber(result, 4, 2, static_cast<std::uint32_t>(result.size() - 40));
  result[6] = kRouting;
  std::copy(source.octets.begin(), source.octets.end(), result.begin() + 8);
  std::copy(to.octets.begin(), to.octets.end(), result.begin() + 24);
  return result;
}

// With a Home Address option alone, as it comes out of the tunnel.
Octets optioned(const Octets& packet, const Address& source) {
  Octets result(packet.begin(), packet.begin() + 40);
  put(result, homeAddressHeader(packet[6], reference::addressAt(packet, 8)));
  result.insert(result.end(), packet.begin() + 40, packet.end());
  reference::setNumber(result, 4, 2, static_cast<std::uint32_t>(result.size() - 40));
  result[6] = kDestination;
  std::copy(source.octets.begin(), source.octets.end(), result.begin() + 8);
  return result;
}

TableSpec tableWith(std::vector<RouteSpec> routes) {
  return {{{.slot = 0,
            .side = Side::kMobileNode,
            .local = careOf,
            .remote = agent,
            .homeAddresses = {home, secondHome},
            .port = 0,
            .mtu = kMtu,
            .optimise = true,
            .routes = std::move(routes)}},
          {{careOf, Side::kMobileNode}}};
}

const RouteSpec fixed{home, far, {}, true, true};
const RouteSpec mobile{home, other, peerCareOf, true, true};

template <class GuestDevice = MemoryDevice, class NetworkDevice = MemoryDevice>
struct RouteWorld : World<GuestDevice, NetworkDevice> {
  explicit RouteWorld(std::vector<RouteSpec> routes = {fixed, mobile}) {
    this->table = TunnelTable(tableWith(std::move(routes)), {this->port},
                              std::make_shared<Uplink>(this->network), this->region);
  }
  void begin() { this->forwarder.beginBatch(this->table, this->now); }
  // The records that JavaScript was told of one kind; the others are let go.
  std::vector<SlowPathRecord> told(SlowPathKind kind) {
    std::vector<SlowPathRecord> records;
    SlowPathRing ring = this->region.receiveRing();
    for (; const auto entry = ring.front(); ring.pop())
      if (entry->record.kind == kind) records.push_back(entry->record);
    return records;
  }
  std::optional<Octets> delivered() {
    const auto item = this->guest->take();
    if (!item) return std::nullopt;
    return Octets(item->bytes.begin() + 14, item->bytes.end());
  }
};

Octets segmentOf(const Address& source, const Address& destination, std::size_t payload = 100) {
  TcpFields fields{.source = source, .destination = destination};
  fields.payload = Octets(payload, 0x5a);
  return complete(buildTcp(fields));
}

}  // namespace

TEST_CASE("RFC 6275 6.3, 6.4: a packet that goes straight is the reference's") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    const RouteSpec& route = random.oneIn(2) ? fixed : mobile;
    const Octets packet = segmentOf(home, route.correspondent, random.below(1400));
    const bool partly = random.oneIn(2);
    Slot slot(packet, partly ? needsChecksum(40) : Offload{});
    goStraight(slot.packet, careOf, route);
    CHECK(copy(slot.packet.bytes) == straightReference(packet, careOf, route));
    CHECK(slot.packet.offload.csum_start == (partly ? 40 + straightOverhead(route) : 0));
  }
}

TEST_CASE("what went straight is restored at the other end, checksum and all") {
  for (const RouteSpec& route : {fixed, mobile}) {
    const Octets packet = segmentOf(home, route.correspondent);
    Slot slot(packet, needsChecksum(40));
    goStraight(slot.packet, careOf, route);
    if (route.isMobile()) REQUIRE(stripType2Routing(slot.packet));
    REQUIRE(stripHomeAddress(slot.packet));
    CHECK(copy(slot.packet.bytes) == packet);
    CHECK(slot.packet.offload.csum_start == 40);
  }
}

TEST_CASE("RFC 6275 6.3: a Home Address option among padding, once, and nothing else") {
  const Octets packet = segmentOf(far, home);
  const auto with = [&](const Octets& header) {
    Octets result(packet.begin(), packet.begin() + 40);
    put(result, header);
    result.insert(result.end(), packet.begin() + 40, packet.end());
    result[6] = kDestination;
    reference::setNumber(result, 4, 2, static_cast<std::uint32_t>(result.size() - 40));
    return result;
  };
  const auto seen = [&](const Octets& header) {
    const Octets octets = with(header);
    const auto view = viewIpv6(octets);
    REQUIRE(view);
    return viewHomeAddress(*view);
  };
  const Octets usual = homeAddressHeader(kTcp, stranger);
  REQUIRE(seen(usual));
  CHECK(seen(usual)->homeAddress == stranger);
  CHECK(seen(usual)->length == 24);
  CHECK(seen(usual)->nextHeader == kTcp);
  Octets singly = usual;
  for (std::size_t at = 2; at < 6; ++at) singly[at] = 0;
  CHECK(seen(singly));
  Octets longer = usual;
  longer[1] = 3;
  put(longer, Octets{1, 6, 0, 0, 0, 0, 0, 0});
  CHECK(seen(longer)->length == 32);

  Octets twice = usual;
  twice[1] = 5;
  put(twice, Octets{1, 4, 0, 0, 0, 0, 0xc9, 16});
  put(twice, stranger.octets);
  CHECK(!seen(twice));
  Octets unknown = usual;
  unknown[2] = 4;
  CHECK(!seen(unknown));
  Octets shorter = usual;
  shorter[7] = 15;
  CHECK(!seen(shorter));
  Octets beyond = usual;
  beyond[7] = 17;
  CHECK(!seen(beyond));
  CHECK(!seen(Octets{kTcp, 0, 1, 4, 0, 0, 0, 0}));
  Octets cut = with(usual);
  cut.resize(50);
  reference::setNumber(cut, 4, 2, 10);
  CHECK(!viewHomeAddress(*viewIpv6(cut)));
}

TEST_CASE("a missing checksum counts the addresses that are left") {
  Octets packet = segmentOf(home, far);
  const Octets right = partial(packet);
  reference::setNumber(packet, 56, 2, 0xdead);
  Slot slot(packet, needsChecksum(40));
  refreshPseudoSum(slot.packet);
  CHECK(copy(slot.packet.bytes) == right);
  Slot elsewhere(packet, needsChecksum(48));
  refreshPseudoSum(elsewhere.packet);
  CHECK(copy(elsewhere.packet.bytes) == packet);
}

TEST_CASE("a pair is told of once in ten seconds, a place at most once a second") {
  RecentlyTold told;
  const auto second = kSecond;
  CHECK(told.due(home, far, 5 * second));
  CHECK(!told.due(home, far, 5 * second));
  CHECK(!told.due(home, far, 14 * second));
  CHECK(told.due(home, far, 15 * second));
  Random random(3);
  std::size_t count = 0;
  for (int index = 0; index < 100000; ++index) {
    Address many = far;
    for (std::size_t at = 8; at < 16; ++at) many.octets[at] = random.octet();
    count += told.due(home, many, 100 * second + static_cast<std::uint64_t>(index));
  }
  CHECK(count <= RecentlyTold::kPlaces);
}

TEST_CASE("the table refuses routes that are not its tunnel's, twice, or too many") {
  World world;
  const auto refused = [&](std::vector<RouteSpec> routes) {
    CHECK_THROWS_AS(TunnelTable(tableWith(std::move(routes)), {world.port}, nullptr, world.region),
                    std::exception);
  };
  refused({{other, far, {}, true, true}});
  refused({fixed, fixed});
  refused(std::vector<RouteSpec>(TunnelTable::kMaxRoutes + 1, fixed));
}

TEST_CASE("RFC 6275 11.3.1: the guest's packets go straight, without the tunnel") {
  for (const RouteSpec& route : {fixed, mobile}) {
    RouteWorld world;
    const Octets packet = segmentOf(home, route.correspondent);
    world.fromPort(Slot(frame(packet)));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(copy(item->bytes) == straightReference(packet, careOf, route));
    CHECK(world.traffic(0, TunnelCounter::straightTo) == 1);
    CHECK(world.traffic(0, TunnelCounter::toHomePackets) == 1);
    CHECK(world.traffic(0, TunnelCounter::toHomeBytes) == packet.size());
  }
}

TEST_CASE("what has no straight route goes through the tunnel") {
  RouteSpec only = mobile;
  only.straight = false;
  RouteWorld world({fixed, only});
  for (const Octets& packet :
       {segmentOf(home, other), segmentOf(home, stranger), segmentOf(secondHome, far)}) {
    world.fromPort(Slot(frame(packet)));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(copy(item->bytes) == tunnelled(packet, careOf, agent));
  }
}

TEST_CASE("RFC 8200 4.1: a packet whose own extension headers come first goes through the tunnel") {
  RouteWorld world;
  for (const std::uint8_t header : {kHopByHop, kRouting, kDestination, kMobility, kNoNext}) {
    TcpFields fields{.source = home, .destination = far};
    fields.extensions = Octets{kTcp, 0, 1, 4, 0, 0, 0, 0};
    fields.firstHeader = header;
    const Octets packet = buildTcp(fields);
    world.fromPort(Slot(frame(packet)));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(copy(item->bytes) == tunnelled(packet, careOf, agent));
  }
}

TEST_CASE("a fragment goes straight: its header stays behind what is put in") {
  RouteWorld world;
  TcpFields fields{.source = home, .destination = far};
  fields.extensions = Octets{kTcp, 0, 0, 1, 0, 0, 0, 9};
  fields.firstHeader = kFragment;
  const Octets packet = buildTcp(fields);
  world.fromPort(Slot(frame(packet)));
  const auto item = world.network->take();
  REQUIRE(item);
  CHECK(copy(item->bytes) == straightReference(packet, careOf, fixed));
}

TEST_CASE("the straight way's MTU: the uplink's less the headers put in") {
  for (const auto& [route, mtu] : {std::pair(fixed, 1476u), std::pair(mobile, 1452u)}) {
    RouteWorld world;
    world.fromPort(Slot(frame(packetOf(home, route.correspondent, mtu))));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->bytes.size() == 1500);
    world.fromPort(Slot(frame(packetOf(home, route.correspondent, mtu + 1))));
    CHECK(!world.network->take());
    CHECK(world.portDrops(Drop::too_big) == 1);
    const auto records = world.told(SlowPathKind::tooBig);
    REQUIRE(records.size() == 1);
    CHECK(records[0].mtu == mtu);
  }
}

TEST_CASE("RFC 8200 5: where the headers leave less than 1280, the tunnel carries it") {
  RouteWorld world;
  TableSpec spec = tableWith({fixed, mobile});
  spec.tunnels[0].mtu = 1280;
  world.table = TunnelTable(spec, {world.port}, std::make_shared<Uplink>(world.network), world.region);
  const Octets packet = packetOf(home, other, 1280);
  world.fromPort(Slot(frame(packet)));
  CHECK(copy(world.network->take()->bytes) == tunnelled(packet, careOf, agent));
  const Octets straight = packetOf(home, far, 1280);
  world.fromPort(Slot(frame(straight)));
  CHECK(copy(world.network->take()->bytes) == straightReference(straight, careOf, fixed));
}

TEST_CASE("RFC 8201 4: the path MTU, where it is known, holds for the straight way too") {
  for (const auto& [route, pathMtu, mtu] :
       {std::tuple(fixed, 1400u, 1376u), std::tuple(mobile, 1400u, 1352u), std::tuple(fixed, 1304u, 1280u)}) {
    RouteWorld world;
    TableSpec spec = tableWith({fixed, mobile});
    spec.tunnels[0].mtu = std::max(1280u, pathMtu - 40);
    spec.tunnels[0].pathMtu = pathMtu;
    world.table = TunnelTable(spec, {world.port}, std::make_shared<Uplink>(world.network), world.region);
    world.fromPort(Slot(frame(packetOf(home, route.correspondent, mtu))));
    CHECK(world.network->take()->bytes.size() == pathMtu);
    world.fromPort(Slot(frame(packetOf(home, route.correspondent, mtu + 1))));
    CHECK(!world.network->take());
    CHECK(world.portDrops(Drop::too_big) == 1);
  }
  // RFC 8200 5: less than 1280 octets straight, so it takes the tunnel, and is fragmented there.
  RouteWorld world;
  TableSpec spec = tableWith({fixed, mobile});
  spec.tunnels[0].mtu = 1280;
  spec.tunnels[0].pathMtu = 1303;
  world.table = TunnelTable(spec, {world.port}, std::make_shared<Uplink>(world.network), world.region);
  world.fromPort(Slot(frame(packetOf(home, far, 1280))));
  for (int part = 0; part < 2; ++part) {
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->bytes[6] == kFragment);
  }
  CHECK(world.traffic(0, TunnelCounter::straightTo) == 0);
}

TEST_CASE("RFC 6691 2: SYNs on the straight way learn what fits it and the tunnel, in both directions") {
  for (const auto& [route, fits] : {std::pair(fixed, 1400u - 40 - 60), std::pair(mobile, 1400u - 48 - 60)}) {
    RouteWorld world;
    TableSpec spec = tableWith({fixed, mobile});
    spec.tunnels[0].mtu = 1360;
    spec.tunnels[0].pathMtu = 1400;
    spec.tunnels[0].mssClamp = true;
    world.table = TunnelTable(spec, {world.port}, std::make_shared<Uplink>(world.network), world.region);
    const auto syn = [](const Address& source, const Address& destination, std::size_t mss) {
      TcpFields fields{.source = source, .destination = destination, .flags = tcp::kSyn};
      fields.options = {2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
      return complete(buildTcp(fields));
    };
    const Address correspondent = route.correspondent;
    world.fromPort(Slot(frame(syn(home, correspondent, 1440))));
    CHECK(world.network->take()->bytes == straightReference(syn(home, correspondent, fits), careOf, route));
    const Octets back = syn(correspondent, home, 1440);
    world.fromUplink(Slot(arriving(back, route.isMobile() ? route.careOf : correspondent, route.isMobile())));
    CHECK(world.delivered() == syn(correspondent, home, fits));
    CHECK(world.traffic(0, TunnelCounter::mssClamped) == 2);
  }
}

TEST_CASE("a train goes straight as whole packets whose checksums hold at the other end") {
  for (const RouteSpec& route : {fixed, mobile}) {
    RouteWorld world;
    TcpFields fields{.source = home, .destination = route.correspondent};
    fields.payload = Random(2).octets(6000);
    Slot slot(frame(partial(buildTcp(fields))), trainOf(14 + 40, 14 + 60, 1440));
    world.fromPort(slot);
    Octets payload;
    while (auto item = world.network->take()) {
      CHECK(item->bytes.size() <= 1500);
      Packet packet{item->bytes, item->offload};
      // The kernel would compute, when it merges, what goes with the addresses in the IPv6 header.
      CHECK((packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0);
      if (route.isMobile()) REQUIRE(stripType2Routing(packet));
      REQUIRE(stripHomeAddress(packet));
      const Octets inner = copy(packet.bytes);
      Octets again = inner;
      again[56] = again[57] = 0;
      CHECK(complete(again) == inner);
      payload.insert(payload.end(), inner.begin() + 60, inner.end());
    }
    CHECK(payload == fields.payload);
  }
}

TEST_CASE("a packet goes straight with its checksum computed") {
  for (const RouteSpec& route : {fixed, mobile}) {
    RouteWorld world;
    const Octets packet = segmentOf(home, route.correspondent);
    Offload offload{};
    offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    offload.csum_start = 14 + 40;
    offload.csum_offset = 16;
    world.fromPort(Slot(frame(partial(packet)), offload));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK((item->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0);
    CHECK(copy(item->bytes) == straightReference(packet, careOf, route));
  }
}

TEST_CASE("JavaScript hears of a correspondent once, in the tunnel or straight") {
  RouteWorld world;
  for (int round = 0; round < 5; ++round) {
    world.fromPort(Slot(frame(segmentOf(home, far))));
    world.fromPort(Slot(frame(segmentOf(home, stranger))));
  }
  SlowPathRing ring = world.region.receiveRing();
  for (const Address& correspondent : {far, stranger}) {
    const auto entry = ring.front();
    REQUIRE(entry);
    CHECK(entry->record.kind == SlowPathKind::correspondent);
    CHECK(entry->record.tunnelSlot == 0);
    CHECK(entry->record.port == 0);
    const Octets header = copy(entry->bytes);
    CHECK(header.size() == 40);
    CHECK(reference::addressAt(header, 8) == home);
    CHECK(reference::addressAt(header, 24) == correspondent);
    ring.pop();
  }
  CHECK(!ring.front());
}

TEST_CASE("RFC 6275 11.3.3: a Mobility Header behind further headers is judged, never delivered") {
  // By a type 2 routing header, from somebody who is not the home agent.
  const Octets mobility{59, 0, 5, 0, 0, 0, 0, 0};
  Octets routing{0, 2, 2, 1, 0, 0, 0, 0};
  routing.insert(routing.end(), home.octets.begin(), home.octets.end());
  const std::vector<std::pair<std::uint8_t, Octets>> between{
      {kHopByHop, {kMobility, 0, 1, 4, 0, 0, 0, 0}},
      {kFragment, {kMobility, 0, 0, 0, 1, 2, 3, 4}},
      {kRouting, {kMobility, 0, 4, 0, 0, 0, 0, 0}},
      {kDestination, {kMobility, 0, 1, 4, 0, 0, 0, 0}},
  };
  for (const auto& [protocol, header] : between) {
    RouteWorld<> world;
    routing[0] = protocol;
    world.fromUplink(Slot(chain(far, careOf, kRouting, {routing, header, mobility})));
    CHECK_FALSE(world.guest->take());
    CHECK(world.allDrops() + world.told(SlowPathKind::control).size() >= 1);
  }
}

TEST_CASE("without `optimise` nobody is told and nothing goes straight") {
  World world;
  world.fromPort(Slot(frame(segmentOf(home, far))));
  CHECK(!world.region.receiveRing().front());
  world.fromUplink(Slot(arriving(segmentOf(far, home), far, false)));
  CHECK(!world.guest->take());
  CHECK(world.engineDrops(Drop::routing_header) == 1);
}

TEST_CASE("RFC 6275 11.3.3: what comes straight from a correspondent is delivered as if by the tunnel") {
  RouteWorld world;
  const Octets packet = segmentOf(far, home);
  world.fromUplink(Slot(arriving(packet, far, false)));
  CHECK(world.delivered() == packet);
  const Octets between = segmentOf(other, home);
  world.fromUplink(Slot(arriving(between, peerCareOf, true)));
  CHECK(world.delivered() == between);
  CHECK(world.traffic(0, TunnelCounter::straightFrom) == 2);
  CHECK(world.traffic(0, TunnelCounter::toGuestPackets) == 2);
  CHECK(world.allDrops() == 0);
}

TEST_CASE("JavaScript hears now and again that a correspondent is heard on the straight way") {
  RouteWorld world;
  for (int round = 0; round < 5; ++round) {
    world.fromUplink(Slot(arriving(segmentOf(far, home), far, false)));
    world.fromUplink(Slot(tunnelled(optioned(segmentOf(other, home), peerCareOf), agent, careOf)));
  }
  SlowPathRing ring = world.region.receiveRing();
  const auto entry = ring.front();
  REQUIRE(entry);
  CHECK(entry->record.kind == SlowPathKind::heard);
  CHECK(entry->record.tunnelSlot == 0);
  const Octets header = copy(entry->bytes);
  REQUIRE(header.size() == 40);
  CHECK(reference::addressAt(header, 8) == far);
  CHECK(reference::addressAt(header, 24) == home);
  ring.pop();
  CHECK(!ring.front());  // what a home agent has tunnelled says nothing of the straight way
  world.now += 5 * kSecond;
  world.fromUplink(Slot(arriving(segmentOf(far, home), far, false)));
  CHECK(world.told(SlowPathKind::heard).size() == 1);
}

TEST_CASE("straight packets of one flow become one train") {
  RouteWorld world;
  std::vector<Slot> slots;
  for (std::uint32_t part = 0; part < 3; ++part) {
    TcpFields fields{.source = other, .destination = home, .sequence = 1000 + part * 1000};
    fields.payload = Octets(1000, static_cast<std::uint8_t>(part));
    slots.emplace_back(arriving(complete(buildTcp(fields)), peerCareOf, true));
  }
  world.fromUplink(slots);
  const auto train = world.guest->take();
  REQUIRE(train);
  CHECK(!world.guest->take());
  CHECK(train->bytes.size() == 14 + 40 + 20 + 3000);
  CHECK(train->offload.gso_type == VIRTIO_NET_HDR_GSO_TCPV6);
}

TEST_CASE("a train that the kernel merged by its outer addresses gets the sum of the inner ones") {
  RouteWorld world;
  TcpFields fields{.source = other, .destination = home};
  fields.payload = Octets(3000, 1);
  Octets packet = arriving(buildTcp(fields), peerCareOf, true);
  reference::storePseudoSum(packet, 88, peerCareOf, careOf);
  world.fromUplink(Slot(packet, trainOf(88, 108, 1000)));
  CHECK(world.delivered() == partial(buildTcp(fields)));
}

TEST_CASE("RFC 6275 9.3.1: a Home Address option counts only with a binding of exactly that source") {
  const Octets packet = segmentOf(other, home);
  RouteWorld world;
  for (const Octets& arrived :
       {arriving(packet, stranger, true), tunnelled(optioned(packet, stranger), agent, careOf),
        arriving(segmentOf(far, home), peerCareOf, true)})
    world.fromUplink(Slot(arrived));
  CHECK(!world.guest->take());
  CHECK(world.tunnelDrops(0, Drop::home_address_option) == 3);
  // The first and the second are the same pair.
  CHECK(world.told(SlowPathKind::homeAddress).size() == 2);
  world.fromUplink(Slot(tunnelled(optioned(packet, peerCareOf), agent, careOf)));
  CHECK(world.delivered() == packet);
}

TEST_CASE("RFC 6275 9.3.3: what a Binding Error needs is handed over") {
  RouteWorld world;
  world.fromUplink(Slot(arriving(segmentOf(other, home), stranger, true)));
  SlowPathRing ring = world.region.receiveRing();
  const auto entry = ring.front();
  REQUIRE(entry);
  CHECK(entry->record.kind == SlowPathKind::homeAddress);
  CHECK(entry->record.tunnelSlot == 0);
  const Octets headers = copy(entry->bytes);
  REQUIRE(headers.size() == 64);
  CHECK(reference::addressAt(headers, 8) == stranger);
  CHECK(reference::addressAt(headers, 24) == home);
  CHECK(reference::addressAt(headers, 48) == other);
}

TEST_CASE("a mobile correspondent may know our care-of address from before a restart") {
  RouteSpec unaccepted = mobile;
  unaccepted.accepted = unaccepted.straight = false;
  RouteWorld world({unaccepted});
  const Octets packet = segmentOf(other, home);
  world.fromUplink(Slot(arriving(packet, peerCareOf, true)));
  CHECK(world.delivered() == packet);
}

TEST_CASE("a routing header from whom no binding of ours is known, or to others, is dropped") {
  RouteSpec unaccepted = mobile;
  unaccepted.accepted = false;
  RouteWorld world({fixed, unaccepted});
  const std::vector<Octets> refused{
      arriving(segmentOf(stranger, home), stranger, false),
      arriving(segmentOf(other, home), other, false),
      arriving(segmentOf(far, secondHome), far, false),
  };
  for (const Octets& packet : refused) world.fromUplink(Slot(packet));
  CHECK(world.tunnelDrops(0, Drop::routing_header) == refused.size());
  world.fromUplink(Slot(arriving(segmentOf(far, stranger), far, false)));
  CHECK(world.engineDrops(Drop::routing_header) == 1);
  CHECK(!world.guest->take());
}

TEST_CASE("signaling with a routing header, and a Home Address option before it, is not the guest's") {
  RouteWorld world;
  Octets mobility(kIpv6Header);
  writeOuterHeader(mobility, other, home, mobility, 8);
  mobility[6] = kMobility;
  put(mobility, Octets{59, 0, 0, 0, 0, 0, 0, 0});
  world.fromUplink(Slot(arriving(mobility, peerCareOf, true)));
  world.fromUplink(Slot(arriving(mobility, other, false)));
  CHECK(!world.guest->take());
  CHECK(world.told(SlowPathKind::control).size() == 2);
}

TEST_CASE("ESP of a correspondent is the guest's, anybody else's may be a home agent's") {
  RouteWorld world;
  const Octets packet = packetOf(far, home, 100, kEsp);
  world.fromUplink(Slot(arriving(packet, far, false)));
  CHECK(world.delivered() == packet);
  world.fromUplink(Slot(arriving(packetOf(stranger, home, 100, kEsp), stranger, false)));
  CHECK(!world.guest->take());
  CHECK(world.told(SlowPathKind::control).size() == 1);
}

TEST_CASE("whatever arrives on the straight way, nothing is read or written outside its packet") {
  RouteWorld world;
  Random random(20260202);
  const std::array<Address, 8> addresses{home, secondHome, other, far, agent, careOf, peerCareOf, stranger};
  for (int round = 0; round < 20000; ++round) {
    TcpFields fields{.source = addresses[random.below(8)], .destination = addresses[random.below(8)]};
    fields.payload = random.octets(random.below(200));
    Octets packet = buildTcp(fields);
    const Address source = addresses[random.below(8)];
    switch (random.below(4)) {
      case 0:
        packet = arriving(packet, source, random.oneIn(2));
        break;
      case 1:
        packet = tunnelled(optioned(packet, source), agent, careOf);
        break;
      case 2:
        packet = arriving(optioned(packet, source), source, random.oneIn(2));
        break;
      default:
        break;
    }
    for (auto flips = random.below(4); flips > 0; --flips)
      packet[random.below(packet.size())] = random.octet();
    if (random.oneIn(4)) packet.resize(random.below(packet.size() + 1));
    Offload offload{};
    if (random.oneIn(2)) offload = needsChecksum(random.below(160));
    if (random.oneIn(4)) offload = trainOf(random.below(160), random.below(200), random.below(100));
    if (random.oneIn(3))
      world.fromPort(Slot(frame(packet), offload));
    else
      world.fromUplink(Slot(packet, offload));
    world.empty();
  }
}

namespace {

thread_local bool counting = false;
thread_local std::uint64_t allocations = 0;
void onAllocation(const volatile void*, std::size_t) { allocations += counting; }
void onFree(const volatile void*) {}

struct Swallow : Device {
  int fd() const override { return -1; }
  Io read(Bytes, Packet&) override { return Io::kAgain; }
  Io write(const Packet&, std::span<const iovec>) override { return Io::kDone; }
};

}  // namespace

TEST_CASE("the straight way allocates nothing") {
  __sanitizer_install_malloc_and_free_hooks(onAllocation, onFree);
  RouteWorld<Swallow, Swallow> world;
  TcpFields fields{.source = home, .destination = other};
  fields.payload = Octets(20000, 1);
  const Octets train = frame(partial(buildTcp(fields)));
  const Octets out = frame(segmentOf(home, far)), in = arriving(segmentOf(other, home), peerCareOf, true);
  const Octets unbound = arriving(segmentOf(other, home), stranger, true);
  for (int round = 0; round < 10; ++round) {
    Slot first(train, trainOf(54, 74, 1400)), second(out), third(in), fourth(unbound);
    counting = true;
    world.begin();
    world.forwarder.fromPort(*world.port, first.packet);
    world.forwarder.fromPort(*world.port, second.packet);
    world.forwarder.fromUplink(third.packet);
    world.forwarder.fromUplink(fourth.packet);
    world.forwarder.endBatch();
    counting = false;
  }
  CHECK(allocations == 0);
  CHECK(world.traffic(0, TunnelCounter::straightTo) == 10 * 16);
}
