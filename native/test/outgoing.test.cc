#include "../engine/outgoing.h"

#include <doctest/doctest.h>

#include <memory>
#include <numeric>

#include "support.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

// Takes `room` packets, then says `full`; keeps what it got, each without its vnet header.
struct Sender : Device {
  std::size_t room = ~std::size_t{0};
  Io full = Io::kAgain;
  std::vector<Octets> got;
  std::vector<const void*> payloads;  // where each one's second part was
  std::vector<std::size_t> calls;     // how many each call brought

  int fd() const override { return -1; }
  Io read(Bytes, Packet&) override { return Io::kAgain; }
  Io write(const Packet&, std::span<const iovec>) override { return Io::kRefused; }
  bool sendsMany() const override { return true; }
  Io send(std::span<mmsghdr> messages, std::size_t& sent) override {
    calls.push_back(messages.size());
    for (sent = 0; sent < messages.size(); ++sent) {
      if (room == 0) return full;
      --room;
      const msghdr& message = messages[sent].msg_hdr;
      Octets octets;
      for (std::size_t part = 0; part < message.msg_iovlen; ++part) {
        const auto* start = static_cast<const std::uint8_t*>(message.msg_iov[part].iov_base);
        octets.insert(octets.end(), start, start + message.msg_iov[part].iov_len);
      }
      octets.erase(octets.begin(), octets.begin() + sizeof(Offload));
      got.push_back(octets);
      payloads.push_back(message.msg_iovlen > 1 ? message.msg_iov[1].iov_base : nullptr);
    }
    return Io::kDone;
  }
};

struct Queue {
  std::array<std::uint64_t, EngineCounters::kValues> engine{};
  std::array<std::uint64_t, PortCounters::kValues> port{};
  OutgoingQueue queue{EngineCounters(engine.data())};
  Sender sender;
  std::vector<std::unique_ptr<Slot>> slots;

  std::uint64_t dropped(Drop reason) const {
    return port[kPortCounterNames.size() + static_cast<std::size_t>(reason)];
  }
  std::uint64_t written() const {
    return engine[static_cast<std::size_t>(EngineCounter::uplinkPacketsWritten)];
  }
  // Packet number `number`: its first octet says so.
  bool add(std::uint8_t number, std::size_t length) {
    Octets octets(length, 0x5a);
    octets[0] = number;
    slots.push_back(std::make_unique<Slot>(octets));
    return queue.add(sender, slots.back()->packet, {}, PortCounters(port.data()));
  }
  Octets numbers() const {
    Octets result;
    for (const Octets& octets : sender.got) result.push_back(octets[0]);
    return result;
  }
};

Octets upTo(std::uint8_t count) {
  Octets result(count);
  std::iota(result.begin(), result.end(), std::uint8_t{0});
  return result;
}

constexpr std::size_t kSmall = 100, kLarge = 1000;

}  // namespace

TEST_CASE("packets are sent 64 at a time, in order, the rest at the end") {
  Queue world;
  for (std::uint8_t number = 0; number < 150; ++number)
    REQUIRE(world.add(number, number % 2 ? kSmall : kLarge));
  CHECK(world.sender.calls == std::vector<std::size_t>{64, 64});
  CHECK(world.queue.refers());
  CHECK(world.queue.flush(world.sender));
  CHECK(world.sender.calls == std::vector<std::size_t>{64, 64, 22});
  CHECK(world.numbers() == upTo(150));
  CHECK(world.sender.got[0].size() == kLarge);
  CHECK(world.sender.got[1].size() == kSmall);
  CHECK(world.written() == 150);
  CHECK_FALSE(world.queue.refers());
}

TEST_CASE("what waits in the device is asked for again, though nothing waits here") {
  // Takes everything, and sends it with a later call.
  struct Keeping : Sender {
    int keeps = 2;
    Io send(std::span<mmsghdr> messages, std::size_t& sent) override {
      const Io result = Sender::send(messages, sent);
      return result == Io::kDone && keeps-- > 0 ? Io::kAgain : result;
    }
  } sender;
  std::array<std::uint64_t, EngineCounters::kValues> values{};
  const EngineCounters counters(values.data());
  OutgoingQueue queue(counters);
  const Slot slot(Octets(kLarge, 1));
  REQUIRE(queue.add(sender, slot.packet, {}, counters));
  CHECK_FALSE(queue.flush(sender));
  CHECK(queue.waiting());
  CHECK_FALSE(queue.refers());
  CHECK_FALSE(queue.flush(sender));
  // There is room for as many as ever meanwhile.
  for (std::size_t count = 0; count < OutgoingQueue::kCapacity; ++count)
    REQUIRE(queue.add(sender, slot.packet, {}, counters));
  CHECK_FALSE(queue.add(sender, slot.packet, {}, counters));
  CHECK(queue.flush(sender));
  CHECK_FALSE(queue.waiting());
  CHECK(sender.got.size() == 1 + OutgoingQueue::kCapacity);
  const auto calls = sender.calls;
  CHECK(queue.flush(sender));
  CHECK(sender.calls == calls);
}

