#include "../engine/encapsulate.h"

#include <doctest/doctest.h>

#include "../engine/checksum.h"
#include "support.h"

namespace kagemusha::test {
namespace {

const Address kCareOf = reference::addressAt(hex("20010db8300000000000000000000033"), 0);
const Address kHomeAgent = reference::addressAt(hex("20010db8200000000000000000000001"), 0);
const Address kHomeAddress = reference::addressAt(hex("20010db8200000000000000000000010"), 0);

// The outer header, then these octets.
Octets outerWith(std::uint8_t nextHeader, const Octets& rest) {
  Octets packet =
      hex("60000000 0000 00 40 20010db8300000000000000000000033 20010db8200000000000000000000001");
  packet[6] = nextHeader;
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(rest.size()));
  put(packet, rest);
  return packet;
}

Octets innerPacket() {
  TcpFields fields;
  fields.payload = {1, 2, 3, 4, 5};
  return partial(buildTcp(fields));
}

}  // namespace

TEST_CASE("RFC 2473 3.1: an encapsulated packet, octet by octet") {
  // An ICMPv6 echo request, traffic class 0xb8, flow label 0xabcde.
  const Octets inner =
      hex("6b8abcde 0008 3a 3f 20010db8200000000000000000000010 20010db8200000000000000000000099"
          "8000 1234 0001 0002");
  const Octets outer =
      hex("6b800000 0030 29 40 20010db8300000000000000000000033 20010db8200000000000000000000001"
          "6b8abcde 0008 3a 3f 20010db8200000000000000000000010 20010db8200000000000000000000099"
          "8000 1234 0001 0002");
  Slot slot(inner);
  encapsulate(slot.packet, kCareOf, kHomeAgent);
  CHECK(copy(slot.packet.bytes) == outer);
  CHECK(slot.packet.bytes.data() == slot.memory.data() + kHeadroom - 40);
  REQUIRE(decapsulate(slot.packet));
  CHECK(copy(slot.packet.bytes) == inner);
}

TEST_CASE("the outer header needs only the inner packet's first four octets") {
  const Octets inner = hex("6fff ffff");
  Octets into(40, 0xee);
  writeOuterHeader(into, kCareOf, kHomeAgent, inner, 1460);
  CHECK(into == hex("6ff00000 05b4 29 40 20010db8300000000000000000000033 20010db8200000000000000000000001"));
  writeOuterHeader(into, kCareOf, kHomeAgent, inner, 65535);
  CHECK(reference::number(into, 4, 2) == 65535);
  writeOuterHeader(into, kCareOf, kHomeAgent, inner, 65536);
  CHECK(reference::number(into, 4, 2) == 0);
}

TEST_CASE("csum_start and a train's hdr_len follow the headers") {
  Slot slot(innerPacket(), trainOf(40, 60, 1400));
  encapsulate(slot.packet, kCareOf, kHomeAgent);
  CHECK(slot.packet.offload.csum_start == 80);
  CHECK(slot.packet.offload.hdr_len == 100);
  REQUIRE(decapsulate(slot.packet));
  CHECK(slot.packet.offload.csum_start == 40);
  CHECK(slot.packet.offload.hdr_len == 60);
  CHECK(copy(slot.packet.bytes) == innerPacket());
  REQUIRE(completeChecksum(slot.packet));
  CHECK(reference::checksumIsRight(copy(slot.packet.bytes), 40));
}

TEST_CASE("the inner packet is cut to its own length, hdr_len too") {
  Octets inner = innerPacket();
  Octets padded = inner;
  padded.resize(padded.size() + 6);
  Slot slot(outerWith(kIpv6, padded), trainOf(80, 40 + padded.size(), 100));
  REQUIRE(decapsulate(slot.packet));
  CHECK(copy(slot.packet.bytes) == inner);
  CHECK(slot.packet.offload.hdr_len == inner.size());
}

TEST_CASE("RFC 2473 4.1.1: outer destination options") {
  const Octets inner = innerPacket();
  const auto accepts = [&](const char* options) {
    Octets rest = hex(options);
    const std::size_t before = 40 + rest.size();
    put(rest, inner);
    Slot slot(outerWith(kDestination, rest), needsChecksum(before + 40));
    const bool accepted = decapsulate(slot.packet);
    if (accepted) {
      CHECK(copy(slot.packet.bytes) == inner);
      CHECK(slot.packet.offload.csum_start == 40);
    } else {
      CHECK(copy(slot.packet.bytes) == outerWith(kDestination, rest));
    }
    return accepted;
  };
  CHECK(accepts("2900 040104 010100"));   // limit 4, PadN
  CHECK(accepts("2900 0000 0401ff 00"));  // Pad1s around it
  CHECK(accepts("2900 0104 00000000"));   // padding only
  CHECK(accepts("2901 0104 00000000 0401 04 010300 0000"));
  CHECK(!accepts("2900 040204 000100"));                     // a limit of two octets
  CHECK(!accepts("2900 c90400000000"));                      // any other option
  CHECK(!accepts("2900 0105 00000000"));                     // PadN past the end
  CHECK(!accepts("2900 0103 000000 01"));                    // a type without a length
  CHECK(!accepts("0600 0104 00000000"));                     // something else follows
  CHECK(!accepts("3c00 0104 00000000 2900 0104 00000000"));  // two headers
}

