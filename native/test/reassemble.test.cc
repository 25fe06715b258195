#include "../engine/reassemble.h"

#include <doctest/doctest.h>

#include <map>

#include "../engine/region.h"
#include "fragments.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr std::uint8_t kExperiment = 253;  // RFC 3692: no header of it is known
const Address source = addressOf(1), destination = addressOf(0x44);

// A packet whose fragmentable part has `length` octets, no two neighbours of which are alike.
Octets wholeOf(std::size_t length, std::uint8_t protocol = kExperiment, const Address& from = source,
               const Address& to = destination) {
  Octets packet = hex("60012345 0000 00 40");
  packet[6] = protocol;
  put(packet, from.octets);
  put(packet, to.octets);
  for (std::size_t index = 0; index < length; ++index)
    packet.push_back(static_cast<std::uint8_t>(index * 7 + index / 256));
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(length));
  return packet;
}

// A reassembler with a counter block of its own.
struct Bench {
  Region region{4, 4, 4};
  Reassembler reassembler;
  Instant now = kSecond;

  static FragmentKey keyOf(const Octets& octets) {
    const Ipv6View view{octets};
    return {view.source(), view.destination(), viewFragment(view, fragmentPosition(view))->identification};
  }
  // What comes out when the fragment comes, in memory that was given back.
  std::optional<Octets> add(const Octets& octets) {
    const auto whole = keep(octets);
    const auto result = whole ? std::optional(copy(*whole)) : std::nullopt;
    reassembler.release();
    return result;
  }
  std::optional<Bytes> keep(const Octets& octets) {
    const Octets exact(octets);  // in memory of its size
    const auto view = viewIpv6(exact);
    REQUIRE(view);
    const auto fragment = viewFragment(*view, fragmentPosition(*view));
    REQUIRE(fragment);
    return reassembler.add(keyOf(exact), *fragment, region.tunnelCounters(1), now);
  }
  std::uint64_t drops(Drop reason) {
    const auto at = region.layout().tunnelCounters + region.layout().tunnelStride;
    return reinterpret_cast<std::uint64_t*>(
        region.bytes().data() + at)[kTunnelCounterNames.size() + static_cast<std::size_t>(reason)];
  }
  std::uint64_t allDrops() {
    std::uint64_t sum = 0;
    for (std::size_t reason = 0; reason < kDropNames.size(); ++reason) sum += drops(Drop{reason});
    return sum;
  }
};

// Gives the fragments in this order: only the last one may make the packet whole.
void requireWhole(Bench& bench, const std::vector<Octets>& fragments, const std::vector<std::size_t>& order,
                  const Octets& whole) {
  for (std::size_t index = 0; index + 1 < order.size(); ++index) REQUIRE(!bench.add(fragments[order[index]]));
  const auto result = bench.add(fragments[order.back()]);
  REQUIRE(result);
  REQUIRE(*result == whole);
}

// Calls `visit` with every choice of `count` cuts, in blocks, below `limit`.
void everyCut(std::size_t count, std::size_t limit, const auto& visit, std::vector<std::size_t> ends = {}) {
  if (count == 0) return visit(ends);
  const std::size_t first = ends.empty() ? 8 : ends.back() + 8;
  for (std::size_t end = first; end < limit; end += 8) {
    auto more = ends;
    more.push_back(end);
    everyCut(count - 1, limit, visit, more);
  }
}

}  // namespace

TEST_CASE("RFC 8200 4.5: two fragments, cut anywhere, in both orders") {
  Bench bench;
  for (const std::size_t length : {16, 17, 23, 24, 1280, 1320, 9216}) {
    const Octets whole = wholeOf(length);
    for (std::size_t cut = 8; cut < length; cut += 8) {
      const auto fragments = fragmentsOf(whole, {cut});
      requireWhole(bench, fragments, {0, 1}, whole);
      requireWhole(bench, fragments, {1, 0}, whole);
    }
  }
  CHECK(bench.allDrops() == 0);
}

