// A packet socket on an Ethernet interface, before anything is asked of it (packet(7)).
#pragma once

#include <net/if.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "mac.h"
#include "unique_fd.h"

namespace kagemusha {

// One of spare_sockets.h goes back there in the end, as new: nobody may have its descriptor in an epoll then.
struct RawSocket {
  RawSocket(UniqueFd opened, int interface, const Mac& address, bool isSpare)
      : fd(std::move(opened)), index(interface), mac(address), spare(isSpare) {}
  ~RawSocket();
  RawSocket(RawSocket&&) = default;
  RawSocket& operator=(RawSocket&&) = delete;

  UniqueFd fd;
  int index;                                  // the interface's
  Mac mac;                                    // the interface's
  bool spare;                                 // false: it is closed in the end
  std::vector<unsigned short> memberships{};  // of joinRaw()
};

// Non-blocking; nothing arrives before bindRaw(). Needs CAP_NET_RAW, or a spare socket. Throws EngineError
// DEVICE_MISSING, DEVICE_PERMISSION, DEVICE_KIND, OUT_OF_PACKET_SOCKETS: all spare ones are in use.
RawSocket openRawSocket(const std::string& interface);

// Throws DEVICE_KIND with what errno says: also for what was just refused otherwise.
[[noreturn]] void throwRawSocket(const std::string& interface);
// An option of level SOL_PACKET.
template <class Value>
void setRawOption(const RawSocket& socket, const std::string& interface, int option, const Value& value) {
  if (::setsockopt(socket.fd.get(), SOL_PACKET, option, &value, sizeof value) != 0) throwRawSocket(interface);
}

// SO_SNDBUF. What the kernel counts of packets that are sent and not yet gone: twice this, about 230 packets
// of 1500 octets. A veth takes 256 and drops more than that, where the socket lets us wait.
inline constexpr int kRawSendBuffer = 256 * 1024;

// A question about an interface, SIOCGIF…; nothing: there is none of that name. Any process may ask.
std::optional<ifreq> askInterface(const std::string& interface, unsigned long question);

// The interface was deleted. No error need tell: one that goes down says so, and then it is silent already.
bool isOrphan(int fd);

// PACKET_MR_ALLMULTI, PACKET_MR_PROMISC: for as long as the socket is open.
void joinRaw(RawSocket& socket, const std::string& interface, unsigned short membership);

// A bound socket's `etherType`: nothing arrives; all does. A frame of a VLAN that this machine has no
// interface for has lost its tag where a socket is bound to one type: only who gets all can tell.
inline constexpr std::uint16_t kNothing = 0, kEverything = 3;
// From now on what has this EtherType arrives. Throws DEVICE_MISSING.
void bindRaw(const RawSocket& socket, const std::string& interface, std::uint16_t etherType);

}  // namespace kagemusha