TEST_CASE("what is no tunnel packet is refused and left alone") {
  const auto refused = [](const Octets& octets, const Offload& offload = {}) {
    Slot slot(octets, offload);
    const bool result = decapsulate(slot.packet);
    CHECK(copy(slot.packet.bytes) == octets);
    return !result;
  };
  CHECK(refused(innerPacket()));
  CHECK(refused(outerWith(kFragment, innerPacket())));
  Octets ipv4 = innerPacket();
  ipv4[0] = 0x45;
  CHECK(refused(outerWith(kIpv6, ipv4)));
  CHECK(refused(outerWith(kIpv6, {})));
  // A checksum that would be computed in the outer header, or in the inner one.
  CHECK(refused(outerWith(kIpv6, innerPacket()), needsChecksum(0)));
  CHECK(refused(outerWith(kIpv6, innerPacket()), needsChecksum(48)));
  CHECK(refused(outerWith(kIpv6, innerPacket()), needsChecksum(79)));
}

TEST_CASE("an inner packet of a header only is a whole one") {
  const Octets inner =
      hex("60000000 0000 3b 40 20010db8200000000000000000000010 20010db8200000000000000000000099");
  Slot slot(outerWith(kIpv6, inner));
  REQUIRE(decapsulate(slot.packet));
  CHECK(copy(slot.packet.bytes) == inner);
}

TEST_CASE("every truncation of a tunnel packet is refused") {
  Octets rest = hex("2900 040104 010100");
  put(rest, innerPacket());
  const Octets whole = outerWith(kDestination, rest);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    Slot as(cut);
    CHECK(!decapsulate(as.packet));
    // Truncated before it was encapsulated.
    if (length > 41) {
      reference::setNumber(cut, 4, 2, static_cast<std::uint32_t>(length - 40));
      Slot inner(cut);
      CHECK(!decapsulate(inner.packet));
    }
  }
}

