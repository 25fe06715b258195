#include "packet_ring.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace kagemusha {
namespace {

// Before the Ethernet header: what may be put there later (packet.h), besides what the kernel aligns.
constexpr int kReserve = kHeadroom;

[[noreturn]] void throwMemory(std::uint32_t frames) {
  throw EngineError("OUT_OF_MEMORY",
                    "cannot have a receive ring of " + std::to_string(frames) + " frames (" +
                        std::to_string(frames * PacketRing::kFrame) +
                        " bytes) for the packet uplink: free memory or ask for fewer frames");
}

}  // namespace

PacketRing::PacketRing(const RawSocket& socket, const std::string& interface, std::uint32_t frames)
    : fd_(socket.fd.get()), frames_(frames) {
  setRawOption(socket, interface, PACKET_VERSION, static_cast<int>(TPACKET_V2));
  setRawOption(socket, interface, PACKET_RESERVE, kReserve);
  setRawOption(socket, interface, PACKET_VNET_HDR, 1);
  setRawOption(socket, interface, PACKET_COPY_THRESH, 1);
  if (open()) return;
  if (errno == ENOMEM) throwMemory(frames);
  throwRawSocket(interface);
}

PacketRing::~PacketRing() {
  if (isOpen()) ::munmap(memory_.data(), memory_.size());
}

bool PacketRing::open() {
  tpacket_req request{};
  request.tp_block_size = kBlock;
  request.tp_frame_size = kFrame;
  request.tp_frame_nr = frames_;
  request.tp_block_nr = static_cast<unsigned>(size() / kBlock);
  if (::setsockopt(fd_, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0) return false;
  void* start = ::mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (start == MAP_FAILED) {
    close();
    errno = ENOMEM;
    return false;
  }
  memory_ = Bytes(static_cast<std::uint8_t*>(start), size());
  return true;
}

void PacketRing::close() {
  if (isOpen()) ::munmap(memory_.data(), memory_.size());
  memory_ = {};
  next_ = 0;
  const tpacket_req none{};
  ::setsockopt(fd_, SOL_PACKET, PACKET_RX_RING, &none, sizeof none);
}

bool PacketRing::isEmpty() const {
  return taken_ == 0 &&
         std::atomic_ref(header(next_)->tp_status).load(std::memory_order_acquire) == TP_STATUS_KERNEL;
}

bool PacketRing::next(Frame& frame) {
  if (taken_ == frames_ || !isOpen()) return false;
  tpacket2_hdr* head = header(next_);
  const auto status = std::atomic_ref(head->tp_status).load(std::memory_order_acquire);
  if (!(status & TP_STATUS_USER)) return false;
  next_ = next_ + 1 == frames_ ? 0 : next_ + 1;
  ++taken_;
  auto* start = reinterpret_cast<std::uint8_t*>(head) + head->tp_mac;
  std::memcpy(&frame.offload, start - sizeof(Offload), sizeof(Offload));
  frame.bytes = Bytes(start, head->tp_snaplen);
  frame.queued = status & TP_STATUS_COPY;
  frame.cut = !frame.queued && head->tp_snaplen < head->tp_len;
  frame.losing = status & TP_STATUS_LOSING;
  return true;
}

void PacketRing::release() {
  std::uint32_t index = next_ >= taken_ ? next_ - taken_ : next_ + frames_ - taken_;
  for (; taken_ != 0; --taken_) {
    std::atomic_ref(header(index)->tp_status).store(TP_STATUS_KERNEL, std::memory_order_release);
    index = index + 1 == frames_ ? 0 : index + 1;
  }
}

}  // namespace kagemusha
