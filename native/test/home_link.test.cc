// Neighbor Discovery stays on its link: the guest's goes to src/homelink alone, and none reaches it but from
// there.
#include <doctest/doctest.h>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr std::uint8_t kEchoRequest = 128;

// An ICMPv6 message of 32 octets; its checksum is not looked at here.
Octets icmpv6(std::uint8_t type, const Address& source, const Address& destination, std::uint8_t hopLimit,
              const Octets& extensions = {}) {
  Octets message(32);
  message[0] = type;
  Octets packet = extensions.empty() ? chain(source, destination, kIcmpv6, {message})
                                     : chain(source, destination, kHopByHop, {extensions, message});
  packet[7] = hopLimit;
  return packet;
}

const Octets kPadding{kIcmpv6, 0, 1, 4, 0, 0, 0, 0};
const Address kLinkLocal{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
const Address kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

}  // namespace

TEST_CASE("RFC 4861 6.1, 7.1, 8.1: no Neighbor Discovery out of the tunnel passes for the home link's") {
  for (std::uint8_t type = 133; type <= 137; ++type) {
    World world;
    for (const Octets& extensions : {Octets{}, kPadding})
      world.fromUplink(Slot(tunnelled(icmpv6(type, far, home, 255, extensions), agent, careOf)));
    CHECK_FALSE(world.guest->take());
    CHECK(world.tunnelDrops(0, Drop::neighbor_discovery) == 2);
    CHECK(world.allDrops() == 2);

    // RFC 4861 6.1.2: routers speak from link-local addresses, and those stay where they are.
    world.fromUplink(Slot(tunnelled(icmpv6(type, kLinkLocal, home, 255), agent, careOf)));
    CHECK_FALSE(world.guest->take());
    CHECK(world.tunnelDrops(0, Drop::inner_source) == 1);
  }
}

TEST_CASE("RFC 4861 7.1.2: nor behind more headers than are looked through") {
  World world;
  Octets padding;
  for (int count = 0; count < 9; ++count) {
    const std::uint8_t next = count == 8 ? std::uint8_t{kIcmpv6} : std::uint8_t{kDestination};
    padding.insert(padding.end(), {next, 0, 1, 4, 0, 0, 0, 0});
  }
  Octets advertisement(32);
  advertisement[0] = 136;
  Octets packet = chain(far, home, kDestination, {padding, advertisement});
  packet[7] = 255;
  world.fromUplink(Slot(tunnelled(packet, agent, careOf)));
  CHECK_FALSE(world.guest->take());
  CHECK(world.allDrops() == 1);
}

TEST_CASE("RFC 6980 5: the middle of a packet is no Neighbor Discovery") {
  World world;
  const Octets fragment{kIcmpv6, 0, 0x05, 0x00, 1, 2, 3, 4};
  Octets packet = chain(far, home, kFragment, {fragment, Octets(64, 0x87)});
  packet[7] = 255;
  world.fromUplink(Slot(tunnelled(packet, agent, careOf)));
  CHECK(world.guest->take());
}

TEST_CASE("what comes from afar, and ICMPv6 of other kinds, is the guest's to judge") {
  for (const std::uint8_t type : Octets{1, 2, 3, 4, 128, 129, 132, 134, 138}) {
    World world;
    world.fromUplink(Slot(tunnelled(icmpv6(type, far, home, 254), agent, careOf)));
    CHECK(world.guest->take());
    CHECK(world.allDrops() == 0);
  }
  for (const std::uint8_t type : Octets{1, 2, 128, 132, 138}) {
    World world;
    world.fromUplink(Slot(tunnelled(icmpv6(type, far, home, 255), agent, careOf)));
    CHECK(world.guest->take());
  }
  World world;
  world.fromUplink(Slot(tunnelled(packetOf(far, home, 100), agent, careOf)));
  CHECK(world.guest->take());
}

TEST_CASE("RFC 4861 3.1: a guest that plays the router is heard on its link only") {
  for (std::uint8_t type = 133; type <= 137; ++type) {
    for (const Address& source : {kLinkLocal, home}) {
      for (const Address& destination : {kAllNodes, far}) {
        World world;
        world.fromPort(Slot(frame(icmpv6(type, source, destination, 255))));
        CHECK_FALSE(world.network->take());
        CHECK(world.wakes == 1);
        CHECK(world.allDrops() == 0);
      }
    }
  }
}

TEST_CASE("RFC 4291 2.5.6: link-local packets of a guest stay on its link") {
  World world;
  world.fromPort(Slot(frame(packetOf(kLinkLocal, far, 100))));
  world.fromPort(Slot(frame(packetOf(home, kLinkLocal, 100))));
  CHECK(world.portDrops(Drop::link_local) == 2);
  world.fromPort(Slot(frame(packetOf(home, kAllNodes, 100))));
  CHECK(world.portDrops(Drop::multicast) == 1);
  world.fromPort(Slot(frame(icmpv6(kEchoRequest, kLinkLocal, kLinkLocal, 64))));
  CHECK(world.wakes == 1);
  CHECK(world.allDrops() == 3);
  CHECK_FALSE(world.network->take());
}

TEST_CASE("a guest sends from its registered addresses only") {
  World world;
  for (const Address& source : {other, far, agent, careOf, Address{}})
    world.fromPort(Slot(frame(packetOf(source, far, 100))));
  CHECK(world.portDrops(Drop::source_not_home) == 5);
  CHECK_FALSE(world.network->take());
  for (const Address& source : {home, secondHome}) {
    world.fromPort(Slot(frame(packetOf(source, far, 100))));
    CHECK(world.network->take());
  }
  CHECK(world.allDrops() == 5);
}
