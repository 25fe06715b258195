// The packet path allocates nothing and copies no payload; what it needs is mapped at the start.
#include <doctest/doctest.h>

#include "../engine/batch_memory.h"
#include "fragments.h"
#include "world.h"

// sanitizer/allocator_interface.h, which not every compiler's package brings.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                                         void (*freed)(const volatile void*));

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

thread_local bool counting = false;
thread_local std::uint64_t allocations = 0;

void onAllocation(const volatile void*, std::size_t) { allocations += counting; }
void onFree(const volatile void*) {}

// Swallows what is written without allocating as the other double does, and looks where payload lies: a cut
// train's headers are the forwarder's own, all else must be where it was read to.
struct Sink : Device {
  ConstBytes buffers;
  std::uint64_t writes = 0, copied = 0;

  bool inside(const void* at, std::size_t length) const {
    const auto* first = static_cast<const std::uint8_t*>(at);
    return first >= buffers.data() && first + length <= buffers.data() + buffers.size();
  }
  int fd() const override { return -1; }
  Io read(Bytes, Packet&) override { return Io::kAgain; }
  Io write(const Packet& head, std::span<const iovec> tail) override {
    ++writes;
    if (tail.empty()) copied += !inside(head.bytes.data(), head.bytes.size());
    for (const iovec& part : tail) copied += !inside(part.iov_base, part.iov_len);
    return Io::kDone;
  }
};

struct Read {
  bool fromGuest;
  Octets octets;
  Offload offload;
};

std::vector<Read> everyDirection() {
  TcpFields up{.source = home, .destination = far}, between{.source = home, .destination = other};
  TcpFields down{.source = far, .destination = home};
  up.payload = between.payload = Octets(20000, 1);
  down.payload = Octets(1000, 1);
  std::vector<Read> reads{
      {true, frame(partial(buildTcp(up))), trainOf(54, 74, 1400)},
      {true, frame(packetOf(home, far, 1000)), {}},
      {true, frame(packetOf(home, far, 3000)), {}},
      {true, frame(packetOf(far, far, 1000)), {}},
      {true, frame(solicitation()), {}},
      {false, packetOf(far, home, 1000), {}},
      {false, tunnelled(packetOf(home, far, 1000), careOf, agent), {}},
      {false, tunnelled(partial(buildTcp(between)), careOf, agent), trainOf(80, 100, 1200)},
      {false, packetOf(far, careOf, 100, kMobility), {}},
      {false, update(careOf, home, 1), {}},
      {false, espAcknowledgement(home, 1001, 7), {}},
      {false, update(careOf, far, 1), {}},
      {false, tunnelled(packetOf(far, far, 100), careOf, agent), {}},
  };
  for (; reads.size() < Forwarder::kBatch; down.sequence += 1000)
    reads.push_back({false, tunnelled(complete(buildTcp(down)), agent, careOf), {}});
  return reads;
}

}  // namespace

void watchAllocations() {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(onAllocation, onFree);
  REQUIRE(installed > 0);
  allocations = 0;
  counting = true;
  delete std::make_unique<int>(1).release();
  REQUIRE(allocations == 1);
  counting = false;
}

TEST_CASE("packets in every direction: no allocation, no copy of payload") {
  watchAllocations();

  World<Sink, Sink> world;
  const BatchMemory memory;
  world.guest->buffers = world.network->buffers = memory.bytes();
  const auto reads = everyDirection();
  allocations = 0;
  counting = true;
  for (int round = 0; round < 100; ++round) {
    world.forwarder.beginBatch(world.table, world.now);
    auto place = memory.batch();
    for (std::size_t index = 0; index < reads.size(); ++index) {
      const Bytes slot = place.next();
      place.keep(reads[index].octets.size());
      std::copy(reads[index].octets.begin(), reads[index].octets.end(), slot.begin());
      const Packet packet{slot.first(reads[index].octets.size()), reads[index].offload};
      if (reads[index].fromGuest)
        world.forwarder.fromPort(*world.port, packet);
      else
        world.forwarder.fromUplink(packet);
    }
    world.forwarder.endBatch();
  }
  counting = false;
  CHECK(allocations == 0);
  CHECK(world.network->writes == 100 * (15 + 1 + 1 + 1 + 17));
  CHECK(world.guest->writes == 100);  // one train
  CHECK(world.network->copied + world.guest->copied == 0);
}

