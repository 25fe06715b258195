// Where packets come from and go to: a TUN or tap, a packet socket, an in-memory double.
#pragma once

#include <sys/uio.h>

#include <span>

#include "packet.h"

namespace kagemusha {

enum class Io {
  kDone,
  kAgain,    // nothing to read, or no room to write: epoll tells when
  kRefused,  // EINVAL: the kernel does not take this packet
  kDown,     // an error that may pass (the interface is down)
  kGone,     // the device was deleted; it never comes back on this descriptor
};

class Device {
 public:
  virtual ~Device() = default;
  // Readable when a packet waits.
  virtual int fd() const = 0;
  // One packet into `slot` (kMaxPacket bytes behind kHeadroom writable ones). Never blocks.
  virtual Io read(Bytes slot, Packet& packet) = 0;
  // One packet, `head` and behind it `tail`, in one call; `head.offload` describes the whole. sizeof(Offload)
  // bytes before `head` must be writable. Never blocks. Any thread may call it.
  virtual Io write(const Packet& head, std::span<const iovec> tail) = 0;
};

}  // namespace kagemusha
