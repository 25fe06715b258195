// Filters as the kernel runs them, on a socket that needs no rights.
#include "../engine/packet_filter.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include "../engine/unique_fd.h"
#include "support.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

const Mac own{{2, 0, 0, 0, 0, 0x44}}, stranger{{2, 0, 0, 0, 0, 0x45}}, nearGroup{{0x33, 0x33, 0xff, 0, 0, 1}};

class Filtered {
 public:
  explicit Filtered(const PacketFilter& filter) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0);
    in_ = UniqueFd(ends[0]);
    out_ = UniqueFd(ends[1]);
    REQUIRE(attachFilter(out_.get(), filter));
  }
  // Whether a frame comes through, whole.
  bool passes(const Octets& frame) const {
    static_cast<void>(::send(in_.get(), frame.data(), frame.size(), 0));
    Octets got(70000);
    const auto count = ::recv(out_.get(), got.data(), got.size(), 0);
    if (count >= 0) REQUIRE(static_cast<std::size_t>(count) == frame.size());
    return count >= 0;
  }

 private:
  UniqueFd in_, out_;
};

Octets ipv6(const Mac& to, std::uint8_t next, const Octets& payload,
            const Address& destination = addressOf(9), std::uint16_t type = kEtherTypeIpv6) {
  Octets frame;
  put(frame, to.octets);
  put(frame, stranger.octets);
  put16(frame, type);
  put32(frame, 0x60000000u);
  put16(frame, payload.size());
  frame.push_back(next);
  frame.push_back(64);
  put(frame, addressOf(8).octets);
  put(frame, destination.octets);
  put(frame, payload);
  return frame;
}

const Octets report = hex("3a 00 05 02 00 00 01 00  8f 00 00 00 00 00 00 00");  // MLD behind hop-by-hop

}  // namespace

TEST_CASE("a packet uplink sees IPv6 for its MAC, and leaves Neighbor Discovery to others") {
  const Filtered uplink(uplinkFrames(own, std::nullopt));
  CHECK(uplink.passes(ipv6(own, kIpv6, Octets(1400))));
  CHECK(uplink.passes(ipv6(own, kMobility, Octets(16))));
  CHECK(uplink.passes(ipv6(own, kFragment, Octets(1400))));
  CHECK(uplink.passes(ipv6(own, kNoNext, {})));
  CHECK(uplink.passes(ipv6(own, kIpv6, Octets(65000))));
  CHECK_FALSE(uplink.passes(ipv6(stranger, kIpv6, Octets(1400))));
  CHECK_FALSE(uplink.passes(ipv6(nearGroup, kIpv6, Octets(1400))));
  CHECK_FALSE(uplink.passes(ipv6(own, kIpv6, Octets(1400), addressOf(9), 0x0800)));
  CHECK_FALSE(uplink.passes(ipv6(own, kIpv6, Octets(1400), addressOf(9), 0x8100)));
  for (int type = 0; type < 256; ++type) {
    CAPTURE(type);
    CHECK(uplink.passes(ipv6(own, kIcmpv6, {static_cast<std::uint8_t>(type), 0, 0, 0})) ==
          (type < 133 || type > 137));
  }
  CHECK_FALSE(uplink.passes(Octets(10)));
}

TEST_CASE("with the interface's MAC only what is for its addresses comes") {
  const std::vector<Address> some{
      addressOf(0x44), addressOf(0x45),
      Address{{0xfd, 0, 0, 0, 0, 0, 0, 9, 0x80, 0, 0, 1, 0xff, 0xff, 0xff, 0x44}}};
  const Filtered uplink(uplinkFrames(own, some));
  for (const Address& address : some) CHECK(uplink.passes(ipv6(own, kIpv6, Octets(1400), address)));
  for (std::size_t octet = 0; octet < 16; ++octet)
    for (const Address& address : some) {
      Address other = address;
      other.octets[octet] ^= 0x80;
      CHECK_FALSE(uplink.passes(ipv6(own, kIpv6, Octets(1400), other)));
    }
  CHECK_FALSE(uplink.passes(ipv6(stranger, kIpv6, Octets(1400), some[0])));
  CHECK_FALSE(uplink.passes(ipv6(own, kIcmpv6, {135, 0, 0, 0}, some[0])));

  const Filtered nothing(uplinkFrames(own, std::span<const Address>{}));
  CHECK_FALSE(nothing.passes(ipv6(own, kIpv6, Octets(1400), some[0])));

  std::vector<Address> many;
  for (std::uint8_t last = 1; last <= kMaxFiltered; ++last) many.push_back(addressOf(last));
  const Filtered most(uplinkFrames(own, many));
  CHECK(most.passes(ipv6(own, kIpv6, Octets(1400), many.back())));
  CHECK_FALSE(most.passes(ipv6(own, kIpv6, Octets(1400), addressOf(0xff))));
  many.push_back(addressOf(0xfe));
  const Filtered open(uplinkFrames(own, many));
  CHECK(open.passes(ipv6(own, kIpv6, Octets(1400), addressOf(0xff))));
}

TEST_CASE("beside it, a control port sees Neighbor Discovery and MLD for the MAC and for groups") {
  const Filtered port(neighborDiscoveryFor(own));
  for (int type = 0; type < 256; ++type)
    for (const Mac& to : {own, nearGroup, stranger}) {
      CAPTURE(type);
      CHECK(port.passes(ipv6(to, kIcmpv6, {static_cast<std::uint8_t>(type), 0, 0, 0})) ==
            (to != stranger && type >= 133 && type <= 137));
    }
  CHECK(port.passes(ipv6(nearGroup, kHopByHop, report)));
  CHECK_FALSE(port.passes(ipv6(stranger, kHopByHop, report)));
  CHECK_FALSE(port.passes(ipv6(nearGroup, kHopByHop, hex("11 00 05 02 00 00 01 00"))));
  CHECK_FALSE(port.passes(ipv6(own, kIpv6, Octets(100))));
  CHECK_FALSE(port.passes(ipv6(nearGroup, kIcmpv6, {135, 0, 0, 0}, addressOf(9), 0x0800)));
}

TEST_CASE("the other control ports") {
  const Filtered plain(icmpv6Only()), home(icmpv6AndSignaling());
  CHECK(plain.passes(ipv6(own, kIcmpv6, {135, 0, 0, 0})));
  CHECK(plain.passes(ipv6(nearGroup, kHopByHop, report)));
  CHECK_FALSE(plain.passes(ipv6(own, kMobility, Octets(16))));
  CHECK(home.passes(ipv6(own, kIcmpv6, {135, 0, 0, 0})));
  for (const std::uint8_t next : {kMobility, kEsp, kRouting, kDestination})
    CHECK(home.passes(ipv6(stranger, next, Octets(24))));
  CHECK_FALSE(home.passes(ipv6(own, kUdp, Octets(24))));
}
