// A flood of forged signaling leaves room for what is valid, and JavaScript hears little of it.
#include "../engine/policing.h"

#include <doctest/doctest.h>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr Instant kMillisecond = kSecond / 1000;
// Forged packets in each millisecond: 100 000 a second.
constexpr int kRate = 100;

// The bases that JavaScript told.
constexpr std::uint32_t kUpdateBase = 14885, kEspBase = 5000;

struct Flooded : World<> {
  std::uint64_t heard = 0;

  Flooded() {
    region.expectSequence(0, kUpdateBase);
    region.expectSequence(1, kEspBase);
    region.expectSequence(2, kUpdateBase);
    region.expectSequence(3, kEspBase);
  }
  // How many of them reached JavaScript, which takes all that is there at once.
  std::uint64_t drain() { return takeAll(region); }
  bool passes(const Octets& packet) {
    heard += drain();
    fromUplink(Slot(packet));
    return drain() == 1;
  }
  // Packets that `forge` makes, 100 000 a second, with `valid` asked for every so often; how many valid ones
  // passed.
  template <class Forge, class Valid>
  int flood(int milliseconds, int every, Forge&& forge, Valid&& valid) {
    int passed = 0;
    for (int tick = 0; tick < milliseconds; ++tick) {
      now += kMillisecond;
      for (int count = 0; count < kRate; ++count) fromUplink(Slot(forge()));
      heard += drain();
      if (tick % every == every - 1) passed += passes(valid());
    }
    return passed;
  }
};

}  // namespace

TEST_CASE("a bucket: a burst, then its rate, and never more than the burst after any pause") {
  constexpr Limit limit{4, 8};
  TokenBucket bucket;
  Instant now = 1;
  const auto drain = [&] {
    int taken = 0;
    while (bucket.take(limit, now)) ++taken;
    return taken;
  };
  CHECK(drain() == 8);
  now += kSecond;
  CHECK(drain() == 4);
  now += kSecond / 8;
  CHECK(drain() == 0);
  now += kSecond / 8;
  CHECK(drain() == 1);
  now += 1000 * kSecond;
  CHECK(drain() == 8);
  now -= kSecond;  // another worker's batch began before
  CHECK(drain() == 0);
}