TEST_CASE("RFC 8200 4.5: three to five fragments, cut anywhere, in every order") {
  Bench bench;
  for (const std::size_t length : {64, 61})
    for (const std::size_t count : {2, 3, 4})
      everyCut(count, length, [&](const std::vector<std::size_t>& ends) {
        const Octets whole = wholeOf(length);
        const auto fragments = fragmentsOf(whole, ends);
        std::vector<std::size_t> order;
        for (std::size_t index = 0; index < fragments.size(); ++index) order.push_back(index);
        do requireWhole(bench, fragments, order, whole);
        while (std::next_permutation(order.begin(), order.end()));
      });
  CHECK(bench.allDrops() == 0);
}

TEST_CASE("RFC 8200 4.5: as many fragments as there are blocks, of the longest packet, in any order") {
  Bench bench;
  Random random(1);
  const Octets whole = wholeOf(Reassembler::kMostPayload);
  std::vector<std::size_t> ends, order;
  for (std::size_t end = 8; end < Reassembler::kMostPayload; end += 8) ends.push_back(end);
  const auto fragments = fragmentsOf(whole, ends);
  for (std::size_t index = 0; index < fragments.size(); ++index) order.push_back(index);
  for (int round = 0; round < 10; ++round) {
    std::shuffle(order.begin(), order.end(), random.engine);
    requireWhole(bench, fragments, order, whole);
  }
  CHECK(bench.allDrops() == 0);
}

TEST_CASE("RFC 8200 4.5: headers are the first fragment's, reserved fields are nobody's") {
  const Octets whole = wholeOf(100);
  auto fragments = fragmentsOf(whole, {48});
  fragments[1][40] = kTcp;  // next header
  fragments[1][7] = 3;      // hop limit
  fragments[1][3] = 0x99;   // flow label
  fragments[1][41] = 0xff;  // reserved
  fragments[1][43] |= 6;    // reserved
  fragments[0][41] = 0xff;
  fragments[0][43] |= 6;
  Bench bench;
  requireWhole(bench, fragments, {0, 1}, whole);
  requireWhole(bench, fragments, {1, 0}, whole);
}

TEST_CASE("RFC 8200 4.5: source, destination and identification, all three, tell packets apart") {
  const Octets whole = wholeOf(100);
  const auto fragments = fragmentsOf(whole, {48});
  const auto others = {fragmentsOf(wholeOf(100, kExperiment, addressOf(2)), {48}),
                       fragmentsOf(wholeOf(100, kExperiment, source, addressOf(2)), {48}),
                       fragmentsOf(whole, {48}, {.identification = 0x12345679})};
  Bench bench;
  for (const auto& other : others) {
    CHECK(!bench.add(fragments[0]));
    CHECK(!bench.add(other[1]));
    CHECK(bench.add(fragments[1]) == whole);
    CHECK(bench.add(other[0]));
  }
  CHECK(bench.allDrops() == 0);
}

TEST_CASE("RFC 8200 4.5: 60 seconds from the fragment that came first, not from the latest") {
  const Octets whole = wholeOf(100);
  const auto fragments = fragmentsOf(whole, {16, 48});
  Bench bench;
  CHECK(!bench.add(fragments[2]));
  bench.now += 59 * kSecond;
  CHECK(!bench.add(fragments[0]));
  SUBCASE("in time") {
    bench.now += kSecond;
    CHECK(bench.add(fragments[1]) == whole);
    CHECK(bench.allDrops() == 0);
  }
  SUBCASE("too late: the rest is another packet") {
    bench.now += kSecond + 1;
    CHECK(!bench.add(fragments[1]));
    CHECK(bench.drops(Drop::fragment_timeout) == 2);
    CHECK(!bench.add(fragments[2]));
    CHECK(bench.add(fragments[0]) == whole);
    CHECK(bench.allDrops() == 2);
  }
  SUBCASE("any fragment's arrival tells the time") {
    bench.now += kSecond + 1;
    CHECK(!bench.add(fragmentOf(whole, 0, 16, true, {.identification = 1})));
    CHECK(bench.drops(Drop::fragment_timeout) == 2);
    CHECK(!bench.reassembler.expects(Bench::keyOf(fragments[0])));
  }
}

