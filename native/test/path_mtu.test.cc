// A tunnel whose path takes less than its inner packets need: what is cut, fragmented, told of; and what
// JavaScript needs to find the path's MTU.
#include <doctest/doctest.h>

#include "../engine/error.h"
#include "../engine/probe.h"
#include "reassembly_reference.h"
#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

struct Fields {
  std::uint32_t pathMtu = 0;
  bool mssClamp = false;
  std::uint32_t otherPathMtu = 0;  // of the tunnel to the second mobile node; 0: the same
};

std::uint32_t mtuOf(std::uint32_t pathMtu) { return std::max(1280u, pathMtu - 40); }

// The three tunnels of World over a path with this MTU.
template <class Network = MemoryDevice>
struct PathWorld : World<MemoryDevice, Network> {
  explicit PathWorld(const Fields& fields) {
    const std::uint32_t otherPathMtu = fields.otherPathMtu ? fields.otherPathMtu : fields.pathMtu;
    const auto tunnel = [&](std::uint32_t slot, Side side, const Address& local, const Address& remote,
                            const std::vector<Address>& homes) {
      const std::uint32_t pathMtu = slot == 2 ? otherPathMtu : fields.pathMtu;
      return TunnelSpec{.slot = slot,
                        .side = side,
                        .local = local,
                        .remote = remote,
                        .homeAddresses = homes,
                        .port = side == Side::kMobileNode ? 0 : kNone,
                        .mtu = mtuOf(pathMtu),
                        .pathMtu = pathMtu,
                        .mssClamp = fields.mssClamp};
    };
    this->table = TunnelTable({{tunnel(0, Side::kMobileNode, careOf, agent, {home, secondHome}),
                                tunnel(1, Side::kHomeAgent, agent, careOf, {home, secondHome}),
                                tunnel(2, Side::kHomeAgent, agent, otherCareOf, {other})},
                               {{careOf, Side::kMobileNode}, {agent, Side::kHomeAgent}},
                               signalers},
                              {this->port}, std::make_shared<Uplink>(this->network), this->region);
  }

  // Everything that was written to the uplink.
  std::vector<Octets> written() {
    std::vector<Octets> packets;
    while (auto item = this->network->take()) {
      CHECK((item->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0);
      packets.push_back(item->bytes);
    }
    return packets;
  }

  struct Told {
    SlowPathRecord record;
    Octets bytes;
  };
  std::vector<Told> told() {
    std::vector<Told> records;
    SlowPathRing ring = this->region.receiveRing();
    for (auto entry = ring.front(); entry; entry = ring.front()) {
      records.push_back({entry->record, copy(entry->bytes)});
      ring.pop();
    }
    return records;
  }
};

// An inner packet of `length` octets, 40 at least, with random contents.
Octets inner(const Address& source, const Address& destination, std::size_t length, Random& random) {
  Octets packet = hex("60 01 23 45 00 00 fd 40");  // a protocol for experiments (RFC 3692)
  put(packet, source.octets);
  put(packet, destination.octets);
  put(packet, random.octets(length - 40));
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(length - 40));
  return packet;
}

// With one hop less, as the home agent passes it on.
Octets hopped(Octets packet) {
  packet[7] = static_cast<std::uint8_t>(packet[7] - 1);
  return packet;
}

Octets echo(const Address& source, const Address& destination, std::uint8_t type, std::size_t length,
            bool magic = true) {
  Octets packet = hex("60 00 00 00 00 00 3a 40");
  put(packet, source.octets);
  put(packet, destination.octets);
  put(packet, hex("00 00 00 00 00 01 00 02"));
  packet[40] = type;
  if (magic) put(packet, std::string_view("kagemush"));
  packet.resize(length, 0);
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(length - 40));
  return packet;
}

Octets synOf(const Address& source, const Address& destination, std::size_t mss) {
  Octets options{2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
  return complete(buildTcp(
      {.source = source, .destination = destination, .flags = tcp::kSyn, .options = std::move(options)}));
}

}  // namespace

