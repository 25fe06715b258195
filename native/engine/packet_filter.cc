#include "packet_filter.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include "bytes.h"

namespace kagemusha {
namespace {

constexpr unsigned kNextHeader = kEthernetHeader + 6;
constexpr unsigned kDestinationAddress = kEthernetHeader + 24;
constexpr unsigned kBehindIpv6 = kEthernetHeader + kIpv6Header;

constexpr unsigned kPacketType = static_cast<unsigned>(SKF_AD_OFF + SKF_AD_PKTTYPE);
constexpr unsigned kVlanTagPresent = static_cast<unsigned>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT);

// RFC 4861 4: Router Solicitation to Redirect.
constexpr unsigned kFirstDiscovery = 133;
constexpr unsigned kLastDiscovery = 137;

constexpr unsigned kWhole = 0x40000;  // more octets than any packet has

// The first four and last two octets of a MAC, as the filter loads them.
unsigned high(const Mac& mac) { return readBig32(mac.octets, 0); }
unsigned low(const Mac& mac) { return readBig16(mac.octets, 4); }

}  // namespace

// A jump names the number of lines to leave out.
// clang-format off
PacketFilter icmpv6Only() {
  return {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeIpv6, 0, 8),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kPacketType),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 6, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kHopByHop, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kBehindIpv6),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, kWhole),
    BPF_STMT(BPF_RET | BPF_K, 0),
  };
}

PacketFilter icmpv6AndSignaling() {
  return {
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
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kBehindIpv6),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, kWhole),
    BPF_STMT(BPF_RET | BPF_K, 0),
  };
}

PacketFilter neighborDiscoveryFor(const Mac& mac) {
  return {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeIpv6, 0, 17),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kVlanTagPresent),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 15),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 4, 0),  // a group
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high(mac), 0, 11),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low(mac), 0, 9),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kHopByHop, 0, 6),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kBehindIpv6),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 3, 4),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kBehindIpv6),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstDiscovery, 0, 2),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, kLastDiscovery, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, kWhole),
    BPF_STMT(BPF_RET | BPF_K, 0),
  };
}

PacketFilter uplinkFrames(const Mac& mac, std::optional<std::span<const Address>> destinations) {
  PacketFilter filter{
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high(mac), 0, 11),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low(mac), 0, 9),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeIpv6, 0, 7),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kVlanTagPresent),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 5),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNextHeader),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmpv6, 0, 4),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kBehindIpv6),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstDiscovery, 0, 2),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, kLastDiscovery, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
  };
  if (!destinations || destinations->size() > kMaxFiltered) {
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, kWhole));
    return filter;
  }
  for (unsigned word = 0; word < 4; ++word) {
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kDestinationAddress + 4 * word));
    filter.push_back(BPF_STMT(BPF_ST, word));
  }
  for (const Address& address : *destinations) {
    // The end first: that is where addresses of one link differ.
    for (unsigned word = 4; word-- > 0;) {
      const auto skip = static_cast<unsigned char>(2 * word + 1);
      filter.push_back(BPF_STMT(BPF_LD | BPF_MEM, word));
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, readBig32(address.octets, 4 * word), 0, skip));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, kWhole));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  return filter;
}
// clang-format on

bool attachFilter(int fd, const PacketFilter& filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

}  // namespace kagemusha
