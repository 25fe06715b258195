// Which end of a tunnel we are (RFC 6275).
#pragma once

#include <cstdint>

namespace kagemusha {

enum class Side : std::uint8_t { kMobileNode, kHomeAgent };

}  // namespace kagemusha
