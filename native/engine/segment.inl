// The body of segment(); included by segment.h only.
#include <algorithm>
#include <cstring>

#include "bytes.h"
#include "checksum.h"
#include "tcp.h"

namespace kagemusha {
namespace detail {

inline constexpr std::size_t kMaxSegmentHeaders = 512;

// What is alike in every segment of one train.
struct TrainPlan {
  ConstBytes headers;  // IPv6, extension headers, TCP with its options
  ConstBytes payload;
  std::size_t transport;     // where the TCP header starts
  std::size_t step;          // payload octets per segment
  std::uint16_t addressSum;  // the pseudo-header sum without the length
};

inline SegmentResult planTrain(const Packet& train, std::size_t mtu, std::size_t room, TrainPlan& plan) {
  if ((train.offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV6)
    return SegmentResult::kNotTcp;
  const auto view = viewIpv6(train.bytes);
  if (!view) return SegmentResult::kMalformed;
  const auto upper = findUpperLayer(*view);
  if (!upper) return SegmentResult::kMalformed;
  if (upper->protocol != kTcp || upper->fragment) return SegmentResult::kNotTcp;

  const ConstBytes transport = view->bytes.subspan(upper->offset);
  if (transport.size() < tcp::kHeader) return SegmentResult::kMalformed;
  const std::size_t tcpHeader = static_cast<std::size_t>(transport[tcp::kDataOffset] >> 4) * 4;
  if (tcpHeader < tcp::kHeader || tcpHeader > transport.size() || train.offload.gso_size == 0)
    return SegmentResult::kMalformed;

  const std::size_t headers = upper->offset + tcpHeader;
  plan.headers = view->bytes.first(headers);
  plan.payload = view->bytes.subspan(headers);
  plan.transport = upper->offset;
  if (headers > kMaxSegmentHeaders || headers > room || headers > mtu) return SegmentResult::kNoRoom;
  // A jumbo mtu does not lift the limit of the payload length field.
  const std::size_t fits = std::min(mtu, kIpv6Header + 0xffff) - headers;
  plan.step = std::min<std::size_t>(fits, train.offload.gso_size);
  if (plan.step == 0 && !plan.payload.empty()) return SegmentResult::kNoRoom;

  if (upper->offset != kIpv6Header && (train.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
    // A routing header or a home address option changes which addresses count (RFC 8200 8.1, RFC 6275 6.3):
    // the train's own sum knows them, less its length.
    plan.addressSum =
        foldSum(readBig16(transport, tcp::kChecksum) + std::uint64_t{0xffff} - foldSum(transport.size()));
  } else {
    plan.addressSum = pseudoHeaderSum(view->source(), view->destination(), 0, kTcp);
  }
  return SegmentResult::kDone;
}

// Writes the headers of the segment whose payload is `count` octets from `offset`.
inline void writeSegmentHeaders(const TrainPlan& plan, std::size_t offset, std::size_t count, Bytes into) {
  std::memcpy(into.data(), plan.headers.data(), plan.headers.size());
  const std::size_t length = into.size() + count;
  const std::size_t tcpLength = length - plan.transport;
  writeBig16(into, 4, length - kIpv6Header);

  const Bytes transport = into.subspan(plan.transport);
  writeBig32(transport, tcp::kSequence,
             readBig32(transport, tcp::kSequence) + static_cast<std::uint32_t>(offset));
  std::uint8_t cleared = 0;
  if (offset != 0) cleared |= tcp::kCwr;
  if (offset + count != plan.payload.size()) cleared |= tcp::kFin | tcp::kPsh;
  transport[tcp::kFlags] &= static_cast<std::uint8_t>(~cleared);
  writeBig16(transport, tcp::kChecksum, foldSum(plan.addressSum + tcpLength));
}

}  // namespace detail

template <class Emit>
SegmentResult segment(const Packet& train, std::size_t mtu, Bytes scratch, std::size_t headroom,
                      Emit&& emit) {
  if (scratch.size() < headroom) return SegmentResult::kNoRoom;
  detail::TrainPlan plan;
  const SegmentResult result = detail::planTrain(train, mtu, scratch.size() - headroom, plan);
  if (result != SegmentResult::kDone) return result;

  const Bytes headers = scratch.subspan(headroom, plan.headers.size());
  Offload offload{};
  offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  offload.hdr_len = static_cast<std::uint16_t>(headers.size());
  offload.csum_start = static_cast<std::uint16_t>(plan.transport);
  offload.csum_offset = tcp::kChecksum;
  std::size_t offset = 0;
  do {
    const std::size_t count = std::min(plan.step, plan.payload.size() - offset);
    detail::writeSegmentHeaders(plan, offset, count, headers);
    emit(Segment{headers, plan.payload.subspan(offset, count), offload});
    offset += count;
  } while (offset != plan.payload.size());
  return SegmentResult::kDone;
}

}  // namespace kagemusha
