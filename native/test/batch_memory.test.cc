#include "../engine/batch_memory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

using namespace kagemusha;

namespace {

std::size_t residentPages() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident;
}

}  // namespace

TEST_CASE("packets that stay lie apart, each with its headroom, and the last one may be the largest") {
  const BatchMemory memory;
  for (const std::size_t length : {std::size_t{1}, std::size_t{1500}, std::size_t{30000}, kMaxPacket}) {
    std::vector<Bytes> packets;
    std::size_t kept = 0;
    for (auto place : {memory.batch(), memory.meanwhile()})
      for (; !place.full(); place.keep(length)) {
        const Bytes packet = place.next();
        REQUIRE(packet.size() == kMaxPacket);
        REQUIRE(packet.data() - kHeadroom >= memory.bytes().data());
        REQUIRE(packet.data() + packet.size() <= memory.bytes().data() + memory.bytes().size());
        packets.push_back(packet.first(length));
        kept += length;
      }
    CHECK((kept >= BatchMemory::kBatchBytes || length < 1500));
    for (std::size_t index = 1; index < packets.size(); ++index)
      REQUIRE(packets[index].data() - kHeadroom >= packets[index - 1].data() + length);
  }
}

TEST_CASE("memory that was never used costs none") {
  const auto before = residentPages();
  const BatchMemory memory;
  memory.batch().next()[0] = 1;
  CHECK(residentPages() - before < 64);  // of 180
}
