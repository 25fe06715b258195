#include "packet_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "error.h"
#include "ipv6.h"

namespace kagemusha {
namespace {

constexpr unsigned kNextHeader = kEthernetHeader + 6;
constexpr unsigned kNextHeaderOfFirstExtension = kEthernetHeader + kIpv6Header;

constexpr unsigned kPacketType = static_cast<unsigned>(SKF_AD_OFF + SKF_AD_PKTTYPE);

// A jump names the number of lines to leave out.
// clang-format off
sock_filter kIcmpv6Only[] = {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeIpv6, 0, 8),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kPacketType),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 6, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kHopByHop, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeaderOfFirstExtension),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 0xffff),
    BPF_STMT(BPF_RET | BPF_K, 0),
};
sock_filter kIcmpv6AndSignaling[] = {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeIpv6, 0, 13),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kMobility, 10, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kEsp, 9, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRouting, 8, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kDestination, 7, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kPacketType),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 6, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kHopByHop, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeaderOfFirstExtension),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 0xffff),
    BPF_STMT(BPF_RET | BPF_K, 0),
};
// clang-format on

template <std::size_t count>
sock_fprog program(sock_filter (&filter)[count]) {
  return {static_cast<unsigned short>(count), filter};
}

template <class Value>
void setOption(int fd, const std::string& interface, int level, int option, const Value& value) {
  if (::setsockopt(fd, level, option, &value, sizeof value) != 0)
    throw EngineError("DEVICE_KIND", "cannot listen on interface " + interface + " (" + std::strerror(errno) +
                                         "): name an Ethernet interface of the home link");
}

}  // namespace

PacketSocket openPacketSocket(const std::string& interface, const PacketSocketOptions& options) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0)
    throw EngineError("DEVICE_MISSING",
                      "there is no interface " + interface + ": name one of `ip -brief link`");
  // Protocol 0: nothing arrives before the filter is there.
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd)
    throw EngineError(
        "DEVICE_PERMISSION",
        std::string("no right to open a packet socket on ") + interface +
            ": run as root or with CAP_NET_RAW (sudo setpriv, or AmbientCapabilities= in the unit)");

  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  if (::ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
    throw EngineError("DEVICE_KIND",
                      "interface " + interface + " is not an Ethernet interface: name one of the home link");
  PacketSocket result;
  std::memcpy(result.mac.octets.data(), request.ifr_hwaddr.sa_data, 6);

  const sock_fprog filter = options.signaling ? program(kIcmpv6AndSignaling) : program(kIcmpv6Only);
  setOption(fd.get(), interface, SOL_SOCKET, SO_ATTACH_FILTER, filter);
  setOption(fd.get(), interface, SOL_PACKET, PACKET_VNET_HDR, 1);
  setOption(fd.get(), interface, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  packet_mreq membership{};
  membership.mr_ifindex = static_cast<int>(index);
  membership.mr_type = PACKET_MR_ALLMULTI;
  setOption(fd.get(), interface, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership);
  if (options.promiscuous) {
    membership.mr_type = PACKET_MR_PROMISC;
    setOption(fd.get(), interface, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership);
  }

  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_IPV6);
  address.sll_ifindex = static_cast<int>(index);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw EngineError("DEVICE_MISSING", "cannot listen on interface " + interface + " (" +
                                            std::strerror(errno) + "): check `ip -brief link`");
  result.device = std::make_unique<KernelDevice>(std::move(fd));
  return result;
}

}  // namespace kagemusha
