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
      hex("6b812345 0030 29 07 20010db8300000000000000000000033 20010db8200000000000000000000001"
          "6b8abcde 0008 3a 3f 20010db8200000000000000000000010 20010db8200000000000000000000099"
          "8000 1234 0001 0002");
  Slot slot(inner);
  encapsulate(
      slot.packet,
      {.local = kCareOf, .remote = kHomeAgent, .trafficClass = 0xb8, .flowLabel = 0x12345, .hopLimit = 7});
  CHECK(copy(slot.packet.bytes) == outer);
  CHECK(slot.packet.bytes.data() == slot.memory.data() + kHeadroom - 40);
  REQUIRE(decapsulate(slot.packet) == Congestion::kUsual);
  CHECK(copy(slot.packet.bytes) == inner);
}

TEST_CASE("RFC 2473 4.1.1: the encapsulation limit as scapy writes it, octet by octet") {
  const Octets inner =
      hex("6b8abcde 0008 3a 3f 20010db8200000000000000000000010 20010db8200000000000000000000099"
          "8000 1234 0001 0002");
  Octets expected =
      hex("6b812345 0038 3c 07 20010db8300000000000000000000033 20010db8200000000000000000000001"
          "29 00 04 01 05 01 01 00");
  put(expected, inner);
  Slot slot(inner);
  const Outer outer{.local = kCareOf,
                    .remote = kHomeAgent,
                    .trafficClass = 0xb8,
                    .flowLabel = 0x12345,
                    .hopLimit = 7,
                    .limit = 5};
  CHECK(outer.length() == 48);
  encapsulate(slot.packet, outer);
  CHECK(copy(slot.packet.bytes) == expected);
  const auto view = viewIpv6(slot.packet.bytes);
  REQUIRE(view);
  const auto limit = findEncapsulationLimit(*view);
  REQUIRE(limit);
  CHECK(limit->value == 5);
  CHECK(limit->offset == 44);
  REQUIRE(decapsulate(slot.packet) == Congestion::kUsual);
  CHECK(copy(slot.packet.bytes) == inner);
}

TEST_CASE("the outer header says how much it carries, or 0 where 16 bits cannot") {
  Octets into(48, 0xee);
  Outer outer{.local = kCareOf, .remote = kHomeAgent, .trafficClass = 0xff};
  writeOuterHeader(into, outer, 1460);
  CHECK(Octets(into.begin(), into.begin() + 40) ==
        hex("6ff00000 05b4 29 40 20010db8300000000000000000000033 20010db8200000000000000000000001"));
  CHECK(into[40] == 0xee);
  writeOuterHeader(into, outer, 65535);
  CHECK(reference::number(into, 4, 2) == 65535);
  writeOuterHeader(into, outer, 65536);
  CHECK(reference::number(into, 4, 2) == 0);
  outer.limit = 0;
  writeOuterHeader(into, outer, 65527);
  CHECK(reference::number(into, 4, 2) == 65535);
  writeOuterHeader(into, outer, 65528);
  CHECK(reference::number(into, 4, 2) == 0);
}

TEST_CASE("RFC 2473 4.1.1: headers are examined from left to right until one has the limit") {
  // The limit and where it stands; std::nullopt: none.
  using Found = std::optional<std::pair<int, std::size_t>>;
  const auto find = [](std::uint8_t first, const char* rest) -> Found {
    const Octets packet = outerWith(first, hex(rest));
    const auto view = viewIpv6(packet);
    REQUIRE(view);
    const auto found = findEncapsulationLimit(*view);
    return found ? Found{{found->value, found->offset}} : std::nullopt;
  };
  const char* const limited = "2900 040104 010100";
  CHECK(find(kDestination, limited) == Found{{4, 44}});
  CHECK(find(kDestination, "2900 010100 040107") == Found{{7, 47}});
  CHECK(find(kDestination, "2900 0000 0401ff 00") == Found{{255, 46}});
  CHECK(find(kDestination, "0600 040100 010100") == Found{{0, 44}});  // whatever follows
  CHECK(find(kDestination, "2901 c902 aabb 0401 09 00 0104 00000000") == Found{{9, 48}});
  // Behind other headers: hop-by-hop options, a routing header, authentication (RFC 4302), a first fragment.
  CHECK(find(kHopByHop, "3c00 0104 00000000 2900 040103 010100") == Found{{3, 52}});
  CHECK(find(kRouting, "3c00 0000 00000000 2900 040103 010100") == Found{{3, 52}});
  CHECK(find(51, "3c01 0000 00000100 00000001 2900 040103 010100") == Found{{3, 56}});
  CHECK(find(kFragment, "3c00 0001 00000007 2900 040103 010100") == Found{{3, 52}});
  CHECK(find(kDestination, "3c00 0104 00000000 2900 040103 010100") == Found{{3, 52}});
  CHECK(find(kDestination, "3c00 040103 010100 2900 040109 010100") == Found{{3, 44}});  // the first counts
  // Not behind another IPv6 header, a later fragment's, one that is encrypted, or an upper layer's.
  CHECK(!find(kIpv6, limited));
  CHECK(!find(kFragment, "3c00 0009 00000007 2900 040103 010100"));
  CHECK(!find(kEsp, limited));
  CHECK(!find(kTcp, limited));
  CHECK(!find(kHopByHop, "2900 040104 010100"));  // only a destination option
  CHECK(!find(kDestination, "2900 0104 00000000"));
  // Broken ones.
  CHECK(!find(kDestination, "2900 040204 000100"));   // a limit of two octets
  CHECK(!find(kDestination, "2900 0105 00000000"));   // padding past the end
  CHECK(!find(kDestination, "2900 010300 0000 04"));  // a type without a length
  CHECK(!find(kDestination, "2901 040104 010100"));   // a header past the end
  CHECK(!find(kDestination, "2900 0401"));
}