TEST_CASE("RFC 2473 7.1 b, RFC 8200 5: every inner packet up to 1280 octets passes whatever the path takes") {
  Random random(7);
  for (const std::uint32_t pathMtu : {1280u, 1281u, 1288u, 1300u, 1312u, 1319u, 1320u, 1330u}) {
    PathWorld world({.pathMtu = pathMtu});
    std::uint64_t fragments = 0, packets = 0;
    for (std::size_t length = 40; length <= 1280; length += length < 1200 ? 29 : 1) {
      const Octets up = inner(home, far, length, random), down = inner(far, home, length, random);
      const Octets between = inner(home, other, length, random);
      const auto passed = [&](const Octets& expected) {
        const auto written = world.written();
        REQUIRE(!written.empty());
        if (expected.size() <= pathMtu) {
          REQUIRE(written.size() == 1);
          REQUIRE(written[0] == expected);
        } else {
          const auto whole = reassembled(written, pathMtu);
          REQUIRE(whole);
          REQUIRE(*whole == expected);
          fragments += written.size();
        }
      };
      world.fromPort(Slot(frame(up)));
      passed(tunnelled(up, careOf, agent));
      world.fromUplink(Slot(down));
      passed(tunnelled(down, agent, careOf));
      world.fromUplink(Slot(tunnelled(between, careOf, agent)));
      passed(tunnelled(hopped(between), agent, otherCareOf));
      ++packets;
    }
    CHECK(world.traffic(0, TunnelCounter::toHomePackets) == packets);
    CHECK(world.traffic(0, TunnelCounter::fragmentsSent) + world.traffic(1, TunnelCounter::fragmentsSent) +
              world.traffic(2, TunnelCounter::fragmentsSent) ==
          fragments);
    CHECK(world.allDrops() == 0);
    CHECK(world.told().empty());
  }
}

TEST_CASE(
    "RFC 2473 7.1 a: what is longer than 1280 octets and the tunnel's MTU is too big, never fragmented") {
  Random random(8);
  for (const std::uint32_t pathMtu : {1280u, 1320u, 1330u, 1400u, 1500u, 9000u}) {
    const std::uint32_t mtu = mtuOf(pathMtu);
    PathWorld world({.pathMtu = pathMtu});
    for (const std::uint32_t length : {mtu, mtu + 1}) {
      world.fromPort(Slot(frame(inner(home, far, length, random))));
      world.fromUplink(Slot(inner(far, home, length, random)));
      world.fromUplink(Slot(tunnelled(inner(home, other, length, random), careOf, agent)));
    }
    const auto written = world.written();
    CHECK(written.size() == (mtu + 40 > pathMtu ? 6 : 3));
    for (const Octets& packet : written) CHECK(packet.size() <= pathMtu);
    CHECK(world.portDrops(Drop::too_big) == 1);
    CHECK(world.tunnelDrops(1, Drop::too_big) == 1);
    CHECK(world.tunnelDrops(2, Drop::too_big) == 1);
    CHECK(world.allDrops() == 3);
    for (const auto& [record, bytes] : world.told()) {
      CHECK(record.kind == SlowPathKind::tooBig);
      CHECK(record.mtu == mtu);
    }
  }
}

TEST_CASE("a checksum still to be computed is there before the packet is cut") {
  PathWorld world({.pathMtu = 1280});
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Random(9).octets(1220);
  const Octets packet = buildTcp(fields);
  world.fromPort(Slot(frame(partial(packet)), needsChecksum(54)));
  const auto whole = reassembled(world.written(), 1280);
  REQUIRE(whole);
  CHECK(*whole == tunnelled(complete(packet), careOf, agent));
}

