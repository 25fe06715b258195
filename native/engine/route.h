// Route optimisation (RFC 6275 6.3, 6.4, 9.3, 11.3): packets that go straight between a guest and its
// correspondent, with a Home Address option and a type 2 routing header in place of the outer header. Nothing
// here allocates or throws.
#pragma once

#include <array>

#include "encapsulate.h"
#include "ipv6.h"
#include "packet.h"
#include "token_bucket.h"

namespace kagemusha {

// What is known of one correspondent of one home address.
struct RouteSpec {
  Address homeAddress;
  Address correspondent;  // its home address, where it is mobile itself
  Address careOf{};       // where it is then; unspecified: it has no binding with us
  bool straight = false;  // it has a binding of ours: what is for it needs no tunnel
  bool accepted = false;  // what comes straight from it, with a type 2 routing header, is good
  bool isMobile() const { return !careOf.isUnspecified(); }
};

// RFC 6275 6.3, with the padding that the option's alignment (8n+6) asks for.
inline constexpr std::size_t kHomeAddressHeader = 24;

// Octets that a packet to the correspondent gains.
inline std::size_t straightOverhead(const RouteSpec& route) {
  return kHomeAddressHeader + (route.isMobile() ? kType2RoutingHeader : 0);
}

// Whether headers may be put behind the IPv6 header: those of RFC 8200 4.1 that must stand there, or that
// have an opinion on what does (AH), leave such packets to the tunnel. So does a Mobility Header.
bool canGoStraight(const Ipv6View& packet);

// The guest's packet as it goes straight: source `local`, the home address in an option; to a mobile
// correspondent its care-of address, and its home address in a routing header. Takes straightOverhead()
// octets of headroom; the IPv6 header moves, nothing else. The transport checksum holds as it is: it is about
// the home addresses (RFC 6275 6.3, RFC 8200 8.1). One that is still to be computed must not be left to the
// kernel: whoever merges such segments on the way (GRO, on our TUN already) writes the sum of the addresses
// that stand in the IPv6 header. The payload length field must have room.
void goStraight(Packet& packet, const Address& local, const RouteSpec& route);

// A destination options header directly behind the IPv6 header, with a Home Address option and otherwise
// padding only.
struct HomeAddressHeader {
  Address homeAddress;
  std::size_t length;  // of the header, octets
  std::uint8_t nextHeader;
};
std::optional<HomeAddressHeader> viewHomeAddress(const Ipv6View& packet);

// Delivers it: the source becomes the home address, the header goes, csum_start and payload length follow.
// False, and nothing written, when there is no such header or a checksum to be computed would lie in it.
bool stripHomeAddress(Packet& packet);

// Where a checksum is still to be computed its field holds the sum of a pseudo-header: writes that of the
// addresses as they are now. (The kernel merges segments by the addresses that stand in the IPv6 header, and
// leaves their sum behind.)
void refreshPseudoSum(const Packet& packet);

// Who has been told of lately: a small table of fixed size. Two that fall on the same place share it, so that
// what is told is bounded by the clock, never by how many there are.
class RecentlyTold {
 public:
  static constexpr std::size_t kPlaces = 256;
  static constexpr Instant kAgain = 10 * kSecond;  // the same pair is told of again
  static constexpr Instant kOther = kSecond;       // another pair may have the place
  static constexpr Instant kHeardAgain = 5 * kSecond;

  explicit RecentlyTold(Instant again = kAgain) : again_(again) {}

  // True when it is time to tell of the pair; false a moment later.
  bool due(const Address& one, const Address& other, Instant now);

 private:
  struct Place {
    std::uint64_t pair = 0;
    Instant at = 0;  // 0: free
  };
  Instant again_;
  std::array<Place, kPlaces> places_{};
};

}  // namespace kagemusha
