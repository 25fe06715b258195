// Every packet that is lost is counted once, and nobody's flood is everybody's loss.
#include <doctest/doctest.h>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

class Full : public MemoryDevice {
 public:
  Io write(const Packet&, std::span<const iovec>) override { return Io::kAgain; }
};

// Refuses every train, whoever made it.
class Stubborn : public MemoryDevice {
 public:
  Io write(const Packet& head, std::span<const iovec> tail) override {
    return head.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE ? Io::kRefused : MemoryDevice::write(head, tail);
  }
};

std::vector<Slot> tcpSegments(std::uint32_t count, const Address& source, const Address& destination,
                              const Address& outerSource, const Address& outerDestination) {
  std::vector<Slot> slots;
  for (std::uint32_t part = 0; part < count; ++part) {
    TcpFields fields{.source = source, .destination = destination, .sequence = 1000 + part * 1000};
    fields.payload = Octets(1000, static_cast<std::uint8_t>(part));
    slots.emplace_back(tunnelled(complete(buildTcp(fields)), outerSource, outerDestination));
  }
  return slots;
}

// Cells.
std::uint32_t waiting(const Region& region) {
  const SlowPathRing ring = region.receiveRing();
  return ring.tail() - ring.head();
}

}  // namespace

TEST_CASE("packets of the tunnel's MTU pass, one octet more is too big: in every direction") {
  World world;
  world.fromPort(Slot(frame(packetOf(home, far, kMtu))));
  world.fromUplink(Slot(packetOf(far, home, kMtu)));
  world.fromUplink(Slot(tunnelled(packetOf(home, other, kMtu), careOf, agent)));
  for (int count = 0; count < 3; ++count) {
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->bytes.size() == kMtu + 40);
  }
  CHECK(world.allDrops() == 0);
  world.fromPort(Slot(frame(packetOf(home, far, kMtu + 1))));
  CHECK(world.portDrops(Drop::too_big) == 1);
  world.fromUplink(Slot(packetOf(far, home, kMtu + 1)));
  CHECK(world.tunnelDrops(1, Drop::too_big) == 1);
  world.fromUplink(Slot(tunnelled(packetOf(home, other, kMtu + 1), careOf, agent)));
  CHECK(world.tunnelDrops(2, Drop::too_big) == 1);
  CHECK(!world.network->take());
  CHECK(world.allDrops() == 3);
}

TEST_CASE("a packet that is too big is one drop, also when nobody can be told of it") {
  World world;
  constexpr std::uint64_t kCount = Region::kReceiveCells / 4;
  for (std::uint64_t count = 0; count < kCount; ++count)
    world.fromPort(Slot(frame(packetOf(home, far, kMtu + 1))));
  CHECK(world.portDrops(Drop::too_big) == kCount);
  CHECK(world.allDrops() == kCount);
}

TEST_CASE("a first frame that found no room is no drop, and the next one is told of") {
  World world;
  for (std::uint32_t count = 0; count < SlowPath::kPortShare; ++count)
    world.fromPort(Slot(frame(solicitation())));
  const auto before = world.allDrops();
  world.port->watchFirstFrame();
  world.fromPort(Slot(frame(packetOf(home, far, 100))));
  CHECK(world.network->take());
  CHECK(world.allDrops() == before);
  takeAll(world.region);
  world.fromPort(Slot(frame(packetOf(home, far, 100))));
  const auto entry = world.region.receiveRing().front();
  REQUIRE(entry);
  CHECK(entry->record.kind == SlowPathKind::firstFrame);
  CHECK(!world.port->takeFirstFrame());
}

TEST_CASE("a merged train that is lost counts as the packets that it was") {
  SUBCASE("at the guest's port") {
    World<Full> world;
    auto slots = tcpSegments(3, far, home, agent, careOf);
    world.fromUplink(slots);
    CHECK(world.tunnelDrops(0, Drop::port_full) == 3);
    CHECK(world.allDrops() == 3);
  }
  SUBCASE("at the home agent's device") {
    World<MemoryDevice, Full> world;
    auto slots = tcpSegments(3, home, far, careOf, agent);
    world.fromUplink(slots);
    CHECK(world.tunnelDrops(1, Drop::uplink_full) == 3);
    CHECK(world.allDrops() == 3);
  }
  SUBCASE("refused") {
    World<Stubborn> world;
    auto slots = tcpSegments(3, far, home, agent, careOf);
    world.fromUplink(slots);
    CHECK(world.tunnelDrops(0, Drop::port_error) == 3);
    CHECK(!world.port->mergeable);
  }
}

