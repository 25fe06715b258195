#include "fragment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

#include "bytes.h"

namespace kagemusha {
namespace {

constexpr std::size_t kUnit = 8;  // RFC 8200 4.5: offsets count in these

// Where the last of the headers that fill `headers` says what follows it.
std::size_t lastNextHeader(ConstBytes headers) {
  std::size_t field = 6, next = kIpv6Header;
  while (next + kUnit <= headers.size()) {
    field = next;
    next += (headers[next + 1] + std::size_t{1}) * kUnit;
  }
  return field;
}

FragmentIdentifications::Key randomKey() {
  std::random_device device;
  FragmentIdentifications::Key key;
  for (std::uint16_t& word : key) word = static_cast<std::uint16_t>(device());
  return key;
}

// One round of Speck32 (Beaulieu et al., "The SIMON and SPECK Families of Lightweight Block Ciphers", 2013).
void speckRound(std::uint16_t& high, std::uint16_t& low, std::uint16_t key) {
  high = static_cast<std::uint16_t>((std::rotr(high, 7) + low) ^ key);
  low = static_cast<std::uint16_t>(std::rotl(low, 2) ^ high);
}

}  // namespace

Fragments::Fragments(ConstBytes packet, std::size_t perFragment, std::size_t mtu,
                     std::uint32_t identification, Bytes scratch) {
  const std::size_t headers = perFragment + kFragmentHeader;
  if (perFragment < kIpv6Header || perFragment > kMaxPerFragment || perFragment >= packet.size() ||
      packet.size() - kIpv6Header > 0xffff || headers > scratch.size() || mtu < headers + kUnit)
    return;
  // Neither is a fragment longer than its length field can say.
  const std::size_t room = std::min(mtu, kIpv6Header + 0xffff) - headers;
  headers_ = scratch.first(headers);
  rest_ = packet.subspan(perFragment);
  step_ = room / kUnit * kUnit;

  std::memcpy(headers_.data(), packet.data(), perFragment);
  std::uint8_t& nextHeader = headers_[lastNextHeader(headers_.first(perFragment))];
  const Bytes own = headers_.subspan(perFragment);
  own[0] = nextHeader;
  own[1] = 0;
  writeBig32(own, 4, identification);
  nextHeader = kFragment;
}

std::optional<Fragments::Fragment> Fragments::next() {
  if (offset_ == rest_.size()) return std::nullopt;
  const std::size_t left = rest_.size() - offset_;
  const bool last = left <= step_;
  const ConstBytes payload = rest_.subspan(offset_, last ? left : step_);
  writeBig16(headers_, 4, headers_.size() - kIpv6Header + payload.size());
  writeBig16(headers_, headers_.size() - kFragmentHeader + 2, offset_ | (last ? 0 : kFragmentMore));
  offset_ += payload.size();
  return Fragment{headers_, payload};
}

FragmentIdentifications::FragmentIdentifications() : FragmentIdentifications(randomKey()) {}

FragmentIdentifications::FragmentIdentifications(const Key& key) {
  std::uint16_t low = key[3];
  std::array<std::uint16_t, 3> schedule{key[2], key[1], key[0]};
  for (std::uint16_t round = 0; round < kRounds; ++round) {
    roundKeys_[round] = low;
    speckRound(schedule[round % 3], low, round);
  }
}

std::uint32_t FragmentIdentifications::encrypt(std::uint32_t block) const {
  auto high = static_cast<std::uint16_t>(block >> 16), low = static_cast<std::uint16_t>(block);
  for (const std::uint16_t key : roundKeys_) speckRound(high, low, key);
  return (std::uint32_t{high} << 16) | low;
}

}  // namespace kagemusha