TEST_CASE("forged Binding Updates with random numbers: valid ones pass, few others do") {
  Flooded world;
  Random random(1);
  std::uint16_t sequence = kUpdateBase;
  const int passed = world.flood(
      4000, 40, [&] { return update(careOf, home, static_cast<std::uint16_t>(random.engine())); },
      [&] {
        world.region.expectSequence(0, sequence);
        return update(careOf, home, ++sequence);
      });
  CHECK(passed >= 98);
  CHECK(world.heard <= 4 * 300);
  CHECK(world.tunnelDrops(1, Drop::policed) > 396'000);
  CHECK(world.allDrops() == world.tunnelDrops(1, Drop::policed));
}

TEST_CASE("forged Binding Updates that repeat a number, or count: the others' lanes are free") {
  for (const bool counting : {false, true}) {
    CAPTURE(counting);
    Flooded world;
    std::uint16_t forged = kUpdateBase + 40, sequence = kUpdateBase;
    const int passed = world.flood(
        2000, 100, [&] { return update(careOf, home, counting ? ++forged : forged); },
        [&] {
          world.region.expectSequence(0, sequence);
          return update(careOf, home, ++sequence);
        });
    CHECK(passed == 20);  // 20 numbers, the 40th is the one that was guessed
    CHECK(world.heard <= 2 * 300);
  }
}

TEST_CASE("forged ESP with the right SPI: random, repeated and counted numbers") {
  for (const int how : {0, 1, 2}) {
    CAPTURE(how);
    Flooded world;
    Random random(2);
    std::uint32_t forged = how == 1 ? kEspBase + 3 : 0, sequence = kEspBase, missed = 0;
    const int passed = world.flood(
        2000, 20,
        [&] {
          if (how == 0) forged = static_cast<std::uint32_t>(random.engine());
          if (how == 2) ++forged;
          return espUpdate(otherCareOf, other, 1000, forged);
        },
        [&] {
          world.region.expectSequence(1, sequence);
          return espUpdate(otherCareOf, other, 1000, ++sequence);
        });
    missed = 100 - static_cast<std::uint32_t>(passed);
    CHECK(missed <= (how == 1 ? 1u : 0u));  // the very number that was guessed
    CHECK(world.heard <= 2 * 300);
    CHECK(world.tunnelDrops(2, Drop::policed) > 198'000);
  }
}

TEST_CASE("at the mobile node: forged acknowledgements, plain and ESP") {
  Flooded world;
  Random random(4);
  std::uint32_t sent = kUpdateBase, top = kEspBase;
  bool turn = false;
  const int passed = world.flood(
      2000, 10,
      [&] {
        const auto number = static_cast<std::uint32_t>(random.engine());
        return (turn = !turn) ? acknowledgement(secondHome, static_cast<std::uint16_t>(number))
                              : espAcknowledgement(home, 1001, number);
      },
      [&] {
        if ((turn = !turn)) {
          world.region.expectSequence(2, ++sent);
          return acknowledgement(secondHome, static_cast<std::uint16_t>(sent));
        }
        world.region.expectSequence(3, top);
        return espAcknowledgement(home, 1001, ++top);
      });
  CHECK(passed >= 198);
  CHECK(world.heard <= 2 * 600);
  CHECK(world.tunnelDrops(0, Drop::policed) > 196'000);
}

TEST_CASE("any of the last 16 Binding Updates may be acknowledged, modulo 2^16; none that comes") {
  Flooded world;
  world.region.expectSequence(2, 3);
  const auto usedUp = [&] {
    while (world.passes(acknowledgement(secondHome, 1000))) continue;
  };
  usedUp();
  for (std::uint32_t back = 0; back < Policing::kOutstanding; ++back)
    CHECK(world.passes(acknowledgement(secondHome, static_cast<std::uint16_t>(3 - back))));
  CHECK(!world.passes(acknowledgement(secondHome, 4)));
  CHECK(!world.passes(acknowledgement(secondHome, static_cast<std::uint16_t>(3 - 16))));
  CHECK(!world.passes(
      chain(agent, careOf, kRouting, {type2Routing(secondHome, kMobility), mobility(kBindingUpdate, 3)})));
}

TEST_CASE("the next 64 Binding Updates are near, modulo 2^16") {
  Flooded world;
  world.region.expectSequence(0, 65500);
  while (world.passes(update(careOf, home, 65500))) continue;
  for (std::uint32_t ahead = 1; ahead <= Policing::kNearLanes; ++ahead)
    CHECK(world.passes(update(careOf, home, static_cast<std::uint16_t>(65500 + ahead))));
  CHECK(!world.passes(update(careOf, home, static_cast<std::uint16_t>(65500 + 65))));
}

TEST_CASE(
    "ESP: the wrong SPI, a number seen before, plain for protected share one lane; a restart has its own") {
  Flooded world;
  const auto wrong = [&] { return espUpdate(otherCareOf, other, 1001, kEspBase + 1); };
  while (world.passes(wrong())) continue;
  CHECK(!world.passes(espUpdate(otherCareOf, other, 1000, kEspBase)));
  CHECK(!world.passes(update(otherCareOf, other, 1)));
  CHECK(!world.passes(chain(otherCareOf, agent, kDestination,
                            {homeAddressOption(other, kIcmpv6), {146, 0, 0, 0, 0, 0, 0, 0}})));
  CHECK(!world.passes(espUpdate(otherCareOf, other, 1000, kEspBase + Policing::kSoon + 1)));
  CHECK(world.passes(espUpdate(otherCareOf, other, 1000, kEspBase + 1)));
  // Its counter's next block after a restart, where each retransmission has the next number.
  CHECK(world.passes(espUpdate(otherCareOf, other, 1000, kEspBase + 1000)));
  CHECK(world.passes(espUpdate(otherCareOf, other, 1000, kEspBase + 1001)));
}

TEST_CASE("RFC 6275 11.5.5: from the home link there is no Home Address option; the source names") {
  Flooded world;
  while (world.passes(update(careOf, home, 1))) continue;
  const auto from = [](const Address& source, std::uint16_t sequence) {
    return chain(source, agent, kMobility, {mobility(kBindingUpdate, sequence)});
  };
  CHECK(!world.passes(from(home, 1)));
  CHECK(world.passes(from(home, kUpdateBase + 1)));
  CHECK(world.passes(chain(other, agent, kEsp, {esp(1000, kEspBase + 1)})));
}

TEST_CASE("nothing known of the next number: the other lane, until JavaScript says") {
  Flooded world;
  world.region.expectSequence(1, kNoSequence);
  int passed = 0;
  while (world.passes(espUpdate(otherCareOf, other, 1000, static_cast<std::uint32_t>(passed)))) ++passed;
  CHECK(passed == 16);
  world.region.expectSequence(1, 0);
  CHECK(world.passes(espUpdate(otherCareOf, other, 1000, 1)));
}

TEST_CASE("a flood against one guest does not touch another's lanes, nor ICMPv6's, nor the tunnel's") {
  Flooded world;
  for (int count = 0; count < 10'000; ++count) {
    world.fromUplink(Slot(update(careOf, home, static_cast<std::uint16_t>(count))));
    world.fromUplink(Slot(espAcknowledgement(home, 1001, static_cast<std::uint32_t>(count))));
  }
  CHECK(world.passes(espUpdate(otherCareOf, other, 5, 5)));
  CHECK(world.passes(acknowledgement(secondHome, 5)));
  for (const Address& local : {agent, careOf}) {
    CHECK(world.passes(chain(far, local, kIcmpv6, {{128, 0, 0, 0, 0, 0, 0, 0}})));
    CHECK(world.passes(chain(far, local, kIcmpv6, {{1, 4, 0, 0, 0, 0, 0, 0}})));
  }
  CHECK(world.passes(tunnelled(packetOf(home, agent, 100), careOf, agent)));
  world.fromUplink(Slot(tunnelled(packetOf(far, home, 100), agent, careOf)));
  CHECK(world.guest->take());
}

TEST_CASE("everything at once, from everywhere: no more than 2000 a second") {
  Flooded world;
  Random random(5);
  const Octets echo{128, 0, 0, 0, 0, 0, 0, 0}, error{1, 4, 0, 0, 0, 0, 0, 0}, reply{129, 0, 0, 0, 0, 0, 0, 0};
  const auto forge = [&] {
    const auto number = static_cast<std::uint32_t>(random.engine());
    const auto nearby = kEspBase + 1 + number % 64;
    switch (random.below(12)) {
      case 0:
        return update(careOf, home, static_cast<std::uint16_t>(kUpdateBase + 1 + number % 64));
      case 1:
        return espUpdate(otherCareOf, other, 1000, nearby);
      case 2:
        return acknowledgement(secondHome, static_cast<std::uint16_t>(kUpdateBase - number % 16));
      case 3:
        return espAcknowledgement(home, 1001, nearby);
      case 4:
        return update(careOf, addressOf(static_cast<std::uint8_t>(number)), 1);
      case 5:
        return chain(far, random.oneIn(2) ? agent : careOf, kIcmpv6, {echo});
      case 6:
        return chain(far, random.oneIn(2) ? agent : careOf, kIcmpv6, {error});
      case 7:
        return chain(far, careOf, kMobility, {mobility(7, 1)});
      case 8:
        return tunnelled(packetOf(home, agent, 100), careOf, agent);
      case 9:
        return tunnelled(packetOf(far, agent, 100), careOf, agent);
      case 10:
        return tunnelled(chain(agent, home, kIcmpv6, {reply}), agent, careOf);
      default:
        return espUpdate(otherCareOf, other, 1000, kEspBase + 100 + number % 60000);
    }
  };
  constexpr int kSeconds = 3;
  world.flood(kSeconds * 1000, 1'000'000, forge, [] { return Octets{}; });
  const auto aSecond = world.heard / kSeconds;
  MESSAGE(aSecond, " a second");
  CHECK(world.heard <= kSeconds * 2000);
}

TEST_CASE("strangers at the home agent have a lane, however many home addresses they name") {
  Flooded world;
  int passed = 0;
  for (int count = 0; count < 10'000; ++count)
    passed += world.passes(update(
        careOf, Address{{0x20, 1, static_cast<std::uint8_t>(count >> 8), static_cast<std::uint8_t>(count)}},
        1));
  CHECK(passed == 128);
  CHECK(world.engineDrops(Drop::policed) == 10'000 - 128);
}

TEST_CASE("a tunnel packet without a binding: told of whole, cut to 1280, policed, and counted each time") {
  World world;
  const Octets small = tunnelled(packetOf(far, far, 200), careOf, agent);
  const Octets large = tunnelled(packetOf(far, far, 1400), careOf, agent);
  world.fromUplink(Slot(small));
  world.fromUplink(Slot(large));
  SlowPathRing ring = world.region.receiveRing();
  for (const Octets& sent : {small, large}) {
    const auto entry = ring.front();
    REQUIRE(entry);
    CHECK(entry->record.kind == SlowPathKind::unbound);
    CHECK(entry->record.tunnelSlot == kNone);
    CHECK(copy(entry->bytes) == Octets(sent.begin(), sent.begin() + std::min<long>(1280, std::ssize(sent))));
    ring.pop();
  }
  for (int count = 0; count < 1000; ++count) world.fromUplink(Slot(small));
  CHECK(takeAll(world.region) == 18);
  CHECK(world.engineDrops(Drop::no_tunnel) == 1002);
  CHECK(world.allDrops() == 1002);
}

TEST_CASE("ICMPv6 errors that quote nothing of ours leave room for one that does") {
  Flooded world;
  const auto error = [](const Octets& quoted) {
    Octets message{2, 0, 0, 0, 0, 0, 5, 0};
    put(message, quoted);
    return chain(far, careOf, kIcmpv6, {message});
  };
  const Octets sent = tunnelled(packetOf(home, far, 1200), careOf, agent);
  Octets forged = sent;
  forged[3] ^= 1;
  const int passed = world.flood(
      2000, 50, [&] { return error(forged); }, [&] { return error(sent); });
  CHECK(passed == 40);
  CHECK(world.heard <= 32 + 2 * 50 + 40);
}

TEST_CASE("a Mobility Header in the tunnel is the guest's, unless the tunnel says signaling") {
  World world;
  const Octets homeTest = tunnelled(chain(far, home, kMobility, {mobility(3, 0)}), agent, careOf);
  world.fromUplink(Slot(homeTest));
  CHECK(world.guest->take());
  TunnelTable signaling{{{{.slot = 0,
                           .side = Side::kMobileNode,
                           .local = careOf,
                           .remote = agent,
                           .homeAddresses = {home},
                           .port = 0,
                           .mtu = kMtu,
                           .signaling = true}},
                         {{careOf, Side::kMobileNode}}},
                        {world.port},
                        std::make_shared<Uplink>(world.network),
                        world.region};
  const auto fromUplink = [&](const Octets& packet) {
    Slot slot(packet);
    world.forwarder.beginBatch(signaling, world.now);
    world.forwarder.fromUplink(slot.packet);
    world.forwarder.endBatch();
  };
  fromUplink(homeTest);
  CHECK(!world.guest->take());
  SlowPathRing ring = world.region.receiveRing();
  const auto entry = ring.front();
  REQUIRE(entry);
  CHECK(entry->record.kind == SlowPathKind::inner);
  CHECK(entry->record.tunnelSlot == 0);
  CHECK(copy(entry->bytes) == Octets(homeTest.begin() + kIpv6Header, homeTest.end()));
  ring.pop();
  fromUplink(tunnelled(packetOf(far, home, 100), agent, careOf));
  CHECK(world.guest->take());
  for (int count = 0; count < 1000; ++count) fromUplink(homeTest);
  CHECK(takeAll(world.region) == 31);
  CHECK(world.tunnelDrops(0, Drop::policed) == 1000 - 31);
}

TEST_CASE("RFC 6275 6.4: routing headers that no mobile node accepts are dropped, at both ends") {
  for (const std::uint8_t left : Octets{0, 2}) {
    World world;
    world.fromUplink(
        Slot(chain(agent, careOf, kRouting, {type2Routing(home, kMobility, left), mobility(6, 1)})));
    world.fromUplink(Slot(chain(agent, careOf, kRouting, {type2Routing(home, kEsp, left), esp(1001, 1)})));
    CHECK(world.engineDrops(Drop::routing_header) == 2);
  }
  World world;
  for (const std::uint8_t left : Octets{0, 1, 2})
    world.fromUplink(
        Slot(chain(far, agent, kRouting, {type2Routing(home, kMobility, left), mobility(6, 1)})));
  CHECK(world.engineDrops(Drop::routing_header) == 3);
  CHECK(world.allDrops() == 3);
  CHECK(!world.region.receiveRing().front());
}

TEST_CASE("on a home link: signaling for those we know has its lanes, that of others a few") {
  Flooded world;
  Port link(1, Port::Role::kControl, world.guest, Mac{{2, 0, 0, 0, 0, 1}}, world.region.portCounters(1));
  TunnelTable table{{{},
                     {{careOf, Side::kMobileNode}},
                     {{.index = 0, .side = Side::kMobileNode, .local = home, .homeAddress = home}}},
                    {},
                    std::make_shared<Uplink>(world.network),
                    world.region};
  const auto passes = [&](const Octets& packet) {
    Slot slot(frame(packet));
    world.forwarder.beginBatch(table, world.now);
    world.forwarder.fromPort(link, slot.packet);
    world.forwarder.endBatch();
    return world.drain() == 1;
  };
  int passed = 0;
  for (int count = 0; count < 1000; ++count) passed += passes(chain(far, other, kEsp, {esp(1, 1)}));
  CHECK(passed == 20);
  // RFC 6275 11.5.5: the answer to a de-registration from home has no routing header.
  const auto answer = [](std::uint16_t sequence) {
    return chain(agent, home, kMobility, {mobility(kBindingAcknowledgement, sequence)});
  };
  CHECK(passes(answer(kUpdateBase)));
  while (passes(answer(1))) continue;
  CHECK(passes(answer(kUpdateBase)));
  CHECK(passes(solicitation()));
}

TEST_CASE("a table refuses signalers that cannot be") {
  const Region region(4, 4, 4);
  const auto make = [&](std::vector<SignalerSpec> specs) {
    TunnelTable table{{{}, {}, std::move(specs)}, {}, nullptr, region};
  };
  const SignalerSpec good{.index = 1, .side = Side::kHomeAgent, .local = agent, .homeAddress = home};
  SignalerSpec far4 = good, sameIndex = good, sameNames = good;
  far4.index = 4;
  sameIndex.homeAddress = other;
  sameNames.index = 2;
  make({good});
  CHECK_THROWS_WITH(make({far4}), "tunnel table: signaler 4 is not below maxSignalers 4");
  CHECK_THROWS_WITH(make({good, sameIndex}), "tunnel table: two signalers have index 1");
  CHECK_THROWS_WITH(make({good, sameNames}),
                    "tunnel table: signaler 2: another one signals for 2001:db8::10 to 2001:db8::1");
}
