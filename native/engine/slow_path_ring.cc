#include "slow_path_ring.h"

#include <algorithm>
#include <cstring>

namespace kagemusha {

static_assert(sizeof(SlowPathRecord) + sizeof(Offload) <= SlowPathRing::kRecord);

bool SlowPathRing::push(SlowPathRecord record, ConstBytes bytes, std::size_t most) {
  const auto tail = word(kTail).load(std::memory_order_relaxed);
  if (tail - word(0).load(std::memory_order_acquire) >= kSlots) return false;
  record.length = static_cast<std::uint32_t>(std::min({bytes.size(), most, kPayload}));
  record.originalLength = static_cast<std::uint32_t>(bytes.size());
  auto* into = slot(tail);
  std::memcpy(into, &record, sizeof record);
  if (record.length > 0) std::memcpy(into + kRecord, bytes.data(), record.length);
  word(kTail).store(tail + 1, std::memory_order_release);
  return true;
}

std::optional<SlowPathRing::Entry> SlowPathRing::front() const {
  const auto head = word(0).load(std::memory_order_relaxed);
  if (word(kTail).load(std::memory_order_acquire) == head) return std::nullopt;
  Entry entry;
  std::memcpy(&entry.record, slot(head), sizeof entry.record);
  entry.record.length = std::min<std::uint32_t>(entry.record.length, kPayload);
  entry.bytes = Bytes(slot(head) + kRecord, entry.record.length);
  return entry;
}

void SlowPathRing::pop() {
  word(0).store(word(0).load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

}  // namespace kagemusha