TEST_CASE("RFC 8201 4: TCP trains are cut to what the path takes whole, below 1280 too, and not fragmented") {
  for (const std::uint32_t pathMtu : {1280u, 1300u, 1320u, 1400u, 9000u}) {
    PathWorld world({.pathMtu = pathMtu});
    TcpFields up{.source = home, .destination = far}, down{.source = far, .destination = home};
    TcpFields between{.source = home, .destination = other};
    up.payload = down.payload = between.payload = Random(10).octets(9000);
    world.fromPort(Slot(frame(partial(buildTcp(up))), trainOf(54, 74, 1440)));
    world.fromUplink(Slot(partial(buildTcp(down)), trainOf(40, 60, 1440)));
    world.fromUplink(Slot(tunnelled(partial(buildTcp(between)), careOf, agent), trainOf(80, 100, 1440)));
    std::size_t octets = 0, most = 0;
    while (const auto item = world.network->take()) {
      most = std::max(most, item->bytes.size());
      CHECK(item->bytes[6] == kIpv6);
      octets += item->bytes.size() - 100;
    }
    CHECK(octets == 3 * 9000);
    CHECK(most == std::min(pathMtu, 1540u));
    CHECK(world.allDrops() == 0);
    CHECK(world.traffic(0, TunnelCounter::fragmentsSent) == 0);
  }
}

TEST_CASE("a fragment that is lost: one drop for the packet, and the others are not sent") {
  // Takes so many packets and no more.
  struct Narrow : MemoryDevice {
    int room = 0;
    Io write(const Packet& head, std::span<const iovec> tail) override {
      return room-- > 0 ? MemoryDevice::write(head, tail) : Io::kAgain;
    }
  };
  for (const int room : {0, 1}) {
    PathWorld<Narrow> world({.pathMtu = 1280});
    world.network->room = room;
    world.fromPort(Slot(frame(packetOf(home, far, 1280))));
    CHECK(world.portDrops(Drop::uplink_full) == 1);
    CHECK(world.allDrops() == 1);
    CHECK(world.traffic(0, TunnelCounter::toHomePackets) == 0);
    CHECK(world.traffic(0, TunnelCounter::fragmentsSent) == static_cast<std::uint64_t>(room));
  }
}

TEST_CASE("RFC 8200 4.5: what would be longer than 65535 octets when put together again is too big") {
  Random random(13);
  World world;
  world.table = TunnelTable({{{.slot = 0,
                               .side = Side::kMobileNode,
                               .local = careOf,
                               .remote = agent,
                               .homeAddresses = {home},
                               .port = 0,
                               .mtu = 65575,
                               .pathMtu = 1500}},
                             {{careOf, Side::kMobileNode}}},
                            {world.port}, std::make_shared<Uplink>(world.network), world.region);
  const Octets most = inner(home, far, 65535, random);
  world.fromPort(Slot(frame(most)));
  std::vector<Octets> written;
  while (const auto item = world.network->take()) written.push_back(item->bytes);
  const auto whole = reassembled(written, 1500);
  REQUIRE(whole);
  CHECK(*whole == tunnelled(most, careOf, agent));
  world.fromPort(Slot(frame(inner(home, far, 65536, random))));
  CHECK(!world.network->take());
  CHECK(world.portDrops(Drop::too_big) == 1);
  CHECK(world.allDrops() == 1);
  CHECK(world.traffic(0, TunnelCounter::toHomePackets) == 1);
}

TEST_CASE("without a path MTU nothing is fragmented") {
  World world;
  world.fromPort(Slot(frame(packetOf(home, far, kMtu))));
  CHECK(world.network->take()->bytes.size() == kMtu + 40);
  CHECK(!world.network->take());
}

TEST_CASE("RFC 8200 5: a path MTU below 1280 is refused") {
  CHECK_THROWS_AS(PathWorld({.pathMtu = 1279}), EngineError);
}