TEST_CASE("batches for a network interface: no allocation, no copy of payload") {
  watchAllocations();
  // As Sink; of what is sent in batches, the second part is payload, and so is a single long one.
  struct Nic : Sink {
    bool sendsMany() const override { return true; }
    Io send(std::span<mmsghdr> messages, std::size_t& sent) override {
      for (sent = 0; sent < messages.size(); ++sent, ++writes) {
        const msghdr& message = messages[sent].msg_hdr;
        const iovec& last = message.msg_iov[message.msg_iovlen - 1];
        if (message.msg_iovlen > 1 || last.iov_len > 256) copied += !inside(last.iov_base, last.iov_len);
      }
      return Io::kDone;
    }
  };
  World<Sink, Nic> world;
  const Mac mac{{2, 0, 0, 0, 0, 3}};
  world.table = TunnelTable({{{.slot = 0,
                               .side = Side::kMobileNode,
                               .local = careOf,
                               .remote = agent,
                               .homeAddresses = {home},
                               .port = 0,
                               .mtu = kMtu}},
                             {{careOf, Side::kMobileNode}},
                             {},
                             {{agent, mac}},
                             mac},
                            {world.port}, std::make_shared<Uplink>(world.network, mac), world.region);
  const BatchMemory memory;
  world.guest->buffers = world.network->buffers = memory.bytes();
  auto reads = everyDirection();
  for (std::size_t count = 0; count < 4; ++count) reads.insert(reads.begin(), reads.front());
  reads.resize(Forwarder::kBatch);
  allocations = 0;
  counting = true;
  for (int round = 0; round < 100; ++round) {
    world.forwarder.beginBatch(world.table, world.now);
    auto place = memory.batch();
    for (std::size_t index = 0; index < reads.size(); ++index) {
      const Bytes slot = place.next();
      place.keep(reads[index].octets.size());
      std::copy(reads[index].octets.begin(), reads[index].octets.end(), slot.begin());
      const Packet packet{slot.first(reads[index].octets.size()), reads[index].offload};
      if (reads[index].fromGuest)
        world.forwarder.fromPort(*world.port, packet);
      else
        world.forwarder.fromUplink(packet);
    }
    world.forwarder.endBatch();
  }
  counting = false;
  CHECK(allocations == 0);
  CHECK(world.network->writes == 100 * (5 * 15 + 1));
  CHECK(world.guest->writes == 100);
  CHECK(world.network->copied + world.guest->copied == 0);
}

