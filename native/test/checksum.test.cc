#include "../engine/checksum.h"

#include <doctest/doctest.h>

#include "support.h"

namespace kagemusha::test {

TEST_CASE("the checksum equals the reference for every length and alignment") {
  Random random(1);
  const Octets memory = random.octets(2100 + 8);
  for (std::size_t alignment = 0; alignment < 8; ++alignment) {
    for (std::size_t length = 0; length <= 2100; ++length) {
      const ConstBytes bytes = ConstBytes(memory).subspan(alignment, length);
      const auto seed = static_cast<std::uint16_t>(random.below(0x10000));
      if (checksumAdd(bytes, seed) != reference::checksumAdd(bytes, seed))
        FAIL("length " << length << " alignment " << alignment << " seed " << seed);
    }
  }
}

TEST_CASE("every carry is added in again") {
  for (const auto octet : std::to_array<std::uint8_t>({0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff})) {
    const Octets memory(70000, octet);
    for (const std::size_t length : {0, 1, 2, 3, 7, 8, 31, 32, 33, 64, 65535, 65536, 70000}) {
      for (const auto seed : std::to_array<std::uint16_t>({0x0000, 0x0001, 0x8000, 0xfffe, 0xffff})) {
        const ConstBytes bytes = ConstBytes(memory).first(length);
        if (checksumAdd(bytes, seed) != reference::checksumAdd(bytes, seed))
          FAIL("octet " << int{octet} << " length " << length << " seed " << seed);
      }
    }
  }
}

TEST_CASE("nothing is read outside the bytes") {
  for (std::size_t length = 0; length <= 100; ++length) {
    const Octets exact(length, 0xa5);
    CHECK(checksumAdd(exact) == reference::checksumAdd(exact));
  }
  CHECK(checksumAdd({}) == 0);
  CHECK(checksumAdd({}, 0xffff) == 0xffff);
}

TEST_CASE("RFC 1071 3: the worked example") { CHECK(checksumAdd(hex("0001 f203 f4f5 f6f7")) == 0xddf2); }

TEST_CASE("a sum may be continued from an even offset") {
  Random random(2);
  const Octets memory = random.octets(301);
  for (std::size_t cut = 0; cut <= 300; cut += 2) {
    const ConstBytes bytes = memory;
    CHECK(checksumAdd(bytes.subspan(cut), checksumAdd(bytes.first(cut))) == checksumAdd(bytes));
  }
}

TEST_CASE("the pseudo-header sum equals the reference") {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    Address source;
    Address destination;
    for (std::uint8_t& octet : source.octets) octet = random.octet();
    for (std::uint8_t& octet : destination.octets) octet = random.octet();
    const auto length = static_cast<std::uint32_t>(random.engine());
    const std::uint8_t protocol = random.octet();
    if (pseudoHeaderSum(source, destination, length, protocol) !=
        reference::pseudoSum(source, destination, length, protocol))
      FAIL("round " << round << " length " << length);
  }
}

TEST_CASE("RFC 8200 8.1: a binding update's checksum counts the home address (captured)") {
  const Octets message = hex("3b030500 a7193a25 e0000096 01000310 20010db8300000000000000000000033");
  const Octets addresses = hex("20010db8200000000000000000000010 20010db8200000000000000000000001");
  const Address homeAddress = reference::addressAt(addresses, 0);
  const Address homeAgent = reference::addressAt(addresses, 16);
  CHECK(checksumAdd(message, pseudoHeaderSum(homeAddress, homeAgent, 32, kMobility)) == 0xffff);
}

TEST_CASE("a missing checksum is computed") {
  Random random(4);
  for (std::size_t length = 0; length < 300; ++length) {
    TcpFields fields;
    fields.payload = random.octets(length);
    Slot slot(partial(buildTcp(fields)), needsChecksum(40));
    REQUIRE(completeChecksum(slot.packet));
    CHECK(slot.packet.offload.flags == 0);
    CHECK(copy(slot.packet.bytes) == complete(buildTcp(fields)));
  }
}

TEST_CASE("RFC 8200 8.1: a UDP checksum of zero is sent as 0xffff") {
  // The last two octets of payload are chosen so that the sum of everything is 0xffff.
  TcpFields fields;
  Octets packet = buildTcp(fields);
  packet.resize(40);
  packet[6] = kUdp;
  put16(packet, 1000);
  put16(packet, 2000);
  put16(packet, 10);
  put16(packet, reference::pseudoSum(fields.source, fields.destination, 10, kUdp));
  put16(packet, 0);
  packet[5] = 10;
  const std::uint16_t sum = reference::checksumAdd(ConstBytes(packet).subspan(40));
  reference::setNumber(packet, 48, 2, 0xffffu - sum);
  Offload offload = needsChecksum(40);
  offload.csum_offset = 6;
  Slot slot(packet, offload);
  REQUIRE(completeChecksum(slot.packet));
  CHECK(reference::number(copy(slot.packet.bytes), 46, 2) == 0xffff);
}

TEST_CASE("a packet that needs no checksum is left alone") {
  const Octets octets = hex("ff00ff");
  Slot slot(octets);
  CHECK(completeChecksum(slot.packet));
  CHECK(copy(slot.packet.bytes) == octets);
}

TEST_CASE("a checksum outside the packet or in its IPv6 header is refused, and nothing written") {
  const Octets octets = partial(buildTcp({}));
  for (const std::size_t start : {0, 8, 24, 39, 40, 42, 43, 44, 58, 59, 60, 61, 1000, 65535}) {
    for (const std::size_t offset : {0, 1, 16, 18, 19, 20, 100, 65535}) {
      Offload offload = needsChecksum(start);
      offload.csum_offset = static_cast<std::uint16_t>(offset);
      Slot slot(octets, offload);
      const bool inside = start >= 40 && start + offset + 2 <= octets.size();
      CHECK(completeChecksum(slot.packet) == inside);
      CHECK((slot.packet.offload.flags == 0) == inside);
      if (!inside) CHECK(copy(slot.packet.bytes) == octets);
    }
  }
}

}  // namespace kagemusha::test
