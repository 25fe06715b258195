#include "privileges.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "../engine/spare_sockets.h"
#include "convert.h"

namespace kagemusha {
namespace {

// Of the calling thread: effective, permitted, inheritable, and with the permitted ones the ambient ones
// (capabilities(7)). CAP_SYS_NICE stays, over execve(2) too: the engine's threads need it (worker.cc).
bool dropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  const auto nice = sets[0].permitted & (1u << CAP_SYS_NICE);
  sets.fill({});
  sets[0] = {nice, nice, nice};
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return false;
  if (nice != 0) ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_NICE, 0, 0);
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

// Node closes them at an execve(2) (uv_disable_stdio_inheritance), and the log would go nowhere.
void keepStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::fcntl(fd, F_SETFD, 0);
}

std::vector<std::string> texts(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<std::string> all;
  for (std::uint32_t index = 0; index < list.Length(); ++index)
    all.push_back(list.Get(index).ToString().Utf8Value());
  return all;
}

// As execve(2) takes them; they point into `all`.
std::vector<char*> pointers(std::vector<std::string>& all) {
  std::vector<char*> list;
  for (std::string& one : all) list.push_back(one.data());
  list.push_back(nullptr);
  return list;
}

}  // namespace

Napi::Value openSpareSockets(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto opened = openSpareSockets(number(info[0], "count"), info[1].ToBoolean());
    Napi::Array list = Napi::Array::New(info.Env(), opened.size());
    std::uint32_t index = 0;
    for (UniqueFd& fd : opened) list.Set(index++, fd.release());
    return list;
  });
}

void adoptSpareSockets(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const auto list = info[0].As<Napi::Array>();
    std::vector<int> fds;
    for (std::uint32_t index = 0; index < list.Length(); ++index)
      fds.push_back(static_cast<int>(number(list.Get(index), "fd")));
    adoptSpareSockets(fds);
  });
}

void replaceProcess(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::string path = text(info[0], "path");
    std::vector<std::string> arguments = texts(info[1]), environment = texts(info[2]);
    std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
    keepStandardStreams();
    if (dropCapabilities()) ::execve(path.c_str(), argv.data(), envp.data());
    throw EngineError("EXEC_FAILED", "cannot start " + path + " without capabilities (" +
                                         std::strerror(errno) + "): run it as root instead");
  });
}

}  // namespace kagemusha