TEST_CASE(
    "a narrow path: fragments, clamped SYNs, errors and probes, without allocation or copy of payload") {
  World<Sink, Sink> world;
  const auto narrow = [](std::uint32_t slot, Side side, const Address& local, const Address& remote,
                         const std::vector<Address>& homes) {
    return TunnelSpec{.slot = slot,
                      .side = side,
                      .local = local,
                      .remote = remote,
                      .homeAddresses = homes,
                      .port = side == Side::kMobileNode ? 0 : kNone,
                      .mtu = 1280,
                      .pathMtu = 1280,
                      .mssClamp = true};
  };
  world.table = TunnelTable({{narrow(0, Side::kMobileNode, careOf, agent, {home}),
                              narrow(1, Side::kHomeAgent, agent, careOf, {home}),
                              narrow(2, Side::kHomeAgent, agent, otherCareOf, {other})},
                             {{careOf, Side::kMobileNode}, {agent, Side::kHomeAgent}}},
                            {world.port}, std::make_shared<Uplink>(world.network), world.region);
  const BatchMemory memory;
  world.guest->buffers = world.network->buffers = memory.bytes();
  TcpFields syn{.source = home, .destination = far, .flags = tcp::kSyn, .options = {2, 4, 5, 0xa0}};
  Octets dying = packetOf(home, other, 1280);
  dying[7] = 1;
  Octets probe = packetOf(agent, home, 100, kIcmpv6);
  probe[40] = 128;
  const std::string_view magic = "kagemush";
  std::copy(magic.begin(), magic.end(), probe.begin() + 48);
  const std::vector<Read> reads{
      {true, frame(packetOf(home, far, 1280)), {}},
      {false, packetOf(far, home, 1280), {}},
      {false, tunnelled(packetOf(home, other, 1280), careOf, agent), {}},
      {true, frame(complete(buildTcp(syn))), {}},
      {false, tunnelled(dying, careOf, agent), {}},
      {true, frame(packetOf(home, far, 1281)), {}},
      {false, packetOf(far, home, 1281), {}},
      {false, tunnelled(probe, agent, careOf), {}},
  };
  allocations = 0;
  counting = true;
  for (int round = 0; round < 100; ++round) {
    world.forwarder.beginBatch(world.table, world.now);
    auto place = memory.batch();
    for (std::size_t index = 0; index < reads.size(); ++index) {
      const Bytes slot = place.next();
      place.keep(reads[index].octets.size());
      std::copy(reads[index].octets.begin(), reads[index].octets.end(), slot.begin());
      const Packet packet{slot.first(reads[index].octets.size()), reads[index].offload};
      if (reads[index].fromGuest)
        world.forwarder.fromPort(*world.port, packet);
      else
        world.forwarder.fromUplink(packet);
    }
    world.forwarder.endBatch();
  }
  counting = false;
  CHECK(allocations == 0);
  CHECK(world.network->writes == 100 * (2 + 2 + 2 + 1));
  CHECK(world.network->copied == 0);
  CHECK(world.traffic(0, TunnelCounter::mssClamped) == 100);
  CHECK(world.guest->writes == 0);
}

TEST_CASE(
    "fragments, good and bad ones: no allocation, whole packets pass from where they were put together") {
  watchAllocations();
  World<Sink, Sink> world;
  const Octets toGuest = tunnelled(packetOf(far, home, 1280), agent, careOf);
  const Octets between = tunnelled(packetOf(home, other, 1280), careOf, agent);
  std::vector<Octets> octets;
  for (std::uint32_t number = 0; number < 20; ++number)
    for (const Octets& whole : {toGuest, between})
      for (const auto& part : fragmentsOf(whole, {800, 1232}, {.identification = number}))
        octets.push_back(part);
  const std::size_t good = octets.size();
  for (std::uint32_t number = 100; number < 120; ++number)
    for (const std::size_t offset : {0, 8, 12000})
      octets.push_back(fragmentOf(toGuest, offset, 800, true, {.identification = number}));
  std::vector<Slot> slots;
  for (const Octets& fragment : octets) slots.emplace_back(fragment);
  allocations = 0;
  counting = true;
  for (int round = 0; round < 100; ++round) {
    for (std::size_t first = 0; first < good; first += 6) {
      world.forwarder.beginBatch(world.table, world.now);
      for (std::size_t index = first; index < first + 6; ++index)
        world.forwarder.fromUplink(slots[index].packet);
      world.forwarder.endBatch();
    }
    world.forwarder.beginBatch(world.table, world.now);
    for (std::size_t index = good; index < slots.size(); ++index)
      world.forwarder.fromUplink(slots[index].packet);
    world.forwarder.endBatch();
    world.now += kSecond;
  }
  counting = false;
  CHECK(allocations == 0);
  CHECK(world.guest->writes == 100 * 20);
  CHECK(world.network->writes == 100 * 20);
}

TEST_CASE("what is mapped at the start, and grows by what is in use") {
  const auto before = Mapping::total();
  const Region region(1024, 1024, 1024);
  Policing policing(region);
  const BatchMemory memory;
  const Reassembler reassembler;
  const auto start = Mapping::total() - before;
  const auto use = [&](std::uint32_t index) {
    region.portCounters(index);
    region.tunnelCounters(index);
    policing.claimTunnel(index);
    policing.claimSignaler(index);
    return Mapping::total() - before;
  };
  const auto one = use(0);
  std::size_t all = one;
  for (std::uint32_t index = 1; index < 1024; ++index) all = use(index);
  MESSAGE(start, " octets, with a guest ", one, ", with 1024 ", all);
  CHECK(one < 1800 * 1024);
  CHECK((all - one) / 1023 < 2048);
}
