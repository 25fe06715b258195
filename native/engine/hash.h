// Keyed hashing: who chooses addresses does not choose which of them share a place in a table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kagemusha {

// Of the system's randomness.
void fillRandom(std::span<std::uint64_t> words);

template <std::size_t Count>
std::array<std::uint64_t, Count> randomWords() {
  std::array<std::uint64_t, Count> words;
  fillRandom(words);
  return words;
}

// Chosen when the process starts.
extern const std::array<std::uint64_t, 3> kHashKey;

__extension__ typedef unsigned __int128 Wide;

// Both halves of the product: every bit of either factor reaches every bit of the sum.
inline std::uint64_t mix(std::uint64_t one, std::uint64_t other) {
  const Wide product = Wide{one} * other;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace kagemusha
