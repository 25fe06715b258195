#include "kernel_device.h"

#include <cerrno>
#include <cstring>

namespace kagemusha {

Io ioError(int error) {
  switch (error) {
    case EAGAIN:
    case EINTR:
      return Io::kAgain;
    case ENOBUFS:
      return Io::kLost;
    case EINVAL:
    case EMSGSIZE:  // longer than the interface takes
      return Io::kRefused;
    case EBADFD:  // a TUN whose interface was deleted
    case ENODEV:
    case ENXIO:
      return Io::kGone;
    default:
      return Io::kDown;
  }
}

Io KernelDevice::read(Bytes slot, Packet& packet) {
  // The vnet header lands at the end of the headroom, so that the packet itself starts where the slot does.
  auto* start = slot.data() - sizeof(Offload);
  const auto count = ::read(fd_.get(), start, sizeof(Offload) + slot.size());
  if (count < 0) return ioError(errno);
  if (static_cast<std::size_t>(count) < sizeof(Offload)) return Io::kDown;
  std::memcpy(&packet.offload, start, sizeof(Offload));
  packet.bytes = slot.first(static_cast<std::size_t>(count) - sizeof(Offload));
  return Io::kDone;
}

Io KernelDevice::write(const Packet& head, std::span<const iovec> tail) {
  auto* start = head.bytes.data() - sizeof(Offload);
  std::memcpy(start, &head.offload, sizeof(Offload));
  const auto length = sizeof(Offload) + head.bytes.size();
  if (tail.empty()) return ::write(fd_.get(), start, length) < 0 ? ioError(errno) : Io::kDone;
  if (tail.size() >= kMaxParts) return Io::kRefused;
  iovec parts[kMaxParts];
  parts[0] = {start, length};
  std::memcpy(parts + 1, tail.data(), tail.size_bytes());
  return ::writev(fd_.get(), parts, static_cast<int>(tail.size() + 1)) < 0 ? ioError(errno) : Io::kDone;
}

}  // namespace kagemusha