TEST_CASE("RFC 4443 3.2: what is too big at the home agent comes to JavaScript, as much as an error quotes") {
  Random random(11);
  PathWorld world({.pathMtu = 1400, .otherPathMtu = 1300});
  const Octets down = inner(far, home, 3000, random), between = inner(home, other, 1290, random);
  world.fromUplink(Slot(down));
  world.fromUplink(Slot(tunnelled(between, careOf, agent)));
  const auto told = world.told();
  REQUIRE(told.size() == 2);
  CHECK(told[0].record.port == kNone);
  CHECK(told[0].record.tunnelSlot == 1);
  CHECK(told[0].record.mtu == 1360);
  CHECK(told[0].record.originalLength == 3000);
  CHECK(told[0].bytes == Octets(down.begin(), down.begin() + 1280));
  CHECK(told[1].record.tunnelSlot == 2);
  CHECK(told[1].record.mtu == 1280);
  CHECK(told[1].bytes == Octets(between.begin(), between.begin() + 1280));
  CHECK(world.wakes == 2);
}

TEST_CASE("RFC 4443 2.4 c: of a guest's packet that is too big come 1280 octets and the Ethernet header") {
  PathWorld world({.pathMtu = 1500});
  const Octets packet = frame(packetOf(home, far, 9000));
  world.fromPort(Slot(packet));
  const auto told = world.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].record.port == 0);
  CHECK(told[0].record.originalLength == 9014);
  CHECK(told[0].bytes == Octets(packet.begin(), packet.begin() + 14 + 1280));
}

TEST_CASE("RFC 4443 3.3: a hop limit that runs out between two mobile nodes comes to JavaScript") {
  PathWorld world({.pathMtu = 1500});
  for (const std::uint8_t hops : Octets{0, 1}) {
    TcpFields fields{.source = home, .destination = other, .hopLimit = hops};
    fields.payload = Octets(1340, 1);
    const Octets packet = complete(buildTcp(fields));
    world.fromUplink(Slot(tunnelled(packet, careOf, agent)));
    const auto told = world.told();
    REQUIRE(told.size() == 1);
    CHECK(told[0].record.kind == SlowPathKind::hopLimit);
    CHECK(told[0].record.tunnelSlot == 1);
    CHECK(told[0].record.port == kNone);
    CHECK(told[0].bytes == Octets(packet.begin(), packet.begin() + 1280));
  }
  CHECK(world.tunnelDrops(1, Drop::hop_limit) == 2);
  CHECK(world.written().empty());
}

TEST_CASE("RFC 4443 2.4 f: a flood of what needs errors is told of now and then, and others still are") {
  Random random(12);
  PathWorld world({.pathMtu = 1500});
  const Octets tooBig = inner(far, home, 1461, random), between = inner(home, other, 1461, random);
  Octets dying = inner(home, other, 100, random);
  dying[7] = 1;
  const auto most = [](const Limit& limit, std::size_t seconds) {
    return limit.depth / limit.step + seconds * kSecond / limit.step;
  };
  std::size_t told = 0;
  constexpr std::size_t kSeconds = 10;
  for (std::size_t tick = 0; tick < 1000 * kSeconds; ++tick) {
    world.now += kSecond / 1000;
    world.fromUplink(Slot(tooBig));
    world.fromUplink(Slot(tunnelled(between, careOf, agent)));
    world.fromUplink(Slot(tunnelled(dying, careOf, agent)));
    told += world.told().size();
  }
  CHECK(told <= 2 * most(Policing::kError, kSeconds));
  CHECK(told >= 2 * kSeconds * kSecond / Policing::kError.step - 2);
  // What comes for the second mobile node has a lane of its own, and so have its own packets.
  world.fromUplink(Slot(inner(far, other, 1461, random)));
  world.fromUplink(Slot(tunnelled(inner(other, home, 1461, random), otherCareOf, agent)));
  CHECK(world.told().size() == 2);
  CHECK(world.allDrops() == 3000 * kSeconds + 2);

  told = 0;
  for (std::size_t tick = 0; tick < 1000 * kSeconds; ++tick) {
    world.now += kSecond / 1000;
    world.fromPort(Slot(frame(packetOf(home, far, 1461))));
    told += world.told().size();
  }
  CHECK(told <= most(Policing::kGuestError, kSeconds));
}

