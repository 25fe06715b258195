#include "../engine/ipv6.h"

#include <doctest/doctest.h>

#include "support.h"

namespace kagemusha::test {
namespace {

// Captured: a binding update and its acknowledgement.
constexpr const char* kBindingUpdate =
    "60000000 00383c40 20010db8300000000000000000000033 20010db8200000000000000000000001"
    "87020102 0000c910 20010db8200000000000000000000010"
    "3b030500 a7193a25 e0000096 01000310 20010db8300000000000000000000033";
constexpr const char* kBindingAcknowledgement =
    "60000000 00282b40 20010db8200000000000000000000001 20010db8300000000000000000000033"
    "87020201 00000000 20010db8200000000000000000000010 3b010600 e7260000 3a250096 01020000";

// An IPv6 packet of these headers: each is its whole octets, the first octet naming the next one.
Octets packetOf(std::uint8_t first, const std::vector<Octets>& headers, std::size_t payload = 0) {
  TcpFields fields;
  Octets packet = buildTcp(fields);
  packet.resize(40);
  packet[6] = first;
  for (const Octets& header : headers) put(packet, header);
  packet.resize(packet.size() + payload);
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(packet.size() - 40));
  return packet;
}

std::optional<UpperLayer> upperOf(const Octets& packet) {
  const auto view = viewIpv6(packet);
  REQUIRE(view);
  return findUpperLayer(*view);
}

const Octets kOptionsThenTcp = hex("06000104 00000000");

}  // namespace

TEST_CASE("an IPv6 packet is viewed without its frame's padding") {
  const Octets packet = hex(kBindingUpdate);
  Octets padded = packet;
  padded.resize(padded.size() + 9);
  const auto view = viewIpv6(padded);
  REQUIRE(view);
  CHECK(copy(view->bytes) == packet);
  CHECK(view->nextHeader() == kDestination);
  CHECK(view->hopLimit() == 64);
  CHECK(view->source() == reference::addressAt(packet, 8));
  CHECK(view->destination() == reference::addressAt(packet, 24));
}

