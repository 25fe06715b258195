// The in-memory double of a device: what is injected the engine reads, what the engine writes can be taken.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "device.h"
#include "unique_fd.h"

namespace kagemusha {

class MemoryDevice : public Device {
 public:
  static constexpr std::size_t kCapacity = 256;  // packets, each direction

  struct Item {
    std::vector<std::uint8_t> bytes;
    Offload offload;
  };

  MemoryDevice();
  // False when the queue is full or the packet is longer than kMaxPacket.
  bool inject(ConstBytes bytes, const Offload& offload);
  // The oldest packet that the engine wrote.
  std::optional<Item> take();

  int fd() const override { return event_.get(); }
  Io read(Bytes slot, Packet& packet) override;
  Io write(const Packet& head, std::span<const iovec> tail) override;

 private:
  std::mutex mutex_;
  std::deque<Item> injected_, written_;
  UniqueFd event_;  // an eventfd that counts what was injected and not yet read
};

}  // namespace kagemusha