TEST_CASE("a train that came as one and is refused does not end merging") {
  World<Stubborn> world;
  TcpFields fields{.source = far, .destination = home};
  fields.payload = Octets(3000, 1);
  Offload offload = trainOf(80, 100, 1000);
  offload.csum_offset = 0;  // newer kernels refuse it
  world.fromUplink(Slot(tunnelled(partial(buildTcp(fields)), agent, careOf), offload));
  CHECK(!world.guest->take());
  CHECK(world.allDrops() == 3);
  CHECK(world.port->mergeable);
}

TEST_CASE("a flood of one guest leaves room for the others, and for the network") {
  World world;
  Port second(1, Port::Role::kGuest, world.guest, Mac{{2, 0, 0, 0, 0, 1}}, world.region.portCounters(1));
  Port third(2, Port::Role::kGuest, world.guest, Mac{{2, 0, 0, 0, 0, 1}}, world.region.portCounters(2));
  Port fourth(3, Port::Role::kGuest, world.guest, Mac{{2, 0, 0, 0, 0, 1}}, world.region.portCounters(3));
  const auto flood = [&](Port& port, std::uint32_t count) {
    world.forwarder.beginBatch(world.table, world.now);
    for (std::uint32_t sent = 0; sent < count; ++sent) {
      Slot slot(frame(solicitation()));
      world.forwarder.fromPort(port, slot.packet);
    }
    world.forwarder.endBatch();
  };
  const auto update = [&] {
    world.now += kSecond;  // this is not about policing
    world.fromUplink(Slot(packetOf(far, careOf, 100, kMobility)));
  };

  const std::uint32_t one = SlowPathRing::cellsOf(frame(solicitation()).size());
  const std::uint32_t network = SlowPathRing::cellsOf(packetOf(far, careOf, 100).size());
  constexpr std::uint32_t kMany = SlowPath::kPortShare;
  REQUIRE(SlowPath::kPortShare % one == 0);
  REQUIRE(SlowPath::kSideShare % network == 0);

  flood(*world.port, kMany);
  CHECK(waiting(world.region) == SlowPath::kPortShare);
  CHECK(world.portDrops(Drop::slow_path_full) == kMany - SlowPath::kPortShare / one);
  flood(second, 1);
  CHECK(waiting(world.region) == SlowPath::kPortShare + one);
  flood(second, kMany);
  flood(third, kMany);
  flood(fourth, kMany);
  CHECK(waiting(world.region) == SlowPath::kSideShare);
  for (int count = 0; count < 10; ++count) update();
  CHECK(waiting(world.region) == SlowPath::kSideShare + 10 * network);
  CHECK(world.engineDrops(Drop::slow_path_full) == 0);

  // What JavaScript released is there for everyone again.
  takeAll(world.region);
  for (std::uint32_t count = 0; count < SlowPath::kSideShare; ++count) update();
  CHECK(waiting(world.region) - SlowPath::kSideShare < 2 * network);
  flood(*world.port, kMany);
  CHECK(Region::kReceiveCells - waiting(world.region) < one);
  for (int round = 0; round < 100; ++round) {
    takeAll(world.region);
    flood(*world.port, kMany);
    REQUIRE(waiting(world.region) - SlowPath::kPortShare < 2 * one);
  }
}

TEST_CASE("a solicitation storm and payload in one batch: order and payload stay") {
  World world;
  auto data = tcpSegments(16, home, far, careOf, agent);
  for (Slot& slot : data) slot = Slot(frame(Octets(slot.packet.bytes.begin() + 40, slot.packet.bytes.end())));
  world.forwarder.beginBatch(world.table, world.now);
  for (Slot& slot : data) {
    Slot storm(frame(solicitation()));
    world.forwarder.fromPort(*world.port, storm.packet);
    world.forwarder.fromPort(*world.port, slot.packet);
  }
  world.forwarder.endBatch();
  CHECK(world.wakes == 1);
  for (std::uint32_t part = 0; part < 16; ++part) {
    const auto item = world.network->take();
    REQUIRE(item);
    CHECK(reference::number(item->bytes, 80 + 4, 4) == 1000 + part * 1000);
  }
}

