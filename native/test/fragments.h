// Fragments for tests, cut by hand as RFC 8200 4.5 draws them.
#pragma once

#include "support.h"

namespace kagemusha::test {

struct Cut {
  std::uint32_t identification = 0x12345678;
  std::size_t headers = 40;  // octets before the fragmentable part
};

// One fragment of `whole`: `length` octets from `offset` of the fragmentable part, whatever the two are.
inline Octets fragmentOf(const Octets& whole, std::size_t offset, std::size_t length, bool more,
                         const Cut& cut = {}) {
  const auto at = [&](std::size_t index) {
    return whole.begin() + static_cast<std::ptrdiff_t>(std::min(index, whole.size()));
  };
  Octets packet(at(0), at(cut.headers));
  const std::size_t field = cut.headers == 40 ? 6 : 40;
  packet.push_back(packet[field]);
  packet[field] = kFragment;
  packet.push_back(0);
  put16(packet, offset | (more ? 1u : 0u));
  put32(packet, cut.identification);
  packet.insert(packet.end(), at(cut.headers + offset), at(cut.headers + offset + length));
  reference::setNumber(packet, 4, 2, static_cast<std::uint32_t>(packet.size() - 40));
  return packet;
}

// `whole` cut at `ends`, which are octets of the fragmentable part.
inline std::vector<Octets> fragmentsOf(const Octets& whole, const std::vector<std::size_t>& ends,
                                       const Cut& cut = {}) {
  std::vector<Octets> fragments;
  std::size_t offset = 0;
  for (const std::size_t end : ends) {
    fragments.push_back(fragmentOf(whole, offset, end - offset, true, cut));
    offset = end;
  }
  fragments.push_back(fragmentOf(whole, offset, whole.size() - cut.headers - offset, false, cut));
  return fragments;
}

// The same with its ECN codepoint.
inline Octets marked(Octets packet, std::uint8_t codepoint) {
  packet[1] = static_cast<std::uint8_t>((packet[1] & 0xcf) | (codepoint << 4));
  return packet;
}

}  // namespace kagemusha::test
