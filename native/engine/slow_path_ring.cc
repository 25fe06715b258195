#include "slow_path_ring.h"

#include <algorithm>
#include <cstring>

namespace kagemusha {

static_assert(sizeof(SlowPathRecord) + sizeof(Offload) <= SlowPathRing::kRecord);

bool SlowPathRing::push(SlowPathRecord record, ConstBytes bytes, std::size_t most) {
  record.length = static_cast<std::uint32_t>(std::min({bytes.size(), most, kPayload}));
  record.originalLength = static_cast<std::uint32_t>(bytes.size());
  auto tail = word(kTail).load(std::memory_order_relaxed);
  const std::uint32_t needed = cellsOf(record.length);
  const std::uint32_t filler = needed > toEnd(tail) ? toEnd(tail) : 0;
  const std::uint32_t taken = tail - word(0).load(std::memory_order_acquire);
  if (taken + filler + needed > cells_) return false;
  if (filler != 0) {
    const SlowPathRecord skip{.kind = SlowPathKind::filler};
    std::memcpy(cell(tail), &skip, sizeof skip);
    tail += filler;
  }
  auto* into = cell(tail);
  std::memcpy(into, &record, sizeof record);
  if (record.length > 0) std::memcpy(into + kRecord, bytes.data(), record.length);
  word(kTail).store(tail + needed, std::memory_order_release);
  return true;
}

SlowPathRecord SlowPathRing::recordAt(std::uint32_t position) const {
  SlowPathRecord record;
  std::memcpy(&record, cell(position), sizeof record);
  return record;
}

std::uint32_t SlowPathRing::first() const {
  const auto head = word(0).load(std::memory_order_relaxed);
  return recordAt(head).kind == SlowPathKind::filler ? head + toEnd(head) : head;
}

std::optional<SlowPathRing::Entry> SlowPathRing::front() const {
  if (word(kTail).load(std::memory_order_acquire) == word(0).load(std::memory_order_relaxed))
    return std::nullopt;
  const auto position = first();
  Entry entry;
  entry.record = recordAt(position);
  const std::size_t room = toEnd(position) * kCell - kRecord;
  entry.record.length =
      static_cast<std::uint32_t>(std::min<std::size_t>({entry.record.length, kPayload, room}));
  entry.bytes = Bytes(cell(position) + kRecord, entry.record.length);
  return entry;
}

void SlowPathRing::pop() {
  const auto position = first();
  const std::size_t length = std::min<std::size_t>(recordAt(position).length, kPayload);
  word(0).store(position + cellsOf(length), std::memory_order_release);
}

}  // namespace kagemusha
