// What the kernel says of checksum and segmentation comes from whoever made the packet: a guest through its
// virtio header, a neighbour on the bridge. The engine passes on only what can be.
#include <doctest/doctest.h>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

Offload needsChecksumAt(std::size_t start, std::size_t offset) {
  Offload offload = needsChecksum(start);
  offload.csum_offset = static_cast<std::uint16_t>(offset);
  return offload;
}

// csum_start from the first octet of the inner packet, and csum_offset, that must not leave the engine.
struct Place {
  std::size_t start, offset;
};
const Place kNowhere[] = {{0, 8},      {0, 22},  {39, 2},   {8, 40},    {40, 999},     {99, 0},
                          {98, 65535}, {100, 0}, {101, 16}, {65535, 2}, {65500, 65535}};

}  // namespace

TEST_CASE("a guest's checksum that is not in its packet is not left to the kernel to store") {
  const Octets packet = packetOf(home, far, 100);
  for (const Place& place : kNowhere) {
    CAPTURE(place.start);
    CAPTURE(place.offset);
    World world;
    world.fromPort(Slot(frame(packet), needsChecksumAt((place.start + 14) & 0xffff, place.offset)));
    CHECK(!world.network->take());
    CHECK(world.portDrops(Drop::bad_offload) == 1);
    CHECK(world.allDrops() == 1);
  }
}

TEST_CASE("a checksum inside the Ethernet header is none of the tunnel's") {
  for (std::size_t start = 0; start < 14 + 40; ++start) {
    World world;
    world.fromPort(Slot(frame(packetOf(home, far, 100)), needsChecksumAt(start, 2)));
    CHECK(!world.network->take());
    CHECK(world.portDrops(Drop::bad_offload) == 1);
  }
}

TEST_CASE("a checksum at the very end, or right behind the header, is passed on") {
  for (const Place place : {Place{98, 0}, Place{40, 0}, Place{40, 58}}) {
    World world;
    world.fromPort(Slot(frame(packetOf(home, far, 100)), needsChecksumAt(place.start + 14, place.offset)));
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->offload.csum_start == place.start + 40);
    CHECK(item->offload.csum_offset == place.offset);
  }
}

TEST_CASE("towards the guest and towards the home network the same holds") {
  for (const Place& place : kNowhere) {
    if (place.start + 40 > 0xffff) continue;
    const Offload offload = needsChecksumAt(place.start + 40, place.offset);
    World world;
    world.fromUplink(Slot(tunnelled(packetOf(far, home, 100), agent, careOf), offload));
    CHECK(!world.guest->take());
    CHECK(world.allDrops() == 1);
    world.fromUplink(Slot(tunnelled(packetOf(home, far, 100), careOf, agent), offload));
    world.fromUplink(Slot(packetOf(far, home, 100), needsChecksumAt(place.start, place.offset)));
    world.fromUplink(Slot(tunnelled(packetOf(home, other, 100), careOf, agent), offload));
    CHECK(!world.network->take());
    CHECK(world.allDrops() == 4);
  }
}

TEST_CASE("csum_start does not wrap where an Ethernet header comes in front") {
  World world;
  const Octets inner = packetOf(far, home, 40 + 65495);
  world.fromUplink(Slot(tunnelled(inner, agent, careOf), needsChecksumAt(65527 + 0, 0)));
  CHECK(!world.guest->take());
  CHECK(world.tunnelDrops(0, Drop::bad_offload) == 1);
}

TEST_CASE("trains of other kinds, of size 0, or of too many packets, are dropped in every direction") {
  TcpFields up{.source = home, .destination = far}, down{.source = far, .destination = home};
  up.payload = down.payload = Octets(3000, 1);
  struct Kind {
    std::uint8_t type;
    std::uint16_t size;
  };
  for (const Kind kind : {Kind{VIRTIO_NET_HDR_GSO_TCPV4, 1000}, Kind{VIRTIO_NET_HDR_GSO_UDP, 1000},
                          Kind{5 /* UDP_L4 */, 1000}, Kind{0x20, 1000}, Kind{VIRTIO_NET_HDR_GSO_ECN, 1000},
                          Kind{VIRTIO_NET_HDR_GSO_TCPV6, 0}, Kind{VIRTIO_NET_HDR_GSO_TCPV6, 1}}) {
    CAPTURE(kind.type);
    const auto train = [&](std::size_t start) {
      Offload offload = trainOf(start, start + 20, kind.size);
      offload.gso_type = kind.type;
      return offload;
    };
    World world;
    world.fromPort(Slot(frame(partial(buildTcp(up))), train(54)));
    CHECK(world.portDrops(Drop::bad_offload) == 1);
    world.fromUplink(Slot(tunnelled(partial(buildTcp(down)), agent, careOf), train(80)));
    CHECK(world.tunnelDrops(0, Drop::bad_offload) == 1);
    world.fromUplink(Slot(tunnelled(partial(buildTcp(up)), careOf, agent), train(80)));
    CHECK(world.tunnelDrops(1, Drop::bad_offload) == 1);
    world.fromUplink(Slot(partial(buildTcp(down)), train(40)));
    CHECK(world.tunnelDrops(1, Drop::bad_offload) == 2);
    CHECK(world.allDrops() == 4);
    CHECK(!world.guest->take());
    CHECK(!world.network->take());
  }
}

