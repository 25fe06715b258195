#include "../engine/buffer_ring.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <string>

using namespace kagemusha;

namespace {

std::size_t residentPages() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident;
}

}  // namespace

TEST_CASE("every slot holds the largest packet with its headroom, apart from its neighbours") {
  const BufferRing ring;
  const auto* before = ring.slot(0).data() - kHeadroom;
  for (std::size_t index = 0; index < BufferRing::kSlots; ++index) {
    const Bytes slot = ring.slot(index);
    CHECK(slot.size() == kMaxPacket);
    CHECK(slot.data() - kHeadroom >= before);
    std::fill(slot.data() - kHeadroom, slot.data() + slot.size(), static_cast<std::uint8_t>(index));
    before = slot.data() + slot.size();
  }
  for (std::size_t index = 0; index < BufferRing::kSlots; ++index) {
    const Bytes slot = ring.slot(index);
    CHECK(std::all_of(slot.data() - kHeadroom, slot.data() + slot.size(),
                      [index](std::uint8_t octet) { return octet == index; }));
  }
}

TEST_CASE("slots that were never used cost no memory") {
  const auto before = residentPages();
  const BufferRing ring;
  ring.slot(0)[0] = 1;
  CHECK(residentPages() - before < 64);  // of 544
}
