#include "xdp_sender.h"

#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>

#include "checksum.h"
#include "kernel_device.h"
#include "mac.h"
#include "raw_socket.h"
#include "spare_sockets.h"

namespace kagemusha {
namespace {

// Linux 6.16 and before have not all of these in their headers.
constexpr std::uint32_t kUmemHasRequests = 1 << 2;    // XDP_UMEM_TX_METADATA_LEN
constexpr std::uint32_t kFrameHasRequest = 1 << 1;    // XDP_TX_METADATA
constexpr int kMostInACall = 9;                       // XDP_MAX_TX_SKB_BUDGET
constexpr std::uint64_t kChecksumRequested = 1 << 1;  // XDP_TXMD_FLAGS_CHECKSUM

// struct xdp_umem_reg as it became with kUmemHasRequests.
struct UmemRegistration {
  std::uint64_t address, length;
  std::uint32_t chunk, headroom, flags, requestLength;
};

// struct xsk_tx_metadata, in front of a frame.
struct Request {
  std::uint64_t flags;
  std::uint16_t checksumStart, checksumOffset;
  std::uint8_t launchTime[12];
};

// Of a slot, before its frame.
constexpr std::size_t kBefore = 64;
static_assert(sizeof(Request) == 24 && sizeof(Request) <= kBefore);

// A veth, a tap takes 256 frames or more, and drops what it has no room for.
constexpr std::uint32_t kMostOnTheWay = 224;
// It asks for a ring of frames to receive to, too.
constexpr std::uint32_t kFill = 2;

// A page: the kernel takes no longer ones.
constexpr std::size_t kLongestSlot = 4096;

// One that was just closed has its queue for some milliseconds more.
constexpr int kAttempts = 20;
constexpr std::chrono::milliseconds kBetweenAttempts(10);

// When there was no room: the interface takes a few hundred frames, and needs as long for them at 10 Gbit/s;
// twice as long each time that nothing has moved.
constexpr std::int64_t kFirstPause = 50'000, kLongestPause = 800'000;

std::uint32_t load(const std::uint32_t* counter) {
  return std::atomic_ref(*const_cast<std::uint32_t*>(counter)).load(std::memory_order_acquire);
}

void store(std::uint32_t* counter, std::uint32_t value) {
  std::atomic_ref(*counter).store(value, std::memory_order_release);
}

// 0: there is no such interface.
std::size_t mtuOf(const std::string& interface) {
  const auto told = askInterface(interface, SIOCGIFMTU);
  return told ? static_cast<std::size_t>(told->ifr_mtu) : 0;
}

}  // namespace

std::unique_ptr<XdpSender> XdpSender::open(const std::string& interface, std::string& why,
                                           Checksums checksums) {
  const auto refused = [&why] {
    why = std::strerror(errno);
    return nullptr;
  };
  UniqueFd fd = takeSpareSocket(AF_XDP);
  if (!fd) fd = UniqueFd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!fd || !timer) return refused();
  const std::size_t mtu = mtuOf(interface);
  if (kBefore + kEthernetHeader + mtu > kLongestSlot) {
    why = "frames of an MTU of " + std::to_string(mtu) + " are too long for it";
    return nullptr;
  }
  std::unique_ptr<XdpSender> sender(new XdpSender(std::move(fd), std::move(timer), interface, mtu));
  if (!sender->prepare(checksums)) return refused();
  return sender;
}

XdpSender::XdpSender(UniqueFd fd, UniqueFd timer, const std::string& interface, std::size_t mtu)
    : fd_(std::move(fd)),
      timer_(std::move(timer)),
      interface_(interface),
      slot_(kBefore + kEthernetHeader + mtu <= kLongestSlot / 2 ? kLongestSlot / 2 : kLongestSlot),
      most_(std::min(slot_ - kBefore, kEthernetHeader + mtu)),
      slots_(kSlots * slot_, Mapping::Sharing::kPrivate),
      pause_(kFirstPause) {
  static_assert(kMostOnTheWay <= kSlots);
  std::iota(free_.begin(), free_.end(), std::uint16_t{0});
}

XdpSender::~XdpSender() {
  for (const Ring& ring : {transmit_, completed_})
    if (!ring.memory.empty()) ::munmap(ring.memory.data(), ring.memory.size());
}

