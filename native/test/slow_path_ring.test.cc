#include "../engine/slow_path_ring.h"

#include <doctest/doctest.h>

#include <thread>

#include "../engine/mapping.h"
#include "support.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

struct Fixture {
  static constexpr std::uint32_t kCells = 512;
  Mapping mapping{SlowPathRing::sizeOf(kCells), Mapping::Sharing::kShared};
  SlowPathRing producer{mapping.bytes(), kCells}, consumer{mapping.bytes(), kCells};
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what goes in comes out, in order") {
  CHECK(!consumer.front());
  CHECK(
      producer.push({.kind = SlowPathKind::inner, .port = 7, .tunnelSlot = 9, .mtu = 1460}, hex("01 02 03")));
  CHECK(producer.push({}, {}));
  const auto first = consumer.front();
  REQUIRE(first);
  CHECK(first->record.kind == SlowPathKind::inner);
  CHECK(first->record.port == 7);
  CHECK(first->record.tunnelSlot == 9);
  CHECK(first->record.mtu == 1460);
  CHECK(first->record.originalLength == 3);
  CHECK(copy(first->bytes) == hex("01 02 03"));
  consumer.pop();
  const auto second = consumer.front();
  REQUIRE(second);
  CHECK(second->bytes.empty());
  CHECK(second->record.port == kNone);
  consumer.pop();
  CHECK(!consumer.front());
}

TEST_CASE_FIXTURE(Fixture, "a longer packet is cut and says how long it was") {
  CHECK(producer.push({}, Octets(10000, 0xab)));
  CHECK(consumer.front()->bytes.size() == SlowPathRing::kPayload);
  CHECK(consumer.front()->record.originalLength == 10000);
  consumer.pop();
  CHECK(producer.push({}, Octets(5000, 0xab), 1280));
  CHECK(consumer.front()->bytes.size() == 1280);
  CHECK(consumer.front()->record.originalLength == 5000);
}

TEST_CASE_FIXTURE(Fixture, "a full ring refuses, and takes again when there is room") {
  for (std::uint32_t count = 0; count < kCells / 2; ++count) REQUIRE(producer.push({}, hex("aa")));
  CHECK(!producer.push({}, hex("bb")));
  CHECK(!producer.push({}, {}));
  consumer.pop();
  CHECK(!producer.push({}, Octets(65)));
  CHECK(producer.push({}, Octets(64)));
  CHECK(!producer.push({}, {}));
}

TEST_CASE_FIXTURE(Fixture, "an entry lies in one piece, wherever the end of the ring is") {
  std::size_t entries = 0;
  for (std::size_t length = 0; length <= SlowPathRing::kPayload; length += 61) {
    for (std::uint8_t octet = 1; octet < 3; ++octet) {
      REQUIRE(producer.push({.port = octet}, Octets(length, octet)));
      ++entries;
    }
    for (std::uint8_t octet = 1; octet < 3; ++octet) {
      const auto entry = consumer.front();
      REQUIRE(entry);
      REQUIRE(entry->record.port == octet);
      REQUIRE(copy(entry->bytes) == Octets(length, octet));
      consumer.pop();
    }
    REQUIRE(!consumer.front());
    REQUIRE(producer.head() == producer.tail());
  }
  CHECK(entries > 300);
}

TEST_CASE_FIXTURE(Fixture, "a length that the other side made up stays inside the ring") {
  CHECK(producer.push({}, hex("aa")));
  std::memset(mapping.bytes().data() + SlowPathRing::kFirstCell + 4, 0xff, sizeof(SlowPathRecord) - 4);
  CHECK(consumer.front()->bytes.size() == SlowPathRing::kPayload);
  SUBCASE("at its end") {
    for (std::uint32_t count = 0; count < kCells - 3; ++count) {
      REQUIRE(producer.push({}, {}));
    }
    std::memset(mapping.bytes().data() + SlowPathRing::kFirstCell + 4, 0, sizeof(SlowPathRecord) - 4);
    while (producer.head() != kCells - 2) consumer.pop();
    std::memset(mapping.bytes().data() + SlowPathRing::kFirstCell + (kCells - 2) * SlowPathRing::kCell + 4,
                0xff, sizeof(SlowPathRecord) - 4);
    CHECK(consumer.front()->bytes.size() == SlowPathRing::kCell);
  }
}

TEST_CASE_FIXTURE(Fixture, "one wake-up per look") {
  CHECK(producer.ask());
  CHECK(!producer.ask());
  consumer.answered();
  CHECK(producer.ask());
}

TEST_CASE_FIXTURE(Fixture, "positions run past 2^32, and two threads see whole packets") {
  const std::uint32_t nearlyAround = 0xffffff00;
  std::memcpy(mapping.bytes().data(), &nearlyAround, 4);
  std::memcpy(mapping.bytes().data() + SlowPathRing::kTail, &nearlyAround, 4);
  constexpr std::uint32_t kCount = 20000;
  std::thread other([&] {
    for (std::uint32_t number = 0; number < kCount;) {
      const Octets bytes(1 + number % 100, static_cast<std::uint8_t>(number));
      if (producer.push({.port = number}, bytes))
        ++number;
      else
        std::this_thread::yield();
    }
  });
  bool whole = true;
  for (std::uint32_t number = 0; number < kCount;) {
    const auto entry = consumer.front();
    if (!entry) {
      std::this_thread::yield();
      continue;
    }
    whole = whole && entry->record.port == number &&
            copy(entry->bytes) == Octets(1 + number % 100, static_cast<std::uint8_t>(number));
    consumer.pop();
    ++number;
  }
  other.join();
  CHECK(whole);
}
