// Big-endian fields of a packet. The caller has checked that `offset` and what follows lie inside `bytes`.
#pragma once

#include <cstdint>

#include "packet.h"

namespace kagemusha {

inline std::uint16_t readBig16(ConstBytes bytes, std::size_t offset) {
  return static_cast<std::uint16_t>((bytes[offset] << 8) | bytes[offset + 1]);
}

inline std::uint32_t readBig32(ConstBytes bytes, std::size_t offset) {
  return (static_cast<std::uint32_t>(readBig16(bytes, offset)) << 16) | readBig16(bytes, offset + 2);
}

inline void writeBig16(Bytes bytes, std::size_t offset, std::size_t value) {
  bytes[offset] = static_cast<std::uint8_t>(value >> 8);
  bytes[offset + 1] = static_cast<std::uint8_t>(value);
}

inline void writeBig32(Bytes bytes, std::size_t offset, std::uint32_t value) {
  writeBig16(bytes, offset, value >> 16);
  writeBig16(bytes, offset + 2, value);
}

}  // namespace kagemusha
