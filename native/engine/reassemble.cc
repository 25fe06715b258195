#include "reassemble.h"

#include <algorithm>
#include <cstring>

#include "bytes.h"

namespace kagemusha {
namespace {

constexpr std::size_t kBlock = 8;  // octets, RFC 8200 4.5
constexpr std::size_t kWords = Reassembler::kBitmaps / 2 / sizeof(std::uint64_t);
constexpr std::size_t kWordBits = 64;
static_assert(kWords * kWordBits * kBlock > Reassembler::kMostPayload);  // one block behind the last one
static_assert(Reassembler::kContexts - 1 <= 0xff);

// RFC 3168 5: the low two bits of the traffic class.
constexpr unsigned kNotEct = 0;
constexpr unsigned kCongestionExperienced = 3;
unsigned congestionOf(ConstBytes header) { return (header[1] >> 4) & 3; }

std::size_t blocks(std::size_t octets) { return (octets + kBlock - 1) / kBlock; }

// Calls `visit(word, mask)` for what bits [first, last) are of each word, until it gives false: whether it
// never did.
template <class Visit>
bool eachWord(std::size_t first, std::size_t last, Visit&& visit) {
  while (first < last) {
    const std::size_t bit = first % kWordBits;
    const std::size_t count = std::min(kWordBits - bit, last - first);
    const std::uint64_t ones = count == kWordBits ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    if (!visit(first / kWordBits, ones << bit)) return false;
    first += count;
  }
  return true;
}

bool anyOf(const std::uint64_t* words, std::size_t first, std::size_t last) {
  return !eachWord(first, last,
                   [&](std::size_t word, std::uint64_t mask) { return (words[word] & mask) == 0; });
}

bool allOf(const std::uint64_t* words, std::size_t first, std::size_t last) {
  return eachWord(first, last,
                  [&](std::size_t word, std::uint64_t mask) { return (words[word] & mask) == mask; });
}

void set(std::uint64_t* words, std::size_t first, std::size_t last) {
  eachWord(first, last, [&](std::size_t word, std::uint64_t mask) { return words[word] |= mask, true; });
}

// What a first fragment must hold of an upper-layer header (RFC 7112 3, 5; of ICMPv6 its first 32 bits).
std::size_t upperHeader(std::uint8_t protocol) {
  switch (protocol) {
    case kIpv6:
      return kIpv6Header;
    case kTcp:
      return 20;
    case kUdp:
    case kEsp:
    case kMobility:
      return 8;
    case kIcmpv6:
      return 4;
    default:
      return 0;
  }
}

bool holdsHeaderChain(ConstBytes first) {
  int fragmentHeaders = 0;
  const auto upper = walkHeaders(Ipv6View{first}, [&](std::uint8_t protocol, ConstBytes) {
    return protocol != kFragment || ++fragmentHeaders == 1;
  });
  return upper && upper->offset + upperHeader(upper->protocol) <= first.size();
}

}  // namespace

std::optional<Fragment> viewFragment(const Ipv6View& packet, std::size_t position) {
  const ConstBytes bytes = packet.bytes;
  if (position + kFragmentHeader > bytes.size() || readBig16(bytes, 4) == 0) return std::nullopt;
  const std::uint16_t place = readBig16(bytes, position + 2);
  return Fragment{.packet = bytes,
                  .position = position,
                  .nextHeader = bytes[position],
                  .identification = readBig32(bytes, position + 4),
                  .offset = place & std::size_t{kFragmentOffset},
                  .more = (place & kFragmentMore) != 0,
                  .payload = bytes.subspan(position + kFragmentHeader)};
}

bool stripAtomic(Packet& packet, const Fragment& fragment) {
  const std::size_t headers = fragment.position;
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
      packet.offload.csum_start < headers + kFragmentHeader)
    return false;
  const std::size_t payload = readBig16(packet.bytes, 4) - kFragmentHeader;
  trimFront(packet, kFragmentHeader);
  std::memmove(packet.bytes.data(), packet.bytes.data() - kFragmentHeader, headers);
  writeBig16(packet.bytes, 4, payload);
  packet.bytes[fragment.nextHeaderField()] = fragment.nextHeader;
  return true;
}

