#include "coalesce.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "bytes.h"
#include "checksum.h"
#include "tcp.h"

namespace kagemusha {
namespace {

constexpr std::uint32_t kNone = 0xffffffff;
constexpr std::size_t kTcpPayload = kIpv6Header + tcp::kHeader;

template <class Word>
std::uint64_t load(ConstBytes packet, std::size_t offset) {
  Word word;
  std::memcpy(&word, packet.data() + offset, sizeof word);
  return word;
}

// The bits in which two packets differ at `offset`: a few of these in place of a memcmp call for each field.
template <class Word>
std::uint64_t difference(ConstBytes one, ConstBytes other, std::size_t offset) {
  return load<Word>(one, offset) ^ load<Word>(other, offset);
}

bool sameAddresses(ConstBytes one, ConstBytes other) {
  return (difference<std::uint64_t>(one, other, 8) | difference<std::uint64_t>(one, other, 16) |
          difference<std::uint64_t>(one, other, 24) | difference<std::uint64_t>(one, other, 32)) == 0;
}

bool samePorts(ConstBytes one, ConstBytes other) {
  return difference<std::uint32_t>(one, other, kIpv6Header) == 0;
}

// Whether two segments of one flow have the same IPv6 header but for the payload length, and the same TCP
// header of `headers` - 40 octets but for sequence number, flags and checksum.
bool sameHeaders(ConstBytes one, ConstBytes other, std::size_t headers) {
  const std::uint64_t differing =
      difference<std::uint32_t>(one, other, 0) |  // version, traffic class, flow label
      difference<std::uint16_t>(one, other, 6) |  // next header, hop limit
      difference<std::uint32_t>(one, other, kIpv6Header + tcp::kAcknowledgement) |
      difference<std::uint16_t>(one, other, kIpv6Header + tcp::kWindow) |
      difference<std::uint16_t>(one, other, kIpv6Header + tcp::kUrgentPointer);
  const std::size_t options = headers - kTcpPayload;
  return differing == 0 &&
         (options == 0 || std::memcmp(one.data() + kTcpPayload, other.data() + kTcpPayload, options) == 0);
}

bool isExtensionHeader(std::uint8_t protocol) {
  return protocol == kHopByHop || protocol == kRouting || protocol == kFragment || protocol == kDestination;
}

std::uint64_t hashFlow(std::uint32_t key, ConstBytes packet) {
  const auto word = [packet](std::size_t offset) { return load<std::uint64_t>(packet, offset); };
  const std::uint64_t source = mix(word(8) ^ kHashKey[0], word(16) ^ kHashKey[1]);
  const std::uint64_t destination = mix(word(24) ^ kHashKey[1], word(32) ^ kHashKey[2]);
  const std::uint64_t ports = load<std::uint32_t>(packet, kIpv6Header) | (std::uint64_t{key} << 32);
  return mix(source ^ ports, destination ^ kHashKey[0]);
}

bool checksumIsRight(ConstBytes packet) {
  const Ipv6View view{packet};
  const ConstBytes segment = packet.subspan(kIpv6Header);
  const auto length = static_cast<std::uint32_t>(segment.size());
  return checksumAdd(segment, pseudoHeaderSum(view.source(), view.destination(), length, kTcp)) == 0xffff;
}

}  // namespace

// A TCP segment directly behind the IPv6 header.
struct Coalescer::Candidate {
  Packet packet;  // without the padding of its frame
  std::size_t headers;
  bool mergeable;  // may begin or join a train, as far as its own headers say

  std::size_t payload() const { return packet.bytes.size() - headers; }
  std::uint32_t sequence() const { return readBig32(packet.bytes, kIpv6Header + tcp::kSequence); }
  bool push() const { return packet.bytes[kIpv6Header + tcp::kFlags] & tcp::kPsh; }