TEST_CASE("RFC 8200 4.5: a length that is no multiple of 8, with more to come, and nothing at all") {
  const Octets whole = wholeOf(100);
  const auto fragments = fragmentsOf(whole, {48});
  Bench bench;
  CHECK(!bench.add(fragments[0]));
  for (const std::size_t length : {0, 1, 7, 9, 15}) CHECK(!bench.add(fragmentOf(whole, 48, length, true)));
  CHECK(!bench.add(fragmentOf(whole, 48, 0, false)));
  CHECK(bench.drops(Drop::fragment_malformed) == 6);
  // It is that fragment that is dropped.
  CHECK(bench.add(fragments[1]) == whole);
  CHECK(bench.allDrops() == 6);
}

TEST_CASE("RFC 8200 4.5: a packet that would be too long is dropped, and forgotten") {
  constexpr std::size_t kMost = Reassembler::kMostPayload;
  Bench bench;
  const Octets whole = wholeOf(kMost);
  requireWhole(bench, fragmentsOf(whole, {kMost - 8}), {1, 0}, whole);
  const Octets longer = wholeOf(0xffff);
  for (const std::size_t offset : {kMost - 8, kMost, std::size_t{65528}}) {
    for (const std::size_t length : {9, 16, 1000}) {
      const auto end = fragmentOf(whole, offset, 0, false);
      Octets last = end;
      last.resize(end.size() + length);
      reference::setNumber(last, 4, 2, static_cast<std::uint32_t>(last.size() - 40));
      const auto before = bench.drops(Drop::fragment_too_long);
      CHECK(!bench.add(fragmentOf(longer, 0, 1000, true)));
      CHECK(!bench.add(last));
      CHECK(bench.drops(Drop::fragment_too_long) == before + 2);
      CHECK(!bench.reassembler.expects(Bench::keyOf(last)));
      CHECK(!bench.add(last));
      CHECK(bench.drops(Drop::fragment_too_long) == before + 3);
      CHECK(!bench.reassembler.expects(Bench::keyOf(last)));
    }
  }
}

TEST_CASE("RFC 8200 4.5: what lies beyond the end, or a second end, makes it no packet") {
  const Octets whole = wholeOf(100);
  const auto first = fragmentOf(whole, 0, 48, true);
  const auto end = fragmentOf(whole, 64, 16, false);
  const std::vector<std::vector<Octets>> cases{
      {first, end, fragmentOf(whole, 64, 24, true)},  // over the end
      {first, end, fragmentOf(whole, 80, 8, true)},   // behind it
      {first, end, fragmentOf(whole, 80, 9, false)},  // an end behind it
      {first, end, fragmentOf(whole, 48, 9, false)},  // an end before it
      {first, fragmentOf(whole, 80, 8, true), end},   // the end comes after what is behind it
  };
  for (const auto& fragments : cases) {
    Bench bench;
    for (const Octets& fragment : fragments) CHECK(!bench.add(fragment));
    CHECK(!bench.add(fragmentOf(whole, 48, 16, true)));
    CHECK(bench.drops(Drop::fragment_malformed) == 4);
    CHECK(bench.allDrops() == 4);
  }
}

TEST_CASE("RFC 5722 4: one overlap, and all that came and all that comes is dropped without a word") {
  const Octets whole = wholeOf(200);
  struct Range {
    std::size_t begin, end;
  };
  const Range middle{64, 128};
  for (const Range other : {Range{56, 72},    // its beginning
                            Range{120, 136},  // its end
                            Range{72, 80},    // inside
                            Range{64, 72},    // inside, from its beginning
                            Range{120, 128},  // inside, up to its end
                            Range{56, 136},   // covering
                            Range{64, 136},   // covering, from its beginning
                            Range{56, 128},   // covering, up to its end
                            Range{0, 72}, Range{120, 200}}) {
    CAPTURE(other.begin);
    CAPTURE(other.end);
    for (const bool reversed : {false, true}) {
      Bench bench;
      const auto fragment = [&](const Range& range) {
        return fragmentOf(whole, range.begin, range.end - range.begin, range.end < 200);
      };
      CHECK(!bench.add(fragment(reversed ? other : middle)));
      CHECK(!bench.add(fragment(reversed ? middle : other)));
      CHECK(bench.drops(Drop::fragment_overlap) == 2);
      // "including those not yet received"
      for (const auto& later : fragmentsOf(whole, {64, 128})) CHECK(!bench.add(later));
      CHECK(bench.drops(Drop::fragment_overlap) == 5);
      CHECK(bench.allDrops() == 5);
      // Other packets of the pair go on.
      requireWhole(bench, fragmentsOf(whole, {64}, {.identification = 7}), {0, 1}, whole);
      // And after a minute the number may be used again.
      bench.now += 60 * kSecond + 1;
      requireWhole(bench, fragmentsOf(whole, {64, 128}), {2, 0, 1}, whole);
      CHECK(bench.allDrops() == 5);
    }
  }
}

