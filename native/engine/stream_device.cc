#include "stream_device.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "bytes.h"
#include "checksum.h"
#include "error.h"
#include "mac.h"
#include "segment.h"

namespace kagemusha {
namespace {

constexpr std::size_t kLength = 4;  // octets before each frame
constexpr std::size_t kReceive = kHeadroom + kLength + StreamDevice::kMaxFrame;

// Octets that the kernel keeps for a guest that does not get to run, as far as the system lets us
// (net.core.wmem_max).
constexpr int kSendBuffer = 1 << 20;

bool watch(int epoll, int operation, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

std::size_t lengthOf(std::span<const iovec> parts) {
  std::size_t length = 0;
  for (const iovec& part : parts) length += part.iov_len;
  return length;
}

void writeLength(Bytes into, std::size_t length) { writeBig32(into, 0, static_cast<std::uint32_t>(length)); }

bool cannotBe(std::size_t length) { return length == 0 || length > StreamDevice::kMaxFrame; }

}  // namespace

StreamDevice::StreamDevice(std::size_t mtu)
    : mtu_(mtu),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      waiting_(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)),
      memory_(kReceive + kBacklog, Mapping::Sharing::kPrivate),
      received_(memory_.bytes().first(kReceive)),
      begin_(kHeadroom),
      end_(kHeadroom),
      backlog_(memory_.bytes().subspan(kReceive)) {
  if (!epoll_ || !waiting_)
    throw EngineError("OUT_OF_DESCRIPTORS",
                      "cannot create a port of the packet engine: raise the limit of open files (ulimit -n)");
}

void StreamDevice::attach(UniqueFd socket) {
  const std::lock_guard lock(mutex_);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  begin_ = end_ = kHeadroom;
  backlogBegin_ = backlogEnd_ = 0;
  if (!watch(epoll_.get(), EPOLL_CTL_ADD, socket.get(), EPOLLIN))
    throw EngineError("OUT_OF_DESCRIPTORS",
                      "cannot watch a port of the packet engine: raise fs.epoll.max_user_watches");
  socket_ = std::move(socket);
}

bool StreamDevice::attached() const {
  const std::lock_guard lock(mutex_);
  return static_cast<bool>(socket_);
}

void StreamDevice::detach() {
  const std::lock_guard lock(mutex_);
  lose(Io::kGone);
}

// --- from QEMU ---

// Whether there is something to hand out without reading the socket: a frame, or a length that cannot be.
bool StreamDevice::frameWaits() const {
  const auto there = end_ - begin_;
  if (there < kLength) return false;
  const std::size_t length = readBig32(received_, begin_);
  return cannotBe(length) || there - kLength >= length;
}

Io StreamDevice::read(Bytes, Packet& packet) {
  if (!frameWaits()) {
    const std::lock_guard lock(mutex_);
    if (const Io result = refill(); result != Io::kDone) return result;
    if (!frameWaits()) return Io::kAgain;  // what is missing makes us readable again
  }
  const std::size_t length = readBig32(received_, begin_);
  if (cannotBe(length)) {
    const std::lock_guard lock(mutex_);
    return lose(Io::kNonsense);
  }
  packet = {received_.subspan(begin_ + kLength, length), {}};
  begin_ += kLength + length;
  return Io::kDone;
}

// Reads what the socket has behind the part of a frame that is left, which alone is moved.
Io StreamDevice::refill() {
  if (!socket_) return Io::kGone;
  flush();
  if (waitingWatched_) {
    watch(epoll_.get(), EPOLL_CTL_DEL, waiting_.get(), 0);
    waitingWatched_ = false;
  }
  const auto left = end_ - begin_;
  if (begin_ != kHeadroom) std::memmove(received_.data() + kHeadroom, received_.data() + begin_, left);
  begin_ = kHeadroom;
  end_ = kHeadroom + left;
  const Bytes room = received_.subspan(end_);
  const auto count = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
  if (count == 0) return lose(Io::kGone);
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Io::kAgain : lose(Io::kGone);
  end_ += static_cast<std::size_t>(count);
  return Io::kDone;
}

void StreamDevice::endBatch() {
  // The socket may be empty by now, and would not tell of these.
  if (!waitingWatched_ && frameWaits())
    waitingWatched_ = watch(epoll_.get(), EPOLL_CTL_ADD, waiting_.get(), EPOLLIN);
}

Io StreamDevice::lose(Io why) {
  if (waitingWatched_) watch(epoll_.get(), EPOLL_CTL_DEL, waiting_.get(), 0);
  waitingWatched_ = false;
  begin_ = end_ = kHeadroom;
  backlogBegin_ = backlogEnd_ = 0;
  socket_ = {};  // leaves epoll_ with it
  return why;
}

// --- to QEMU ---

// The frames of one train on their way into the socket, as many in one call as fit here. Nothing of a train
// is dropped once a part of it has left, unless its headers are longer than its payload.
class StreamDevice::Train {
 public:
  Train(StreamDevice& device, ConstBytes ethernet) : device_(device), ethernet_(ethernet) {}

  void add(const Segment& part) {
    const auto headers = kLength + kEthernetHeader + part.headers.size();
    if (used_ + headers > headers_.size() || count_ + 2 > parts_.size()) send();
    const Bytes into = Bytes(headers_).subspan(used_, headers);
    writeLength(into, kEthernetHeader + part.headers.size() + part.payload.size());
    std::copy(ethernet_.begin(), ethernet_.end(), into.begin() + kLength);
    std::copy(part.headers.begin(), part.headers.end(), into.begin() + kLength + kEthernetHeader);
    used_ += headers;
    parts_[count_++] = {into.data(), into.size()};
    // sendmsg() does not write through its iovecs.
    parts_[count_++] = {const_cast<std::uint8_t*>(part.payload.data()), part.payload.size()};
  }

