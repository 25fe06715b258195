#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "../engine/unique_fd.h"
#include "convert.h"

namespace kagemusha {

void notifySocket(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::string path = text(info[0], "path"), message = text(info[1], "message");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
      throw EngineError("NOTIFY_FAILED",
                        "NOTIFY_SOCKET \"" + path + "\" is not the path of a Unix socket: unset it");
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                        reinterpret_cast<const sockaddr*>(&address), length) < 0)
      throw EngineError("NOTIFY_FAILED",
                        "cannot notify " + path + " (" + std::strerror(errno) + "): check NOTIFY_SOCKET");
  });
}

}  // namespace kagemusha
