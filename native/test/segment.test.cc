#include "../engine/segment.h"

#include <doctest/doctest.h>

#include "support.h"

namespace kagemusha::test {
namespace {

constexpr std::size_t kRoom = 40;

struct Cut {
  SegmentResult result;
  std::vector<Octets> packets;  // with their checksums computed
  std::vector<Offload> offloads;
};

// Runs segment() with scratch of exactly the needed size, and completes what it emits.
Cut cut(const Packet& train, std::size_t mtu, std::size_t headers) {
  Octets scratch(kRoom + headers);
  Cut result;
  result.result = segment(train, mtu, scratch, kRoom, [&](const Segment& one) {
    REQUIRE(one.headers.data() == scratch.data() + kRoom);
    // The octets before the headers are the caller's to write.
    std::fill(scratch.begin(), scratch.begin() + kRoom, std::uint8_t{0xdd});
    Octets packet = copy(one.headers);
    put(packet, one.payload);
    Packet whole{packet, one.offload};
    REQUIRE(completeChecksum(whole));
    // Whatever the emitter does to the headers must not show in the next segment.
    std::fill(one.headers.begin(), one.headers.end(), std::uint8_t{0xee});
    result.packets.push_back(packet);
    result.offloads.push_back(one.offload);
  });
  return result;
}

}  // namespace

TEST_CASE("segments equal the reference's, over lengths, GSO sizes, mtus, options and flags") {
  Random random(7);
  int trains = 0;
  for (const std::size_t length : {0, 1, 2, 99, 100, 101, 999, 1000, 1220, 2776, 2777, 9000, 60000}) {
    for (const std::size_t size : {1, 100, 536, 1220, 1388, 1428, 9000, 65535}) {
      if (length / size > 200) continue;
      for (const std::size_t mtu : {1280, 1452, 1460, 1500, 65575, 100000}) {
        for (const std::size_t options : {0, 4, 12, 20, 40}) {
          const std::uint8_t kFlags[] = {tcp::kAck, tcp::kAck | tcp::kPsh, tcp::kAck | tcp::kFin | tcp::kPsh,
                                         tcp::kAck | tcp::kCwr,
                                         tcp::kAck | tcp::kCwr | tcp::kFin | tcp::kPsh | 0x40};
          TcpFields fields;
          fields.flags = kFlags[random.below(5)];
          fields.sequence = random.oneIn(4) ? 0xffffff00 : 5;  // wraps
          fields.options = random.octets(options);
          fields.payload = random.octets(length);
          const std::size_t headers = 60 + options;
          const Octets octets = buildTcp(fields);
          Offload offload = trainOf(40, random.below(65536), size);
          if (fields.flags & tcp::kCwr) offload.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
          if (random.oneIn(4)) offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
          const Slot slot(partial(octets), offload);

          const Cut got = cut(slot.packet, mtu, headers);
          const std::size_t step = std::min({size, mtu - headers, 65575 - headers});
          const auto expected = reference::segment(octets, 40, step, fields.source, fields.destination);
          REQUIRE(got.result == SegmentResult::kDone);
          REQUIRE(got.packets == expected);
          Octets payload;
          for (const Octets& packet : got.packets) {
            REQUIRE(packet.size() <= std::min(mtu, headers + size));
            REQUIRE(reference::checksumIsRight(packet, 40));
            payload.insert(payload.end(), packet.begin() + static_cast<std::ptrdiff_t>(headers),
                           packet.end());
          }
          REQUIRE(payload == fields.payload);
          for (const Offload& one : got.offloads) {
            REQUIRE(one.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
            REQUIRE(one.gso_type == VIRTIO_NET_HDR_GSO_NONE);
            REQUIRE(one.gso_size == 0);
            REQUIRE(one.csum_start == 40);
            REQUIRE(one.csum_offset == 16);
            REQUIRE(one.hdr_len == headers);
          }
          ++trains;
        }
      }
    }
  }
  CHECK(trains > 2000);
}

TEST_CASE("every payload length around a segment's border") {
  Random random(8);
  for (std::size_t length = 0; length <= 450; ++length) {
    TcpFields fields;
    fields.payload = random.octets(length);
    fields.flags = tcp::kAck | tcp::kPsh;
    const Octets octets = buildTcp(fields);
    const Slot slot(partial(octets), trainOf(40, 60, 100));
    const Cut got = cut(slot.packet, 1460, 60);
    REQUIRE(got.packets == reference::segment(octets, 40, 100, fields.source, fields.destination));
    REQUIRE(got.packets.size() == std::max<std::size_t>(1, (length + 99) / 100));
  }
}

TEST_CASE(
    "RFC 8200 8.1, RFC 6275 6.3: the final addresses stay in the pseudo-header behind extension headers") {
  const Address home = addressOf(0x77);
  TcpFields fields;
  fields.payload = Octets(5000, 0x5a);
  SUBCASE("type 2 routing header: the destination") {
    fields.firstHeader = kRouting;
    fields.extensions = hex("06020201 00000000");
    put(fields.extensions, home.octets);
    Octets octets = buildTcp(fields);
    reference::storePseudoSum(octets, 64, fields.source, home);
    const Slot slot(octets, trainOf(64, 84, 1300));
    const Cut got = cut(slot.packet, 1460, 84);
    CHECK(got.packets == reference::segment(octets, 64, 1300, fields.source, home));
    CHECK(got.offloads[0].csum_start == 64);
  }
  SUBCASE("home address option: the source") {
    fields.firstHeader = kDestination;
    fields.extensions = hex("06020102 0000c910");
    put(fields.extensions, home.octets);
    Octets octets = buildTcp(fields);
    reference::storePseudoSum(octets, 64, home, fields.destination);
    const Slot slot(octets, trainOf(64, 84, 1300));
    CHECK(cut(slot.packet, 1460, 84).packets ==
          reference::segment(octets, 64, 1300, home, fields.destination));
  }
  SUBCASE("padding changes nothing, whoever vouched") {
    fields.firstHeader = kDestination;
    fields.extensions = hex("06000104 00000000");
    const Octets octets = buildTcp(fields);
    const auto expected = reference::segment(octets, 48, 1300, fields.source, fields.destination);
    const Slot asked(partial(octets, 48), trainOf(48, 68, 1300));
    CHECK(cut(asked.packet, 1460, 68).packets == expected);
    Offload offload = trainOf(48, 68, 1300);
    offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    const Slot vouched(octets, offload);
    CHECK(cut(vouched.packet, 1460, 68).packets == expected);
  }
}

TEST_CASE("a frame's padding does not become payload") {
  TcpFields fields;
  fields.payload = Octets(150, 0x33);
  Octets octets = partial(buildTcp(fields));
  octets.resize(octets.size() + 20, 0x99);
  const Slot slot(octets, trainOf(40, 60, 100));
  CHECK(cut(slot.packet, 1460, 60).packets ==
        reference::segment(buildTcp(fields), 40, 100, fields.source, fields.destination));
}

TEST_CASE("what cannot be cut is named") {
  TcpFields fields;
  fields.payload = Octets(3000, 1);
  const Octets octets = partial(buildTcp(fields));
  const auto resultOf = [](const Octets& packet, const Offload& offload, std::size_t mtu = 1460,
                           std::size_t room = 512) {
    const Slot slot(packet, offload);
    const Cut got = cut(slot.packet, mtu, room);
    CHECK(got.packets.empty() == (got.result != SegmentResult::kDone));
    return got.result;
  };
  const Offload train = trainOf(40, 60, 1400);

  CHECK(resultOf(octets, train) == SegmentResult::kDone);
  SUBCASE("another gso_type") {
    for (const int type :
         {VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP, 5, 0x24}) {
      Offload other = train;
      other.gso_type = static_cast<std::uint8_t>(type);
      CHECK(resultOf(octets, other) == SegmentResult::kNotTcp);
    }
  }
  SUBCASE("another protocol, or a fragment") {
    Octets other = octets;
    other[6] = kUdp;
    CHECK(resultOf(other, train) == SegmentResult::kNotTcp);
    fields.firstHeader = kFragment;
    fields.extensions = hex("0600 0001 12345678");
    CHECK(resultOf(buildTcp(fields), train) == SegmentResult::kNotTcp);
  }
  SUBCASE("a GSO size of 0") { CHECK(resultOf(octets, trainOf(40, 60, 0)) == SegmentResult::kMalformed); }
  SUBCASE("headers outside the packet") {
    for (const int offset : {0, 1, 4}) {
      Octets other = octets;
      other[52] = static_cast<std::uint8_t>(offset << 4);
      CHECK(resultOf(other, train) == SegmentResult::kMalformed);
    }
    fields.payload.clear();
    const Octets bare = buildTcp(fields);
    CHECK(resultOf(bare, train) == SegmentResult::kDone);
    for (std::size_t length = 0; length < bare.size(); ++length) {
      Octets shorter(bare.begin(), bare.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK(resultOf(shorter, train) == SegmentResult::kMalformed);
      if (length > 40) {
        shorter[5] = static_cast<std::uint8_t>(length - 40);
        CHECK(resultOf(shorter, train) == SegmentResult::kMalformed);
      }
    }
  }
  SUBCASE("no room") {
    CHECK(resultOf(octets, train, 59) == SegmentResult::kNoRoom);
    CHECK(resultOf(octets, train, 60) == SegmentResult::kNoRoom);
    CHECK(resultOf(octets, trainOf(40, 60, 1400), 110) == SegmentResult::kDone);
    CHECK(resultOf(octets, train, 1460, 59) == SegmentResult::kNoRoom);
    CHECK(resultOf(octets, train, 1460, 60) == SegmentResult::kDone);
    fields.payload.clear();
    CHECK(resultOf(buildTcp(fields), train, 60) == SegmentResult::kDone);
    fields.firstHeader = kDestination;
    fields.extensions = Octets(456, 0);  // 40 + 456 + 20 > 512
    fields.extensions[0] = kTcp;
    fields.extensions[1] = 56;
    CHECK(resultOf(buildTcp(fields), train, 1460, 600) == SegmentResult::kNoRoom);
    const Slot slot(octets, train);
    Octets scratch(10);
    CHECK(segment(slot.packet, 1460, scratch, 11, [](const Segment&) {}) == SegmentResult::kNoRoom);
  }
}

TEST_CASE("random octets are handled") {
  Random random(9);
  int done = 0;
  for (int round = 0; round < 20000; ++round) {
    Octets octets = random.octets(random.below(300));
    if (octets.size() >= 40) {
      octets[0] = static_cast<std::uint8_t>(0x60 | (octets[0] & 0x0f));
      reference::setNumber(octets, 4, 2, static_cast<std::uint32_t>(random.below(octets.size() - 39)));
      octets[6] = std::to_array<std::uint8_t>({kTcp, kDestination, kFragment, kRouting})[random.below(4)];
      if (octets.size() > 64) octets[41] = static_cast<std::uint8_t>(random.below(3));
      if (octets.size() > 64 && random.oneIn(2)) octets[40] = kTcp;
    }
    Offload offload = trainOf(random.below(300), random.below(300), random.below(200));
    offload.flags = random.octet();
    const Slot slot(octets, offload);
    done += cut(slot.packet, random.below(1500), 512).result == SegmentResult::kDone;
  }
  CHECK(done > 100);
}

}  // namespace kagemusha::test