  // kAgain: there was no room for the first of it, or none for the rest.
  Io finish() {
    send();
    return result_;
  }

 private:
  void send() {
    const std::span<const iovec> parts(parts_.data(), count_);
    if (result_ == Io::kDone && count_ != 0) {
      result_ = device_.backlogEnd_ == 0 ? device_.send(parts) : Io::kAgain;
      if (result_ == Io::kAgain && started_ && device_.keep(parts, 0)) result_ = Io::kDone;
      started_ = true;
    }
    used_ = count_ = 0;
  }

  StreamDevice& device_;
  const ConstBytes ethernet_;
  std::array<std::uint8_t, 8192> headers_;
  std::array<iovec, 128> parts_;
  std::size_t used_ = 0, count_ = 0;
  bool started_ = false;
  Io result_ = Io::kDone;
};

Io StreamDevice::write(const Packet& head, std::span<const iovec> tail) {
  // Its checksum, or its segments, would have to be put together: a port with this device does not merge.
  if (!tail.empty() || head.bytes.size() < kEthernetHeader) return Io::kRefused;
  Packet packet = head;
  trimFront(packet, kEthernetHeader);

  const std::lock_guard lock(mutex_);
  if (!socket_) return Io::kDown;
  if (const Io result = flush(); result != Io::kDone) return result;
  if (head.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
    if (!completeChecksum(packet)) return Io::kRefused;
    const Bytes frame(head.bytes.data() - kLength, kLength + head.bytes.size());
    writeLength(frame, head.bytes.size());
    const iovec part{frame.data(), frame.size()};
    return send({&part, 1});
  }
  std::array<std::uint8_t, 512> scratch;
  Train train(*this, head.bytes.first(kEthernetHeader));
  const auto result = segment(packet, mtu_, scratch, 0, [&](const Segment& part) {
    Packet headers{part.headers, part.offload};
    completeChecksum(headers, part.payload);
    train.add(part);
  });
  const Io sent = train.finish();
  return result == SegmentResult::kDone ? sent : Io::kRefused;
}

// Sends frames; what there is no room for waits in backlog_, which must be empty: one frame, or what Train
// sends at a time, fits. kAgain: there was no room at all.
Io StreamDevice::send(std::span<const iovec> parts) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  const auto count = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM) return Io::kAgain;
    ::shutdown(socket_.get(), SHUT_RDWR);  // the reader closes it
    return Io::kDown;
  }
  const auto sent = static_cast<std::size_t>(count);
  if (sent != lengthOf(parts)) keep(parts, sent);
  return Io::kDone;
}

// Copies all but the first `sent` octets of `parts` behind what waits. False when there is no room for them.
bool StreamDevice::keep(std::span<const iovec> parts, std::size_t sent) {
  if (lengthOf(parts) - sent > backlog_.size() - backlogEnd_) return false;
  for (const iovec& part : parts) {
    const auto skipped = std::min(sent, part.iov_len);
    sent -= skipped;
    const auto* start = static_cast<const std::uint8_t*>(part.iov_base) + skipped;
    std::copy(start, start + (part.iov_len - skipped),
              backlog_.begin() + static_cast<std::ptrdiff_t>(backlogEnd_));
    backlogEnd_ += part.iov_len - skipped;
  }
  wantRoom(true);
  return true;
}

// kDone: nothing waits any more.
Io StreamDevice::flush() {
  if (backlogEnd_ == 0) return Io::kDone;
  const Bytes rest = backlog_.subspan(backlogBegin_, backlogEnd_ - backlogBegin_);
  const auto count = ::send(socket_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM) return Io::kAgain;
    ::shutdown(socket_.get(), SHUT_RDWR);
    return Io::kDown;
  }
  backlogBegin_ += static_cast<std::size_t>(count);
  if (backlogBegin_ != backlogEnd_) return Io::kAgain;
  backlogBegin_ = backlogEnd_ = 0;
  wantRoom(false);
  return Io::kDone;
}

void StreamDevice::wantRoom(bool wanted) {
  watch(epoll_.get(), EPOLL_CTL_MOD, socket_.get(), wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

// --- the connection ---

UniqueFd connectStream(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path.find('\0') != std::string::npos)
    throw EngineError("STREAM_MISSING", "\"" + path + "\" cannot be a socket: use a path of 1 to 107 octets");
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd)
    throw EngineError("OUT_OF_DESCRIPTORS",
                      "cannot open a socket: raise the limit of open files (ulimit -n)");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  switch (errno) {
    case EAGAIN:
      throw EngineError("STREAM_BUSY", path + " takes no further connection: QEMU serves one at a time");
    case EACCES:
    case EPERM:
      throw EngineError("STREAM_PERMISSION",
                        "no right to connect to " + path + ": let the user of the daemon write it");
    case EPROTOTYPE:
    case ENOTSOCK:
      throw EngineError("STREAM_KIND", path + " is no stream socket: name that of -netdev stream");
    default:
      throw EngineError("STREAM_MISSING", "nobody listens at " + path +
                                              ": start QEMU with -netdev stream,server=on,addr.type=unix");
  }
}

}  // namespace kagemusha
