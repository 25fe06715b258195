#include "../engine/forwarder.h"

#include <doctest/doctest.h>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

// A device that refuses merged trains, as some kernels do.
class Stubborn : public MemoryDevice {
 public:
  Io write(const Packet& head, std::span<const iovec> tail) override {
    return head.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE ? Io::kRefused : MemoryDevice::write(head, tail);
  }
};

// Three segments of one flow to the guest, as they come out of the home agent's tunnel.
std::vector<Slot> threeSegments() {
  std::vector<Slot> slots;
  for (std::uint32_t part = 0; part < 3; ++part) {
    TcpFields fields{.source = far, .destination = home, .sequence = 1000 + part * 1000};
    fields.payload = Octets(1000, static_cast<std::uint8_t>(part));
    slots.emplace_back(tunnelled(complete(buildTcp(fields)), agent, careOf));
  }
  return slots;
}

}  // namespace

TEST_CASE("a batch for the guest becomes one train with one Ethernet header") {
  World world;
  auto slots = threeSegments();
  world.fromUplink(slots);
  const auto train = world.guest->take();
  REQUIRE(train);
  CHECK(!world.guest->take());
  CHECK(train->bytes.size() == 14 + 40 + 20 + 3000);
  CHECK(train->offload.gso_type == VIRTIO_NET_HDR_GSO_TCPV6);
  CHECK(train->offload.gso_size == 1000);
  CHECK(train->offload.csum_start == 14 + 40);
}

TEST_CASE("a port that refuses trains gets the next packets one by one") {
  World<Stubborn> world;
  auto first = threeSegments();
  world.fromUplink(first);
  CHECK(!world.guest->take());
  CHECK(!world.port->mergeable);
  auto second = threeSegments();
  world.fromUplink(second);
  for (int part = 0; part < 3; ++part) CHECK(world.guest->take());
  CHECK(!world.guest->take());
}

TEST_CASE("a guest's train leaves as whole packets whose checksums hold at the other end") {
  World world;
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Random(1).octets(5000);
  Slot slot(frame(partial(buildTcp(fields))), trainOf(14 + 40, 14 + 60, 1400));
  world.fromPort(slot);
  Octets payload;
  while (auto item = world.network->take()) {
    CHECK(item->bytes.size() <= 1500);
    Packet packet{item->bytes, item->offload};
    REQUIRE(completeChecksum(packet));
    REQUIRE(decapsulate(packet));
    const Octets inner = copy(packet.bytes);
    Octets again = inner;
    again[56] = again[57] = 0;
    CHECK(complete(again) == inner);
    payload.insert(payload.end(), inner.begin() + 60, inner.end());
  }
  CHECK(payload == fields.payload);
}

TEST_CASE("whatever arrives, nothing is read or written outside its packet") {
  World world;
  Random random(20260101);
  const std::array<Address, 8> addresses{
      home, other, far, agent, careOf, otherCareOf, Address{{0xfe, 0x80}}, Address{{0xff, 2}}};
  const std::array<std::uint8_t, 9> headers{kHopByHop, kTcp, kUdp,    kIpv6,       kRouting,
                                            kFragment, kEsp, kIcmpv6, kDestination};
  for (int round = 0; round < 20000; ++round) {
    TcpFields fields{.source = addresses[random.below(8)], .destination = addresses[random.below(8)]};
    fields.firstHeader = headers[random.below(headers.size())];
    fields.payload = random.octets(random.below(200));
    Octets packet = buildTcp(fields);
    if (random.oneIn(2))
      packet = tunnelled(packet, random.oneIn(2) ? agent : careOf, random.oneIn(2) ? careOf : agent);
    if (random.oneIn(3)) put(packet, random.octets(random.below(20)));
    for (auto flips = random.below(4); flips > 0; --flips)
      packet[random.below(packet.size())] = random.octet();
    if (random.oneIn(4)) packet.resize(random.below(packet.size() + 1));

    Offload offload{};
    if (random.oneIn(2)) offload = needsChecksum(random.below(120));
    if (random.oneIn(4)) offload = trainOf(random.below(120), random.below(200), random.below(100));
    if (random.oneIn(50)) offload.gso_type = random.octet();
    if (random.oneIn(2)) {
      Slot slot(random.oneIn(8) ? packet : frame(packet), offload);
      world.fromPort(slot);
    } else {
      std::vector<Slot> slots;
      slots.emplace_back(packet, offload);
      world.fromUplink(slots);
    }
    world.empty();
  }
}