TEST_CASE("RFC 4443 2.4 f: errors of all tunnels together leave room in the ring when JavaScript is late") {
  constexpr std::uint32_t kTunnels = 64;
  const Region region(1, kTunnels, 1);
  Policing policing(region);
  for (std::uint32_t slot = 0; slot < kTunnels; ++slot) policing.claimTunnel(slot);
  std::size_t admitted = 0;
  for (std::uint32_t slot = 0; slot < kTunnels; ++slot)
    for (int count = 0; count < 100; ++count)
      for (const auto what : {Policing::Inner::kErrorTo, Policing::Inner::kErrorFrom})
        admitted += policing.admit(slot, what, kSecond);
  CHECK(admitted == 2 * 48);
  CHECK(admitted * SlowPathRing::cellsOf(Forwarder::kQuote) < SlowPath::kSideShare);
  CHECK(policing.admit(0, Policing::Inner::kSelf, kSecond));
  CHECK(policing.admit(0, Policing::Inner::kProbe, kSecond));
}

TEST_CASE("probes of the path: requests of the tunnel's other end come to JavaScript, not to the guest") {
  PathWorld world({.pathMtu = 9000});
  for (const std::size_t length : {56u, 1240u, 8960u, 9280u}) {
    const Octets request = echo(agent, home, kEchoRequest, length);
    world.fromUplink(Slot(tunnelled(request, agent, careOf)));
    const auto told = world.told();
    REQUIRE(told.size() == 1);
    CHECK(told[0].record.kind == SlowPathKind::inner);
    CHECK(told[0].record.tunnelSlot == 0);
    CHECK(told[0].bytes == request);

    world.fromUplink(Slot(tunnelled(echo(agent, home, kEchoReply, length), agent, careOf)));
    const auto answers = world.told();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].record.kind == SlowPathKind::control);

    for (const std::uint8_t type : {kEchoRequest, kEchoReply}) {
      world.fromUplink(Slot(tunnelled(echo(home, agent, type, length), careOf, agent)));
      const auto inside = world.told();
      REQUIRE(inside.size() == 1);
      CHECK(inside[0].record.kind == SlowPathKind::inner);
      CHECK(inside[0].record.tunnelSlot == 1);
    }
  }
  CHECK(!world.guest->take());
  CHECK(world.allDrops() == 0);
}

TEST_CASE("probes of the path: every other echo request is the guest's") {
  PathWorld world({.pathMtu = 1500});
  const Octets extended = chain(
      agent, home, kDestination,
      {hex("3a 00 01 04 00000000"), copy(ConstBytes(echo(agent, home, kEchoRequest, 100)).subspan(40))});
  for (const Octets& request :
       {echo(agent, home, kEchoRequest, 100, false), echo(far, home, kEchoRequest, 100),
        echo(agent, home, kEchoRequest, 55), echo(agent, home, kEchoRequest, 9281), extended}) {
    world.fromUplink(Slot(tunnelled(request, agent, careOf)));
    const auto item = world.guest->take();
    REQUIRE(item);
    CHECK(Octets(item->bytes.begin() + 14, item->bytes.end()) == request);
  }
  CHECK(world.told().empty());
}

TEST_CASE(
    "probes of the path: a flood of them is policed, and leaves echo answers and signaling their lanes") {
  PathWorld world({.pathMtu = 1500});
  std::size_t told = 0;
  for (int count = 0; count < 5000; ++count) {
    world.now += kSecond / 1000;
    world.fromUplink(Slot(tunnelled(echo(agent, home, kEchoRequest, 100), agent, careOf)));
    told += world.told().size();
  }
  CHECK(told >= 5 * 50);
  CHECK(told <= 5 * 50 + 32);
  CHECK(world.tunnelDrops(0, Drop::policed) == 5000 - told);
  world.fromUplink(Slot(tunnelled(echo(agent, home, kEchoReply, 100, false), agent, careOf)));
  CHECK(world.told().size() == 1);
  CHECK(!world.guest->take());
}

