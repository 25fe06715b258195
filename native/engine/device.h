// Where packets come from and go to: a TUN or tap, a packet socket, a stream of QEMU's, an in-memory double.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <span>

#include "packet.h"

namespace kagemusha {

enum class Io {
  kDone,
  kAgain,     // nothing to read, or no room to write: epoll tells when
  kLost,      // ENOBUFS: there was no room, and the packet is not kept until there is
  kRefused,   // EINVAL, EMSGSIZE: the kernel does not take this packet
  kDown,      // an error that may pass (the interface is down)
  kGone,      // the device was deleted, the connection closed: until somebody adds it again
  kNonsense,  // gone as well, and by its own fault: what came is not of the kind that it should be
};

class Device {
 public:
  virtual ~Device() = default;
  // Readable when a packet waits.
  virtual int fd() const = 0;
  // One packet into `slot` (kMaxPacket bytes behind kHeadroom writable ones), or, where the device has memory
  // of its own, in that, with as much headroom: of an uplink it is valid until endBatch(), of a port until
  // the next read(). Never blocks.
  virtual Io read(Bytes slot, Packet& packet) = 0;
  // One packet, `head` and behind it `tail`, in one call; `head.offload` describes the whole. sizeof(Offload)
  // bytes before `head` must be writable. Never blocks. Any thread may call it.
  virtual Io write(const Packet& head, std::span<const iovec> tail) = 0;

  // Nobody looks any more at what was read since the last call; the next read comes when fd() is readable. By
  // the thread that reads.
  virtual void endBatch() {}
  // What epoll reports as EPOLLERR where read() would not come across it.
  virtual Io takeError() { return Io::kDone; }
  // What epoll never tells of: look() is called once a second then, by the thread that reads. kGone: it is.
  virtual bool wantsLook() const { return false; }
  virtual Io look() { return Io::kDone; }
  // Packets, since the last call. By the thread that reads.
  struct Losses {
    std::uint64_t full = 0;     // that came, and there was no room for them
    std::uint64_t stopped = 0;  // that came, and the kernel took none
    std::uint64_t unsent = 0;   // that were sent, and did not leave
  };
  virtual Losses takeLosses() { return {}; }

  // Takes packets many at a time, too (see OutgoingQueue); sendFd() tells epoll, by EPOLLIN or EPOLLOUT, when
  // there is room again.
  virtual bool sendsMany() const { return false; }
  virtual int sendFd() const { return -1; }
  // The first `sent` of `messages`, each a virtio_net_hdr and a packet behind it, were sent; the result is
  // that of the next one, kDone when there is none. kAgain though all were sent: some of them wait inside,
  // and go with the next call, which may have no messages. Never blocks. Any thread may call it.
  virtual Io send(std::span<mmsghdr> messages, std::size_t& sent) {
    static_cast<void>(messages);
    sent = 0;
    return Io::kRefused;
  }
};

}  // namespace kagemusha
