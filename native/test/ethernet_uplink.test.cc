// The forwarder on an uplink that is an Ethernet interface and takes many packets at a time.
#include <doctest/doctest.h>

#include "../engine/batch_memory.h"
#include "../engine/error.h"
#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

const Mac own{{2, 0, 0, 0, 0, 0x44}}, router{{2, 0, 0, 0, 0, 0xfe}}, neighbour{{2, 0, 0, 0, 0, 0x77}};
const Address near = addressOf(0x77);  // a home agent on the link

// Takes `room` packets; says where what they refer to lies.
struct Nic : MemoryDevice {
  std::size_t room = ~std::size_t{0}, direct = 0, calls = 0;

  bool sendsMany() const override { return true; }
  Io send(std::span<mmsghdr> messages, std::size_t& sent) override {
    ++calls;
    for (sent = 0; sent < messages.size(); ++sent, --room) {
      if (room == 0) return Io::kAgain;
      const msghdr& message = messages[sent].msg_hdr;
      auto* first = static_cast<std::uint8_t*>(message.msg_iov[0].iov_base);
      Packet head{Bytes(first + sizeof(Offload), message.msg_iov[0].iov_len - sizeof(Offload)), {}};
      std::memcpy(&head.offload, first, sizeof(Offload));
      MemoryDevice::write(head, {message.msg_iov + 1, message.msg_iovlen - 1});
    }
    return Io::kDone;
  }
  Io write(const Packet& head, std::span<const iovec> tail) override {
    ++direct;
    return MemoryDevice::write(head, tail);
  }
};

struct Ethernet : World<MemoryDevice, Nic> {
  TableSpec spec{{{.slot = 0,
                   .side = Side::kMobileNode,
                   .local = careOf,
                   .remote = agent,
                   .homeAddresses = {home},
                   .port = 0,
                   .mtu = kMtu},
                  {.slot = 1,
                   .side = Side::kMobileNode,
                   .local = otherCareOf,
                   .remote = near,
                   .homeAddresses = {secondHome},
                   .port = 0,
                   .mtu = kMtu}},
                 {{careOf, Side::kMobileNode}, {otherCareOf, Side::kMobileNode}},
                 {},
                 {{near, neighbour}},
                 router};

  Ethernet() { publish(); }
  void publish() { table = TunnelTable(spec, {port}, std::make_shared<Uplink>(network, own), region); }
  SlowPathRing transmitRing() const { return region.transmitRing(); }
  void transmit() {
    forwarder.beginBatch(table, now);
    SlowPathRing ring = transmitRing();
    forwarder.transmit(ring);
    forwarder.endBatch();
  }
};

Octets ethernet(const Mac& to, const Octets& packet) {
  Octets result;
  put(result, to.octets);
  put(result, own.octets);
  put16(result, kEtherTypeIpv6);
  put(result, packet);
  return result;
}

}  // namespace

TEST_CASE("what goes out is a frame for the next hop") {
  Ethernet world;
  world.fromPort(Slot(frame(packetOf(home, far, 1000))));
  world.fromPort(Slot(frame(packetOf(secondHome, far, 100))));
  CHECK(world.network->take()->bytes ==
        ethernet(router, tunnelled(packetOf(home, far, 1000), careOf, agent)));
  CHECK(world.network->take()->bytes ==
        ethernet(neighbour, tunnelled(packetOf(secondHome, far, 100), otherCareOf, near)));
  CHECK(world.network->direct == 0);
}

