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
std::vector<UniqueFd>& spares() {
  static std::vector<UniqueFd> all;
  return all;
}

bool isPacketSocket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_PACKET;
}

}  // namespace

std::vector<UniqueFd> openSpareSockets(unsigned count) {
  std::vector<UniqueFd> opened;
  for (unsigned index = 0; index < count; ++index) {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
    if (!fd)
      throw EngineError("DEVICE_PERMISSION", std::string("cannot open a packet socket (") +
                                                 std::strerror(errno) + "): run as root or with CAP_NET_RAW");
    opened.push_back(std::move(fd));
  }
  return opened;
}

void adoptSpareSockets(std::span<const int> fds) {
  const std::lock_guard lock(mutex);
  for (const int fd : fds) {
    if (!isPacketSocket(fd)) continue;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    spares().emplace_back(fd);
    ++adopted;
  }
}

std::size_t spareSocketsAdopted() {
  const std::lock_guard lock(mutex);
  return adopted;
}

void returnSpareSocket(UniqueFd fd) {
  const std::lock_guard lock(mutex);
  spares().push_back(std::move(fd));
}

UniqueFd takeSpareSocket() {
  const std::lock_guard lock(mutex);
  if (spares().empty()) return {};
  UniqueFd fd = std::move(spares().back());
  spares().pop_back();
  return fd;
}

}  // namespace kagemusha
