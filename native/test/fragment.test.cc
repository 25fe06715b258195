#include "../engine/fragment.h"

#include <doctest/doctest.h>

#include "reassembly_reference.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

// Destination options with a Tunnel Encapsulation Limit of 4 and PadN (RFC 2473 5.1), in front of IPv6.
const Octets kLimit = hex("29 00 04 01 04 01 01 00");

// An outer packet around `inner` octets of no packet in particular.
Octets outerOf(std::size_t inner, bool limit, Random& random) {
  Octets packet = hex("6a b0 00 00 00 00 29 40");
  put(packet, addressOf(1).octets);
  put(packet, addressOf(2).octets);
  if (limit) {
    packet[6] = kDestination;
    put(packet, kLimit);
  }
  put(packet, random.octets(inner));
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(packet.size() - 40));
  return packet;
}

std::vector<Octets> fragmentsOf(const Octets& packet, std::size_t perFragment, std::size_t mtu,
                                std::uint32_t identification = 0x12345678) {
  Octets scratch(perFragment + 8);
  Fragments fragments(packet, perFragment, mtu, identification, scratch);
  std::vector<Octets> result;
  for (auto part = fragments.next(); part; part = fragments.next()) {
    result.push_back(copy(part->headers));
    put(result.back(), part->payload);
    REQUIRE(part->payload.data() >= packet.data());
    REQUIRE(part->payload.data() + part->payload.size() <= packet.data() + packet.size());
  }
  return result;
}

}  // namespace

TEST_CASE("RFC 8200 4.5: what is cut at any path MTU is whole again at the other end, every length") {
  Random random(2473);
  for (const bool limit : {false, true}) {
    const std::size_t overhead = limit ? 48 : 40;
    for (std::size_t inner = 40; inner <= 1280; ++inner) {
      const Octets packet = outerOf(inner, limit, random);
      for (std::size_t mtu = 1280; mtu <= 1330 && packet.size() > mtu; ++mtu) {
        const auto fragments = fragmentsOf(packet, overhead, mtu);
        REQUIRE(fragments.size() == 2);
        const auto whole = reassembled(fragments, mtu);
        REQUIRE(whole);
        REQUIRE(*whole == packet);
      }
      // A path narrower than any of IPv6, so that the small ones are cut too.
      for (const std::size_t mtu : {overhead + 16, overhead + 23, overhead + 200}) {
        if (packet.size() <= mtu) continue;
        const auto whole = reassembled(fragmentsOf(packet, overhead, mtu), mtu);
        REQUIRE(whole);
        REQUIRE(*whole == packet);
      }
    }
  }
}

TEST_CASE("RFC 8200 4.5: the fragment header, octet by octet") {
  Random random(1);
  const Octets packet = outerOf(1280, false, random);
  const auto fragments = fragmentsOf(packet, 40, 1280);
  REQUIRE(fragments.size() == 2);
  // 1280 - 40 - 8 = 1232 octets, 154 units of 8: offset 0 with M, then offset 0x4d0 (154 << 3) without.
  CHECK(Octets(fragments[0].begin() + 4, fragments[0].begin() + 8) == hex("04d8 2c 40"));
  CHECK(Octets(fragments[0].begin() + 40, fragments[0].begin() + 48) == hex("29 00 0001 12345678"));
  CHECK(Octets(fragments[1].begin() + 4, fragments[1].begin() + 8) == hex("0038 2c 40"));
  CHECK(Octets(fragments[1].begin() + 40, fragments[1].begin() + 48) == hex("29 00 04d0 12345678"));
}

TEST_CASE("RFC 2473 4.1.1: the encapsulation limit stands in every fragment, where a tunnel within looks") {
  Random random(2);
  const auto fragments = fragmentsOf(outerOf(1280, true, random), 48, 1280);
  REQUIRE(fragments.size() == 2);
  for (const Octets& fragment : fragments) {
    CHECK(fragment[6] == kDestination);
    CHECK(fragment[40] == kFragment);
    CHECK(Octets(fragment.begin() + 41, fragment.begin() + 48) == Octets(kLimit.begin() + 1, kLimit.end()));
    CHECK(fragment[48] == kIpv6);
  }
}

TEST_CASE("RFC 8200 4.5: up to 65535 octets can be put together again, more is not cut") {
  Random random(3);
  const Octets most = outerOf(65535, false, random);
  for (const std::size_t mtu : {1280u, 1500u, 9000u, 65575u}) {
    const auto whole = reassembled(fragmentsOf(most, 40, mtu), mtu);
    REQUIRE(whole);
    CHECK(*whole == most);
  }
  CHECK(fragmentsOf(outerOf(65536, false, random), 40, 1280).empty());
}

TEST_CASE("what cannot be cut gives no fragments") {
  Random random(4);
  const Octets packet = outerOf(1280, false, random);
  CHECK(fragmentsOf(packet, 40, 0).empty());
  CHECK(fragmentsOf(packet, 40, 55).empty());
  CHECK(fragmentsOf(packet, 40, 56).size() == 160);
  CHECK(fragmentsOf(packet, 39, 1280).empty());
  CHECK(fragmentsOf(packet, packet.size(), 1280).empty());
  Octets scratch(47);
  CHECK(!Fragments(packet, 40, 1280, 1, scratch).next());
}

TEST_CASE("RFC 7739: identifications are a block cipher's: the test vector of its authors") {
  const FragmentIdentifications cipher({0x1918, 0x1110, 0x0908, 0x0100});
  CHECK(cipher.encrypt(0x6574694c) == 0xa86842f2);
}

TEST_CASE(
    "RFC 7739: no identification comes again soon, none follows from the one before, none from another "
    "start") {
  FragmentIdentifications one, other;
  constexpr std::size_t kCount = 200'000;
  std::vector<std::uint32_t> seen;
  std::size_t same = 0;
  for (std::size_t count = 0; count < kCount; ++count) {
    seen.push_back(one.next());
    same += seen.back() == other.next();
  }
  CHECK(same < 5);
  std::vector<std::uint32_t> steps;
  for (std::size_t index = 1; index < kCount; ++index) steps.push_back(seen[index] - seen[index - 1]);
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  std::sort(steps.begin(), steps.end());
  std::size_t alike = 0;
  for (std::size_t index = 1; index < steps.size(); ++index) alike += steps[index] == steps[index - 1];
  CHECK(alike < 100);  // by chance about 5
}
