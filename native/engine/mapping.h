// An anonymous memory mapping that unmaps itself.
#pragma once

#include <atomic>
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
  // Of all that this process has, octets.
  static std::size_t total() { return total_.load(std::memory_order_relaxed); }

 private:
  static inline std::atomic<std::size_t> total_ = 0;
  Bytes bytes_;
};

}  // namespace kagemusha