TEST_CASE("what is no whole IPv6 packet is refused") {
  const Octets packet = hex(kBindingUpdate);
  for (std::size_t length = 0; length < packet.size(); ++length) {
    const Octets cut(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(!viewIpv6(cut));
  }
  for (const int version : {0, 4, 5, 7, 15}) {
    Octets other = packet;
    other[0] = static_cast<std::uint8_t>(version << 4);
    CHECK(!viewIpv6(other));
  }
}

TEST_CASE("a payload length of 0 takes everything at hand") {
  Octets packet = packetOf(kTcp, {}, 70000);
  packet[4] = packet[5] = 0;
  CHECK(viewIpv6(packet)->bytes.size() == packet.size());
  packet.resize(40);
  CHECK(viewIpv6(packet)->bytes.size() == 40);
}

TEST_CASE("the upper layer of the captured signals is the mobility header") {
  const auto update = upperOf(hex(kBindingUpdate));
  REQUIRE(update);
  CHECK(update->protocol == kMobility);
  CHECK(update->offset == 64);
  CHECK(!update->fragment);
  const auto acknowledgement = upperOf(hex(kBindingAcknowledgement));
  REQUIRE(acknowledgement);
  CHECK(acknowledgement->protocol == kMobility);
  CHECK(acknowledgement->offset == 64);
}

TEST_CASE("RFC 8200 4.1: extension headers are walked in any order") {
  const auto upper = upperOf(packetOf(kHopByHop,
                                      {hex("3c00 0104 00000000"), hex("2b01 010c 00000000 0000000000000000"),
                                       hex("2c00 0400 00000000"), hex("0600 0000 12345678")},
                                      20));
  REQUIRE(upper);
  CHECK(upper->protocol == kTcp);
  CHECK(upper->offset == 40 + 8 + 16 + 8 + 8);
  CHECK(!upper->fragment);
}

TEST_CASE("what is no extension header of RFC 8200 ends the walk") {
  for (const int protocol : {6, 17, 41, 50, 51, 58, 59, 135, 139, 140, 253, 255}) {
    const auto upper = upperOf(packetOf(static_cast<std::uint8_t>(protocol), {}, 8));
    REQUIRE(upper);
    CHECK(upper->protocol == protocol);
    CHECK(upper->offset == 40);
  }
}

TEST_CASE("RFC 8200 4.5: fragments") {
  SUBCASE("the first one shows its upper layer") {
    const auto upper = upperOf(packetOf(kFragment, {hex("3c00 0001 12345678"), kOptionsThenTcp}, 20));
    REQUIRE(upper);
    CHECK(upper->fragment);
    CHECK(upper->protocol == kTcp);
    CHECK(upper->offset == 56);
  }
  SUBCASE("a later one is not looked into: its octets may be anything") {
    const auto upper = upperOf(packetOf(kFragment, {hex("3c00 0008 12345678"), hex("ffffffffffffffff")}));
    REQUIRE(upper);
    CHECK(upper->fragment);
    CHECK(upper->protocol == kDestination);
    CHECK(upper->offset == 48);
  }
  SUBCASE("an atomic one is a whole packet; reserved bits do not count") {
    const auto upper = upperOf(packetOf(kFragment, {hex("06ff 0006 12345678")}, 20));
    REQUIRE(upper);
    CHECK(!upper->fragment);
    CHECK(upper->offset == 48);
  }
}

TEST_CASE("eight extension headers are walked, nine are not") {
  std::vector<Octets> headers;
  for (int count = 1; count <= 9; ++count) {
    if (!headers.empty()) headers.back()[0] = kDestination;
    headers.push_back(kOptionsThenTcp);
    const auto upper = upperOf(packetOf(kDestination, headers, 20));
    CHECK(upper.has_value() == (count <= 8));
    if (upper) CHECK(upper->offset == static_cast<std::size_t>(40 + 8 * count));
  }
}

TEST_CASE("a header that runs past the end is refused") {
  for (const int protocol : {0, 43, 44, 60}) {
    const auto first = static_cast<std::uint8_t>(protocol);
    for (std::size_t length = 1; length < 8; ++length) CHECK(!upperOf(packetOf(first, {}, length)));
    if (first != kFragment) CHECK(!upperOf(packetOf(first, {hex("0601010c 00000000")}, 7)));
    CHECK(!upperOf(packetOf(first, {})));
    CHECK(upperOf(packetOf(first, {hex("0600000000000000")}))->offset == 48);
  }
}

TEST_CASE("random octets and every truncation are handled") {
  Random random(5);
  for (int round = 0; round < 20000; ++round) {
    Octets packet = random.octets(random.below(200));
    if (!packet.empty()) packet[0] = static_cast<std::uint8_t>(0x60 | (packet[0] & 0x0f));
    if (packet.size() >= 40) {
      packet[4] = 0;
      packet[5] = static_cast<std::uint8_t>(random.below(packet.size()));
      // Mostly headers that lead on.
      for (std::size_t at = 6; at < packet.size(); ++at)
        if (random.oneIn(3)) packet[at] = std::to_array<std::uint8_t>({0, 43, 44, 60})[random.below(4)];
    }
    const auto view = viewIpv6(packet);
    if (!view) continue;
    const auto upper = findUpperLayer(*view);
    if (upper) REQUIRE(upper->offset <= view->bytes.size());
  }
}

TEST_CASE("addresses: kinds, equality, hash") {
  Address address = addressOf(1);
  CHECK(!address.isMulticast());
  CHECK(!address.isLinkLocal());
  CHECK(!address.isUnspecified());
  CHECK(Address{}.isUnspecified());
  address.octets[0] = 0xff;
  CHECK(address.isMulticast());
  address.octets[0] = 0xfe;
  address.octets[1] = 0xbf;
  CHECK(address.isLinkLocal());
  address.octets[1] = 0xc0;
  CHECK(!address.isLinkLocal());
  CHECK(std::hash<Address>{}(addressOf(1)) == std::hash<Address>{}(addressOf(1)));
  CHECK(std::hash<Address>{}(addressOf(1)) != std::hash<Address>{}(addressOf(2)));
}

}  // namespace kagemusha::test
