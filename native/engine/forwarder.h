// What happens to a packet: classification, the tunnel's rules, and the writes that follow.
#pragma once

#include <array>

#include "coalesce.h"
#include "encapsulate.h"
#include "fragment.h"
#include "mss.h"
#include "outer.h"
#include "outgoing.h"
#include "policing.h"
#include "reassemble.h"
#include "slow_path.h"
#include "tunnel_table.h"

namespace kagemusha {

//                   ┌────────────────────────── fromPort ─────────────────────────┐
//   guest ── tap ──▶│ classify ─▶ tunnel by source ─▶ cut ─▶ outer header         │──▶ TUN ── network
//                   │    │                                                        │
//                   │    ▼                                                        │
//                   │ slow path (NDP, MLD, mobility, ESP, ICMPv6 errors)          │
//                   │    ▲                                                        │
//                   │    │                                                        │
//   guest ◀── tap ──│ merge ◀─ check inner ◀─ outer header off ◀─ tunnel by ends  │◀── TUN ── network
//                   │                                  put together ◀─ fragments  │
//                   └───────────────────────── fromUplink ────────────────────────┘
//
// One per worker. Nothing here allocates, blocks or throws.
class Forwarder {
 public:
  static constexpr std::size_t kBatch = 32;
  // An ICMPv6 error quotes no more (RFC 4443 2.4 c: the minimum MTU).
  static constexpr std::size_t kQuote = 1280;

  Forwarder(const Region& region, SlowPath& slowPath, Policing& policing);

  // The table, and the time, that hold for the packets until endBatch().
  void beginBatch(const TunnelTable& table, Instant now) {
    table_ = &table;
    now_ = now;
    outgoing_.mark();
  }
  // Takes a frame as read from `port`. True: its bytes must stay where they are until endBatch(), and while
  // then waiting() is true, until that is false.
  bool fromPort(Port& port, const Packet& frame) {
    route(port, frame);
    return outgoing_.refers();
  }
  // Takes a packet as read from the uplink. True: its bytes must stay where they are until endBatch().
  bool fromUplink(const Packet& packet) {
    const bool held = takeUplink(packet);
    return held || outgoing_.refers();
  }
  // Sends what is on the transmit ring.
  void transmit(SlowPathRing& ring);
  // Whether the bytes of a batch stay where they are for as long as waiting() is true.
  enum class Memory { kStays, kGoes };
  // Writes what was held for merging, sends what was kept, and wakes JavaScript when there is something for
  // it.
  void endBatch(Memory memory = Memory::kGoes);
  // The uplink takes no more for now, and packets wait: nothing may be read from ports until resume(), to be
  // called when the uplink can send again (Device::sendFd()).
  bool waiting() const { return outgoing_.waiting(); }
  // What was sent met an uplink that was deleted; true once.
  bool takeUplinkGone() { return outgoing_.takeGone(); }
  // Between beginBatch() and endBatch().
  void resume();

 private:
  struct WireTotals {
    std::uint64_t packets, bytes;
  };

  // A guest's or a link's frame, in guest_path.cc.
  void route(Port& port, const Packet& frame);

  // Network side, in uplink_path.cc.
  // True: its bytes are held for merging.
  bool takeUplink(const Packet& packet);
  // A whole packet to one of our addresses.
  bool toLocal(Packet packet, const Ipv6View& outer, Side side);
  bool toMobileNode(Packet packet, const Ipv6View& outer);
  bool toHomeAgent(Packet packet, const Ipv6View& outer);
  bool type2Routed(Packet packet, const Ipv6View& outer, const Type2Routing& routing);
  void toRegistered(Packet packet, const Ipv6View& view);
  bool cameFromOurTunnel(Ipv6View packet) const;
  void reencapsulate(Packet packet, const Tunnel& from, const Tunnel& to);
  // What came out of an `onward` tunnel.
  void sendOnward(const Tunnel& tunnel, const Packet& packet);

  // Fragments for one of our addresses, in reassembly_path.cc.
  bool fromFragment(Packet packet, const Ipv6View& outer, Side side, std::size_t position);
  // Of packets that a type 2 routing header leads to a home address.
  bool fromRoutedFragment(Packet packet, const Ipv6View& outer, const Type2Routing& routing);
  // Whether what a type 2 routing header leads to a home address is not for the guest.
  static bool isForUs(const Fragment& first);
  void putTogether(const FragmentKey& key, const Offload& offload, const Fragment& fragment, Side side,
                   const DropCounters& drops);
  bool passAtomic(Packet packet, const Fragment& fragment, Side side, const DropCounters& drops);

  // Route optimisation, in route_path.cc.
  // nullptr: through the tunnel.
  const RouteSpec* straightRoute(const Tunnel& tunnel, const Port& port, const Ipv6View& packet);
  static std::size_t straightMtu(const Tunnel& tunnel, const RouteSpec& route);
  // nullptr: what the routing header asks for is the home agent's to ask.
  const Tunnel* straightTunnel(const Ipv6View& outer, const Type2Routing& routing);
  bool straightToMobileNode(Packet packet, const Ipv6View& outer, const Tunnel& tunnel);
  bool fromHomeAddress(Packet packet, const Ipv6View& view, const Tunnel& tunnel, bool routed);
  bool holdStraight(const Tunnel& tunnel, Packet packet, bool routed);

