// Puts fragments together, octet by octet, as RFC 8200 4.5 says it.
#pragma once

#include <optional>
#include <vector>

#include "support.h"

namespace kagemusha::test {

// A packet as it was before it was cut; std::nullopt when `fragments`, in the order given, are not the whole
// of one packet, each octet once. `mtu`: the most octets of any.
inline std::optional<Octets> reassembled(const std::vector<Octets>& fragments, std::size_t mtu) {
  std::optional<Octets> front;  // the per-fragment headers, as they were
  Octets rest;
  std::uint32_t identification = 0;
  bool ended = false;
  for (const Octets& fragment : fragments) {
    if (ended || fragment.size() > mtu || fragment.size() < 48) return std::nullopt;
    if (reference::number(fragment, 4, 2) != fragment.size() - 40) return std::nullopt;
    // The chain up to the fragment header.
    std::size_t field = 6, at = 40;
    while (fragment[field] == kHopByHop || fragment[field] == kRouting || fragment[field] == kDestination) {
      field = at;
      at += (fragment[at + 1] + std::size_t{1}) * 8;
      if (at + 8 > fragment.size()) return std::nullopt;
    }
    if (fragment[field] != kFragment || fragment[at + 1] != 0) return std::nullopt;

    Octets headers(fragment.begin(), fragment.begin() + static_cast<std::ptrdiff_t>(at));
    headers[field] = fragment[at];
    headers[4] = headers[5] = 0;
    const std::uint32_t id = reference::number(fragment, at + 4, 4);
    if (!front) front = headers, identification = id;
    if (headers != *front || id != identification) return std::nullopt;

    const std::uint32_t position = reference::number(fragment, at + 2, 2);
    const bool more = position % 2 != 0;
    if ((position & 6) != 0 || position / 8 * 8 != rest.size()) return std::nullopt;
    const std::size_t count = fragment.size() - at - 8;
    if (count == 0 || (more && count % 8 != 0)) return std::nullopt;
    for (std::size_t index = at + 8; index < fragment.size(); ++index) rest.push_back(fragment[index]);
    ended = !more;
  }
  if (!ended) return std::nullopt;
  put(*front, rest);
  if (front->size() - 40 > 0xffff) return std::nullopt;
  reference::setNumber(*front, 4, 2, static_cast<std::uint32_t>(front->size() - 40));
  return front;
}

}  // namespace kagemusha::test
