// What the forwarder itself costs a packet or a train of payload, devices not counted: make -C native/test
// bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "../../native/test/world.h"

namespace kagemusha::bench {
namespace {

using test::Octets;
using Clock = std::chrono::steady_clock;

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
    std::chrono::duration<double> passed{};
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
  std::printf("%-34s %8.2f M/s  %7.1f ns each\n", name, 1e-6 / best, best * 1e9);
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

}  // namespace
}  // namespace kagemusha::bench

int main() {
  using namespace kagemusha::bench;
  World world;
  benchAll("", world);
}