bool XdpSender::prepare(Checksums checksums) {
  const auto sized = [this](int option, std::uint32_t entries) {
    return ::setsockopt(fd_.get(), SOL_XDP, option, &entries, sizeof entries) == 0;
  };
  if (!registerSlots(checksums) || !sized(XDP_UMEM_FILL_RING, kFill) ||
      !sized(XDP_UMEM_COMPLETION_RING, kSlots) || !sized(XDP_TX_RING, kWaiting))
    return false;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &kRawSendBuffer, sizeof kRawSendBuffer);
  isExact_ = sized(kMostInACall, kWaiting);  // both since Linux 6.17
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (::getsockopt(fd_.get(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0 ||
      !map(transmit_, XDP_PGOFF_TX_RING, offsets.tx, sizeof(xdp_desc), kWaiting) ||
      !map(completed_, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, sizeof(std::uint64_t), kSlots))
    return false;
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;
  address.sxdp_ifindex = ::if_nametoindex(interface_.c_str());
  for (int attempt = 1;; ++attempt) {
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    if (errno != EBUSY || attempt == kAttempts) return false;
    std::this_thread::sleep_for(kBetweenAttempts);
  }
}

// A kernel before 6.11 does not know the flag: checksums are complete then.
bool XdpSender::registerSlots(Checksums checksums) {
  const Bytes memory = slots_.bytes();
  UmemRegistration registration{};
  registration.address = reinterpret_cast<std::uintptr_t>(memory.data());
  registration.length = memory.size();
  registration.chunk = static_cast<std::uint32_t>(slot_);
  registration.flags = kUmemHasRequests;
  registration.requestLength = sizeof(Request);
  const auto registered = [&] {
    return ::setsockopt(fd_.get(), SOL_XDP, XDP_UMEM_REG, &registration, sizeof registration) == 0;
  };
  hasRequests_ = checksums == Checksums::kAsked && registered();
  if (hasRequests_) return true;
  registration.flags = registration.requestLength = 0;
  return registered();
}

bool XdpSender::map(Ring& ring, std::uint64_t place, const xdp_ring_offset& offsets, std::size_t entry,
                    std::uint32_t count) const {
  const std::size_t size = offsets.desc + entry * count;
  void* start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(),
                       static_cast<off_t>(place));
  if (start == MAP_FAILED) return false;
  ring.memory = Bytes(static_cast<std::uint8_t*>(start), size);
  ring.produced = reinterpret_cast<std::uint32_t*>(ring.memory.data() + offsets.producer);
  ring.consumed = reinterpret_cast<std::uint32_t*>(ring.memory.data() + offsets.consumer);
  ring.entries = ring.memory.data() + offsets.desc;
  return true;
}

void XdpSender::learnMtu() {
  if (const std::size_t mtu = mtuOf(interface_); mtu != 0)
    most_.store(std::min(slot_ - kBefore, kEthernetHeader + mtu), std::memory_order_relaxed);
}

std::uint32_t XdpSender::waiting() const { return produced_ - load(transmit_.consumed); }

// False: it cannot go this way.
bool XdpSender::put(const msghdr& message) {
  const std::size_t place = free_[freeCount_ - 1] * slot_ + kBefore;
  auto* frame = slots_.bytes().data() + place;
  auto* at = frame - sizeof(Offload);
  const auto* end = frame + most_.load(std::memory_order_relaxed);
  for (const iovec& part : std::span(message.msg_iov, message.msg_iovlen)) {
    if (part.iov_len > static_cast<std::size_t>(end - at)) return false;
    std::memcpy(at, part.iov_base, part.iov_len);
    at += part.iov_len;
  }
  Packet packet{Bytes(frame, at), {}};
  std::memcpy(&packet.offload, frame - sizeof(Offload), sizeof(Offload));
  if (packet.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE) return false;
  xdp_desc entry{};
  entry.addr = place;
  entry.len = static_cast<std::uint32_t>(packet.bytes.size());
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
    if (hasRequests_) {
      const Request request{kChecksumRequested, packet.offload.csum_start, packet.offload.csum_offset, {}};
      std::memcpy(frame - sizeof request, &request, sizeof request);
      entry.options = kFrameHasRequest;
    } else if (!completeChecksum(packet)) {
      return false;
    }
  }
  std::memcpy(transmit_.entries + produced_ % kWaiting * sizeof entry, &entry, sizeof entry);
  ++produced_;
  used_[free_[--freeCount_]] = true;
  return true;
}