Reassembler::Reassembler()
    : mapping_(kContexts * kContextSize, Mapping::Sharing::kPrivate, Mapping::Extent::kClaimed) {
  // The lowest on top.
  for (std::size_t index = kContexts; index-- > 0;) free_[freeCount_++] = static_cast<Index>(index);
}

std::uint64_t* Reassembler::received(Index index) const {
  return reinterpret_cast<std::uint64_t*>(mapping_.bytes().data() + index * kContextSize);
}

std::uint64_t* Reassembler::starts(Index index) const { return received(index) + kWords; }

Bytes Reassembler::payload(Index index) const {
  return mapping_.bytes().subspan((index + std::size_t{1}) * kContextSize - kMostPayload, kMostPayload);
}

// Its place in order_; kContexts: there is none.
std::size_t Reassembler::find(const FragmentKey& key) const {
  for (std::size_t place = active_; place-- > 0;)
    if (contexts_[order_[place]].key.identification == key.identification &&
        contexts_[order_[place]].key == key)
      return place;
  return kContexts;
}

void Reassembler::expire(Instant now) {
  while (active_ > 0 && now - contexts_[order_[0]].since > kTimeout) close(0, Drop::fragment_timeout);
}

std::optional<Reassembler::Index> Reassembler::open(const FragmentKey& key, const DropCounters& drops,
                                                    Instant now) {
  std::size_t ofPair = 0, oldest = 0;
  for (std::size_t place = active_; place-- > 0;) {
    const FragmentKey& other = contexts_[order_[place]].key;
    if (other.source != key.source || other.destination != key.destination) continue;
    ++ofPair;
    oldest = place;
  }
  if (ofPair >= kPerPair)
    close(oldest, Drop::fragment_evicted);
  else if (freeCount_ == 0 && active_ > 0)
    close(0, Drop::fragment_evicted);
  if (freeCount_ == 0) return std::nullopt;

  const Index index = free_[freeCount_ - 1];
  if (!mapping_.claim(index * kContextSize, kContextSize)) return std::nullopt;
  --freeCount_;
  order_[active_++] = index;
  contexts_[index] = {.key = key, .drops = drops, .lost = std::nullopt, .since = now};
  std::fill_n(received(index), 2 * kWords, 0);
  return index;
}

void Reassembler::close(std::size_t place, Drop reason) {
  const Index index = order_[place];
  lose(contexts_[index], reason);
  std::copy(order_.begin() + static_cast<std::ptrdiff_t>(place) + 1,
            order_.begin() + static_cast<std::ptrdiff_t>(active_),
            order_.begin() + static_cast<std::ptrdiff_t>(place));
  --active_;
  free_[freeCount_++] = index;
}

// Counts what is here of a packet that will not become whole.
void Reassembler::lose(Context& context, Drop reason) {
  if (context.fragments > 0) context.drops->drop(reason, context.fragments);
  context.fragments = 0;
}

