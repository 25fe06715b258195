// What a forged Mobility Header packet costs the forwarder until it is dropped: make -C native/test bench
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "../../native/test/world.h"

namespace kagemusha::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 32;
constexpr Instant kBatchTime = kSecond / 100'000 * kBatch;  // 100 000 packets a second

// The best of five runs of about 100 ms each; JavaScript takes what passes.
void bench(const char* name, const std::vector<test::Octets>& packets) {
  test::World world;
  for (std::uint32_t index = 0; index < 4; ++index) world.region.expectSequence(index, 5000);
  std::vector<test::Slot> slots;
  for (const auto& packet : packets) slots.emplace_back(packet);
  SlowPathRing ring = world.region.receiveRing();
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    std::size_t count = 0;
    const auto start = Clock::now();
    std::chrono::duration<double> passed{};
    do {
      for (int batch = 0; batch < 32; ++batch) {
        world.forwarder.beginBatch(world.table, world.now += kBatchTime);
        for (std::size_t index = 0; index < kBatch; ++index)
          world.forwarder.fromUplink(slots[count++ % slots.size()].packet);
        world.forwarder.endBatch();
        while (ring.front()) ring.pop();
      }
      passed = Clock::now() - start;
    } while (passed.count() < 0.1);
    best = std::min(best, passed.count() / static_cast<double>(count));
  }
  std::printf("%-30s %8.2f M packets/s  %4.1f ns a packet\n", name, 1e-6 / best, best * 1e9);
}

template <class Forge>
std::vector<test::Octets> forged(Forge&& forge) {
  test::Random random(1);
  std::vector<test::Octets> packets;
  for (int count = 0; count < 1024; ++count)
    packets.push_back(forge(static_cast<std::uint32_t>(random.engine())));
  return packets;
}

}  // namespace
}  // namespace kagemusha::bench

int main() {
  using namespace kagemusha::bench;
  using namespace kagemusha::test;
  bench("police, forged BU", forged([](std::uint32_t number) {
          return update(careOf, home, static_cast<std::uint16_t>(number));
        }));
  bench("police, forged ESP BU",
        forged([](std::uint32_t number) { return espUpdate(careOf, other, 1000, number); }));
  bench("police, forged BA", forged([](std::uint32_t number) {
          return acknowledgement(secondHome, static_cast<std::uint16_t>(number));
        }));
  bench("police, forged ESP BA",
        forged([](std::uint32_t number) { return espAcknowledgement(home, 1001, number); }));
  bench("police, ICMPv6 errors", forged([](std::uint32_t) {
          return chain(far, careOf, kagemusha::kIcmpv6, {{1, 4, 0, 0, 0, 0, 0, 0}});
        }));
}
