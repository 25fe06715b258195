// A veth pair in a network namespace of a test's own: as root.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>

#include "../engine/unique_fd.h"

namespace kagemusha::test {

inline bool run(const char* command) {
  return std::system((std::string(command) + " >/dev/null 2>&1").c_str()) == 0;
}

// kgu0 ═══ kgu1, in a namespace that this thread is in until the end.
class Wire {
 public:
  static std::unique_ptr<Wire> make() {
    UniqueFd before(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::geteuid() != 0 || !before || ::unshare(CLONE_NEWNET) != 0) return nullptr;
    auto wire = std::unique_ptr<Wire>(new Wire(std::move(before)));
    // No Neighbor Discovery of the kernel's.
    const bool made =
        run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 && ip link add kgu0 type veth peer name kgu1 && "
            "ip link set kgu0 mtu 9000 up && ip link set kgu1 mtu 9000 up");
    return made ? std::move(wire) : nullptr;
  }
  ~Wire() { static_cast<void>(::setns(before_.get(), CLONE_NEWNET)); }

 private:
  explicit Wire(UniqueFd before) : before_(std::move(before)) {}
  UniqueFd before_;
};

#define ON_A_WIRE(wire)                                            \
  const auto wire = Wire::make();                                  \
  if (!wire) {                                                     \
    MESSAGE("needs root, and a network namespace: not looked at"); \
    return;                                                        \
  }

// While it lives this thread, and those that it starts meanwhile, stay on the processor that they are on.
// Without NAPI a veth's packets wait in a queue of the processor that sent them: a sender that is moved
// overtakes itself.
class OnOneProcessor {
 public:
  OnOneProcessor() {
    REQUIRE(::sched_getaffinity(0, sizeof before_, &before_) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  }
  ~OnOneProcessor() { ::sched_setaffinity(0, sizeof before_, &before_); }
  OnOneProcessor(const OnOneProcessor&) = delete;
  OnOneProcessor& operator=(const OnOneProcessor&) = delete;

 private:
  cpu_set_t before_;
};

// While it lives this thread has no capability in effect.
class WithoutCapabilities {
 public:
  WithoutCapabilities() {
    REQUIRE(::syscall(SYS_capget, &header_, before_.data()) == 0);
    auto none = before_;
    for (auto& word : none) word.effective = 0;
    REQUIRE(::syscall(SYS_capset, &header_, none.data()) == 0);
    CHECK_FALSE(UniqueFd(::socket(AF_PACKET, SOCK_RAW, 0)));
  }
  ~WithoutCapabilities() { ::syscall(SYS_capset, &header_, before_.data()); }
  WithoutCapabilities(const WithoutCapabilities&) = delete;
  WithoutCapabilities& operator=(const WithoutCapabilities&) = delete;

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> before_{};
};

}  // namespace kagemusha::test
