// An anonymous memory mapping that unmaps itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "packet.h"

namespace kagemusha {

class Mapping {
 public:
  enum class Sharing { kPrivate, kShared };
  // kWhole: all of it may be used. kClaimed: an address range, of which only what was claimed may be written.
  // (Shared, the rest may be read, as zeros.)
  enum class Extent { kWhole, kClaimed };
  static constexpr std::size_t kPage = 4096;

  // Zeroed. Throws EngineError OUT_OF_MEMORY.
  Mapping(std::size_t size, Sharing sharing, Extent extent = Extent::kWhole);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Bytes bytes() const { return bytes_; }

  // From now on these octets may be written, and others of their pages. False: the system has no more memory.
  // One thread at a time claims.
  bool claim(std::size_t offset, std::size_t length);
  // The same; throws EngineError OUT_OF_MEMORY.
  void require(std::size_t offset, std::size_t length);

  // What may be written, of all that this process has, octets.
  static std::size_t total() { return total_.load(std::memory_order_relaxed); }

 private:
  static inline std::atomic<std::size_t> total_ = 0;
  Bytes bytes_;
  std::vector<bool> claimed_;  // by page
  std::size_t size_ = 0;       // of what may be written
};

}  // namespace kagemusha