std::optional<Bytes> Reassembler::add(const FragmentKey& key, const Fragment& fragment,
                                      const DropCounters& drops, Instant now) {
  expire(now);
  if (fragment.payload.empty() || (fragment.more && fragment.payload.size() % kBlock != 0))
    return drops.drop(Drop::fragment_malformed), std::nullopt;

  std::size_t at = find(key);
  const bool known = at != kContexts;
  if (known && contexts_[order_[at]].lost) return drops.drop(*contexts_[order_[at]].lost), std::nullopt;
  if (fragment.offset + fragment.payload.size() > kMostPayload) {
    if (known) close(at, Drop::fragment_too_long);
    return drops.drop(Drop::fragment_too_long), std::nullopt;
  }
  if (!known) {
    if (!open(key, drops, now)) return drops.drop(Drop::fragment_evicted), std::nullopt;
    at = active_ - 1;
  }

  const Index index = order_[at];
  Context& context = contexts_[index];
  if (const auto refused = place(context, index, fragment)) {
    drops.drop(*refused);
    if (*refused == Drop::fragment_duplicate) return std::nullopt;
    lose(context, *refused);
    context.lost = refused;  // what comes yet is dropped until the time is over
    return std::nullopt;
  }
  if (context.received != context.total) return std::nullopt;

  const auto whole = finish(context, index);
  if (!whole) {
    close(at, Drop::fragment_malformed);
    return std::nullopt;
  }
  context.fragments = 0;
  close(at, Drop::fragment_malformed);  // nothing is left to be lost
  lent_[lentCount_++] = free_[--freeCount_];
  return whole;
}

// Copies the fragment to where it belongs, or says why not.
std::optional<Drop> Reassembler::place(Context& context, Index index, const Fragment& fragment) {
  const std::size_t end = fragment.offset + fragment.payload.size();
  const bool cannotBe = fragment.more ? context.total != 0 && end > context.total
                                      : end < context.end || (context.total != 0 && end != context.total);
  if (cannotBe) return Drop::fragment_malformed;
  const std::size_t first = fragment.offset / kBlock, last = blocks(end);
  if (anyOf(received(index), first, last))
    return isDuplicate(context, index, fragment) ? Drop::fragment_duplicate : Drop::fragment_overlap;
  if (fragment.isFirst() && !holdsHeaderChain(fragment.packet)) return Drop::fragment_malformed;

  set(received(index), first, last);
  set(starts(index), first, first + 1);
  std::memcpy(payload(index).data() + fragment.offset, fragment.payload.data(), fragment.payload.size());
  if (fragment.isFirst()) {
    context.headers = fragment.position;
    std::uint8_t* const headers = payload(index).data() - context.headers;
    std::memcpy(headers, fragment.packet.data(), context.headers);
    headers[fragment.nextHeaderField()] = fragment.nextHeader;
  }
  if (!fragment.more) context.total = end;
  context.end = std::max(context.end, end);
  context.received += fragment.payload.size();
  context.fragments += 1;
  context.congestion |= 1u << congestionOf(fragment.packet);
  return std::nullopt;
}

// Whether this very fragment is here already. Some of its blocks are.
bool Reassembler::isDuplicate(const Context& context, Index index, const Fragment& fragment) const {
  const std::size_t end = fragment.offset + fragment.payload.size();
  const std::size_t first = fragment.offset / kBlock, last = blocks(end);
  const std::uint64_t* const here = received(index);
  const std::uint64_t* const begin = starts(index);
  const bool endsHere = !anyOf(here, last, last + 1) || anyOf(begin, last, last + 1);
  return (end == context.total) == !fragment.more && allOf(here, first, last) &&
         anyOf(begin, first, first + 1) && !anyOf(begin, first + 1, last) && endsHere &&
         std::memcmp(payload(index).data() + fragment.offset, fragment.payload.data(),
                     fragment.payload.size()) == 0;
}

// std::nullopt: RFC 3168 5.3 forbids it.
std::optional<Bytes> Reassembler::finish(const Context& context, Index index) const {
  const bool marked = context.congestion & (1u << kCongestionExperienced);
  if (marked && context.congestion & (1u << kNotEct)) return std::nullopt;
  const Bytes packet{payload(index).data() - context.headers, context.headers + context.total};
  writeBig16(packet, 4, packet.size() - kIpv6Header);
  if (marked) packet[1] |= kCongestionExperienced << 4;
  return packet;
}

void Reassembler::release() {
  while (lentCount_ > 0) free_[freeCount_++] = lent_[--lentCount_];
}

}  // namespace kagemusha