TEST_CASE("RFC 6691 2: SYNs learn the tunnel's MTU, both ways, at both ends, and between two mobile nodes") {
  for (const std::uint32_t pathMtu : {1280u, 1320u, 1400u, 1500u}) {
    const std::size_t fits = pathMtu - 40 - 60;
    PathWorld world({.pathMtu = pathMtu, .mssClamp = true});
    const auto arrives = [&](Slot&& slot, bool fromGuest, const Octets& expected, bool atGuest = false) {
      if (fromGuest)
        world.fromPort(slot);
      else
        world.fromUplink(std::move(slot));
      const auto item = atGuest ? world.guest->take() : world.network->take();
      REQUIRE(item);
      CHECK(Octets(item->bytes.begin() + (atGuest ? 14 : 0), item->bytes.end()) == expected);
    };
    arrives(Slot(frame(synOf(home, far, 8940))), true, tunnelled(synOf(home, far, fits), careOf, agent));
    arrives(Slot(tunnelled(synOf(far, home, 8940), agent, careOf)), false, synOf(far, home, fits), true);
    arrives(Slot(tunnelled(synOf(home, far, 8940), careOf, agent)), false, synOf(home, far, fits));
    arrives(Slot(synOf(far, home, 8940)), false, tunnelled(synOf(far, home, fits), agent, careOf));
    CHECK(world.traffic(0, TunnelCounter::mssClamped) == 2);
    CHECK(world.traffic(1, TunnelCounter::mssClamped) == 2);
    arrives(Slot(tunnelled(synOf(home, other, 8940), careOf, agent)), false,
            tunnelled(hopped(synOf(home, other, fits)), agent, otherCareOf));
    CHECK(world.traffic(1, TunnelCounter::mssClamped) == 3);
    arrives(Slot(frame(synOf(home, far, fits))), true, tunnelled(synOf(home, far, fits), careOf, agent));
    CHECK(world.traffic(0, TunnelCounter::mssClamped) == 2);
  }
}

TEST_CASE("RFC 6691 2: between two mobile nodes the smaller of both tunnels counts") {
  for (const bool turned : {false, true}) {
    PathWorld world(
        {.pathMtu = turned ? 1300u : 1400u, .mssClamp = true, .otherPathMtu = turned ? 1400u : 1300u});
    world.fromUplink(Slot(tunnelled(synOf(home, other, 1440), careOf, agent)));
    CHECK(copy(world.network->take()->bytes) ==
          tunnelled(hopped(synOf(home, other, 1200)), agent, otherCareOf));
  }
}

TEST_CASE("without mssClamp SYNs are left alone; without a path MTU they learn the inner one") {
  PathWorld plain({.pathMtu = 1280});
  plain.fromPort(Slot(frame(synOf(home, far, 1440))));
  CHECK(plain.written() == std::vector<Octets>{tunnelled(synOf(home, far, 1440), careOf, agent)});
  World world;
  world.table = TunnelTable({{{.slot = 0,
                               .side = Side::kMobileNode,
                               .local = careOf,
                               .remote = agent,
                               .homeAddresses = {home},
                               .port = 0,
                               .mtu = kMtu,
                               .mssClamp = true}},
                             {{careOf, Side::kMobileNode}}},
                            {world.port}, std::make_shared<Uplink>(world.network), world.region);
  world.fromPort(Slot(frame(synOf(home, far, 1440))));
  CHECK(world.network->take()->bytes == tunnelled(synOf(home, far, kMtu - 60), careOf, agent));
}