TEST_CASE("csum_start and a train's hdr_len follow the headers") {
  Slot slot(innerPacket(), trainOf(40, 60, 1400));
  for (const bool limited : {false, true}) {
    Outer outer{kCareOf, kHomeAgent};
    if (limited) outer.limit = 4;
    encapsulate(slot.packet, outer);
    CHECK(slot.packet.offload.csum_start == (limited ? 88 : 80));
    CHECK(slot.packet.offload.hdr_len == (limited ? 108 : 100));
    REQUIRE(decapsulate(slot.packet));
    CHECK(slot.packet.offload.csum_start == 40);
    CHECK(slot.packet.offload.hdr_len == 60);
  }
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
    const bool accepted = decapsulate(slot.packet).has_value();
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
    const bool result = decapsulate(slot.packet).has_value();
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

TEST_CASE("RFC 6040 4.1: in normal mode the mark is copied, pinned DSCP or not") {
  for (int tos = 0; tos < 256; ++tos) {
    TcpFields fields;
    fields.trafficClass = static_cast<std::uint8_t>(tos);
    const Octets inner = buildTcp(fields);
    CHECK(outerTrafficClass(inner, std::nullopt) == tos);
    CHECK(outerTrafficClass(inner, std::uint8_t{0}) == (tos & 3));
    CHECK(outerTrafficClass(inner, std::uint8_t{46}) == (0xb8 | (tos & 3)));
    CHECK(outerTrafficClass(inner, std::uint8_t{63}) == (0xfc | (tos & 3)));
  }
}

TEST_CASE("RFC 6040 4.2, RFC 2983 5: every cell of figure 4, and the inner DSCP stays") {
  // +---------+------------------------------------------------+
  // |Arriving |            Arriving Outer Header               |
  // |   Inner +---------+------------+------------+------------+
  // |  Header | Not-ECT | ECT(0)     | ECT(1)     |     CE     |
  // +---------+---------+------------+------------+------------+
  // | Not-ECT | Not-ECT |Not-ECT(!!!)|Not-ECT(!!!)| <drop>(!!!)|
  // |  ECT(0) |  ECT(0) | ECT(0)     | ECT(1)     |     CE     |
  // |  ECT(1) |  ECT(1) | ECT(1) (!) | ECT(1)     |     CE     |
  // |    CE   |      CE |     CE     |     CE(!!!)|     CE     |
  // +---------+---------+------------+------------+------------+
  constexpr std::uint8_t kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3;  // RFC 3168 5
  constexpr auto kUsual = Congestion::kUsual, kAlarm = Congestion::kAlarm, kDrop = Congestion::kDrop;
  struct Cell {
    std::uint8_t inner, outer, result;
    Congestion congestion;
  };
  constexpr Cell kFigure4[16] = {
      {kNotEct, kNotEct, kNotEct, kUsual}, {kNotEct, kEct0, kNotEct, kAlarm},
      {kNotEct, kEct1, kNotEct, kAlarm},   {kNotEct, kCe, kNotEct, kDrop},
      {kEct0, kNotEct, kEct0, kUsual},     {kEct0, kEct0, kEct0, kUsual},
      {kEct0, kEct1, kEct1, kUsual},       {kEct0, kCe, kCe, kUsual},
      {kEct1, kNotEct, kEct1, kUsual},     {kEct1, kEct0, kEct1, kAlarm},
      {kEct1, kEct1, kEct1, kUsual},       {kEct1, kCe, kCe, kUsual},
      {kCe, kNotEct, kCe, kUsual},         {kCe, kEct0, kCe, kUsual},
      {kCe, kEct1, kCe, kAlarm},           {kCe, kCe, kCe, kUsual},
  };
  for (const Cell& cell : kFigure4) {
    CAPTURE(int{cell.inner});
    CAPTURE(int{cell.outer});
    TcpFields fields;
    fields.trafficClass = static_cast<std::uint8_t>(0xa8 | cell.inner);
    Slot slot(outerWith(kIpv6, buildTcp(fields)));
    // The outer DSCP is another one.
    slot.packet.bytes[0] = 0x64;
    slot.packet.bytes[1] = static_cast<std::uint8_t>(0x80 | (cell.outer << 4));
    const auto congestion = decapsulate(slot.packet);
    REQUIRE(congestion);
    CHECK(*congestion == cell.congestion);
    fields.trafficClass = static_cast<std::uint8_t>(0xa8 | cell.result);
    CHECK(copy(slot.packet.bytes) == buildTcp(fields));
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
    taken += decapsulate(slot.packet).has_value();
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
