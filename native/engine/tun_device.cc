#include "tun_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace kagemusha {
namespace {

constexpr const char* kTunPath = "/dev/net/tun";

std::string because(int error) { return std::string(" (") + std::strerror(error) + ")"; }

[[noreturn]] void throwUnavailable(int error) {
  const std::string mend = error == EACCES || error == EPERM
                               ? "run as root, or once: sudo chmod 0666 /dev/net/tun"
                               : "run once: sudo modprobe tun";
  throw EngineError("TUN_UNAVAILABLE", std::string("cannot open ") + kTunPath + because(error) + ": " + mend);
}

[[noreturn]] void throwRefused(const std::string& name, TunMode mode, bool existed, int error) {
  const std::string kind = mode == TunMode::kTap ? "tap" : "tun";
  const std::string add = "sudo ip tuntap add dev " + name + " mode " + kind + " user $USER";
  const std::string again = "sudo ip link delete " + name + " && " + add;
  switch (error) {
    case EBUSY:
      throw EngineError("DEVICE_BUSY", "device " + name +
                                           " is in use by another process: stop that one (sudo fuser -v " +
                                           std::string(kTunPath) + "), or choose another device");
    case EPERM:
    case EACCES:
      if (!existed)
        throw EngineError("DEVICE_MISSING",
                          "there is no device " + name + ", and no right to create it: " + add);
      throw EngineError("DEVICE_PERMISSION", "device " + name + " belongs to another user: " + again);
    case EINVAL:
      throw EngineError("DEVICE_KIND", "device " + name + " is not a single-queue " + kind +
                                           " device: choose another name, or " + again);
    default:
      throw EngineError("DEVICE_MISSING", "cannot attach to device " + name + because(error) + ": " + add);
  }
}

void requireName(const std::string& name) {
  // '%' would make the kernel choose a number.
  if (name.empty() || name.size() >= IFNAMSIZ || name.find_first_of("/% \t\n:") != std::string::npos ||
      name == "." || name == "..")
    throw EngineError("DEVICE_MISSING",
                      "\"" + name + "\" cannot be the name of a device: use 1 to 15 letters and digits");
}

// Octets of packets that may wait for a NAPI that does not get to run; more are refused, and counted by the
// writer.
constexpr int kNapiBacklog = 8 << 20;

// A kernel, or a device bound to older features, may refuse segmentation: then packets come one by one.
void enableOffloads(int fd) {
  constexpr unsigned kChecksum = TUN_F_CSUM;
  constexpr unsigned kAll = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  for (const unsigned offloads : {kAll, kChecksum, 0u})
    if (::ioctl(fd, TUNSETOFFLOAD, offloads) == 0) return;
}

}  // namespace

std::unique_ptr<Device> openTunDevice(const std::string& name, TunMode mode) {
  requireName(name);
  UniqueFd fd(::open(kTunPath, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) throwUnavailable(errno);

  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  const int kind = mode == TunMode::kTap ? IFF_TAP : mode == TunMode::kTun ? IFF_TUN : IFF_TUN | IFF_NAPI;
  const int flags = kind | IFF_NO_PI | IFF_VNET_HDR;
  request.ifr_flags = static_cast<short>(flags);
  const bool existed = ::if_nametoindex(name.c_str()) != 0;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) throwRefused(name, mode, existed, errno);

  // A persistent device outlives a crash of ours; what another created stays as they made it.
  if (!existed) ::ioctl(fd.get(), TUNSETPERSIST, 1);
  const int headerSize = sizeof(Offload);
  ::ioctl(fd.get(), TUNSETVNETHDRSZ, &headerSize);
  enableOffloads(fd.get());
  if (mode == TunMode::kTunNapi) ::ioctl(fd.get(), TUNSETSNDBUF, &kNapiBacklog);
  return std::make_unique<KernelDevice>(std::move(fd));
}

}  // namespace kagemusha
