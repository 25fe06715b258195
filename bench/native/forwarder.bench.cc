// What the forwarder itself costs a packet or a train of payload, devices not counted: make -C native/test
// bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "../../native/test/world.h"

namespace kagemusha::bench {
namespace {

using test::Octets;

// Of this thread: what others have of the processor does not count.
struct Clock {
  using Seconds = std::chrono::duration<double>;
  static Seconds now() {
    timespec time;
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return Seconds(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9);
  }
};

constexpr std::size_t kBatch = 32;

// Takes everything, keeps nothing.
struct Sink : Device {
  std::uint64_t writes = 0;
  int fd() const override { return -1; }
  Io read(Bytes, Packet&) override { return Io::kAgain; }
  Io write(const Packet&, std::span<const iovec>) override {
    ++writes;
    return Io::kDone;
  }
};

using World = test::World<Sink, Sink>;

// The best of nine runs of about 100 ms each. What the forwarder writes into a packet's headers is put back
// before each batch, as a read would.
void bench(const char* name, World& world, bool fromGuest, const Octets& octets, const Offload& offload) {
  constexpr std::size_t kHeaders = 160;
  std::vector<test::Slot> slots;
  for (std::size_t index = 0; index < kBatch; ++index) slots.emplace_back(octets, offload);
  const std::size_t headers = std::min(kHeaders, octets.size());
  double best = 1e9;
  for (int run = 0; run < 9; ++run) {
    std::size_t count = 0;
    const auto start = Clock::now();
    Clock::Seconds passed{};
    do {
      for (int batch = 0; batch < 32; ++batch) {
        world.forwarder.beginBatch(world.table, world.now);
        for (test::Slot& slot : slots) {
          std::memcpy(slot.packet.bytes.data(), octets.data(), headers);
          if (fromGuest)
            world.forwarder.fromPort(*world.port, slot.packet);
          else
            world.forwarder.fromUplink(slot.packet);
        }
        world.forwarder.endBatch();
        count += kBatch;
      }
      passed = Clock::now() - start;
    } while (passed.count() < 0.1);
    best = std::min(best, passed.count() / static_cast<double>(count));
  }
  const char* unit = offload.gso_type == VIRTIO_NET_HDR_GSO_NONE ? "packet" : "train";
  std::printf("%-36s %8.2f M %ss/s  %7.1f ns a %s\n", name, 1e-6 / best, unit, best * 1e9, unit);
}

Octets tcp(const Address& source, const Address& destination, std::size_t payload) {
  test::TcpFields fields{.source = source, .destination = destination};
  fields.options = Octets(12, 1);
  fields.payload = Octets(payload, 0x5a);
  return test::partial(test::buildTcp(fields));
}

void benchAll(const char* which, World& world) {
  using namespace test;
  const auto name = [&](const char* what) { return std::string("forward, ") + what + which; };
  bench(name("guest, 1 KB").c_str(), world, true, frame(tcp(home, far, 1000)), needsChecksum(54));
  bench(name("guest, 61 KB train").c_str(), world, true, frame(tcp(home, far, 1388 * 44)),
        trainOf(54, 86, 1388));
  bench(name("to the guest, 1 KB").c_str(), world, false, tunnelled(tcp(far, home, 1000), agent, careOf),
        needsChecksum(80));
  bench(name("home agent, out").c_str(), world, false, tunnelled(tcp(home, far, 1000), careOf, agent),
        needsChecksum(80));
  bench(name("home agent, in").c_str(), world, false, tcp(far, home, 1000), needsChecksum(40));
}

// The tunnels of a world over a path whose MTU is known, with MSS clamp.
void overPath(World& world, std::uint32_t pathMtu) {
  const std::uint32_t mtu = std::max(1280u, pathMtu - 40);
  world.table = TunnelTable({{{.slot = 0,
                               .side = Side::kMobileNode,
                               .local = test::careOf,
                               .remote = test::agent,
                               .homeAddresses = {test::home},
                               .port = 0,
                               .mtu = mtu,
                               .pathMtu = pathMtu,
                               .mssClamp = true},
                              {.slot = 1,
                               .side = Side::kHomeAgent,
                               .local = test::agent,
                               .remote = test::careOf,
                               .homeAddresses = {test::home},
                               .mtu = mtu,
                               .pathMtu = pathMtu,
                               .mssClamp = true}},
                             {{test::careOf, Side::kMobileNode}, {test::agent, Side::kHomeAgent}}},
                            {world.port}, std::make_shared<Uplink>(world.network), world.region);
}

}  // namespace
}  // namespace kagemusha::bench

int main() {
  using namespace kagemusha::bench;
  World world;
  benchAll("", world);
  overPath(world, 1500);
  benchAll(", clamp", world);
  using namespace kagemusha::test;
  Octets syn =
      complete(buildTcp({.source = home, .destination = far, .flags = 2, .options = {2, 4, 5, 0xb4}}));
  bench("forward, guest, SYN clamped", world, true, frame(syn), {});
  overPath(world, 1280);
  bench("forward, guest, 1280 in 2 fragments", world, true, frame(packetOf(home, far, 1280)), {});
}
