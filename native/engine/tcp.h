// The TCP header (RFC 9293 3.1): offsets of its fields and its flags.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kagemusha::tcp {

inline constexpr std::size_t kSequence = 4;
inline constexpr std::size_t kAcknowledgement = 8;
inline constexpr std::size_t kDataOffset =
    12;  // upper 4 bits, in units of 4 octets; below them reserved bits
inline constexpr std::size_t kFlags = 13;
inline constexpr std::size_t kWindow = 14;
inline constexpr std::size_t kChecksum = 16;
inline constexpr std::size_t kUrgentPointer = 18;
inline constexpr std::size_t kHeader = 20;

inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
inline constexpr std::uint8_t kCwr = 0x80;  // RFC 3168 6.1

}  // namespace kagemusha::tcp
