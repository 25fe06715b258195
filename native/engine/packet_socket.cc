#include "packet_socket.h"

#include <linux/if_packet.h>

#include "packet_filter.h"
#include "raw_socket.h"

namespace kagemusha {
namespace {

class LinkDevice final : public KernelDevice {
 public:
  explicit LinkDevice(RawSocket socket) : KernelDevice(std::move(socket.fd)), socket_(std::move(socket)) {}
  ~LinkDevice() override { socket_.fd = release(); }
  bool wantsLook() const override { return true; }
  Io look() override { return isOrphan(fd()) ? Io::kGone : Io::kDone; }

 private:
  RawSocket socket_;  // all but its descriptor, which comes back in the end
};

}  // namespace

PacketSocket openPacketSocket(const std::string& interface, const PacketSocketOptions& options) {
  RawSocket socket = openRawSocket(interface);
  const PacketFilter filter = options.mac         ? neighborDiscoveryFor(*options.mac)
                              : options.signaling ? icmpv6AndSignaling()
                                                  : icmpv6Only();
  if (!attachFilter(socket.fd.get(), filter)) throwRawSocket(interface);
  setRawOption(socket, interface, PACKET_VNET_HDR, 1);
  setRawOption(socket, interface, PACKET_IGNORE_OUTGOING, 1);
  joinRaw(socket, interface, PACKET_MR_ALLMULTI);
  const Mac mac = options.mac.value_or(socket.mac);
  if (options.promiscuous || mac != socket.mac) joinRaw(socket, interface, PACKET_MR_PROMISC);
  bindRaw(socket, interface, options.mac ? kEverything : kEtherTypeIpv6);
  return {std::make_unique<LinkDevice>(std::move(socket)), mac};
}

}  // namespace kagemusha
