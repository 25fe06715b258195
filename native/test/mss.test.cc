#include "../engine/mss.h"

#include <doctest/doctest.h>

#include "support.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr std::uint8_t kSynAck = tcp::kSyn | tcp::kAck;

Octets mss(std::size_t value) {
  return {2, 4, static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

// A SYN with these TCP options, a multiple of 4 octets.
Octets syn(const Octets& options, std::uint8_t flags = tcp::kSyn) {
  return complete(buildTcp({.flags = flags, .options = options}));
}

// The packet after clampMss(); `changed` is what it said.
Octets clamped(const Octets& packet, std::size_t most, bool changed, const Offload& offload = {}) {
  const Slot slot(packet, offload);
  CHECK(clampMss(slot.packet, most) == changed);
  return copy(slot.packet.bytes);
}

void unchanged(const Octets& packet, std::size_t most = 500) {
  CHECK(clamped(packet, most, false) == packet);
}

}  // namespace

TEST_CASE("RFC 9293 3.7.1, RFC 6691 2: the MSS of a SYN is lowered to what fits, and never raised") {
  for (const std::uint8_t flags : {std::uint8_t{tcp::kSyn}, kSynAck}) {
    for (const std::size_t value : {0u, 536u, 1219u, 1220u, 1221u, 1440u, 8940u, 65535u}) {
      const Octets packet = syn(mss(value), flags);
      const Octets after = clamped(packet, 1220, value > 1220);
      CHECK(after == (value > 1220 ? syn(mss(1220), flags) : packet));
    }
  }
  CHECK(maySyn(syn(mss(1440))));
}

TEST_CASE("RFC 9293 3.7.1: a SYN without the option gets none") {
  unchanged(syn({}));
  unchanged(syn(hex("04 02 01 01")));
}

TEST_CASE("only SYNs are looked into") {
  const Octets packet = complete(buildTcp({.flags = tcp::kAck, .options = mss(1440)}));
  unchanged(packet);
  CHECK(!maySyn(packet));
  Octets udp = syn(mss(1440));
  udp[6] = kUdp;
  unchanged(udp);
  CHECK(!maySyn(udp));
}

TEST_CASE("RFC 1624 4: the checksum follows as in the example there") {
  Octets packet = buildTcp({.flags = tcp::kSyn, .options = mss(0x5555)});
  reference::setNumber(packet, 56, 2, 0xdd2f);
  const Octets after = clamped(packet, 0x3285, true);
  CHECK(reference::number(after, 56, 2) == 0x0000);
  CHECK(reference::number(after, 62, 2) == 0x3285);
}

TEST_CASE("RFC 1624 3: the checksum holds wherever the option stands, and a wrong one stays wrong") {
  Random random(1624);
  for (int round = 0; round < 20000; ++round) {
    Octets options(random.below(37), 1);
    put(options, mss(random.below(65536)));
    options.resize((options.size() + 3) / 4 * 4, 1);
    TcpFields fields{.sequence = static_cast<std::uint32_t>(random.engine()), .flags = tcp::kSyn};
    fields.options = options;
    fields.payload = random.octets(random.below(20));
    const std::size_t most = random.below(65536);
    Octets packet = complete(buildTcp(fields));
    Slot slot(packet);
    clampMss(slot.packet, most);
    REQUIRE(reference::checksumIsRight(copy(slot.packet.bytes), 40));

    packet[57] ^= 0x40;
    Slot wrong(packet);
    clampMss(wrong.packet, most);
    REQUIRE(!reference::checksumIsRight(copy(wrong.packet.bytes), 40));
  }
}

TEST_CASE("every MSS option is lowered: receivers differ in which of several they believe") {
  Octets options = mss(1440), expected = mss(1000);
  put(options, mss(900));
  put(expected, mss(900));
  put(options, mss(65535));
  put(expected, mss(1000));
  CHECK(clamped(syn(options), 1000, true) == syn(expected));
}

TEST_CASE("a checksum still to be computed is left to whoever computes it") {
  const Octets packet = partial(buildTcp({.flags = tcp::kSyn, .options = mss(1440)}));
  CHECK(clamped(packet, 1220, true, needsChecksum(40)) ==
        partial(buildTcp({.flags = tcp::kSyn, .options = mss(1220)})));
  // One that is to be stored elsewhere: not what it looks like.
  CHECK(clamped(packet, 1220, false, needsChecksum(44)) == packet);
  Offload odd = needsChecksum(40);
  odd.csum_offset = 22;
  CHECK(clamped(packet, 1220, false, odd) == packet);
}

TEST_CASE("RFC 9293 3.1: malformed options leave the packet as it is") {
  for (const char* options : {
           "02 04 05 a0 03 00 01 01",  // a length of 0
           "02 04 05 a0 03 01 01 01",  // of 1
           "02 04 05 a0 01 01 08 0a",  // past the end
           "02 04 05 a0 01 01 01 03",  // no room for the length
           "02 03 05 a0",              // an MSS of 3 octets
           "02 05 05 a0 00 00 00 00",  // of 5
           "01 01 02 04",              // cut off
           "01 02 04 05",              // cut off in the value
       })
    unchanged(syn(hex(options)));
  // What follows the end of the options is none.
  unchanged(syn(hex("00 00 00 00 02 04 05 a0")));
  CHECK(clamped(syn(hex("02 04 05 a0 00 ff ff ff")), 500, true) == syn(hex("02 04 01 f4 00 ff ff ff")));
}

TEST_CASE("RFC 9293 3.1: a header longer than the packet, or shorter than TCP's") {
  for (const std::uint8_t offset : Octets{0x00, 0x40, 0x70, 0xf0}) {
    Octets packet = syn(mss(1440));
    packet[52] = offset;
    unchanged(packet);
  }
  Octets cut = syn(mss(1440));
  for (std::size_t length = 63; length >= 40; --length) {
    cut.resize(length);
    reference::setNumber(cut, 4, 2, static_cast<std::uint32_t>(length - 40));
    unchanged(cut);
    maySyn(cut);
  }
}

TEST_CASE("RFC 8200 4: behind extension headers the option is found too; fragments are left alone") {
  struct Chain {
    std::uint8_t first;
    const char* headers;
    bool found;
  };
  for (const Chain& chain : {
           Chain{kHopByHop, "06 00 01 04 00000000", true}, Chain{kDestination, "06 00 01 04 00000000", true},
           Chain{kRouting, "06 00 04 00 00000000", true},
           Chain{kHopByHop, "3c 00 01 04 00000000 06 00 01 04 00000000", true},
           Chain{kFragment, "06 00 0000 00000009", true},   // atomic: the whole packet
           Chain{kFragment, "06 00 0001 00000009", false},  // the first of several
           Chain{kFragment, "06 00 0008 00000009", false},
           Chain{kHopByHop, "32 00 01 04 00000000", false},  // ESP
           Chain{kHopByHop, "06 09 01 04 00000000", false},  // past the end
       }) {
    CAPTURE(chain.headers);
    const Octets extensions = hex(chain.headers);
    TcpFields fields{.flags = tcp::kSyn, .extensions = extensions, .firstHeader = chain.first};
    fields.options = mss(1440);
    const Octets packet = complete(buildTcp(fields), 40 + extensions.size());
    fields.options = mss(1220);
    const Octets lowered = complete(buildTcp(fields), 40 + extensions.size());
    CHECK(maySyn(packet));
    CHECK(clamped(packet, 1220, chain.found) == (chain.found ? lowered : packet));
  }
}

TEST_CASE("whatever comes, nothing but MSS values and the checksum changes") {
  Random random(6691);
  for (int round = 0; round < 50000; ++round) {
    TcpFields fields{.flags = static_cast<std::uint8_t>(random.octet() | tcp::kSyn)};
    fields.options = random.octets(random.below(11) * 4);
    for (std::uint8_t& octet : fields.options)
      if (random.oneIn(2)) octet = static_cast<std::uint8_t>(random.below(5));
    fields.payload = random.octets(random.below(8));
    Octets packet = complete(buildTcp(fields));
    if (random.oneIn(8)) packet[52] = random.octet();
    if (random.oneIn(8)) packet[6] = static_cast<std::uint8_t>(random.below(64));
    const Slot slot(packet);
    const bool said = clampMss(slot.packet, random.below(2000));
    const Octets after = copy(slot.packet.bytes);
    CHECK(said == (after != packet));
    if (!said) continue;
    for (std::size_t index = 0; index < packet.size(); ++index)
      REQUIRE((after[index] == packet[index] || index == 56 || index == 57 || index >= 60));
  }
}