TEST_CASE("headers and small packets are kept, payload is referred to") {
  Queue world;
  REQUIRE(world.add(7, OutgoingQueue::kKept));
  CHECK_FALSE(world.queue.refers());
  std::fill(world.slots[0]->memory.begin(), world.slots[0]->memory.end(), 0xee);

  Slot headers(Octets(134, 1));
  Octets payload(1400, 2);
  const iovec tail{payload.data(), payload.size()};
  REQUIRE(world.queue.add(world.sender, headers.packet, {&tail, 1}, PortCounters(world.port.data())));
  CHECK(world.queue.refers());
  std::fill(headers.memory.begin(), headers.memory.end(), 0xee);
  CHECK(world.queue.flush(world.sender));
  CHECK(world.numbers() == Octets{7, 1});
  CHECK(world.sender.got[1].size() == 1534);
  CHECK(world.sender.payloads[1] == payload.data());
}

TEST_CASE("the offload header goes in front of each packet") {
  struct Looking : Sender {
    Offload seen{};
    Io send(std::span<mmsghdr> messages, std::size_t& sent) override {
      std::memcpy(&seen, messages[0].msg_hdr.msg_iov[0].iov_base, sizeof seen);
      return Sender::send(messages, sent);
    }
  } sender;
  std::array<std::uint64_t, EngineCounters::kValues> values{};
  OutgoingQueue queue{EngineCounters(values.data())};
  for (const std::size_t length : {kSmall, kLarge}) {
    const Slot slot(Octets(length, 1), needsChecksum(94));
    REQUIRE(queue.add(sender, slot.packet, {}, EngineCounters(values.data())));
    CHECK(queue.flush(sender));
    CHECK(sender.seen.csum_start == 94);
    CHECK(sender.seen.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
  }
}

TEST_CASE("what headers or parts are too many for") {
  const Slot small(Octets(OutgoingQueue::kKept, 1)), large(Octets(OutgoingQueue::kKept + 1, 1));
  const iovec parts[2]{};
  CHECK(OutgoingQueue::takes(large.packet, {}));
  CHECK(OutgoingQueue::takes(small.packet, {parts, 1}));
  CHECK_FALSE(OutgoingQueue::takes(large.packet, {parts, 1}));
  CHECK_FALSE(OutgoingQueue::takes(small.packet, {parts, 2}));
}

TEST_CASE("a full device: the rest waits, in order, and no more than there is room for") {
  Queue world;
  world.sender.room = 10;
  std::size_t taken = 0;
  for (std::size_t number = 0; number < 300; ++number)
    taken += world.add(static_cast<std::uint8_t>(number), kLarge);
  CHECK(taken == OutgoingQueue::kCapacity);
  CHECK(world.queue.waiting());
  CHECK(world.sender.calls.size() == 1);  // it is not asked again for each packet
  world.sender.room = 100;
  CHECK_FALSE(world.queue.flush(world.sender));
  CHECK(world.queue.waiting());
  CHECK(world.queue.refers());
  world.sender.room = 1000;
  CHECK(world.queue.flush(world.sender));
  CHECK_FALSE(world.queue.waiting());
  CHECK_FALSE(world.queue.refers());
  Octets all = upTo(255);
  all.push_back(255);
  CHECK(world.numbers() == all);
  REQUIRE(world.add(1, kSmall));
  CHECK(world.queue.flush(world.sender));
  CHECK(world.sender.got.size() == 257);
}

TEST_CASE("memory that goes: what refers to it is dropped, the rest still waits") {
  Queue world;
  world.sender.room = 0;
  REQUIRE(world.add(0, kLarge));
  CHECK_FALSE(world.queue.flush(world.sender));
  world.queue.mark();
  for (std::uint8_t number = 1; number <= 4; ++number)
    REQUIRE(world.add(number, number % 2 ? kSmall : kLarge));
  world.queue.forgetReferring();
  world.queue.forgetReferring();
  CHECK(world.dropped(Drop::uplink_full) == 2);
  CHECK(world.queue.refers());  // the first one
  world.slots[2].reset();
  world.slots[4].reset();
  world.sender.room = 10;
  CHECK(world.queue.flush(world.sender));
  CHECK(world.numbers() == Octets{0, 1, 3});
  CHECK(world.written() == 3);
}

TEST_CASE("a packet that is lost or refused keeps none of the others; a device that is down, all") {
  for (const auto& [result, reason] :
       {std::pair{Io::kLost, Drop::uplink_full}, std::pair{Io::kRefused, Drop::uplink_error}}) {
    Queue world;
    world.sender.full = result;
    world.sender.room = 2;
    for (std::uint8_t number = 0; number < 5; ++number) REQUIRE(world.add(number, kLarge));
    CHECK(world.queue.flush(world.sender));
    CHECK(world.dropped(reason) == 3);
    CHECK(world.numbers() == Octets{0, 1});
    CHECK(world.sender.calls == std::vector<std::size_t>{5, 2, 1});
  }
  Queue world;
  world.sender.full = Io::kDown;
  world.sender.room = 2;
  for (std::uint8_t number = 0; number < 5; ++number) REQUIRE(world.add(number, kLarge));
  CHECK(world.queue.flush(world.sender));
  CHECK(world.dropped(Drop::uplink_error) == 3);
  CHECK(world.sender.calls.size() == 1);
  CHECK_FALSE(world.queue.refers());
  CHECK_FALSE(world.queue.takeGone());
}

TEST_CASE("a device that was deleted is told of once") {
  Queue world;
  world.sender.full = Io::kGone;
  world.sender.room = 0;
  for (int round = 0; round < 2; ++round) {
    REQUIRE(world.add(0, kLarge));
    CHECK(world.queue.flush(world.sender));
    CHECK(world.queue.takeGone());
    CHECK_FALSE(world.queue.takeGone());
  }
  CHECK(world.dropped(Drop::uplink_error) == 2);
}