  static std::optional<Candidate> read(const Packet& packet, const Ipv6View& view);
};

std::optional<Coalescer::Candidate> Coalescer::Candidate::read(const Packet& packet, const Ipv6View& view) {
  if (view.nextHeader() != kTcp || view.bytes.size() < kTcpPayload) return std::nullopt;
  const ConstBytes segment = view.bytes.subspan(kIpv6Header);
  const std::size_t header = static_cast<std::size_t>(segment[tcp::kDataOffset] >> 4) * 4;
  if (header < tcp::kHeader || header > segment.size()) return std::nullopt;

  const bool onlyAck =
      (segment[tcp::kDataOffset] & 0x0f) == 0 && (segment[tcp::kFlags] & ~tcp::kPsh) == tcp::kAck;
  const Offload& offload = packet.offload;
  const bool usual = !(offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
                     (offload.csum_start == kIpv6Header && offload.csum_offset == tcp::kChecksum);
  const bool mergeable = onlyAck && usual && readBig16(view.bytes, 4) != 0 && header < segment.size() &&
                         offload.gso_type == VIRTIO_NET_HDR_GSO_NONE;
  return Candidate{{packet.bytes.first(view.bytes.size()), offload}, kIpv6Header + header, mergeable};
}

Coalescer::Coalescer(std::size_t maxPackets)
    : links_(maxPackets), slots_(std::bit_ceil(2 * maxPackets + 1), kNone), gathered_(maxPackets) {
  held_.reserve(maxPackets);
}

Coalescer::~Coalescer() = default;

bool Coalescer::add(std::uint32_t key, const Packet& packet) {
  if (packets_ == links_.size()) return false;
  const auto view = viewIpv6(packet.bytes);
  const auto candidate = view ? Candidate::read(packet, *view) : std::nullopt;
  if (!candidate) {
    // Which flow a fragment or a packet with extension headers belongs to is not looked up: it may be any of
    // this pair's.
    if (view && (isExtensionHeader(view->nextHeader()) || view->nextHeader() == kTcp))
      closeBetween(key, view->bytes);
    hold(key, packet);
    return true;
  }

  std::uint32_t& slot = slotOf(key, candidate->packet.bytes);
  Trust trust = Trust::kUnknown;
  if (slot != kNone && held_[slot].open) {
    Held& train = held_[slot];
    if (candidate->mergeable && join(train, *candidate, trust)) return true;
    train.open = false;
  }
  if (!candidate->mergeable || trust == Trust::kBad) {
    hold(key, packet);
    return true;
  }
  slot = static_cast<std::uint32_t>(held_.size());
  Held& train = hold(key, candidate->packet);
  train.headers = candidate->headers;
  train.segmentSize = candidate->payload();
  train.nextSequence = candidate->sequence() + static_cast<std::uint32_t>(train.segmentSize);
  train.trust = trust;
  train.open = !candidate->push();
  return true;
}

// The flow's slot: kNone in it when the flow is new. Half of the slots at least are free, so the search ends.
std::uint32_t& Coalescer::slotOf(std::uint32_t key, ConstBytes packet) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hashFlow(key, packet) & mask;; at = (at + 1) & mask) {
    std::uint32_t& slot = slots_[at];
    if (slot == kNone) return slot;
    const Held& held = held_[slot];
    if (held.key == key && samePorts(held.head.bytes, packet) && sameAddresses(held.head.bytes, packet))
      return slot;
  }
}

Coalescer::Held& Coalescer::hold(std::uint32_t key, const Packet& packet) {
  ++packets_;
  return held_.emplace_back(Held{.key = key,
                                 .head = packet,
                                 .length = packet.bytes.size(),
                                 .segments = 1,
                                 .headers = 0,
                                 .segmentSize = 0,
                                 .nextSequence = 0,
                                 .firstLink = kNone,
                                 .lastLink = kNone,
                                 .trust = Trust::kUnknown,
                                 .open = false,
                                 .push = false});
}

void Coalescer::closeBetween(std::uint32_t key, ConstBytes packet) {
  for (Held& held : held_)
    if (held.open && held.key == key && sameAddresses(held.head.bytes, packet)) held.open = false;
}

// Whether the candidate became the train's next segment. `trust` tells what was learnt of its checksum.
bool Coalescer::join(Held& train, const Candidate& candidate, Trust& trust) {
  const ConstBytes head = train.head.bytes;
  const ConstBytes next = candidate.packet.bytes;
  const std::size_t payload = candidate.payload();
  if (candidate.headers != train.headers || candidate.sequence() != train.nextSequence ||
      payload > train.segmentSize || train.length + payload > kIpv6Header + 0xffff)
    return false;
  // The flags are ACK in both, PSH in the candidate at most.
  if (!sameHeaders(head, next, train.headers)) return false;

  const auto examine = [](const Packet& packet) {
    constexpr std::uint8_t kVouched = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
    return (packet.offload.flags & kVouched) || checksumIsRight(packet.bytes) ? Trust::kGood : Trust::kBad;
  };
  if (train.trust == Trust::kUnknown) train.trust = examine(train.head);
  if (train.trust == Trust::kBad) return false;
  trust = examine(candidate.packet);
  if (trust == Trust::kBad) return false;

  const auto link = static_cast<std::uint32_t>(packets_++);
  links_[link] = {{candidate.packet.bytes.data() + candidate.headers, payload}, kNone};
  (train.lastLink == kNone ? train.firstLink : links_[train.lastLink].next) = link;
  train.lastLink = link;
  train.length += payload;
  train.segments += 1;
  train.nextSequence += static_cast<std::uint32_t>(payload);
  train.push = candidate.push();
  train.open = !train.push && payload == train.segmentSize;
  return true;
}

Train Coalescer::finish(const Held& held) {
  Train train{held.head, {}, held.length, held.segments, held.head.offload};
  if (held.segments == 1) return train;

  std::size_t count = 0;
  for (std::uint32_t link = held.firstLink; link != kNone; link = links_[link].next)
    gathered_[count++] = links_[link].payload;
  train.tail = {gathered_.data(), count};

  const Bytes bytes = train.head.bytes;
  const Ipv6View view{bytes};
  const std::size_t length = held.length - kIpv6Header;
  writeBig16(bytes, 4, length);
  if (held.push) bytes[kIpv6Header + tcp::kFlags] |= tcp::kPsh;
  writeBig16(bytes, kIpv6Header + tcp::kChecksum,
             pseudoHeaderSum(view.source(), view.destination(), static_cast<std::uint32_t>(length), kTcp));
  Offload offload{};
  offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
  offload.hdr_len = static_cast<std::uint16_t>(held.headers);
  offload.gso_size = static_cast<std::uint16_t>(held.segmentSize);
  offload.csum_start = kIpv6Header;
  offload.csum_offset = tcp::kChecksum;
  train.head.offload = offload;
  train.offload = offload;
  return train;
}

void Coalescer::clear() {
  packets_ = 0;
  held_.clear();
  std::fill(slots_.begin(), slots_.end(), kNone);
}

}  // namespace kagemusha