TEST_CASE("what JavaScript sends does not keep the ports waiting, however fast it comes") {
  // Each write makes room for the next entry at once, as a fast writer on another thread would.
  struct Endless : MemoryDevice {
    SlowPathRing* ring = nullptr;
    std::size_t writes = 0;
    Io write(const Packet&, std::span<const iovec>) override {
      if (++writes < 100000) ring->push({.port = kToUplink}, hex("60"));
      return Io::kDone;
    }
  };
  World<MemoryDevice, Endless> world;
  SlowPathRing ring = world.region.transmitRing();
  world.network->ring = &ring;
  ring.push({.port = kToUplink}, hex("60"));
  world.forwarder.beginBatch(world.table, world.now);
  world.forwarder.transmit(ring);
  world.forwarder.endBatch();
  CHECK(world.network->writes <= Region::kTransmitCells);
}

TEST_CASE("every home address of a tunnel goes its way, and only those") {
  World world;
  for (const Address& address : {home, secondHome}) {
    world.fromPort(Slot(frame(packetOf(address, far, 100))));
    CHECK(world.network->take());
    world.fromUplink(Slot(tunnelled(packetOf(far, address, 100), agent, careOf)));
    CHECK(world.guest->take());
    world.fromUplink(Slot(packetOf(far, address, 100)));
    CHECK(world.network->take());
    world.fromUplink(Slot(tunnelled(packetOf(address, far, 100), careOf, agent)));
    CHECK(world.network->take());
  }
  CHECK(world.allDrops() == 0);
  world.fromPort(Slot(frame(packetOf(other, far, 100))));
  world.fromUplink(Slot(tunnelled(packetOf(far, other, 100), agent, careOf)));
  CHECK(world.portDrops(Drop::source_not_home) == 1);
  CHECK(world.tunnelDrops(0, Drop::inner_destination) == 1);
}

TEST_CASE("between two mobile nodes: one hop less, the other's outer header, trains cut") {
  World world;
  TcpFields fields{.source = home, .destination = other, .hopLimit = 2};
  fields.payload = Octets(3000, 1);
  world.fromUplink(Slot(tunnelled(partial(buildTcp(fields)), careOf, agent), trainOf(80, 100, 1200)));
  for (int part = 0; part < 3; ++part) {
    auto item = world.network->take();
    REQUIRE(item);
    CHECK(item->bytes[47] == 1);
    CHECK(reference::addressAt(item->bytes, 24) == otherCareOf);
    Packet packet{item->bytes, item->offload};
    REQUIRE(completeChecksum(packet));
    CHECK(reference::checksumIsRight(Octets(item->bytes.begin() + 40, item->bytes.end()), 40));
  }
  CHECK(world.traffic(2, TunnelCounter::toGuestPackets) == 3);
  CHECK(world.allDrops() == 0);
  fields.hopLimit = 1;
  world.fromUplink(Slot(tunnelled(complete(buildTcp(fields)), careOf, agent)));
  CHECK(world.tunnelDrops(1, Drop::hop_limit) == 1);
}

TEST_CASE("segments with different congestion marks, as the outer headers tell them, are not merged") {
  std::vector<Slot> slots;
  for (std::uint32_t part = 0; part < 4; ++part) {
    TcpFields fields{.source = far, .destination = home, .sequence = 1000 + part * 1000, .trafficClass = 2};
    fields.payload = Octets(1000, 1);
    Octets outer = tunnelled(complete(buildTcp(fields)), agent, careOf);
    if (part >= 2) outer[1] = static_cast<std::uint8_t>(outer[1] | 0x30);  // CE
    slots.emplace_back(outer);
  }
  World world;
  world.fromUplink(slots);
  for (const std::uint8_t mark : Octets{0x20, 0x30}) {
    const auto train = world.guest->take();
    REQUIRE(train);
    CHECK(train->bytes.size() == 14 + 60 + 2000);
    CHECK((train->bytes[15] & 0x30) == mark);
  }
  CHECK(!world.guest->take());
}
