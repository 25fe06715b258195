#include "../engine/coalesce.h"

#include <doctest/doctest.h>

#include "../engine/encapsulate.h"
#include "../engine/segment.h"
#include "support.h"

namespace kagemusha::test {
namespace {

// A train as it left the coalescer, gathered into one piece as writev would.
struct Gathered {
  std::uint32_t key;
  Octets bytes;
  Offload offload;
  std::size_t segments;
};

// Hands a batch to the coalescer and gathers what comes out.
std::vector<Gathered> run(Coalescer& coalescer, const std::vector<reference::Arrival>& arrivals) {
  std::vector<Slot> slots;
  for (const reference::Arrival& arrival : arrivals) slots.emplace_back(arrival.bytes, arrival.offload);
  for (std::size_t index = 0; index < slots.size(); ++index)
    REQUIRE(coalescer.add(arrivals[index].key, slots[index].packet));

  std::vector<Gathered> result;
  coalescer.flush([&](std::uint32_t key, const Train& train) {
    Octets bytes = copy(train.head.bytes);
    for (const iovec& part : train.tail)
      put(bytes, ConstBytes(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len));
    REQUIRE(train.length == bytes.size());
    REQUIRE(train.segments == train.tail.size() + 1);
    // The head still has its own headroom.
    std::fill(train.head.bytes.data() - kHeadroom, train.head.bytes.data(), std::uint8_t{0xdd});
    result.push_back({key, bytes, train.offload, train.segments});
  });
  coalescer.flush([](std::uint32_t, const Train&) { FAIL("not empty after flush"); });
  return result;
}

// The packets a train stands for, as the receiver's kernel would take it: each with its checksum computed.
std::vector<Octets> expand(const Gathered& train) {
  if (train.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
    Octets bytes = train.bytes;
    Packet packet{bytes, train.offload};
    REQUIRE(completeChecksum(packet));
    return {bytes};
  }
  REQUIRE(train.offload.gso_type == VIRTIO_NET_HDR_GSO_TCPV6);
  return reference::segment(train.bytes, 40, train.offload.gso_size, reference::addressAt(train.bytes, 8),
                            reference::addressAt(train.bytes, 24));
}

std::vector<std::size_t> segmentsOf(const std::vector<Gathered>& trains) {
  std::vector<std::size_t> counts;
  for (const Gathered& train : trains) counts.push_back(train.segments);
  return counts;
}

// The same number of payload octets each, in sequence.
std::vector<TcpFields> flow(std::size_t count, std::size_t size = 100, TcpFields fields = {}) {
  std::vector<TcpFields> packets;
  for (std::size_t index = 0; index < count; ++index) {
    fields.payload = Octets(size, static_cast<std::uint8_t>(index));
    packets.push_back(fields);
    fields.sequence += static_cast<std::uint32_t>(size);
  }
  return packets;
}

reference::Arrival arrivalOf(const TcpFields& fields, std::uint32_t key = 1) {
  return {key, partial(buildTcp(fields)), needsChecksum(40)};
}

std::vector<reference::Arrival> arrivalsOf(const std::vector<TcpFields>& packets) {
  std::vector<reference::Arrival> arrivals;
  for (const TcpFields& fields : packets) arrivals.push_back(arrivalOf(fields));
  return arrivals;
}

using Counts = std::vector<std::size_t>;

// Coalesces the packets alone in a batch; what comes out must be the same packets in the same order.
Counts countsOf(const std::vector<reference::Arrival>& arrivals) {
  Coalescer coalescer(64);
  const auto trains = run(coalescer, arrivals);
  std::vector<Octets> got;
  for (const Gathered& train : trains)
    for (const Octets& packet : expand(train)) got.push_back(packet);
  std::vector<Octets> expected;
  for (const reference::Arrival& arrival : arrivals) {
    Octets bytes = arrival.bytes;
    Packet packet{bytes, arrival.offload};
    REQUIRE(completeChecksum(packet));
    expected.push_back(bytes);
  }
  CHECK(got == expected);
  CHECK(segmentsOf(trains) == reference::coalesce(arrivals));
  return segmentsOf(trains);
}

Counts countsOf(const std::vector<TcpFields>& packets) { return countsOf(arrivalsOf(packets)); }

}  // namespace

TEST_CASE("a flow in sequence becomes one train, and what it says is exact") {
  auto packets = flow(5);
  packets[4].payload.resize(60);
  packets[4].flags |= tcp::kPsh;
  Coalescer coalescer(32);
  const auto trains = run(coalescer, arrivalsOf(packets));
  REQUIRE(trains.size() == 1);

  TcpFields whole = packets[0];
  whole.flags |= tcp::kPsh;
  for (std::size_t index = 1; index < 5; ++index) put(whole.payload, packets[index].payload);
  CHECK(trains[0].key == 1);
  CHECK(trains[0].bytes == partial(buildTcp(whole)));
  CHECK(trains[0].segments == 5);
  const Offload& offload = trains[0].offload;
  CHECK(offload.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
  CHECK(offload.gso_type == VIRTIO_NET_HDR_GSO_TCPV6);
  CHECK(offload.gso_size == 100);
  CHECK(offload.hdr_len == 60);
  CHECK(offload.csum_start == 40);
  CHECK(offload.csum_offset == 16);
}

TEST_CASE("one packet passes as it is") {
  Coalescer coalescer(32);
  const reference::Arrival arrival = arrivalOf(flow(1)[0]);
  const auto trains = run(coalescer, {arrival});
  REQUIRE(trains.size() == 1);
  CHECK(trains[0].bytes == arrival.bytes);
  CHECK(std::memcmp(&trains[0].offload, &arrival.offload, sizeof(Offload)) == 0);
}

TEST_CASE(
    "packets of other keys, addresses and ports do not mix, and trains come in order of their first packet") {
  auto packets = flow(4);
  const auto interleaved = [&](const auto& change) {
    std::vector<reference::Arrival> arrivals;
    for (const TcpFields& fields : packets) {
      arrivals.push_back(arrivalOf(fields));
      TcpFields other = fields;
      std::uint32_t key = 1;
      change(other, key);
      arrivals.push_back(arrivalOf(other, key));
    }
    Coalescer coalescer(32);
    const auto trains = run(coalescer, arrivals);
    CHECK(segmentsOf(trains) == Counts{4, 4});
    CHECK(trains[0].key == 1);
    CHECK(segmentsOf(trains) == reference::coalesce(arrivals));
  };
  interleaved([](TcpFields&, std::uint32_t& key) { key = 2; });
  interleaved([](TcpFields& fields, std::uint32_t&) { fields.source = addressOf(9); });
  interleaved([](TcpFields& fields, std::uint32_t&) { fields.destination = addressOf(9); });
  interleaved([](TcpFields& fields, std::uint32_t&) { fields.sourcePort ^= 1; });
  interleaved([](TcpFields& fields, std::uint32_t&) { fields.destinationPort ^= 0x100; });
}

TEST_CASE("flows whose places in the table collide are told apart") {
  Random random(13);
  for (int round = 0; round < 300; ++round) {
    std::vector<reference::Arrival> arrivals;
    for (std::uint32_t index = 0; index < 32; ++index) {
      TcpFields fields;
      std::uint32_t key = 1;
      switch (round % 4) {
        case 0:
          fields.sourcePort = static_cast<std::uint16_t>(index * 7 + random.below(7));
          break;
        case 1:
          fields.source.octets[random.below(8)] = static_cast<std::uint8_t>(index);
          break;
        case 2:
          fields.destination.octets[15] = static_cast<std::uint8_t>(index * 7 + random.below(7));
          break;
        default:
          key = index * 1000 + static_cast<std::uint32_t>(random.below(1000));
          break;
      }
      for (const TcpFields& packet : flow(2, 100, fields)) arrivals.push_back(arrivalOf(packet, key));
    }
    // First all first packets, then all second ones.
    std::stable_partition(arrivals.begin(), arrivals.end(), [](const reference::Arrival& arrival) {
      return reference::number(arrival.bytes, 44, 4) == 1000;
    });
    Coalescer coalescer(64);
    REQUIRE(segmentsOf(run(coalescer, arrivals)) == reference::coalesce(arrivals));
  }
}

TEST_CASE("a packet whose headers differ closes the train and may begin the next") {
  const auto changed = [](const auto& change) {
    auto packets = flow(6);
    for (std::size_t index = 3; index < 6; ++index) change(packets[index]);
    return countsOf(packets);
  };
  CHECK(changed([](TcpFields& fields) { fields.trafficClass = 0x20; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.trafficClass = 3; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.flowLabel = 1; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.hopLimit = 63; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.acknowledgement += 1; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.window += 1; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.urgent = 1; }) == Counts{3, 3});
  CHECK(changed([](TcpFields& fields) { fields.options = Octets(12, 1); }) == Counts{3, 3});
  CHECK(changed([](TcpFields&) {}) == Counts{6});
}

TEST_CASE("options are compared to their last octet") {
  TcpFields base;
  base.options = hex("0101080a 00000001 00000002");
  auto packets = flow(4, 100, base);
  CHECK(countsOf(packets) == Counts{4});
  for (std::size_t at = 0; at < 12; ++at) {
    auto other = packets;
    other[2].options[at] ^= 0x80;
    other[3].options[at] ^= 0x80;
    CHECK(countsOf(other) == Counts{2, 2});
  }
}

TEST_CASE("every flag but ACK and PSH keeps a packet alone; so does a missing ACK") {
  for (const int flag : {0x01, 0x02, 0x04, 0x20, 0x40, 0x80}) {
    auto packets = flow(5);
    packets[2].flags |= static_cast<std::uint8_t>(flag);
    CHECK(countsOf(packets) == Counts{2, 1, 2});
    auto first = flow(3);
    first[0].flags |= static_cast<std::uint8_t>(flag);
    CHECK(countsOf(first) == Counts{1, 2});
  }
  for (const int reserved : {1, 2, 4, 8}) {
    auto packets = flow(5);
    packets[2].reserved = static_cast<std::uint8_t>(reserved);
    CHECK(countsOf(packets) == Counts{2, 1, 2});
  }
  auto packets = flow(5);
  packets[2].flags = 0;
  CHECK(countsOf(packets) == Counts{2, 1, 2});
}

TEST_CASE("PSH ends a train") {
  auto packets = flow(5);
  packets[2].flags |= tcp::kPsh;
  CHECK(countsOf(packets) == Counts{3, 2});
  packets = flow(3);
  packets[0].flags |= tcp::kPsh;
  CHECK(countsOf(packets) == Counts{1, 2});
}

TEST_CASE("a shorter payload ends a train, a longer one begins another") {
  auto packets = flow(5);
  packets[2].payload.resize(40);
  packets[3].sequence = packets[2].sequence + 40;
  packets[4].sequence = packets[3].sequence + 100;
  CHECK(countsOf(packets) == Counts{3, 2});
  packets = flow(4);
  packets[2].payload.resize(101);
  packets[3].sequence += 1;
  CHECK(countsOf(packets) == Counts{2, 2});  // the last one, shorter, ends the second
}

TEST_CASE("a packet without payload stays alone and keeps its place") {
  auto packets = flow(5);
  packets[2].payload.clear();
  packets[3].sequence = packets[2].sequence;
  packets[4].sequence = packets[3].sequence + 100;
  CHECK(countsOf(packets) == Counts{2, 1, 2});
}

TEST_CASE("gaps, repetitions and reorderings are passed on as they came") {
  auto packets = flow(6);
  auto gap = packets;
  gap.erase(gap.begin() + 2);
  CHECK(countsOf(gap) == Counts{2, 3});
  auto repeated = packets;
  repeated.insert(repeated.begin() + 3, packets[2]);
  CHECK(countsOf(repeated) == Counts{3, 4});
  auto swapped = packets;
  std::swap(swapped[2], swapped[3]);
  CHECK(countsOf(swapped) == Counts{2, 1, 1, 2});
  auto back = packets;
  std::rotate(back.begin(), back.begin() + 3, back.end());
  CHECK(countsOf(back) == Counts{3, 3});
}

TEST_CASE("sequence numbers wrap") {
  TcpFields fields;
  fields.sequence = 0xffffff38;
  CHECK(countsOf(flow(5, 100, fields)) == Counts{5});
}

TEST_CASE("a train has at most 65535 octets of IPv6 payload") {
  CHECK(countsOf(flow(48, 1388)) == Counts{47, 1});  // 20 + 47 * 1388 = 65256
  CHECK(countsOf(flow(3, 21839)) == Counts{2, 1});   // 65537
  CHECK(countsOf(flow(3, 21838)) == Counts{3});      // 65534
  CHECK(countsOf(flow(4, 16379)) == Counts{3, 1});   // 65536, one too many
  auto exact = flow(6, 13103);                       // 20 + 5 * 13103 = 65535
  CHECK(countsOf(exact) == Counts{5, 1});
}

TEST_CASE("checksums: vouched for, verified, or wrong") {
  const auto packets = flow(4);
  Offload vouched{};
  vouched.flags = VIRTIO_NET_HDR_F_DATA_VALID;
  std::vector<reference::Arrival> arrivals;
  SUBCASE("right and not vouched for") {
    for (const TcpFields& fields : packets) arrivals.push_back({1, complete(buildTcp(fields)), {}});
    CHECK(countsOf(arrivals) == Counts{4});
  }
  SUBCASE("vouched for is not looked at") {
    for (const TcpFields& fields : packets) arrivals.push_back({1, buildTcp(fields), vouched});
    Coalescer coalescer(32);
    CHECK(segmentsOf(run(coalescer, arrivals)) == Counts{4});
  }
  SUBCASE("mixed") {
    arrivals = {{1, complete(buildTcp(packets[0])), {}},
                {1, complete(buildTcp(packets[1])), vouched},
                arrivalOf(packets[2]),
                {1, complete(buildTcp(packets[3])), {}}};
    CHECK(countsOf(arrivals) == Counts{4});
  }
  SUBCASE("a wrong one passes alone, untouched, wherever it stands") {
    for (std::size_t wrong = 0; wrong < 4; ++wrong) {
      for (const std::size_t at : {56, 57, 44, 60, 159, 8, 40}) {
        arrivals.clear();
        for (const TcpFields& fields : packets) arrivals.push_back({1, complete(buildTcp(fields)), {}});
        arrivals[wrong].bytes[at] ^= 0x10;
        CHECK(countsOf(arrivals).size() > 1);
        if (at == 159) {
          const Counts expected[] = {{1, 3}, {1, 1, 2}, {2, 1, 1}, {3, 1}};
          CHECK(countsOf(arrivals) == expected[wrong]);
        }
      }
    }
  }
  SUBCASE("one to be computed elsewhere than TCP says is no train's") {
    for (const TcpFields& fields : packets) arrivals.push_back(arrivalOf(fields));
    arrivals[1].offload.csum_start = 44;
    arrivals[2].offload.csum_offset = 6;
    Coalescer coalescer(32);
    CHECK(segmentsOf(run(coalescer, arrivals)) == Counts{1, 1, 1, 1});
  }
}

TEST_CASE("a train that came as one passes through, after closing its flow's") {
  auto packets = flow(5);
  auto arrivals = arrivalsOf(packets);
  arrivals[2].offload = trainOf(40, 60, 50);
  Coalescer coalescer(32);
  const auto trains = run(coalescer, arrivals);
  CHECK(segmentsOf(trains) == Counts{2, 1, 2});
  CHECK(trains[1].offload.gso_size == 50);
  CHECK(trains[1].bytes == arrivals[2].bytes);
}

TEST_CASE("fragments and packets with extension headers keep their place among their addresses' flows") {
  for (const int header : {kHopByHop, kRouting, kFragment, kDestination}) {
    auto packets = flow(5);
    packets[2].firstHeader = static_cast<std::uint8_t>(header);
    packets[2].extensions = hex("0600 0000 00000000");
    packets[2].payload.clear();
    auto arrivals = arrivalsOf(packets);
    for (std::size_t index = 3; index < 5; ++index) {
      packets[index].sequence -= 100;
      arrivals[index] = arrivalOf(packets[index]);
    }
    arrivals[2].offload = {};
    CHECK(countsOf(arrivals) == Counts{2, 1, 2});
    // Elsewhere they disturb nobody.
    packets[2].source = addressOf(9);
    arrivals[2] = {1, buildTcp(packets[2]), {}};
    Coalescer coalescer(32);
    CHECK(segmentsOf(run(coalescer, arrivals)) == Counts{4, 1});
    arrivals[2].key = 2;
    CHECK(segmentsOf(run(coalescer, arrivals)) == Counts{4, 1});
  }
}

TEST_CASE("other protocols between a flow's packets do not end its train") {
  for (const int protocol : {17, 41, 50, 58, 59, 135}) {
    auto arrivals = arrivalsOf(flow(4));
    Octets other = buildTcp(flow(1)[0]);
    other[6] = static_cast<std::uint8_t>(protocol);
    arrivals.insert(arrivals.begin() + 2, {1, other, {}});
    Coalescer coalescer(32);
    const auto trains = run(coalescer, arrivals);
    CHECK(segmentsOf(trains) == Counts{4, 1});
    CHECK(trains[1].bytes == other);
  }
}

TEST_CASE("the padding of frames does not become payload") {
  auto arrivals = arrivalsOf(flow(3, 6));
  const auto expected = [&] {
    Coalescer coalescer(32);
    return run(coalescer, arrivals)[0].bytes;
  }();
  for (reference::Arrival& arrival : arrivals) arrival.bytes.resize(arrival.bytes.size() + 5, 0xcc);
  Coalescer coalescer(32);
  const auto trains = run(coalescer, arrivals);
  REQUIRE(segmentsOf(trains) == Counts{3});
  CHECK(trains[0].bytes == expected);
}

TEST_CASE("malformed packets pass through untouched") {
  const Octets whole = partial(buildTcp(flow(1)[0]));
  std::vector<Octets> packets;
  for (std::size_t length = 0; length < 62; ++length) {
    Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    packets.push_back(cut);
    if (length <= 40) continue;
    cut[5] = static_cast<std::uint8_t>(length - 40);
    packets.push_back(cut);
  }
  for (const int offset : {0, 4, 15}) {
    Octets other = whole;
    other.resize(62);
    other[5] = 22;
    other[52] = static_cast<std::uint8_t>(offset << 4);
    packets.push_back(other);
  }
  for (const Octets& packet : packets) {
    auto arrivals = arrivalsOf(flow(4));
    arrivals.insert(arrivals.begin() + 2, {1, packet, {}});
    Coalescer coalescer(5);
    bool found = false;
    for (const Gathered& train : run(coalescer, arrivals)) found = found || train.bytes == packet;
    CHECK(found);
  }
}

TEST_CASE("a payload length of 0 is not made into another") {
  auto arrivals = arrivalsOf(flow(3));
  for (reference::Arrival& arrival : arrivals) arrival.bytes[4] = arrival.bytes[5] = 0;
  Coalescer coalescer(32);
  CHECK(segmentsOf(run(coalescer, arrivals)) == Counts{1, 1, 1});
}

TEST_CASE("full means flush first") {
  for (const std::size_t capacity : {0, 1, 2, 7, 32}) {
    Coalescer coalescer(capacity);
    const Slot extra(arrivalOf(flow(1)[0]).bytes, needsChecksum(40));
    for (int round = 0; round < 3; ++round) {
      auto packets = flow(capacity);
      // Once merged, once each alone.
      if (round == 1)
        for (TcpFields& fields : packets) fields.flags |= 1;
      std::vector<Slot> slots;
      for (const TcpFields& fields : packets)
        slots.emplace_back(partial(buildTcp(fields)), needsChecksum(40));
      for (const Slot& slot : slots) REQUIRE(coalescer.add(1, slot.packet));
      CHECK(!coalescer.add(1, extra.packet));
      std::size_t segments = 0;
      coalescer.flush([&](std::uint32_t, const Train& train) { segments += train.segments; });
      CHECK(segments == capacity);
    }
  }
}

TEST_CASE("a batch remembers nothing of the one before") {
  Coalescer coalescer(32);
  const auto packets = arrivalsOf(flow(4));
  CHECK(segmentsOf(run(coalescer, {packets[0], packets[1]})) == Counts{2});
  CHECK(segmentsOf(run(coalescer, {packets[2], packets[3]})) == Counts{2});
}

TEST_CASE("coalescing what segment() cut gives the train back") {
  Random random(10);
  for (int round = 0; round < 600; ++round) {
    const std::size_t size = 1 + random.below(1400);
    TcpFields fields;
    fields.flags = random.oneIn(2) ? tcp::kAck : tcp::kAck | tcp::kPsh;
    fields.options = random.octets(4 * random.below(11));
    fields.payload = random.octets(size * (2 + random.below(40)) + random.below(size));
    const std::size_t headers = 60 + fields.options.size();
    const Octets octets = partial(buildTcp(fields));
    const Slot train(octets, trainOf(40, headers, size));

    Octets scratch(kHeadroom + headers);
    std::vector<reference::Arrival> arrivals;
    const SegmentResult result = segment(train.packet, 1500, scratch, kHeadroom, [&](const Segment& one) {
      Octets packet = copy(one.headers);
      put(packet, one.payload);
      arrivals.push_back({1, packet, one.offload});
    });
    REQUIRE(result == SegmentResult::kDone);
    // Through the tunnel and back, sometimes with the checksums computed on the way.
    for (reference::Arrival& arrival : arrivals) {
      Slot slot(arrival.bytes, arrival.offload);
      encapsulate(slot.packet, {addressOf(5), addressOf(6)});
      if (random.oneIn(2)) REQUIRE(completeChecksum(slot.packet));
      REQUIRE(decapsulate(slot.packet));
      arrival.bytes = copy(slot.packet.bytes);
      arrival.offload = slot.packet.offload;
    }
    Coalescer coalescer(64);
    const auto trains = run(coalescer, arrivals);
    REQUIRE(trains.size() == 1);
    REQUIRE(trains[0].bytes == octets);
    const Offload expected = trainOf(40, headers, size);
    REQUIRE(std::memcmp(&trains[0].offload, &expected, sizeof expected) == 0);
  }
}

TEST_CASE(
    "random flows, interleaved, dropped, reordered and damaged: nothing lost, order kept, merged as the "
    "rules say") {
  Random random(11);
  Coalescer coalescer(64);
  std::size_t merged = 0;
  std::size_t total = 0;
  for (int round = 0; round < 3000; ++round) {
    // A few flows, each with its next packet.
    std::vector<TcpFields> flows(1 + random.below(6));
    std::vector<std::uint32_t> keys;
    for (TcpFields& fields : flows) {
      fields.source = addressOf(static_cast<std::uint8_t>(1 + random.below(2)));
      fields.sourcePort = static_cast<std::uint16_t>(1 + random.below(3));
      fields.sequence = random.oneIn(3) ? 0xfffffe00 : 1;
      fields.options = Octets(4 * random.below(4), 1);
      keys.push_back(static_cast<std::uint32_t>(random.below(2)));
    }
    const std::size_t trouble = random.oneIn(2) ? 12 : 400;
    const std::size_t size = 1 + random.below(random.oneIn(4) ? 4000 : 60);
    std::vector<reference::Arrival> arrivals;
    for (std::size_t count = random.below(65); count > 0; --count) {
      const std::size_t which = random.below(flows.size());
      TcpFields& fields = flows[which];
      TcpFields sent = fields;
      sent.payload = random.octets(size);
      switch (random.below(trouble)) {
        case 0:
          sent.flags |= tcp::kPsh;
          break;
        case 1:
          sent.flags = random.octet();
          break;
        case 2:
          sent.payload.resize(random.below(size + 1));
          break;
        case 3:
          sent.payload.resize(size + 1 + random.below(3));
          break;
        case 4:
          fields.acknowledgement += 1;
          break;
        case 5:
          fields.trafficClass ^= 3;
          break;
        case 6:
          sent.hopLimit -= 1;
          break;
        case 7:
          sent.payload.clear();
          break;
        case 8:
          fields.sequence += 7;
          break;  // a gap behind it
        case 9:
          sent.firstHeader = random.oneIn(2) ? kDestination : kUdp;
          if (sent.firstHeader == kDestination) sent.extensions = hex("0600 0104 00000000");
          break;
        default:
          break;
      }
      fields.sequence += static_cast<std::uint32_t>(sent.payload.size());
      const std::size_t transport = 40 + sent.extensions.size();
      reference::Arrival arrival{keys[which], complete(buildTcp(sent), transport), {}};
      if (random.oneIn(2))
        arrival = {keys[which], partial(buildTcp(sent), transport), needsChecksum(transport)};
      if (arrival.offload.flags == 0 && sent.firstHeader == kTcp && random.oneIn(trouble))
        arrival.bytes[arrival.bytes.size() - 1] ^= 1;  // damaged on its way
      if (random.oneIn(trouble)) continue;             // lost
      const auto at = random.oneIn(trouble)
                          ? arrivals.begin() + static_cast<std::ptrdiff_t>(random.below(arrivals.size() + 1))
                          : arrivals.end();
      arrivals.insert(at, arrival);
    }

    const auto trains = run(coalescer, arrivals);
    REQUIRE(segmentsOf(trains) == reference::coalesce(arrivals));

    // By key, addresses and (TCP's) ports, the very same packets in the very same order.
    using Flow = std::tuple<std::uint32_t, std::uint8_t, Octets>;
    std::map<Flow, std::vector<Octets>> sent;
    std::map<Flow, std::vector<Octets>> got;
    const auto flowOf = [](std::uint32_t key, const Octets& bytes) {
      const std::ptrdiff_t length = bytes[6] == kTcp ? 36 : 32;
      return Flow{key, bytes[6], Octets(bytes.begin() + 8, bytes.begin() + 8 + length)};
    };
    for (const reference::Arrival& arrival : arrivals) {
      Octets bytes = arrival.bytes;
      Packet packet{bytes, arrival.offload};
      REQUIRE(completeChecksum(packet));
      sent[flowOf(arrival.key, bytes)].push_back(bytes);
    }
    for (const Gathered& train : trains) {
      merged += train.segments > 1 ? train.segments : 0;
      for (const Octets& packet : expand(train)) {
        if (train.segments > 1) REQUIRE(reference::checksumIsRight(packet, 40));
        got[flowOf(train.key, packet)].push_back(packet);
      }
    }
    REQUIRE(got == sent);
    total += arrivals.size();
  }
  CHECK(merged * 2 > total);
}

TEST_CASE("random octets are handled and come out as they went in") {
  Random random(12);
  Coalescer coalescer(16);
  for (int round = 0; round < 3000; ++round) {
    std::vector<reference::Arrival> arrivals;
    while (arrivals.size() < 16) {
      Octets octets = random.octets(random.below(120));
      if (octets.size() >= 40) {
        std::fill(octets.begin() + 8, octets.begin() + 40, std::uint8_t{0x20});
        octets[0] = static_cast<std::uint8_t>(0x60 | (octets[0] & 0x0f));
        reference::setNumber(octets, 4, 2, static_cast<std::uint32_t>(octets.size() - 40));
        octets[6] = std::to_array<std::uint8_t>({kTcp, kTcp, kTcp, kFragment})[random.below(4)];
      }
      if (octets.size() >= 60) {
        std::fill(octets.begin() + 40, octets.begin() + 44, std::uint8_t{1});
        octets[52] = static_cast<std::uint8_t>(random.below(8) << 4);
        octets[53] = tcp::kAck;
      }
      Offload offload{};
      offload.flags = random.octet();
      offload.csum_start = random.oneIn(2) ? 40 : 50;
      offload.csum_offset = 16;
      arrivals.push_back({0, octets, offload});
    }
    const auto trains = run(coalescer, arrivals);
    std::size_t octets = 0;
    for (const Gathered& train : trains) octets += train.segments;
    REQUIRE(octets == 16);
  }
}

}  // namespace kagemusha::test
