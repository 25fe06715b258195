#include "checksum.h"

#include <bit>
#include <cstring>

#include "bytes.h"

namespace kagemusha {
namespace {

constexpr std::uint16_t kUdpChecksum = 6;  // RFC 768

// A one's complement sum of words does not care in which byte order they are read, as long as it is turned
// once at the end (RFC 1071 2 B).
std::uint16_t swapOnLittleEndian(std::uint16_t value) {
  return std::endian::native == std::endian::little ? __builtin_bswap16(value) : value;
}

template <class Word>
std::uint64_t load(const std::uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

std::uint64_t addWithCarry(std::uint64_t sum, std::uint64_t word) {
  sum += word;
  return sum + (sum < word ? 1 : 0);
}

}  // namespace

std::uint16_t checksumAdd(ConstBytes bytes, std::uint16_t seed) {
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  // Four sums, so that one addition does not wait for the one before.
  std::uint64_t sums[4] = {swapOnLittleEndian(seed), 0, 0, 0};
  for (; left >= 32; at += 32, left -= 32) {
    sums[0] = addWithCarry(sums[0], load<std::uint64_t>(at));
    sums[1] = addWithCarry(sums[1], load<std::uint64_t>(at + 8));
    sums[2] = addWithCarry(sums[2], load<std::uint64_t>(at + 16));
    sums[3] = addWithCarry(sums[3], load<std::uint64_t>(at + 24));
  }
  std::uint64_t sum = addWithCarry(addWithCarry(sums[0], sums[1]), addWithCarry(sums[2], sums[3]));
  for (; left >= 8; at += 8, left -= 8) sum = addWithCarry(sum, load<std::uint64_t>(at));
  if (left >= 4) {
    sum = addWithCarry(sum, load<std::uint32_t>(at));
    at += 4;
    left -= 4;
  }
  if (left >= 2) {
    sum = addWithCarry(sum, load<std::uint16_t>(at));
    at += 2;
    left -= 2;
  }
  if (left != 0) {
    const std::uint8_t padded[2] = {*at, 0};
    sum = addWithCarry(sum, load<std::uint16_t>(padded));
  }
  return swapOnLittleEndian(foldSum(sum));
}

std::uint16_t pseudoHeaderSum(const Address& source, const Address& destination, std::uint32_t upperLength,
                              std::uint8_t protocol) {
  const std::uint16_t seed = foldSum(std::uint64_t{upperLength} + protocol);
  return checksumAdd(destination.octets, checksumAdd(source.octets, seed));
}

bool checksumIsInside(const Packet& packet) {
  if (!(packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) return true;
  const std::size_t start = packet.offload.csum_start;
  return start >= kIpv6Header && start <= kMaxChecksumStart &&
         start + packet.offload.csum_offset + 2 <= packet.bytes.size();
}

bool completeChecksum(Packet& packet, ConstBytes tail) {
  if (!checksumIsInside(packet)) return false;
  if (!(packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) return true;
  const std::size_t start = packet.offload.csum_start;
  const std::size_t field = start + packet.offload.csum_offset;
  const auto sum = static_cast<std::uint16_t>(~checksumAdd(tail, checksumAdd(packet.bytes.subspan(start))));
  // 0 would say "no checksum" in UDP; 0xffff is the same number (RFC 8200 8.1).
  writeBig16(packet.bytes, field, sum == 0 && packet.offload.csum_offset == kUdpChecksum ? 0xffff : sum);
  packet.offload.flags &= static_cast<std::uint8_t>(~VIRTIO_NET_HDR_F_NEEDS_CSUM);
  packet.offload.csum_start = 0;
  packet.offload.csum_offset = 0;
  return true;
}

namespace reference {

std::uint16_t checksumAdd(ConstBytes bytes, std::uint16_t seed) {
  std::uint32_t sum = seed;
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    sum += index % 2 == 0 ? static_cast<std::uint32_t>(bytes[index] << 8) : bytes[index];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

}  // namespace reference
}  // namespace kagemusha
