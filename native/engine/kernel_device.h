// A device whose packets cross a file descriptor, each behind a virtio_net_hdr.
#pragma once

#include "device.h"
#include "unique_fd.h"

namespace kagemusha {

// What a failed read or write says.
Io ioError(int error);

class KernelDevice : public Device {
 public:
  // Packets in one write at most: the head and what a batch can merge behind it.
  static constexpr std::size_t kMaxParts = 64;

  // `fd`: non-blocking, speaks virtio_net_hdr of 10 bytes in host byte order.
  explicit KernelDevice(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const override { return fd_.get(); }
  Io read(Bytes slot, Packet& packet) override;
  Io write(const Packet& head, std::span<const iovec> tail) override;

 protected:
  // Whoever gets it closes it; by destructors.
  UniqueFd release() { return std::move(fd_); }

 private:
  UniqueFd fd_;
};

}  // namespace kagemusha