TEST_CASE("RFC 5722 4: an overlap with two fragments at once, their exact sum too") {
  const Octets whole = wholeOf(200);
  for (const auto& [begin, end] : {std::pair{48, 80}, std::pair{32, 96}, std::pair{0, 128}}) {
    Bench bench;
    CHECK(!bench.add(fragmentOf(whole, 0, 64, true)));
    CHECK(!bench.add(fragmentOf(whole, 64, 64, true)));
    CHECK(!bench.add(
        fragmentOf(whole, static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin), true)));
    CHECK(!bench.add(fragmentOf(whole, 128, 72, false)));
    CHECK(bench.drops(Drop::fragment_overlap) == 4);
  }
}

TEST_CASE("RFC 8200 4.5: an exact duplicate is dropped alone") {
  for (const std::size_t length : {200, 197}) {
    const Octets whole = wholeOf(length);
    const auto fragments = fragmentsOf(whole, {64, 128});
    std::vector<std::size_t> order{0, 1, 2};
    do {
      Bench bench;
      for (std::size_t index = 0; index < 2; ++index)
        for (std::size_t again = 0; again <= index; ++again) {
          CHECK(!bench.add(fragments[order[index]]));
          CHECK(!bench.add(fragments[order[again]]));
        }
      CHECK(bench.drops(Drop::fragment_duplicate) == 4);
      CHECK(bench.add(fragments[order[2]]) == whole);
      CHECK(bench.allDrops() == 4);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("RFC 5722 4: the same place with other octets, or another M flag, is an overlap") {
  const Octets whole = wholeOf(200);
  const auto fragments = fragmentsOf(whole, {64, 128});
  Octets changed = fragments[1];
  changed.back() ^= 1;
  const Octets ends = fragmentOf(whole, 64, 64, false), goesOn = fragmentOf(whole, 128, 72, true);
  const std::vector<std::pair<Octets, Octets>> cases{
      {fragments[1], changed}, {fragments[1], ends}, {fragments[2], goesOn}};
  for (const auto& [one, other] : cases) {
    for (const bool reversed : {false, true}) {
      Bench bench;
      CHECK(!bench.add(reversed ? other : one));
      CHECK(!bench.add(reversed ? one : other));
      CHECK(bench.drops(Drop::fragment_overlap) == 2);
    }
  }
}

TEST_CASE("RFC 7112 5: the first fragment holds all headers, the upper-layer header too") {
  struct Least {
    std::uint8_t protocol;
    std::size_t octets;
  };
  for (const Least least : {Least{kIpv6, 40}, Least{kTcp, 20}, Least{kUdp, 8}, Least{kIcmpv6, 4},
                            Least{kEsp, 8}, Least{kMobility, 8}}) {
    const Octets plain = wholeOf(200, least.protocol);
    Octets behindOptions = plain;
    behindOptions[6] = kDestination;
    const Octets options{least.protocol, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    behindOptions.insert(behindOptions.begin() + 40, options.begin(), options.end());
    reference::setNumber(behindOptions, 4, 2, 216);
    for (const auto& [whole, needed] :
         {std::pair{plain, least.octets}, std::pair{behindOptions, least.octets + 16}}) {
      const std::size_t enough = (needed + 7) / 8 * 8;
      for (std::size_t cut = 8; cut < 64; cut += 8) {
        CAPTURE(cut);
        Bench bench;
        const auto fragments = fragmentsOf(whole, {cut});
        if (cut >= enough) {
          requireWhole(bench, fragments, {0, 1}, whole);
          requireWhole(bench, fragments, {1, 0}, whole);
          continue;
        }
        CHECK(!bench.add(fragments[1]));
        CHECK(!bench.add(fragments[0]));
        CHECK(!bench.add(fragments[1]));
        CHECK(bench.drops(Drop::fragment_malformed) == 3);
      }
    }
  }
}

TEST_CASE("a fragment header inside a fragmented packet, directly or behind options") {
  Octets whole = wholeOf(200, kFragment);
  std::copy_n(hex("11000000 00000001").begin(), 8, whole.begin() + 40);
  Octets behindOptions = wholeOf(200, kDestination);
  std::copy_n(hex("2c000104 00000000 11000001 00000001").begin(), 16, behindOptions.begin() + 40);
  for (const Octets& packet : {whole, behindOptions}) {
    Bench bench;
    for (const auto& fragment : fragmentsOf(packet, {64})) CHECK(!bench.add(fragment));
    CHECK(bench.drops(Drop::fragment_malformed) == 2);
  }
}

TEST_CASE("RFC 3168 5.3: a congestion mark of any fragment is the packet's, or the packet is lost") {
  constexpr std::uint8_t kNotEct = 0, kCe = 3;
  const Octets whole = wholeOf(200);
  for (int all = 0; all < 64; ++all) {
    const std::array<std::uint8_t, 3> codepoints{static_cast<std::uint8_t>(all & 3),
                                                 static_cast<std::uint8_t>(all >> 2 & 3),
                                                 static_cast<std::uint8_t>(all >> 4)};
    auto fragments = fragmentsOf(whole, {64, 128});
    bool congested = false, deaf = false;
    for (std::size_t index = 0; index < 3; ++index) {
      fragments[index] = marked(fragments[index], codepoints[index]);
      congested = congested || codepoints[index] == kCe;
      deaf = deaf || codepoints[index] == kNotEct;
    }
    std::vector<std::size_t> order{0, 1, 2};
    do {
      Bench bench;
      CHECK(!bench.add(fragments[order[0]]));
      CHECK(!bench.add(fragments[order[1]]));
      const auto result = bench.add(fragments[order[2]]);
      if (congested && deaf) {
        CHECK(!result);
        CHECK(bench.drops(Drop::fragment_malformed) == 3);
      } else {
        CHECK(result == marked(whole, congested ? kCe : codepoints[0]));
        CHECK(bench.allDrops() == 0);
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("RFC 2473 7.1, 4.1.1: destination options of the tunnel in front of the fragment header") {
  Octets whole = wholeOf(200, kDestination);
  std::copy_n(hex("29000401 04010000").begin(), 8, whole.begin() + 40);
  Bench bench;
  const auto fragments = fragmentsOf(whole, {64}, {.headers = 48});
  CHECK(fragments[0][40] == kFragment);
  requireWhole(bench, fragments, {0, 1}, whole);
  requireWhole(bench, fragments, {1, 0}, whole);
  // As many as fit before the payload.
  whole = wholeOf(200, kDestination);
  whole[40] = kExperiment;
  whole[41] = (Reassembler::kMostHeaders - 40) / 8 - 1;
  requireWhole(bench, fragmentsOf(whole, {64}, {.headers = Reassembler::kMostHeaders}), {1, 0}, whole);
}

TEST_CASE("RFC 2675 3: a fragment that does not say how long it is, and a header that is cut off") {
  Octets fragment = fragmentOf(wholeOf(100), 0, 48, true);
  CHECK(viewFragment(Ipv6View{fragment}, 40));
  fragment[4] = fragment[5] = 0;
  CHECK(!viewFragment(Ipv6View{fragment}, 40));
  for (std::size_t length = 40; length < 48; ++length) {
    const Octets cut(fragment.begin(), fragment.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(!viewFragment(Ipv6View{cut}, 40));
    CHECK(fragmentPosition(Ipv6View{cut}) == 40);
  }
  Octets options = fragment;
  options[6] = kDestination;
  options[40] = kFragment;
  for (std::size_t length = 40; length < 96; ++length) {
    const Octets cut(options.begin(), options.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(fragmentPosition(Ipv6View{cut}) == (length < 48 ? 0 : 48));
  }
  options[41] = 255;
  options[4] = 1;
  CHECK(fragmentPosition(Ipv6View{options}) == 40 + 2048);
  CHECK(!viewFragment(Ipv6View{options}, 40 + 2048));
}

TEST_CASE("whole packets lie where they were put together until their memory is taken back, with headroom") {
  Bench bench;
  std::vector<std::pair<Bytes, Octets>> packets;
  for (std::uint32_t identification = 0; identification < Reassembler::kContexts; ++identification) {
    Octets whole = wholeOf(1320);
    whole.back() = static_cast<std::uint8_t>(identification);
    const auto fragments = fragmentsOf(whole, {1232}, {.identification = identification});
    CHECK(!bench.keep(fragments[0]));
    const auto packet = bench.keep(fragments[1]);
    REQUIRE(packet);
    // Whoever passes it on writes there.
    std::fill_n(packet->data() - kHeadroom, kHeadroom, std::uint8_t{0xee});
    packets.emplace_back(*packet, whole);
  }
  for (const auto& [bytes, whole] : packets) CHECK(copy(bytes) == whole);
  // All memory is on loan.
  const auto fragments = fragmentsOf(wholeOf(1320), {1232});
  CHECK(!bench.keep(fragments[0]));
  CHECK(bench.drops(Drop::fragment_evicted) == 1);
  bench.reassembler.release();
  requireWhole(bench, fragments, {0, 1}, wholeOf(1320));
  CHECK(bench.allDrops() == 1);
}

TEST_CASE("a flood of 100 000 fragments of one pair: eight contexts, and nobody else's") {
  Bench bench;
  Random random(2);
  const Octets theirs = wholeOf(1320), ours = wholeOf(1320, kExperiment, addressOf(7));
  std::uint64_t passed = 0, fragments = 0;
  for (std::uint32_t round = 0; round < 1000; ++round) {
    const auto legitimate = fragmentsOf(ours, {1232}, {.identification = round});
    CHECK(!bench.add(legitimate[0]));
    for (int count = 0; count < 100; ++count, ++fragments) {
      const Cut cut{.identification = static_cast<std::uint32_t>(random.engine())};
      const std::size_t offset = random.below(2) * 1232;
      CHECK(!bench.add(fragmentOf(theirs, offset, offset == 0 ? 1232 : 88, offset == 0, cut)));
    }
    passed += bench.add(legitimate[1]) == ours;
  }
  CHECK(passed == 1000);
  CHECK(fragments == 100000);
  CHECK(bench.allDrops() == bench.drops(Drop::fragment_evicted));
  CHECK(bench.allDrops() == fragments - Reassembler::kPerPair);
}

TEST_CASE("in a flood in its own name a packet lives while fewer than eight others begin") {
  for (std::size_t between = 0; between < 12; ++between) {
    Bench bench;
    for (std::uint32_t count = 0; count < 20; ++count)
      bench.add(fragmentOf(wholeOf(100), 0, 48, true, {.identification = count}));
    const auto fragments = fragmentsOf(wholeOf(100), {48}, {.identification = 1000});
    CHECK(!bench.add(fragments[0]));
    for (std::uint32_t count = 0; count < between; ++count)
      bench.add(fragmentOf(wholeOf(100), 0, 48, true, {.identification = 2000 + count}));
    CHECK(bench.add(fragments[1]).has_value() == (between < Reassembler::kPerPair));
  }
}

TEST_CASE("a flood from everywhere: the oldest of all gives way") {
  Bench bench;
  std::vector<Octets> firsts, lasts;
  for (std::uint32_t count = 0; count < 256; ++count) {
    const Octets whole = wholeOf(100, kExperiment, addressOf(static_cast<std::uint8_t>(count)));
    firsts.push_back(fragmentOf(whole, 0, 48, true));
    lasts.push_back(fragmentOf(whole, 48, 52, false));
  }
  for (const Octets& first : firsts) CHECK(!bench.add(first));
  CHECK(bench.drops(Drop::fragment_evicted) == 256 - Reassembler::kContexts);
  for (std::size_t count = 0; count < 256; ++count)
    CHECK(bench.reassembler.expects(Bench::keyOf(firsts[count])) == (count >= 256 - Reassembler::kContexts));
  for (std::size_t count = 256 - Reassembler::kContexts; count < 256; ++count) CHECK(bench.add(lasts[count]));
}

// --- the same, slow and obvious ---

namespace {

struct SlowPacket {
  FragmentKey key;
  Instant since;
  struct Piece {
    std::size_t begin, end;
    bool more;
    Octets octets, packet;
  };
  std::vector<Piece> pieces;
  std::optional<Drop> lost;
};

struct SlowReassembler {
  std::vector<SlowPacket> packets;  // oldest first
  std::map<Drop, std::uint64_t> drops;

  void forget(std::size_t index, Drop reason) {
    drops[reason] += packets[index].pieces.size();
    packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(index));
  }

  static bool headersAreWhole(const Octets& fragment) {
    std::uint8_t protocol = fragment[40];
    std::size_t at = 48;
    while (protocol == kDestination) {
      if (at + 8 > fragment.size() || at + (fragment[at + 1] + 1u) * 8 > fragment.size()) return false;
      protocol = fragment[at];
      at += (fragment[at + 1] + 1u) * 8;
    }
    if (protocol == kFragment) return false;
    const std::map<std::uint8_t, std::size_t> least{{kIpv6, 40}, {kUdp, 8}, {kTcp, 20}};
    const auto known = least.find(protocol);
    return at + (known == least.end() ? 0 : known->second) <= fragment.size();
  }

  // Fragments stand directly behind the IPv6 header here.
  std::optional<Octets> add(const FragmentKey& key, const Octets& fragment, Instant now) {
    while (!packets.empty() && now - packets[0].since > 60 * kSecond) forget(0, Drop::fragment_timeout);
    const bool more = fragment[43] & 1;
    const std::size_t begin = (fragment[42] * 256u + fragment[43]) / 8 * 8;
    const Octets octets(fragment.begin() + 48, fragment.end());
    const std::size_t end = begin + octets.size();
    if (octets.empty() || (more && octets.size() % 8 != 0))
      return ++drops[Drop::fragment_malformed], std::nullopt;

    std::size_t index = 0;
    while (index < packets.size() && !(packets[index].key == key)) ++index;
    const bool known = index < packets.size();
    if (known && packets[index].lost) return ++drops[*packets[index].lost], std::nullopt;
    if (end > Reassembler::kMostPayload) {
      if (known) forget(index, Drop::fragment_too_long);
      return ++drops[Drop::fragment_too_long], std::nullopt;
    }
    if (!known) {
      std::vector<std::size_t> ofPair;
      for (std::size_t other = 0; other < packets.size(); ++other)
        if (packets[other].key.source == key.source && packets[other].key.destination == key.destination)
          ofPair.push_back(other);
      if (ofPair.size() == 8)
        forget(ofPair[0], Drop::fragment_evicted);
      else if (packets.size() == 128)
        forget(0, Drop::fragment_evicted);
      index = packets.size();
      packets.push_back({key, now, {}, std::nullopt});
    }

    SlowPacket& packet = packets[index];
    const auto lose = [&](Drop reason) {
      drops[reason] += packet.pieces.size() + 1;
      packet.pieces.clear();
      packet.lost = reason;
      return std::nullopt;
    };
    for (const auto& piece : packet.pieces)
      if ((!piece.more && end > piece.end) || (!more && piece.end > end) ||
          (!piece.more && !more && piece.end != end))
        return lose(Drop::fragment_malformed);
    for (const auto& piece : packet.pieces)
      if (piece.begin == begin && piece.end == end && piece.more == more && piece.octets == octets)
        return ++drops[Drop::fragment_duplicate], std::nullopt;
    for (const auto& piece : packet.pieces)
      if (begin < piece.end && piece.begin < end) return lose(Drop::fragment_overlap);
    if (begin == 0 && !headersAreWhole(fragment)) return lose(Drop::fragment_malformed);
    packet.pieces.push_back({begin, end, more, octets, fragment});

    Octets whole;
    bool ended = false, ce = false, notEct = false;
    for (bool found = true; found && !ended;) {
      found = false;
      for (const auto& piece : packet.pieces) {
        if (found || piece.begin + 40 != std::max<std::size_t>(whole.size(), 40)) continue;
        if (piece.begin == 0) {
          whole.assign(piece.packet.begin(), piece.packet.begin() + 40);
          whole[6] = piece.packet[40];
        }
        put(whole, piece.octets);
        found = true;
        ended = !piece.more;
      }
    }
    if (!ended) return std::nullopt;
    for (const auto& piece : packet.pieces) {
      const int codepoint = piece.packet[1] / 16 % 4;
      ce = ce || codepoint == 3;
      notEct = notEct || codepoint == 0;
    }
    if (ce && notEct) return forget(index, Drop::fragment_malformed), std::nullopt;
    if (ce) whole = marked(whole, 3);
    reference::setNumber(whole, 4, 2, static_cast<std::uint32_t>(whole.size() - 40));
    packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(index));
    return whole;
  }
};

}  // namespace

TEST_CASE("whatever fragments come, what comes out and what is counted is what the slow one says") {
  std::map<Drop, std::uint64_t> seen;
  std::size_t passed = 0;
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Bench bench;
    SlowReassembler slow;
    // Few pairs meet their own bound, many the common one; few numbers meet each other.
    const std::size_t pairs = seed % 2 ? 3 : 40, numbers = seed % 4 < 2 ? 4 : 20;
    const std::size_t blocks = seed % 8 < 4 ? 6 : 200;
    const bool careful = seed % 3 != 0;  // mostly what a sender would send
    for (int round = 0; round < 3000; ++round) {
      const auto protocol = std::to_array<std::uint8_t>({kExperiment, kUdp, kIpv6, kTcp})[random.below(4)];
      Octets whole = wholeOf(blocks * 8 - random.below(2) * 3, protocol,
                             addressOf(static_cast<std::uint8_t>(random.below(pairs))));
      if (random.oneIn(4)) whole = marked(whole, static_cast<std::uint8_t>(random.below(4)));
      const Cut cut{.identification = static_cast<std::uint32_t>(random.below(numbers))};
      Octets fragment;
      if (careful && !random.oneIn(20)) {
        const std::size_t parts = 2 + cut.identification % 2;
        std::vector<std::size_t> ends;
        for (std::size_t part = 1; part < parts; ++part) ends.push_back(blocks / parts * part * 8);
        fragment = fragmentsOf(whole, ends, cut)[random.below(parts)];
      } else {
        const std::size_t offset = random.below(blocks) * 8, length = 1 + random.below(3);
        fragment = random.oneIn(10) ? fragmentOf(whole, offset, random.below(40), random.oneIn(2), cut)
                                    : fragmentOf(whole, offset, length * 8, !random.oneIn(4), cut);
        if (random.oneIn(50)) fragment[42] |= 0x80;
        if (fragment.size() > 48 && random.oneIn(10)) fragment[48 + random.below(fragment.size() - 48)] ^= 1;
        if (reference::number(fragment, 42, 2) == 0) continue;  // atomic
      }
      bench.now += random.below(seed % 5 ? kSecond / 10 : 3 * kSecond);
      const auto expected = slow.add(Bench::keyOf(fragment), fragment, bench.now);
      const auto result = bench.add(fragment);
      REQUIRE(result == expected);
      passed += result.has_value();
    }
    for (std::size_t reason = 0; reason < kDropNames.size(); ++reason) {
      CAPTURE(kDropNames[reason]);
      REQUIRE(bench.drops(Drop{reason}) == slow.drops[Drop{reason}]);
      seen[Drop{reason}] += slow.drops[Drop{reason}];
    }
  }
  // All of it was tried.
  CHECK(passed > 1000);
  for (const Drop reason : {Drop::fragment_malformed, Drop::fragment_overlap, Drop::fragment_duplicate,
                            Drop::fragment_too_long, Drop::fragment_timeout, Drop::fragment_evicted})
    CHECK(seen[reason] > 100);
}
