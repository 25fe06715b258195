// What policing reads of a packet: every order of headers that RFC 6275 and RFC 3776 use, and none that lies.
#include "../engine/control_packet.h"

#include <doctest/doctest.h>

#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

using Kind = ControlPacket::Kind;

// In memory of exactly its size.
std::optional<ControlPacket> viewOf(const Octets& octets) {
  const auto view = viewIpv6(octets);
  REQUIRE(view);
  return viewControl(*view);
}

// The payload length set to what is there.
Octets cut(Octets packet, std::size_t length) {
  packet.resize(length);
  packet[4] = static_cast<std::uint8_t>((length - kIpv6Header) >> 8);
  packet[5] = static_cast<std::uint8_t>(length - kIpv6Header);
  return packet;
}

}  // namespace

TEST_CASE("RFC 6275 6.1.7, 6.3: a Binding Update with its Home Address option") {
  const auto control = viewOf(update(careOf, home, 0xabcd));
  REQUIRE(control);
  CHECK(control->kind == Kind::kMobility);
  CHECK(control->mobilityType == kBindingUpdate);
  CHECK(control->homeAddressOption == home);
  CHECK(!control->routed);
  CHECK(control->sequence == 0xabcdu);
}

TEST_CASE("RFC 6275 6.1.8, 6.4: a Binding Acknowledgement with its type 2 routing header") {
  const auto control = viewOf(acknowledgement(home, 0xabcd));
  REQUIRE(control);
  CHECK(control->kind == Kind::kMobility);
  CHECK(control->mobilityType == kBindingAcknowledgement);
  CHECK(control->routed == home);
  CHECK(!control->foreignRouting);
  CHECK(control->sequence == 0xabcdu);
}

TEST_CASE("RFC 3776 3.1: ESP behind a Home Address option, behind a type 2 routing header, alone") {
  const Octets bare = chain(home, agent, kEsp, {esp(1000, 0x89abcdef)});
  for (const Octets& packet :
       {espUpdate(careOf, home, 1000, 0x89abcdef), espAcknowledgement(home, 1000, 0x89abcdef), bare}) {
    const auto control = viewOf(packet);
    REQUIRE(control);
    CHECK(control->kind == Kind::kEsp);
    CHECK(control->spi == 1000);
    CHECK(control->sequence == 0x89abcdefu);
    CHECK(control->homeAddressOption.has_value() == (packet[6] == kDestination));
    CHECK(control->routed.has_value() == (packet[6] == kRouting));
  }
}

TEST_CASE("both a type 2 routing header and a Home Address option: each is read") {
  const auto control = viewOf(chain(
      agent, careOf, kRouting,
      {type2Routing(home, kDestination), homeAddressOption(other, kMobility), mobility(kBindingUpdate, 7)}));
  REQUIRE(control);
  CHECK(control->routed == home);
  CHECK(control->homeAddressOption == other);
  CHECK(control->sequence == 7u);
}

TEST_CASE("RFC 6275 6.4: a routing header with no or two segments left, or of another type, or twice") {
  Octets another = type2Routing(home, kMobility);
  another[2] = 0;
  Octets shorter{kMobility, 0, 2, 1, 0, 0, 0, 0};
  for (const Octets& header :
       {type2Routing(home, kMobility, 0), type2Routing(home, kMobility, 2), another, shorter}) {
    const auto control = viewOf(chain(agent, careOf, kRouting, {header, mobility(5, 1)}));
    REQUIRE(control);
    CHECK(control->foreignRouting);
  }
  const auto twice = viewOf(
      chain(agent, careOf, kRouting, {type2Routing(home, kRouting), type2Routing(other, kEsp), esp(1, 1)}));
  REQUIRE(twice);
  CHECK(twice->foreignRouting);
}

TEST_CASE("a second Home Address option, or one of another length, does not count") {
  const auto two =
      viewOf(chain(careOf, agent, kDestination,
                   {homeAddressOption(home, kDestination), homeAddressOption(other, kEsp), esp(1, 2)}));
  REQUIRE(two);
  CHECK(two->homeAddressOption == home);
  Octets odd = homeAddressOption(home, kEsp);
  odd[7] = 15;
  odd.back() = 0;  // Pad1
  const auto control = viewOf(chain(careOf, agent, kDestination, {odd, esp(1, 2)}));
  REQUIRE(control);
  CHECK(!control->homeAddressOption);
}

TEST_CASE("only Binding Updates and Acknowledgements that are long enough have a sequence number") {
  for (const std::uint8_t type : Octets{0, 1, 2, 3, 4, 7, 200}) {
    const auto control = viewOf(chain(far, careOf, kMobility, {mobility(type, 5)}));
    REQUIRE(control);
    CHECK(control->kind == Kind::kMobility);
    CHECK(control->mobilityType == type);
    CHECK(!control->sequence);
  }
  for (std::size_t length = 0; length < 12; ++length) {
    Octets message = mobility(kBindingUpdate, 5);
    message.resize(length);
    if (message.empty()) continue;
    const auto control = viewOf(chain(far, agent, kMobility, {message}));
    REQUIRE(control);
    CHECK(!control->sequence);
  }
  const auto short_ = viewOf(chain(far, agent, kEsp, {Octets(7, 1)}));
  REQUIRE(short_);
  CHECK(short_->kind == Kind::kEsp);
  CHECK(!short_->sequence);
}

