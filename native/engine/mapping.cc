#include "mapping.h"

#include <sys/mman.h>

#include "error.h"

namespace kagemusha {
namespace {

constexpr int kWritable = PROT_READ | PROT_WRITE;

[[noreturn]] void refuse(std::size_t size) {
  throw EngineError("OUT_OF_MEMORY", "cannot map " + std::to_string(size) +
                                         " bytes for the packet engine; free memory or raise the limit");
}

}  // namespace

Mapping::Mapping(std::size_t size, Sharing sharing, Extent extent) {
  const bool shared = sharing == Sharing::kShared;
  const int rights = extent == Extent::kWhole ? kWritable : shared ? PROT_READ : PROT_NONE;
  const int flags = MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
  void* start = ::mmap(nullptr, size, rights, flags, -1, 0);
  if (start == MAP_FAILED) refuse(size);
  bytes_ = Bytes(static_cast<std::uint8_t*>(start), size);
  const std::size_t pages = (size + kPage - 1) / kPage;
  if (extent == Extent::kClaimed)
    claimed_.resize(pages);
  else
    size_ = pages * kPage;
  total_ += size_;
}

Mapping::~Mapping() {
  total_ -= size_;
  ::munmap(bytes_.data(), bytes_.size());
}

bool Mapping::claim(std::size_t offset, std::size_t length) {
  if (claimed_.empty()) return true;
  for (std::size_t page = offset / kPage; page * kPage < offset + length; ++page) {
    if (claimed_[page]) continue;
    if (::mprotect(bytes_.data() + page * kPage, kPage, kWritable) != 0) return false;
    claimed_[page] = true;
    size_ += kPage;
    total_ += kPage;
  }
  return true;
}

void Mapping::require(std::size_t offset, std::size_t length) {
  if (!claim(offset, length)) refuse(length);
}

}  // namespace kagemusha
