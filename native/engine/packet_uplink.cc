#include "packet_uplink.h"

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <utility>

#include "error.h"
#include "kernel_device.h"
#include "packet_filter.h"
#include "packet_ring.h"
#include "xdp_sender.h"

namespace kagemusha {
namespace {

void requireOptions(const PacketUplinkOptions& options) {
  if (options.rxFrames < PacketRing::kLeast || options.rxFrames > PacketRing::kMost ||
      options.rxFrames % PacketRing::kLeast != 0)
    throw EngineError("UPLINK_OPTIONS", "packet uplink: a ring of " + std::to_string(options.rxFrames) +
                                            " frames cannot be: ask for a multiple of 64, from 64 to 65536");
  if (options.mac && options.mac->isGroup())
    throw EngineError("UPLINK_OPTIONS", "packet uplink: a group's MAC address cannot be ours");
}

// More than net.core.rmem_max only as root.
void setReceiveQueue(int fd, std::uint32_t octets) {
  const int value = static_cast<int>(octets);
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof value) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value);
}

// An uplink's is not made as new: it stays for as long as the process.
RawSocket openUplinkSocket(const std::string& interface) {
  RawSocket socket = openRawSocket(interface);
  socket.spare = false;
  return socket;
}

RawSocket openReceiver(const std::string& interface, const PacketUplinkOptions& options) {
  RawSocket socket = openUplinkSocket(interface);
  const bool own = options.mac && *options.mac != socket.mac;
  const std::span<const Address> nobody;
  const auto filter =
      options.mac ? uplinkFrames(*options.mac, std::nullopt) : uplinkFrames(socket.mac, nobody);
  if (!attachFilter(socket.fd.get(), filter)) throwRawSocket(interface);
  setRawOption(socket, interface, PACKET_IGNORE_OUTGOING, 1);
  setReceiveQueue(socket.fd.get(), options.rxQueue);
  if (own) joinRaw(socket, interface, PACKET_MR_PROMISC);
  return socket;
}

RawSocket openSender(const std::string& interface, const PacketUplinkOptions& options) {
  RawSocket socket = openUplinkSocket(interface);
  setRawOption(socket, interface, PACKET_VNET_HDR, 1);
  ::setsockopt(socket.fd.get(), SOL_SOCKET, SO_SNDBUF, &kRawSendBuffer, sizeof kRawSendBuffer);
  if (options.bypassQdisc) setRawOption(socket, interface, PACKET_QDISC_BYPASS, 1);
  bindRaw(socket, interface, kNothing);
  return socket;
}

class RingUplink final : public PacketUplink {
 public:
  RingUplink(const std::string& interface, const PacketUplinkOptions& options)
      : sender_(openSender(interface, options)),
        receiver_(openReceiver(interface, options)),
        mac_(options.mac.value_or(receiver_.mac)),
        byDestination_(!options.mac),
        xdp_(options.bypassQdisc ? XdpSender::open(interface, withoutXdp_) : nullptr),
        ring_(receiver_, interface, options.rxFrames) {
    bindRaw(receiver_, interface, kEverything);
  }

  const Mac& mac() const override { return mac_; }
  const std::string& withoutXdp() const override { return withoutXdp_; }
  std::size_t ringBytes() const override { return ring_.size(); }

  void setDestinations(const std::vector<Address>& addresses) override {
    if (byDestination_ && !attachFilter(receiver_.fd.get(), uplinkFrames(mac_, addresses)))
      throw EngineError("OUT_OF_MEMORY",
                        "no memory for a packet filter of " + std::to_string(addresses.size()) +
                            " addresses: raise net.core.optmem_max, or give the uplink a MAC of its own");
  }

  int fd() const override { return receiver_.fd.get(); }
  Io read(Bytes slot, Packet& packet) override;
  void endBatch() override { ring_.release(); }
  Io takeError() override;
  bool wantsLook() const override { return true; }
  Io look() override;
  Losses takeLosses() override;

  Io write(const Packet& head, std::span<const iovec> tail) override;
  bool sendsMany() const override { return true; }
  int sendFd() const override { return xdp_ ? xdp_->fd() : sender_.fd.get(); }
  Io send(std::span<mmsghdr> messages, std::size_t& sent) override;

 private:
  Io sendBySocket(std::span<mmsghdr> messages, std::size_t& sent);
  Io receiveQueued(Bytes slot, Packet& packet);
  std::uint64_t takeDrops();
  ssize_t receive(std::span<std::uint8_t> into);

  const RawSocket sender_, receiver_;
  const Mac mac_;
  const bool byDestination_;
  std::string withoutXdp_;
  const std::unique_ptr<XdpSender> xdp_;
  std::mutex sending_;  // by xdp_
  PacketRing ring_;
  bool losing_ = false;
  bool failed_ = false;  // an error was met that epoll does not report any more
  Losses losses_;

  // So many looks, a minute, without a ring: see look().
  static constexpr std::uint64_t kWithoutRing = 60;
  std::uint64_t taken_ = 0, takenBefore_ = 0;  // packets, until now and until the last look
  std::uint64_t looks_ = 0, stoppedAt_ = 0;    // 0: never
};