TEST_CASE("a checksum that is left to the kernel moves with both headers") {
  Ethernet world;
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Octets(100, 1);
  world.fromPort(Slot(frame(partial(buildTcp(fields))), needsChecksum(14 + 40)));
  const auto item = world.network->take();
  REQUIRE(item);
  CHECK(item->offload.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
  CHECK(item->offload.csum_start == 14 + 40 + 40);
  CHECK(item->offload.csum_offset == 16);
}

TEST_CASE("no next hop: dropped and counted, where nobody is the router") {
  Ethernet world;
  world.spec.defaultNextHop.reset();
  world.publish();
  world.fromPort(Slot(frame(packetOf(home, far, 1000))));
  world.fromPort(Slot(frame(packetOf(secondHome, far, 1000))));
  CHECK(world.portDrops(Drop::no_next_hop) == 1);
  CHECK(world.network->take()->bytes ==
        ethernet(neighbour, tunnelled(packetOf(secondHome, far, 1000), otherCareOf, near)));
  CHECK_FALSE(world.network->take());
  CHECK(world.traffic(0, TunnelCounter::toHomePackets) == 0);

  SlowPathRing ring = world.transmitRing();
  REQUIRE(ring.push({.port = kToUplink}, packetOf(careOf, agent, 100)));
  world.transmit();
  CHECK(world.engineDrops(Drop::no_next_hop) == 1);
}

TEST_CASE("two next hops for one destination are no table") {
  Ethernet world;
  world.spec.nextHops.push_back({near, router});
  CHECK_THROWS_AS(world.publish(), EngineError);
}

TEST_CASE("trains are cut into one batch, payload where it was read to") {
  Ethernet world;
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Octets(60 * 1000, 1);
  Slot slot(frame(partial(buildTcp(fields))), trainOf(54, 74, 1000));
  world.forwarder.beginBatch(world.table, world.now);
  CHECK(world.forwarder.fromPort(*world.port, slot.packet));  // it stays in its slot
  CHECK(world.network->calls == 0);
  Slot small(frame(packetOf(home, far, 100)));
  world.forwarder.fromPort(*world.port, small.packet);
  world.forwarder.endBatch(Forwarder::Memory::kStays);
  CHECK(world.network->calls == 1);
  std::size_t count = 0;
  while (const auto item = world.network->take()) {
    if (++count > 60) continue;
    CHECK(item->bytes.size() == 14 + 40 + 60 + 1000);
    CHECK(item->offload.csum_start == 14 + 40 + 40);
  }
  CHECK(count == 61);
  CHECK(world.traffic(0, TunnelCounter::toHomePackets) == 61);

  world.forwarder.beginBatch(world.table, world.now);
  CHECK_FALSE(world.forwarder.fromPort(*world.port, small.packet));  // its slot may be used again at once
  world.forwarder.endBatch();
}

TEST_CASE("an uplink without room: packets wait, what JavaScript sends behind them, and go on in order") {
  Ethernet world;
  world.network->room = 5;
  Slot first(frame(packetOf(home, far, 1001))), second(frame(packetOf(home, far, 1002)));
  world.forwarder.beginBatch(world.table, world.now);
  for (int count = 0; count < 3; ++count) {
    // The engine writes headers in front: each is read anew.
    first = Slot(frame(packetOf(home, far, 1001)));
    world.forwarder.fromPort(*world.port, first.packet);
    world.forwarder.endBatch(Forwarder::Memory::kStays);
    world.forwarder.beginBatch(world.table, world.now);
  }
  CHECK_FALSE(world.forwarder.waiting());
  world.network->room = 0;
  world.forwarder.fromPort(*world.port, second.packet);
  world.forwarder.endBatch(Forwarder::Memory::kStays);
  CHECK(world.forwarder.waiting());

  SlowPathRing ring = world.transmitRing();
  REQUIRE(ring.push({.port = kToUplink}, packetOf(careOf, agent, 120)));
  REQUIRE(ring.push({.port = kToUplink}, packetOf(careOf, agent, 1200)));
  world.transmit();
  CHECK(world.engineDrops(Drop::uplink_full) == 1);  // JavaScript's memory does not stay

  world.network->room = 100;
  world.forwarder.beginBatch(world.table, world.now);
  world.forwarder.resume();
  world.forwarder.endBatch(Forwarder::Memory::kStays);
  CHECK_FALSE(world.forwarder.waiting());
  std::vector<std::size_t> sizes;
  while (const auto item = world.network->take()) sizes.push_back(item->bytes.size());
  CHECK(sizes == std::vector<std::size_t>{1055, 1055, 1055, 1056, 134});
  CHECK(world.allDrops() == 1);
}

TEST_CASE("what is too long for the queue goes alone, behind what waits") {
  Ethernet world;
  TcpFields fields{.source = home, .destination = far};
  fields.extensions = Octets(256);
  fields.extensions[0] = kTcp;
  fields.extensions[1] = 31;
  fields.extensions[2] = 1;  // PadN
  fields.extensions[3] = 252;
  fields.firstHeader = kDestination;
  fields.payload = Octets(3000, 1);
  world.forwarder.beginBatch(world.table, world.now);
  Slot small(frame(packetOf(home, far, 100)));
  world.forwarder.fromPort(*world.port, small.packet);
  Slot slot(frame(partial(buildTcp(fields), 40 + 256)), trainOf(54 + 256, 74 + 256, 1000));
  world.forwarder.fromPort(*world.port, slot.packet);
  world.forwarder.endBatch(Forwarder::Memory::kStays);
  CHECK(world.network->direct == 3);
  std::vector<std::size_t> sizes;
  while (const auto item = world.network->take()) sizes.push_back(item->bytes.size());
  CHECK(sizes == std::vector<std::size_t>{154, 1370, 1370, 1370});
}
