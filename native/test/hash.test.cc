#include "../engine/hash.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "../engine/tunnel_table.h"
#include "support.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

// The most keys that share one of 4096 places, of 512 keys.
template <class Key, class Make>
int worst(const Make& make) {
  std::vector<int> places(4096);
  for (std::size_t number = 0; number < 512; ++number)
    ++places[std::hash<Key>{}(make(static_cast<std::uint16_t>(number))) % places.size()];
  return *std::max_element(places.begin(), places.end());
}

Address withNumberAt(std::size_t octet, std::uint16_t number) {
  Address address = addressOf(1);
  address.octets[octet] = static_cast<std::uint8_t>(number >> 8);
  address.octets[octet + 1] = static_cast<std::uint8_t>(number);
  return address;
}

}  // namespace

TEST_CASE("addresses that are counted up, in whichever octets, spread") {
  for (std::size_t octet = 0; octet < 15; ++octet) {
    CAPTURE(octet);
    const auto make = [&](std::uint16_t number) { return withNumberAt(octet, number); };
    CHECK(worst<Address>(make) <= 8);
    CHECK(worst<AddressPair>([&](std::uint16_t number) {
            return AddressPair{addressOf(7), make(number)};
          }) <= 8);
    CHECK(worst<AddressPair>([&](std::uint16_t number) {
            return AddressPair{make(number), addressOf(7)};
          }) <= 8);
    CHECK(worst<AddressPair>([&](std::uint16_t number) {
            return AddressPair{make(number), make(number)};
          }) <= 8);
  }
}

TEST_CASE("random words are not all the same") {
  const auto words = randomWords<8>();
  CHECK(std::count(words.begin(), words.end(), words[0]) == 1);
}