Io RingUplink::read(Bytes slot, Packet& packet) {
  PacketRing::Frame frame;
  while (ring_.next(frame)) {
    ++taken_;
    losing_ = losing_ || frame.losing;
    if (frame.queued) {
      if (receiveQueued(slot, packet) == Io::kDone) return Io::kDone;
      ++losses_.full;
    } else if (frame.cut || frame.bytes.size() < kEthernetHeader) {
      ++losses_.full;
    } else {
      packet = {frame.bytes, frame.offload};
      trimFront(packet, kEthernetHeader);
      return Io::kDone;
    }
  }
  if (!ring_.isOpen()) {
    const Io result = receiveQueued(slot, packet);
    if (result == Io::kDone) return Io::kDone;
    if (result != Io::kAgain) ++losses_.stopped;  // only this one: epoll tells of what is behind it
  }
  return std::exchange(failed_, false) && takeError() == Io::kGone ? Io::kGone : Io::kAgain;
}

// The next packet that was queued. An interface that goes down is told of here first, and no packet taken:
// the queue must stay in step with the ring.
ssize_t RingUplink::receive(std::span<std::uint8_t> into) {
  for (int attempt = 0;; ++attempt) {
    const auto count = ::recv(receiver_.fd.get(), into.data(), into.size(), MSG_DONTWAIT | MSG_TRUNC);
    // With EINVAL it is gone: its virtio header could not be made.
    if (count >= 0 || errno == EAGAIN || errno == EINVAL || attempt == 2) return count;
    failed_ = true;
  }
}

// Into the slot, the vnet and Ethernet headers into its headroom.
Io RingUplink::receiveQueued(Bytes slot, Packet& packet) {
  auto* start = slot.data() - kEthernetHeader - sizeof(Offload);
  const auto count = receive({start, sizeof(Offload) + kEthernetHeader + slot.size()});
  if (count < 0) return ioError(errno);
  const auto length = static_cast<std::size_t>(count);
  if (length < sizeof(Offload) + kEthernetHeader || length > sizeof(Offload) + kEthernetHeader + slot.size())
    return Io::kLost;
  std::memcpy(&packet.offload, start, sizeof(Offload));
  packet.bytes = Bytes(start + sizeof(Offload), length - sizeof(Offload));
  trimFront(packet, kEthernetHeader);
  return Io::kDone;
}

// The interface went down, and perhaps away: then the kernel took the socket off it.
Io RingUplink::takeError() {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (isOrphan(fd())) return Io::kGone;
  return error == 0 ? Io::kDone : Io::kDown;
}

// Of packets, since the last call.
std::uint64_t RingUplink::takeDrops() {
  losing_ = false;
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  const bool told = ::getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0;
  return told ? statistics.tp_drops : 0;
}

Device::Losses RingUplink::takeLosses() {
  if (losing_) losses_.full += takeDrops();
  if (xdp_) losses_.unsent += xdp_->takeLost();
  return std::exchange(losses_, {});
}

// A ring that drops what comes although it is empty, all the time between two looks, has stopped (see
// PacketRing), and is made anew. Whoever stops it again within a minute means it: for another one packets
// come without a ring, one call each, and such a frame is only dropped itself.
Io RingUplink::look() {
  if (isOrphan(fd())) return Io::kGone;
  if (xdp_) xdp_->learnMtu();
  ++looks_;
  const bool idle = std::exchange(takenBefore_, taken_) == taken_;
  const auto drops = takeDrops();
  if (!ring_.isOpen()) {
    losses_.full += drops;
    if (looks_ - stoppedAt_ >= kWithoutRing) ring_.open();
  } else if (drops != 0 && idle && ring_.isEmpty()) {
    losses_.stopped += drops;
    ring_.close();
    const bool again = stoppedAt_ != 0 && looks_ - stoppedAt_ < kWithoutRing;
    stoppedAt_ = looks_;
    if (!again) ring_.open();
  } else {
    losses_.full += drops;
  }
  return Io::kDone;
}

Io RingUplink::write(const Packet& head, std::span<const iovec> tail) {
  auto* start = head.bytes.data() - sizeof(Offload);
  std::memcpy(start, &head.offload, sizeof(Offload));
  iovec parts[KernelDevice::kMaxParts];
  if (tail.size() >= KernelDevice::kMaxParts) return Io::kRefused;
  parts[0] = {start, sizeof(Offload) + head.bytes.size()};
  std::copy(tail.begin(), tail.end(), parts + 1);
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = tail.size() + 1;
  return ::sendmsg(sender_.fd.get(), &message, MSG_DONTWAIT) < 0 ? ioError(errno) : Io::kDone;
}

// In order: what AF_XDP does not take goes by the socket when nothing waits before it.
Io RingUplink::send(std::span<mmsghdr> messages, std::size_t& sent) {
  if (!xdp_) return sendBySocket(messages, sent);
  const std::lock_guard lock(sending_);
  for (sent = 0;;) {
    std::size_t count = 0;
    Io result = xdp_->send(messages.subspan(sent), count);
    sent += count;
    if (result != Io::kRefused) return result;
    result = sendBySocket(messages.subspan(sent, 1), count);
    sent += count;
    if (result == Io::kAgain) xdp_->retryLater(sent != 0);
    if (result != Io::kDone) return result;
  }
}

Io RingUplink::sendBySocket(std::span<mmsghdr> messages, std::size_t& sent) {
  sent = 0;
  while (sent != messages.size()) {
    const int count = ::sendmmsg(sender_.fd.get(), messages.data() + sent,
                                 static_cast<unsigned>(messages.size() - sent), MSG_DONTWAIT);
    if (count > 0)
      sent += static_cast<std::size_t>(count);
    else if (errno != EINTR)
      return ioError(errno);
  }
  return Io::kDone;
}

}  // namespace

std::shared_ptr<PacketUplink> openPacketUplink(const std::string& interface,
                                               const PacketUplinkOptions& options) {
  requireOptions(options);
  return std::make_shared<RingUplink>(interface, options);
}

}  // namespace kagemusha
