// An anonymous memory mapping that unmaps itself.
#pragma once

#include <cstddef>

#include "packet.h"

namespace kagemusha {

class Mapping {
 public:
  enum class Sharing { kPrivate, kShared };
  // Zeroed pages, touched only when used. Throws EngineError OUT_OF_MEMORY.
  Mapping(std::size_t size, Sharing sharing);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Bytes bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace kagemusha
