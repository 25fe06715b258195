// Micro-benchmarks of the engine's pure functions, one thread: make -C native/test bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "../../native/engine/checksum.h"
#include "../../native/engine/coalesce.h"
#include "../../native/engine/encapsulate.h"
#include "../../native/engine/flow_label.h"
#include "../../native/engine/reassemble.h"
#include "../../native/engine/region.h"
#include "../../native/engine/segment.h"
#include "../../native/test/fragments.h"
#include "../../native/test/support.h"

namespace kagemusha::bench {
namespace {

using test::Octets;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPayload = 1388;  // of 1460: IPv6, TCP with timestamps
constexpr std::size_t kBatch = 32;

// Keeps the compiler from leaving the work out.
volatile std::uint64_t sink;

// Seconds that one call takes: the best of five runs of about 100 ms each.
template <class Work>
double secondsOf(Work&& work) {
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    std::size_t calls = 0;
    const auto start = Clock::now();
    std::chrono::duration<double> passed{};
    do {
      for (int index = 0; index < 64; ++index) work();
      calls += 64;
      passed = Clock::now() - start;
    } while (passed.count() < 0.1);
    best = std::min(best, passed.count() / static_cast<double>(calls));
  }
  return best;
}

test::TcpFields fieldsOf(std::size_t payload) {
  test::TcpFields fields;
  fields.options = Octets(12, 1);
  fields.payload = Octets(payload, 0x5a);
  return fields;
}

void benchChecksum(std::size_t length) {
  const Octets octets(length, 0x5a);
  const double seconds = secondsOf([&] { sink = sink + checksumAdd(octets); });
  std::printf("checksum %5zu octets           %8.1f GB/s  %8.1f ns\n", length,
              static_cast<double>(length) / seconds / 1e9, seconds * 1e9);
}

void benchSegment() {
  const std::size_t segments = 44;
  const test::Slot train(test::buildTcp(fieldsOf(kPayload * segments)), test::trainOf(40, 72, 1428));
  Octets scratch(kHeadroom + 72);
  const Outer tunnel{test::addressOf(1), test::addressOf(2)};
  const double seconds = secondsOf([&] {
    std::size_t count = 0;
    segment(train.packet, 1460, scratch, kHeadroom, [&](const Segment& one) {
      Packet outer{one.headers, one.offload};
      writeOuterHeader({one.headers.data() - 40, 40}, tunnel, one.headers.size() + one.payload.size());
      count += one.payload.size() + outer.offload.csum_start;
    });
    sink = sink + count;
  });
  std::printf("segment, 61 KB into %zu + outer %8.2f M trains/s  %4.1f ns a segment  %.0f Gbit/s\n", segments,
              1e-6 / seconds, seconds * 1e9 / static_cast<double>(segments),
              static_cast<double>(kPayload * segments) * 8e-9 / seconds);
}

// One packet alone: nothing to share the label with.
void benchEncapsulate(bool label) {
  test::Slot slot(test::buildTcp(fieldsOf(kPayload)));
  const Packet inner = slot.packet;
  Outer outer{test::addressOf(1), test::addressOf(2)};
  std::uint8_t port = 0;
  const double seconds = secondsOf([&] {
    Packet packet = inner;
    packet.bytes[kIpv6Header] = ++port;
    if (label) outer.flowLabel = flowLabel(packet.bytes);
    encapsulate(packet, outer);
    sink = sink + packet.bytes[3];
  });
  std::printf("encapsulate, %-18s %8.1f M packets/s  %4.1f ns a packet\n",
              label ? "with a flow label" : "no flow label", 1e-6 / seconds, seconds * 1e9);
}

void benchCoalesce(const char* name, std::size_t flows, bool verified) {
  std::vector<test::Slot> slots;
  std::vector<test::TcpFields> each(flows, fieldsOf(kPayload));
  for (std::size_t index = 0; index < kBatch; ++index) {
    test::TcpFields& fields = each[index % flows];
    fields.sourcePort = static_cast<std::uint16_t>(index % flows);
    const Octets packet = test::buildTcp(fields);
    if (verified) slots.emplace_back(test::complete(packet));
    if (!verified) slots.emplace_back(test::partial(packet), test::needsChecksum(40));
    fields.sequence += kPayload;
  }
  // Merging rewrites the head of a train: it is put back before each batch, as a read would.
  std::vector<Octets> headers;
  for (const test::Slot& slot : slots) headers.push_back(test::copy(slot.packet.bytes.first(72)));
  Coalescer coalescer(kBatch);
  const double seconds = secondsOf([&] {
    for (std::size_t index = 0; index < flows; ++index)
      std::memcpy(slots[index].packet.bytes.data(), headers[index].data(), 72);
    for (const test::Slot& slot : slots) coalescer.add(1, slot.packet);
    std::size_t count = 0;
    coalescer.flush([&](std::uint32_t, const Train& train) { count += train.length + train.tail.size(); });
    sink = sink + count;
  });
  std::printf("coalesce %-22s %8.1f M packets/s  %4.1f ns a packet\n", name, kBatch * 1e-6 / seconds,
              seconds * 1e9 / kBatch);
}

// A packet of 1280 octets and its outer header that meet a link of 1280. `waiting`: others that stay
// incomplete.
void benchReassemble(const char* name, std::uint8_t waiting) {
  Region region(1, 1, 1);
  Reassembler reassembler;
  const auto whole = test::fragmentsOf(Octets(1320, 0x60), {1232});
  std::vector<Fragment> fragments;
  for (const Octets& octets : whole) fragments.push_back(*viewFragment(Ipv6View{octets}, kIpv6Header));
  const auto add = [&](const FragmentKey& key, const Fragment& fragment) {
    return reassembler.add(key, fragment, region.engineCounters(), kSecond);
  };
  for (std::uint8_t other = 0; other < waiting; ++other)
    add({test::addressOf(other), {}, other}, fragments[1]);
  const double seconds = secondsOf([&] {
    add({{}, {}, 7}, fragments[0]);
    sink = sink + add({{}, {}, 7}, fragments[1])->size();
    reassembler.release();
  });
  std::printf("reassemble %-20s %8.1f M packets/s  %4.1f ns a packet\n", name, 1e-6 / seconds, seconds * 1e9);
}

}  // namespace
}  // namespace kagemusha::bench

int main() {
  using namespace kagemusha::bench;
  for (const std::size_t length : {40, 128, 1460, 65535}) benchChecksum(length);
  benchSegment();
  benchEncapsulate(false);
  benchEncapsulate(true);
  benchCoalesce("1 flow, vouched for", 1, false);
  benchCoalesce("4 flows, vouched for", 4, false);
  benchCoalesce("32 flows, vouched for", 32, false);
  benchCoalesce("1 flow, verified", 1, true);
  benchReassemble("2 fragments", 0);
  benchReassemble("2 of them, 120 wait", 120);
}
