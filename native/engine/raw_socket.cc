#include "raw_socket.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "error.h"
#include "spare_sockets.h"

namespace kagemusha {

RawSocket openRawSocket(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0)
    throw EngineError("DEVICE_MISSING",
                      "there is no interface " + interface + ": name one of `ip -brief link`");
  UniqueFd fd = takeSpareSocket();
  if (!fd) fd = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd)
    throw EngineError(
        "DEVICE_PERMISSION",
        std::string("no right to open a packet socket on ") + interface +
            ": run as root or with CAP_NET_RAW (sudo setpriv, or AmbientCapabilities= in the unit)");
  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  if (::ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
    throw EngineError("DEVICE_KIND", "interface " + interface +
                                         " is not an Ethernet interface: name one of `ip -brief link`");
  RawSocket result{std::move(fd), static_cast<int>(index), {}};
  std::memcpy(result.mac.octets.data(), request.ifr_hwaddr.sa_data, 6);
  return result;
}

void throwRawSocket(const std::string& interface) {
  throw EngineError("DEVICE_KIND", "cannot use a packet socket on interface " + interface + " (" +
                                       std::strerror(errno) + "): name an Ethernet interface");
}

bool isOrphan(int fd) {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return address.sll_ifindex <= 0;
}

void joinRaw(const RawSocket& socket, const std::string& interface, unsigned short membership) {
  packet_mreq request{};
  request.mr_ifindex = socket.index;
  request.mr_type = membership;
  setRawOption(socket, interface, PACKET_ADD_MEMBERSHIP, request);
}

void bindRaw(const RawSocket& socket, const std::string& interface, std::uint16_t etherType) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(etherType);
  address.sll_ifindex = socket.index;
  if (::bind(socket.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw EngineError("DEVICE_MISSING", "cannot listen on interface " + interface + " (" +
                                            std::strerror(errno) + "): check `ip -brief link`");
}

}  // namespace kagemusha