  // To JavaScript as far as policing lets it, in control_path.cc.
  // False: dropped and counted, at the home address's tunnel or else at `drops`. `ours`: its destination is.
  bool police(const ControlPacket& control, const Ipv6View& view, Side side, bool ours,
              const DropCounters& drops);
  // A packet to one of our addresses that is no tunnel payload; `tunnel`: it came from that one's other end.
  void toControl(const Packet& packet, const Ipv6View& view, Side side, const Tunnel* tunnel);
  void toInner(SlowPathKind kind, const Packet& packet, const Tunnel& tunnel, Policing::Inner what);
  // Tells of a packet that goes no further what an ICMPv6 error quotes of it: with its Ethernet header where
  // the record names a port. `tunnel`: whose lane. The packet is done with, its drop the caller's to count.
  void toErrors(SlowPathRecord record, Packet packet, const Tunnel& tunnel, Policing::Inner what);
  // A tunnel packet, whole, that no binding allows. It is dropped besides.
  void toUnbound(const Packet& packet, const Ipv6View& outer);
  // A frame of a link on which we only speak ICMPv6 and signaling.
  void fromLink(Port& port, const Packet& frame);

  // Both directions.
  // The outer header for a packet that is to enter the tunnel; any that is to go straight by `route`.
  // std::nullopt: it may not, or is too big; counted at `drops`, and told to JavaScript by the lane `what` of
  // `from`. `port`: where a guest's packet came in.
  std::optional<Outer> prepareOuter(const Tunnel& tunnel, const Packet& packet, PortId port,
                                    const Tunnel& from, Policing::Inner what, const DropCounters& drops,
                                    const RouteSpec* route = nullptr);
  // Counts what decapsulate() said of the packet's congestion marks. False: dropped.
  static bool passesCongestion(Congestion congestion, const Tunnel& tunnel);
  // Cuts, encapsulates (or, with a route, sends straight: `outer` does not count then) and writes to the
  // uplink. True when all of it was passed on.
  bool sendThrough(const Tunnel& tunnel, const Outer& outer, Packet packet, TunnelCounter packets,
                   TunnelCounter bytes, const DropCounters& drops, const RouteSpec* route = nullptr);
  // Writes a tunnel packet that is longer than the path takes. `overhead`: of its octets before the inner
  // one. True when all of it was passed on.
  bool writeFragments(const Tunnel& tunnel, const Packet& outer, std::size_t overhead,
                      const DropCounters& drops);
  // What a SYN says of the segments that its sender takes fits the tunnel afterwards, and the route.
  void clamp(const Tunnel& tunnel, const Packet& packet, const RouteSpec* route = nullptr) {
    if (tunnel.spec.mssClamp && maySyn(packet.bytes)) lowerMss(tunnel, packet, route);
  }
  void lowerMss(const Tunnel& tunnel, const Packet& packet, const RouteSpec* route);
  // For the tunnel's guest, or home link. True: its bytes are held for merging.
  bool hold(const Tunnel& tunnel, Packet packet);
  void flush();
  void deliver(const Tunnel& tunnel, const Train& train);
  void deliverToGuest(const Tunnel& tunnel, const Train& train);
  void deliverToKernel(const Tunnel& tunnel, const Train& train);
  // False: dropped and counted, as so many `packets`.
  bool writeUplink(const Packet& head, std::span<const iovec> tail, const DropCounters& drops,
                   std::uint64_t packets = 1);
  // Puts the Ethernet header in front, where the uplink has such.
  bool frameFor(const Uplink& uplink, Packet& packet) const;
  // Sends what waits, as far as it may. `memory`: what becomes of that which a packet refers to.
  void sendOutgoing(Memory memory);
  bool writePort(Port& port, const Packet& head, std::span<const iovec> tail, const DropCounters& drops,
                 std::uint64_t packets = 1);
  void toSlowPath(SlowPathRecord record, Packet packet, const DropCounters& drops);
  // As much of `bytes` as fits a slot, `most` octets at most. False when there is no room; that alone is no
  // drop.
  bool tellSlowPath(const SlowPathRecord& record, ConstBytes bytes,
                    std::size_t most = SlowPathRing::kPayload);
  static WireTotals wireTotals(const Train& train);
  static WireTotals wireTotals(const Packet& packet) {
    return wireTotals({packet, {}, packet.bytes.size(), 1, packet.offload});
  }

  const Region& region_;
  const EngineCounters counters_;
  SlowPath& slowPath_;
  Policing& policing_;
  const TunnelTable* table_ = nullptr;
  Instant now_ = 0;
  Coalescer coalescer_{kBatch};
  OutgoingQueue outgoing_;
  Reassembler reassembler_;
  std::array<std::uint8_t, kHeadroom + 512> scratch_;  // headers of the segment or fragment being cut
  FragmentIdentifications identifications_;
  RecentlyTold correspondents_, unbound_, heard_{RecentlyTold::kHeardAgain};
  bool wakeNeeded_ = false;
  bool transmitting_ = false;  // what is written comes from JavaScript
};

}  // namespace kagemusha
