#include "spare_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>

#include "error.h"

namespace kagemusha {
namespace {

std::mutex mutex;
std::size_t adopted = 0;
// By family.
std::vector<UniqueFd>& spares(int family) {
  static std::vector<UniqueFd> packet, xdp;
  return family == AF_XDP ? xdp : packet;
}

int familyOf(int fd) {
  int family = AF_UNSPEC;
  socklen_t size = sizeof family;
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  return family;
}

}  // namespace

std::vector<UniqueFd> openSpareSockets(unsigned count, bool xdp) {
  std::vector<UniqueFd> opened;
  for (unsigned index = 0; index < count; ++index) {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
    if (!fd)
      throw EngineError("DEVICE_PERMISSION", std::string("cannot open a packet socket (") +
                                                 std::strerror(errno) + "): run as root or with CAP_NET_RAW");
    opened.push_back(std::move(fd));
  }
  if (xdp)
    if (UniqueFd fd(::socket(AF_XDP, SOCK_RAW, 0)); fd) opened.push_back(std::move(fd));
  return opened;
}

void adoptSpareSockets(std::span<const int> fds) {
  const std::lock_guard lock(mutex);
  for (const int fd : fds) {
    const int family = familyOf(fd);
    if (family != AF_PACKET && family != AF_XDP) continue;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    spares(family).emplace_back(fd);
    adopted += family == AF_PACKET;
  }
}

std::size_t spareSocketsAdopted() {
  const std::lock_guard lock(mutex);
  return adopted;
}

void returnSpareSocket(UniqueFd fd) {
  const std::lock_guard lock(mutex);
  spares(AF_PACKET).push_back(std::move(fd));
}

UniqueFd takeSpareSocket(int family) {
  const std::lock_guard lock(mutex);
  auto& all = spares(family);
  if (all.empty()) return {};
  UniqueFd fd = std::move(all.back());
  all.pop_back();
  return fd;
}

}  // namespace kagemusha
