#include "mapping.h"

#include <sys/mman.h>

#include "error.h"

namespace kagemusha {

Mapping::Mapping(std::size_t size, Sharing sharing) {
  const int flags = MAP_ANONYMOUS | (sharing == Sharing::kShared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
  void* start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (start == MAP_FAILED)
    throw EngineError("OUT_OF_MEMORY", "cannot map " + std::to_string(size) +
                                           " bytes for the packet engine; free memory or raise the limit");
  bytes_ = Bytes(static_cast<std::uint8_t*>(start), size);
  total_ += size;
}

Mapping::~Mapping() {
  total_ -= bytes_.size();
  ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace kagemusha
