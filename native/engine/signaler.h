// Whom signaling may come from: JavaScript tells, one entry for each home address and each of our addresses
// that its signaling goes to.
#pragma once

#include <cstdint>

#include "ipv6.h"
#include "side.h"

namespace kagemusha {

struct SignalerSpec {
  std::uint32_t index;  // of its lanes and its sequence word, chosen by the caller
  Side side;
  Address local;  // our address: where its packets go
  Address homeAddress;
  bool esp = false;       // what its signaling must be: ESP, or a Mobility Header in the clear
  std::uint32_t spi = 0;  // ESP: of the inbound association
};

struct Signaler {
  SignalerSpec spec;
  std::uint32_t tunnel;  // index in the table of the tunnel that carries the home address; kNone: none yet
};

}  // namespace kagemusha
