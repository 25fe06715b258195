// A guest's port that is a stream socket of QEMU (-netdev stream, since 7.2): Ethernet frames, each behind
// its length in 4 octets, big-endian (qemu net/stream.c, net_fill_rstate of net/net.c).
#pragma once

#include <mutex>
#include <string>

#include "device.h"
#include "mapping.h"
#include "unique_fd.h"

namespace kagemusha {

// The device stays while connections come and go: without one, what is written is Io::kDown. There is no
// virtio header on this way: checksums are computed and trains cut before they are written; what is read has
// neither.
//
// What is read stays where the socket was read to, many frames in one call, until the next read() only: its
// headroom is the frame before it. So this is a device for a port and not for an uplink.
class StreamDevice : public Device {
 public:
  // QEMU's own limit (NET_BUFSIZE, net/net.h): who announces more does not speak this language.
  static constexpr std::size_t kMaxFrame = 4096 + 65536;
  // Octets that wait here for room in the socket: the rest of one frame, or of one train.
  static constexpr std::size_t kBacklog = 128 * 1024;

  // `mtu`: octets of IPv6 that a segment of a train may have. Throws EngineError OUT_OF_DESCRIPTORS,
  // OUT_OF_MEMORY.
  explicit StreamDevice(std::size_t mtu);

  // Begins anew on a connected stream socket. Not while a worker may read the device: before it is added to
  // one, or after its read() gave kGone or kNonsense. Throws EngineError OUT_OF_DESCRIPTORS.
  void attach(UniqueFd socket);
  bool attached() const;
  // Closes the connection; when attach() may begin one.
  void detach();

  // Readable when a frame waits, or when there is room for what waits here; the same through all connections.
  int fd() const override { return epoll_.get(); }
  // kGone: the other end closed the connection; kNonsense: it announced a frame that cannot be. Either way
  // the connection is closed.
  Io read(Bytes slot, Packet& packet) override;
  Io write(const Packet& head, std::span<const iovec> tail) override;
  void endBatch() override;

 private:
  class Train;

  bool frameWaits() const;
  // These with mutex_ held.
  Io refill();
  Io lose(Io why);
  Io flush();
  Io send(std::span<const iovec> parts);
  bool keep(std::span<const iovec> parts, std::size_t sent);
  void wantRoom(bool wanted);

  const std::size_t mtu_;
  const UniqueFd epoll_;  // the socket in it, and waiting_ while whole frames wait in received_
  const UniqueFd waiting_;
  const Mapping memory_;
  const Bytes received_;     // kHeadroom, then what the socket gave
  std::size_t begin_, end_;  // of what was not handed out yet, in received_
  bool waitingWatched_ = false;

  mutable std::mutex mutex_;  // for all below; and only the reader closes the socket
  UniqueFd socket_;
  const Bytes backlog_;
  std::size_t backlogBegin_ = 0, backlogEnd_ = 0;
};

// Connects to the Unix stream socket at `path`. Never blocks. Throws EngineError STREAM_MISSING (nobody
// listens there), STREAM_BUSY (its queue is full), STREAM_PERMISSION, STREAM_KIND (no stream socket),
// OUT_OF_DESCRIPTORS.
UniqueFd connectStream(const std::string& path);

}  // namespace kagemusha
