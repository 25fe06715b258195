#include "memory_device.h"

#include <sys/eventfd.h>

#include <cstring>

namespace kagemusha {

MemoryDevice::MemoryDevice() : event_(::eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)) {}

bool MemoryDevice::inject(ConstBytes bytes, const Offload& offload) {
  const std::lock_guard lock(mutex_);
  if (injected_.size() >= kCapacity || bytes.size() > kMaxPacket) return false;
  injected_.push_back({{bytes.begin(), bytes.end()}, offload});
  return ::eventfd_write(event_.get(), 1) == 0;
}

std::optional<MemoryDevice::Item> MemoryDevice::take() {
  const std::lock_guard lock(mutex_);
  if (written_.empty()) return std::nullopt;
  Item item = std::move(written_.front());
  written_.pop_front();
  return item;
}

Io MemoryDevice::read(Bytes slot, Packet& packet) {
  const std::lock_guard lock(mutex_);
  eventfd_t one;
  if (injected_.empty() || ::eventfd_read(event_.get(), &one) != 0) return Io::kAgain;
  const Item& item = injected_.front();
  if (!item.bytes.empty()) std::memcpy(slot.data(), item.bytes.data(), item.bytes.size());
  packet = {slot.first(item.bytes.size()), item.offload};
  injected_.pop_front();
  return Io::kDone;
}

Io MemoryDevice::write(const Packet& head, std::span<const iovec> tail) {
  const std::lock_guard lock(mutex_);
  if (written_.size() >= kCapacity) return Io::kAgain;
  Item item{{head.bytes.begin(), head.bytes.end()}, head.offload};
  for (const iovec& part : tail) {
    const auto* start = static_cast<const std::uint8_t*>(part.iov_base);
    item.bytes.insert(item.bytes.end(), start, start + part.iov_len);
  }
  written_.push_back(std::move(item));
  return Io::kDone;
}

}  // namespace kagemusha