// The kernel may complete what names no slot, too.
void XdpSender::release(std::uint64_t slot) {
  if (slot >= kSlots || !used_[slot]) return;
  used_[slot] = false;
  free_[freeCount_++] = static_cast<std::uint16_t>(slot);
}

void XdpSender::takeCompleted() {
  const std::uint32_t end = load(completed_.produced);
  for (std::uint32_t index = load(completed_.consumed); index != end; ++index) {
    std::uint64_t place;
    std::memcpy(&place, completed_.entries + index % kSlots * sizeof place, sizeof place);
    release(place / slot_);
  }
  store(completed_.consumed, end);
}

// How many more frames may be taken now. Who filled the interface comes again when half of them are gone.
std::uint32_t XdpSender::room() {
  takeCompleted();
  const std::uint32_t onTheWay = kSlots - freeCount_;
  const std::uint32_t most = full_ ? kMostOnTheWay / 2 : kMostOnTheWay;
  full_ = onTheWay >= most;
  return full_ ? 0 : std::min(kMostOnTheWay - onTheWay, kWaiting - waiting());
}

Io XdpSender::send(std::span<const mmsghdr> messages, std::size_t& sent) {
  sent = 0;
  for (;;) {
    bool taken = true;
    for (auto free = room(); taken && free != 0 && sent != messages.size(); --free) {
      taken = put(messages[sent].msg_hdr);
      sent += taken;
    }
    const Io result = kick();
    if (result == Io::kDown || result == Io::kGone) {
      sent -= withdraw(sent);
      return result;
    }
    if (result == Io::kDone && sent == messages.size()) return Io::kDone;
    if (result == Io::kDone && !taken) return Io::kRefused;
    if (result == Io::kAgain || full_) {
      retryLater(sent != 0);
      return Io::kAgain;
    }
  }
}

// A kernel before 6.17 copies 32 frames in a call, and tells how many when it has taken all, or with the next
// call: whether there is no room, or only the call was over, is seen by calling again.
Io XdpSender::kick() {
  store(transmit_.produced, produced_);
  unsigned more = kWaiting / 32 + 1;
  while (waiting() != 0) {
    const bool all = ::sendto(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0;
    if (!all && errno == EBUSY) {  // the interface dropped one
      lost_.fetch_add(1, std::memory_order_relaxed);
    } else if (!all && errno != EAGAIN && errno != ENOBUFS) {
      return ioError(errno) == Io::kGone ? Io::kGone : Io::kDown;
    } else if (waiting() != 0 && --more == 0) {
      return Io::kAgain;
    }
  }
  return Io::kDone;
}

// An entry that names no slot is passed over. Where nobody knows which ones the kernel has taken they stay,
// and leave when the interface is up again.
std::size_t XdpSender::withdraw(std::size_t given) {
  if (!isExact_) return 0;
  const std::uint32_t count = std::min(waiting(), produced_ - withdrawn_);
  for (std::uint32_t index = produced_ - count; index != produced_; ++index) {
    auto* at = transmit_.entries + index % kWaiting * sizeof(xdp_desc);
    xdp_desc entry;
    std::memcpy(&entry, at, sizeof entry);
    release(entry.addr / slot_);
    entry = {};
    entry.addr = slots_.bytes().size();
    std::memcpy(at, &entry, sizeof entry);
  }
  withdrawn_ = produced_;
  const std::size_t back = std::min<std::size_t>(count, given);
  lost_.fetch_add(count - back, std::memory_order_relaxed);
  return back;
}

void XdpSender::retryLater(bool progress) {
  if (progress) pause_ = kFirstPause;
  itimerspec time{};
  time.it_value.tv_nsec = pause_;
  ::timerfd_settime(timer_.get(), 0, &time, nullptr);
  pause_ = std::min(2 * pause_, kLongestPause);
}

}  // namespace kagemusha
