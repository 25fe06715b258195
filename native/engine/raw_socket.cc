#include "raw_socket.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "error.h"
#include "packet_filter.h"
#include "spare_sockets.h"

namespace kagemusha {

namespace {

[[noreturn]] void throwNoSocket(const std::string& interface) {
  if (const auto count = spareSocketsAdopted(); count != 0)
    throw EngineError("OUT_OF_PACKET_SOCKETS",
                      "no packet socket is left for " + interface + ": all " + std::to_string(count) +
                          " that were opened before CAP_NET_RAW was given up are in use; start again, which "
                          "opens as many as the configuration needs");
  throw EngineError(
      "DEVICE_PERMISSION",
      std::string("no right to open a packet socket on ") + interface +
          ": run as root or with CAP_NET_RAW (sudo setpriv, or AmbientCapabilities= in the unit)");
}

Mac macOf(const std::string& interface) {
  const auto told = askInterface(interface, SIOCGIFHWADDR);
  if (!told || told->ifr_hwaddr.sa_family != ARPHRD_ETHER)
    throw EngineError("DEVICE_KIND", "interface " + interface +
                                         " is not an Ethernet interface: name one of `ip -brief link`");
  Mac mac{};
  std::memcpy(mac.octets.data(), told->ifr_hwaddr.sa_data, 6);
  return mac;
}

// Without an interface, option or packet, and none arrives: as it was when it was opened, but that a bound
// socket cannot have no EtherType any more. It has one that none uses (RFC 1701 reserves it), and a filter
// that takes nothing, until there is another. False: it cannot be.
bool makeNew(const RawSocket& socket) {
  const int fd = socket.fd.get(), off = 0;
  if (!attachFilter(fd, {BPF_STMT(BPF_RET | BPF_K, 0)})) return false;
  sockaddr_ll nowhere{};
  nowhere.sll_family = AF_PACKET;
  nowhere.sll_protocol = htons(0xffff);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&nowhere), sizeof nowhere) != 0) return false;
  for (const unsigned short membership : socket.memberships) {
    packet_mreq request{};
    request.mr_ifindex = socket.index;
    request.mr_type = membership;
    // A deleted interface has none.
    ::setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof request);
  }
  for (const int option : {PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING})
    if (::setsockopt(fd, SOL_PACKET, option, &off, sizeof off) != 0) return false;
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  while (::recv(fd, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0) continue;
  return true;
}

}  // namespace

RawSocket::~RawSocket() {
  if (spare && fd && makeNew(*this)) returnSpareSocket(std::move(fd));
}

RawSocket openRawSocket(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0)
    throw EngineError("DEVICE_MISSING",
                      "there is no interface " + interface + ": name one of `ip -brief link`");
  const Mac mac = macOf(interface);
  UniqueFd fd = takeSpareSocket();
  const bool spare = static_cast<bool>(fd);
  if (!spare) fd = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) throwNoSocket(interface);
  return {std::move(fd), static_cast<int>(index), mac, spare};
}

void throwRawSocket(const std::string& interface) {
  throw EngineError("DEVICE_KIND", "cannot use a packet socket on interface " + interface + " (" +
                                       std::strerror(errno) + "): name an Ethernet interface");
}

std::optional<ifreq> askInterface(const std::string& interface, unsigned long question) {
  const UniqueFd any(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (interface.size() >= sizeof request.ifr_name) return std::nullopt;
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  if (::ioctl(any.get(), question, &request) != 0) return std::nullopt;
  return request;
}

bool isOrphan(int fd) {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return address.sll_ifindex <= 0;
}

void joinRaw(RawSocket& socket, const std::string& interface, unsigned short membership) {
  packet_mreq request{};
  request.mr_ifindex = socket.index;
  request.mr_type = membership;
  setRawOption(socket, interface, PACKET_ADD_MEMBERSHIP, request);
  socket.memberships.push_back(membership);
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
