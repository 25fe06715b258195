#include "../engine/flow_label.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "support.h"

namespace kagemusha::test {
namespace {

// Digits of pi.
constexpr FlowKey kKey{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
                       0x452821e638d01377, 0xbe5466cf34e90c6c, 0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917};

Octets udp(std::uint16_t sourcePort, std::uint32_t label, std::size_t length = 100) {
  TcpFields fields{.sourcePort = sourcePort, .flowLabel = label};
  fields.firstHeader = kUdp;
  fields.payload = Octets(length, 1);
  return buildTcp(fields);
}

// An ICMPv6 packet.
Octets icmp(const Address& source, std::uint32_t label) {
  TcpFields fields{.source = source, .flowLabel = label};
  fields.firstHeader = kIcmpv6;
  return buildTcp(fields);
}

// A fragment of a UDP packet.
Octets fragmentOf(std::uint16_t position, std::uint32_t label, std::uint16_t sourcePort) {
  TcpFields fields{.sourcePort = sourcePort, .flowLabel = label};
  fields.firstHeader = kFragment;
  fields.extensions = {
      kUdp, 0, static_cast<std::uint8_t>(position >> 8), static_cast<std::uint8_t>(position), 0, 0, 0, 9};
  fields.payload = Octets(64, 2);
  return buildTcp(fields);
}

}  // namespace

TEST_CASE("RFC 6437 2: a label has 20 bits and is never 0") {
  Random random(1);
  for (int round = 0; round < 200'000; ++round) {
    FlowKey key;
    for (auto& word : key) word = (std::uint64_t{random.engine()} << 32) | random.engine();
    const std::uint32_t label = flowLabel(udp(static_cast<std::uint16_t>(round), 0, 0), key);
    REQUIRE(label > 0);
    REQUIRE(label < 1u << 20);
  }
}

TEST_CASE("RFC 6438 3: every packet of a flow has one label, whatever else it says") {
  TcpFields fields;
  fields.payload = Octets(1000, 1);
  const std::uint32_t label = flowLabel(buildTcp(fields), kKey);
  fields.sequence += 77;
  fields.flags = 0x18;
  fields.window = 9;
  fields.hopLimit = 3;
  fields.trafficClass = 0xff;
  fields.flowLabel = 0x54321;
  fields.payload = Octets(10, 9);
  CHECK(flowLabel(buildTcp(fields), kKey) == label);
  // Behind extension headers too: an atomic fragment (RFC 6946) is none.
  fields.extensions = hex("3c00 0104 00000000 2c00 0104 00000000 0600 0000 00000001");
  fields.firstHeader = kHopByHop;
  CHECK(flowLabel(buildTcp(fields), kKey) == label);
}

TEST_CASE("RFC 6438 3: other addresses, ports, protocols, keys: other labels") {
  const std::uint32_t label = flowLabel(udp(5000, 0), kKey);
  CHECK(flowLabel(udp(5001, 0), kKey) != label);
  TcpFields fields{.sourcePort = 5000};
  CHECK(flowLabel(buildTcp(fields), kKey) != label);
  const std::uint32_t tcp = flowLabel(buildTcp(fields), kKey);
  fields.destinationPort ^= 1;
  CHECK(flowLabel(buildTcp(fields), kKey) != tcp);
  fields.destinationPort ^= 1;
  for (const bool source : {true, false}) {
    for (std::size_t octet = 0; octet < 16; ++octet) {
      Address& address = source ? fields.source : fields.destination;
      address.octets[octet] ^= 1;
      CHECK(flowLabel(buildTcp(fields), kKey) != tcp);
      address.octets[octet] ^= 1;
    }
  }
  std::swap(fields.source, fields.destination);
  CHECK(flowLabel(buildTcp(fields), kKey) != tcp);
  FlowKey other = kKey;
  other[7] ^= 1;
  CHECK(flowLabel(udp(5000, 0), other) != label);
}

TEST_CASE("RFC 6437 2: without ports the 3-tuple, and for fragments, the first one too") {
  CHECK(flowLabel(icmp(addressOf(1), 5), kKey) == flowLabel(icmp(addressOf(1), 5), kKey));
  CHECK(flowLabel(icmp(addressOf(1), 5), kKey) != flowLabel(icmp(addressOf(1), 6), kKey));
  CHECK(flowLabel(icmp(addressOf(1), 5), kKey) != flowLabel(icmp(addressOf(3), 5), kKey));

  const std::uint32_t first = flowLabel(fragmentOf(0x0001, 5, 5000), kKey);
  CHECK(flowLabel(fragmentOf(0x0049, 5, 5000), kKey) == first);
  CHECK(flowLabel(fragmentOf(0x0090, 5, 6000), kKey) == first);  // these are no ports
  CHECK(flowLabel(fragmentOf(0x0090, 6, 5000), kKey) != first);
  CHECK(first != flowLabel(udp(5000, 5), kKey));
}

TEST_CASE("RFC 4443 2.4 c: a packet that an error quotes in part has the label that it had") {
  const Octets whole = udp(5000, 0, 3000);
  const std::uint32_t label = flowLabel(whole, kKey);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    if (length >= 44)
      REQUIRE(flowLabel(cut, kKey) == label);
    else
      REQUIRE(flowLabel(cut, kKey) != 0);
  }
}

TEST_CASE("labels spread flows that differ in little") {
  std::map<std::uint32_t, int> buckets;  // by the low four bits, as a router with 16 ways may take them
  std::set<std::uint32_t> labels;
  constexpr int kFlows = 16'000;
  for (int port = 0; port < kFlows; ++port) {
    const std::uint32_t label = flowLabel(udp(static_cast<std::uint16_t>(1024 + port), 0, 0), kKey);
    labels.insert(label);
    ++buckets[label & 15];
  }
  for (const auto& [bucket, count] : buckets) {
    CAPTURE(bucket);
    CHECK(count > 850);
    CHECK(count < 1150);
  }
  // Of 2^20 labels, 16,000 drawn at random name about 15,880 different ones.
  CHECK(labels.size() > 15'750);
}

TEST_CASE("random octets have a label") {
  Random random(12);
  for (int round = 0; round < 30'000; ++round) {
    Octets octets = random.octets(random.below(120));
    if (octets.size() > 6 && random.oneIn(2))
      octets[6] =
          std::to_array<std::uint8_t>({kHopByHop, kRouting, kFragment, kDestination})[random.below(4)];
    const std::uint32_t label = flowLabel(octets);
    REQUIRE(label > 0);
    REQUIRE(label < 1u << 20);
  }
}

TEST_CASE("the key of this process is a random one") {
  std::set<std::uint64_t> words(kFlowKey.begin(), kFlowKey.end());
  CHECK(words.size() == kFlowKey.size());
  CHECK(!words.contains(0));
}

}  // namespace kagemusha::test
