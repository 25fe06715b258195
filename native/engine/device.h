// Where packets come from and go to: a TUN or tap, a packet socket, a stream of QEMU's, an in-memory double.
#pragma once

#include <sys/uio.h>

#include <span>

#include "packet.h"

namespace kagemusha {

enum class Io {
  kDone,
  kAgain,     // nothing to read, or no room to write: epoll tells when
  kRefused,   // EINVAL: the kernel does not take this packet
  kDown,      // an error that may pass (the interface is down)
  kGone,      // the device was deleted, the connection closed: until somebody adds it again
  kNonsense,  // gone as well, and by its own fault: what came is not of the kind that it should be
};

class Device {
 public:
  virtual ~Device() = default;
  // Readable when a packet waits.
  virtual int fd() const = 0;
  // One packet into `slot` (kMaxPacket bytes behind kHeadroom writable ones), or in memory of the device's
  // own with as much headroom. Never blocks.
  virtual Io read(Bytes slot, Packet& packet) = 0;
  // One packet, `head` and behind it `tail`, in one call; `head.offload` describes the whole. sizeof(Offload)
  // bytes before `head` must be writable. Never blocks. Any thread may call it.
  virtual Io write(const Packet& head, std::span<const iovec> tail) = 0;
  // The reader is done with what it has read, and reads again when fd() is readable.
  virtual void endBatch() {}
};

}  // namespace kagemusha