TEST_CASE("the ECN bit of a train's type is no other type") {
  World world;
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Octets(3000, 1);
  Offload offload = trainOf(54, 74, 1000);
  offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
  world.fromPort(Slot(frame(partial(buildTcp(fields))), offload));
  for (int part = 0; part < 3; ++part) CHECK(world.network->take());
  CHECK(world.allDrops() == 0);
}

TEST_CASE("hdr_len lies do not matter: a TUN would refuse a packet shorter than its hdr_len") {
  Offload offload{};
  offload.hdr_len = 60000;
  offload.gso_size = 7;
  World world;
  world.fromPort(Slot(frame(packetOf(home, far, 100)), offload));
  auto item = world.network->take();
  REQUIRE(item);
  CHECK(item->offload.hdr_len <= item->bytes.size());
  world.fromUplink(Slot(tunnelled(packetOf(far, home, 100), agent, careOf), offload));
  item = world.guest->take();
  REQUIRE(item);
  CHECK(item->offload.hdr_len <= item->bytes.size());

  TcpFields fields{.source = home, .destination = far};
  fields.payload = Octets(3000, 1);
  world.fromPort(Slot(frame(partial(buildTcp(fields))), trainOf(54, 60000, 1000)));
  for (int part = 0; part < 3; ++part) {
    item = world.network->take();
    REQUIRE(item);
    CHECK(item->offload.hdr_len <= item->bytes.size());
  }
}

TEST_CASE("a train for the slow path, and one that is too big for nobody") {
  World world;
  world.fromPort(Slot(frame(solicitation()), trainOf(54, 74, 4)));
  CHECK(world.portDrops(Drop::bad_offload) == 1);
  CHECK(!world.region.receiveRing().front());
  // Longer than the tunnel's MTU, but a train: cut, whatever its gso_size.
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Octets(3000, 1);
  world.fromPort(Slot(frame(partial(buildTcp(fields))), trainOf(54, 74, 65535)));
  for (int part = 0; part < 3; ++part) {
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->bytes.size() <= kMtu + 40);
  }
  CHECK(world.allDrops() == 1);
}

TEST_CASE("a payload length of 0 says all that is there; the outer header says the true length") {
  World world;
  Octets jumbo = packetOf(home, far, 1000);
  jumbo[4] = jumbo[5] = 0;
  world.fromPort(Slot(frame(jumbo)));
  const auto item = world.network->take();
  REQUIRE(item);
  CHECK(reference::number(item->bytes, 4, 2) == 1000);
  Octets tooLong = packetOf(home, far, kMtu + 1);
  tooLong[4] = tooLong[5] = 0;
  world.fromPort(Slot(frame(tooLong)));
  CHECK(!world.network->take());
  CHECK(world.portDrops(Drop::too_big) == 1);
}

TEST_CASE("a checksum to be computed follows when the type 2 routing header goes, on the way to the guest") {
  TcpFields fields{.source = agent, .destination = home};
  fields.payload = Octets(100, 3);
  const Octets plain = partial(buildTcp(fields));
  Octets routed = plain;
  std::copy(careOf.octets.begin(), careOf.octets.end(), routed.begin() + 24);
  routed[6] = kRouting;
  routed[5] = static_cast<std::uint8_t>(routed[5] + 24);
  Octets header = hex("06 02 02 01 00 00 00 00");
  put(header, home.octets);
  routed.insert(routed.begin() + 40, header.begin(), header.end());
  World world;
  world.fromUplink(Slot(routed, needsChecksum(64)));
  const auto item = world.guest->take();
  REQUIRE(item);
  CHECK(Octets(item->bytes.begin() + 14, item->bytes.end()) == plain);
  CHECK(item->offload.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
  CHECK(item->offload.csum_start == 54);
}