TEST_CASE("ICMPv6: errors and what is none; the rest is the rest") {
  const auto kindOf = [](std::uint8_t protocol, const Octets& payload) {
    const auto control = viewOf(chain(far, careOf, protocol, {payload}));
    REQUIRE(control);
    return control->kind;
  };
  CHECK(kindOf(kIcmpv6, {1, 0, 0, 0}) == Kind::kIcmpv6Error);
  CHECK(kindOf(kIcmpv6, {127, 0, 0, 0}) == Kind::kIcmpv6Error);
  CHECK(kindOf(kIcmpv6, {128, 0, 0, 0}) == Kind::kIcmpv6);
  CHECK(kindOf(kIcmpv6, {144, 0, 0, 0}) == Kind::kIcmpv6);
  CHECK(kindOf(kNoNext, {1}) == Kind::kOther);
}

TEST_CASE("RFC 8201 6: an ICMPv6 error that quotes a tunnel packet of ours is told by the flow label") {
  const auto kindOf = [](Octets quoted) {
    Octets message{2, 0, 0, 0, 0, 0, 5, 0};
    put(message, quoted);
    const auto control = viewOf(chain(far, careOf, kIcmpv6, {message}));
    REQUIRE(control);
    return control->kind;
  };
  const Octets inner = packetOf(home, far, 1400);
  const Octets sent = tunnelled(inner, careOf, agent);
  CHECK(kindOf(sent) == Kind::kTunnelError);
  const auto beginning = [&](std::ptrdiff_t length) { return Octets(sent.begin(), sent.begin() + length); };
  for (std::ptrdiff_t length = 0; length < 1280; ++length)
    CHECK((kindOf(beginning(length)) == Kind::kTunnelError) == (length >= 84));
  for (std::size_t bit = 12; bit < 32; ++bit) {
    Octets forged = sent;
    forged[bit / 8] ^= static_cast<std::uint8_t>(0x80 >> (bit % 8));
    CHECK(kindOf(forged) == Kind::kIcmpv6Error);
  }

  // Behind an encapsulation limit and a fragment header, and behind neither of what we never send.
  const auto behind = [&](std::uint8_t first, std::initializer_list<Octets> headers) {
    Octets packet = beginning(kIpv6Header);
    packet[6] = first;
    for (const Octets& header : headers) put(packet, header);
    put(packet, inner);
    return kindOf(packet);
  };
  const auto limit = [](std::uint8_t next) { return Octets{next, 0, 4, 1, 4, 1, 1, 0}; };
  const auto fragment = [](std::uint8_t offset) { return Octets{kIpv6, 0, 0, offset, 1, 2, 3, 4}; };
  CHECK(behind(kDestination, {limit(kIpv6)}) == Kind::kTunnelError);
  CHECK(behind(kFragment, {fragment(1)}) == Kind::kTunnelError);
  CHECK(behind(kDestination, {limit(kFragment), fragment(1)}) == Kind::kTunnelError);
  CHECK(behind(kFragment, {fragment(9)}) == Kind::kIcmpv6Error);
  CHECK(behind(kRouting, {type2Routing(home, kIpv6)}) == Kind::kIcmpv6Error);
  CHECK(behind(kDestination, {limit(kDestination), limit(kDestination), limit(kIpv6)}) == Kind::kIcmpv6Error);
  CHECK(behind(kDestination, {{kIpv6, 255}}) == Kind::kIcmpv6Error);
}

TEST_CASE("a part of a fragmented message is none of it; an atomic fragment is (RFC 8200 4.5, RFC 6946)") {
  const auto kindOf = [](std::uint8_t offset, std::uint8_t more) {
    const auto control = viewOf(chain(far, agent, kFragment, {{kEsp, 0, 0, 0, 0, 0, 0, 0}, esp(1000, 1)}));
    REQUIRE(control);
    Octets packet = chain(far, agent, kFragment, {{kEsp, 0, offset, more, 0, 0, 0, 0}, esp(1000, 1)});
    return viewOf(packet)->kind;
  };
  CHECK(kindOf(0, 0) == Kind::kEsp);
  CHECK(kindOf(0, 1) == Kind::kOther);
  CHECK(kindOf(1, 0) == Kind::kOther);
}

TEST_CASE("cut anywhere, nothing behind the end is read") {
  for (const Octets& whole : {update(careOf, home, 1), espUpdate(careOf, home, 1000, 1),
                              acknowledgement(home, 1), espAcknowledgement(home, 1000, 1)})
    for (std::size_t length = kIpv6Header + 1; length <= whole.size(); ++length) {
      const auto control = viewOf(cut(whole, length));
      CHECK(control.has_value() == (length >= kIpv6Header + 24));
    }
}

TEST_CASE("an option that runs past its header is malformed, whatever follows") {
  for (std::uint8_t length = 17; length != 0; ++length) {
    Octets header = homeAddressOption(home, kEsp);
    header[7] = length;
    CHECK(!viewOf(chain(careOf, agent, kDestination, {header, esp(1, 1), Octets(300, 0)})));
  }
}

TEST_CASE("random octets behind an IPv6 header never read too far") {
  Random random(3);
  for (int round = 0; round < 20000; ++round) {
    Octets packet =
        chain(far, agent, random.oneIn(2) ? kDestination : kRouting, {random.octets(1 + random.below(80))});
    // Plausible lengths and next headers.
    if (packet.size() > kIpv6Header + 1) {
      packet[kIpv6Header] = Octets{kDestination, kRouting, kEsp, kMobility, kFragment}[random.below(5)];
      packet[kIpv6Header + 1] = static_cast<std::uint8_t>(random.below(4));
    }
    viewOf(packet);
  }
}