TEST_CASE("RFC 6040 4.2: congestion marks at the tunnel's end") {
  // Rows: inner Not-ECT, ECT(1), ECT(0), CE; columns: outer the same. -1 is a drop.
  constexpr int kExpected[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  for (int inner = 0; inner < 4; ++inner) {
    for (int outer = 0; outer < 4; ++outer) {
      TcpFields fields;
      fields.trafficClass = static_cast<std::uint8_t>(0xa8 | inner);
      const Octets before = buildTcp(fields);
      Slot slot(before);
      encapsulate(slot.packet, kCareOf, kHomeAgent);
      CHECK(((slot.packet.bytes[1] >> 4) & 3) == inner);
      slot.packet.bytes[1] = static_cast<std::uint8_t>((slot.packet.bytes[1] & 0xcf) | (outer << 4));
      const int expected = kExpected[inner][outer];
      REQUIRE(decapsulate(slot.packet) == (expected >= 0));
      if (expected < 0) continue;
      fields.trafficClass = static_cast<std::uint8_t>(0xa8 | expected);
      CHECK(copy(slot.packet.bytes) == buildTcp(fields));
    }
  }
}

TEST_CASE("RFC 6275 6.4: the captured acknowledgement, its routing header, and it taken off") {
  const Octets captured =
      hex("60000000 00282b40 20010db8200000000000000000000001 20010db8300000000000000000000033"
          "87020201 00000000 20010db8200000000000000000000010 3b010600 e7260000 3a250096 01020000");
  const auto view = viewIpv6(captured);
  REQUIRE(view);
  const auto routing = viewType2Routing(*view);
  REQUIRE(routing);
  CHECK(routing->homeAddress == kHomeAddress);
  CHECK(routing->nextHeader == kMobility);

  Slot slot(captured);
  REQUIRE(stripType2Routing(slot.packet));
  CHECK(copy(slot.packet.bytes) ==
        hex("60000000 00108740 20010db8200000000000000000000001 20010db8200000000000000000000010"
            "3b010600 e7260000 3a250096 01020000"));
  const std::uint16_t seed = pseudoHeaderSum(kHomeAgent, kHomeAddress, 16, kMobility);
  CHECK(checksumAdd(slot.packet.bytes.subspan(40), seed) == 0xffff);
  CHECK(!stripType2Routing(slot.packet));
}

TEST_CASE("a checksum to be computed follows when the routing header goes") {
  TcpFields fields;
  fields.extensions = hex("06020201 00000000 20010db8200000000000000000000010");
  fields.firstHeader = kRouting;
  fields.payload = {9, 8, 7};
  Octets packet = buildTcp(fields);
  reference::storePseudoSum(packet, 64, fields.source, kHomeAddress);
  packet.resize(packet.size() + 4);  // padding of a frame
  Slot slot(packet, trainOf(64, 84, 100));
  REQUIRE(stripType2Routing(slot.packet));
  CHECK(slot.packet.bytes.size() == 63);
  CHECK(slot.packet.offload.csum_start == 40);
  CHECK(slot.packet.offload.hdr_len == 60);
  REQUIRE(completeChecksum(slot.packet));
  CHECK(reference::checksumIsRight(copy(slot.packet.bytes), 40));
  CHECK(reference::addressAt(copy(slot.packet.bytes), 24) == kHomeAddress);

  Slot pointing(packet, needsChecksum(48));
  CHECK(!stripType2Routing(pointing.packet));
  CHECK(copy(pointing.packet.bytes) == packet);
}

TEST_CASE("other routing headers are not type 2 ones") {
  const Octets right = outerWith(kRouting, hex("06020201 00000000 20010db8200000000000000000000010"));
  const auto refused = [](const Octets& octets) {
    Slot slot(octets);
    const bool result = stripType2Routing(slot.packet);
    if (!result) CHECK(copy(slot.packet.bytes) == octets);
    return !result;
  };
  CHECK(!refused(right));
  for (const std::size_t at : {6, 41, 42, 43}) {  // next header, length, type, segments left
    for (const int value : {0, 1, 2, 3, 4, 43, 255}) {
      Octets other = right;
      other[at] = static_cast<std::uint8_t>(value);
      CHECK(refused(other) == (other != right));
    }
  }
  for (std::size_t length = 0; length < right.size(); ++length)
    CHECK(refused(Octets(right.begin(), right.begin() + static_cast<std::ptrdiff_t>(length))));
  for (std::size_t length = 1; length < 24; ++length) {
    Octets cut(right.begin(), right.begin() + static_cast<std::ptrdiff_t>(40 + length));
    cut[5] = static_cast<std::uint8_t>(length);
    CHECK(refused(cut));
  }
}

TEST_CASE("random octets are handled") {
  Random random(6);
  int taken = 0;
  for (int round = 0; round < 30000; ++round) {
    Octets octets = random.octets(random.below(160));
    if (octets.size() >= 40) {
      octets[0] = static_cast<std::uint8_t>(0x60 | (octets[0] & 0x0f));
      octets[4] = 0;
      octets[5] = static_cast<std::uint8_t>(random.below(octets.size()));
      octets[6] = std::to_array<std::uint8_t>({kIpv6, kDestination, kRouting})[random.below(3)];
    }
    if (octets.size() >= 48 && random.oneIn(2)) {
      octets[40] = kIpv6;
      octets[41] = static_cast<std::uint8_t>(random.below(4));
      for (std::size_t at = 42; at < octets.size(); ++at)
        if (random.oneIn(2)) octets[at] = std::to_array<std::uint8_t>({0, 1, 2, 4, 0x60})[random.below(5)];
    }
    Offload offload{};
    offload.flags = random.octet();
    offload.csum_start = static_cast<std::uint16_t>(random.below(200));
    offload.hdr_len = static_cast<std::uint16_t>(random.below(200));
    Slot slot(octets, offload);
    taken += decapsulate(slot.packet);
    REQUIRE(slot.packet.bytes.size() <= octets.size());
    taken += stripType2Routing(slot.packet);
  }
  CHECK(taken > 0);
}

TEST_CASE("taking octets off the front keeps the offload true") {
  Octets octets(100);
  Packet packet{octets, trainOf(54, 74, 1000)};
  trimFront(packet, 14);
  CHECK(packet.bytes.size() == 86);
  CHECK(packet.offload.csum_start == 40);
  CHECK(packet.offload.hdr_len == 60);
  Packet inHeader{octets, needsChecksum(5)};
  trimFront(inHeader, 14);
  CHECK(inHeader.offload.csum_start == 0);
  trimFront(packet, 70);
  CHECK(packet.offload.hdr_len == 0);
  Packet plain{octets, {}};
  trimFront(plain, 14);
  CHECK(plain.offload.csum_start == 0);
  CHECK(plain.offload.hdr_len == 0);
}

}  // namespace kagemusha::test
