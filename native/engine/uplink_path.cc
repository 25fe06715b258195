// The way of a packet from the network: tunnel → guest at the mobile node's side; both ways at the home
// agent's.
#include "forwarder.h"
#include "probe.h"

namespace kagemusha {
namespace {

constexpr std::uint8_t kRouterSolicitation = 133;  // RFC 4861 4.1
constexpr std::uint8_t kRedirect = 137;            // RFC 4861 4.5
constexpr std::uint8_t kLinkHopLimit = 255;
// Tunnels within tunnels that a packet for a home address may have been through already.
constexpr int kMaxNesting = 8;

constexpr std::uint8_t kMobilePrefixAdvertisement = 147;  // RFC 6275 6.8

// Every packet in the tunnel begins with the IPv6 header, or with destination options that say how deep
// tunnels may nest (RFC 2473 4.1.1).
bool isTunnelPacket(const Ipv6View& view) {
  if (view.nextHeader() == kIpv6) return true;
  return view.nextHeader() == kDestination && view.bytes.size() > kIpv6Header &&
         view.bytes[kIpv6Header] == kIpv6;
}

// Neighbor Discovery that a guest would believe (RFC 4861 6.1, 7.1, 8.1: hop limit 255): on its link it hears
// src/homelink, and nobody beyond the link can say such a thing, unless a tunnel packet is forged.
bool isNeighborDiscovery(const Ipv6View& view) {
  if (view.hopLimit() != kLinkHopLimit) return false;
  const auto upper = findUpperLayer(view);
  if (!upper) return true;  // behind more headers than we look through: nobody has any use for it
  // Fragments of such messages are refused by the guest itself (RFC 6980 5).
  if (upper->protocol != kIcmpv6 || upper->fragment || upper->offset >= view.bytes.size()) return false;
  const std::uint8_t type = view.bytes[upper->offset];
  return type >= kRouterSolicitation && type <= kRedirect;
}

bool isAnswerType(std::uint8_t type) { return type == kEchoReply || type == kMobilePrefixAdvertisement; }

// ICMPv6 of the home agent that answers us, not the guest.
bool isAnswer(const Ipv6View& view) {
  const auto upper = findUpperLayer(view);
  if (!upper || upper->protocol != kIcmpv6 || upper->fragment || upper->offset >= view.bytes.size())
    return false;
  return isAnswerType(view.bytes[upper->offset]);
}

// A Mobility Header for a guest's home address, when it can be handed over.
bool isMobility(const Ipv6View& view) {
  const auto upper = findUpperLayer(view);
  return upper && upper->protocol == kMobility && !upper->fragment;
}

// Mobility signalling is for us, not for the guest, even when it is addressed to its home address (RFC
// 6275 6.4): in the clear, protected (RFC 3776), or behind options that only we can judge.
bool isSignalling(std::uint8_t nextHeader) {
  return nextHeader == kMobility || nextHeader == kEsp || nextHeader == kDestination;
}

bool fitsSlot(const Packet& packet) { return packet.bytes.size() <= SlowPathRing::kPayload; }

}  // namespace

bool Forwarder::takeUplink(const Packet& read) {
  counters_.add(EngineCounter::uplinkPacketsRead);
  Packet packet = read;
  const auto view = viewIpv6(packet.bytes);
  if (!view) return counters_.drop(Drop::malformed), false;
  packet.bytes = packet.bytes.first(view->bytes.size());

  const Address destination = view->destination();
  const Side* side = table_->localSide(destination);
  if (!side) return toRegistered(packet, *view), false;
  if (const auto position = fragmentPosition(*view)) return fromFragment(packet, *view, *side, position);
  return toLocal(packet, *view, *side);
}

bool Forwarder::isForUs(const Fragment& first) {
  return isSignalling(first.nextHeader) ||
         (first.nextHeader == kIcmpv6 && !first.payload.empty() && isAnswerType(first.payload[0]));
}

bool Forwarder::toLocal(Packet packet, const Ipv6View& outer, Side side) {
  if (isTunnelPacket(outer))
    return side == Side::kMobileNode ? toMobileNode(packet, outer) : toHomeAgent(packet, outer);
  if (side == Side::kMobileNode)
    if (const auto routing = viewType2Routing(outer))
      return routing->nextHeader == kFragment ? fromRoutedFragment(packet, outer, *routing)
                                              : type2Routed(packet, outer, *routing);
  if (outer.nextHeader() == kTcp || outer.nextHeader() == kUdp)
    return counters_.drop(Drop::unexpected_protocol), false;
  toControl(packet, outer, side, nullptr);
  return false;
}

bool Forwarder::toMobileNode(Packet packet, const Ipv6View& outer) {
  const Tunnel* tunnel = table_->between(outer.source(), outer.destination());
  if (!tunnel) return counters_.drop(Drop::outer_source), false;
  const TunnelCounters& counters = tunnel->counters;
  const auto congestion = decapsulate(packet);
  if (!congestion) return counters.drop(Drop::malformed), false;
  if (!passesCongestion(*congestion, *tunnel)) return false;
  const auto inner = viewIpv6(packet.bytes);
  if (!inner) return counters.drop(Drop::malformed), false;
  if (!tunnel->owns(inner->destination())) return counters.drop(Drop::inner_destination), false;
  const Address source = inner->source();
  if (source.isLinkLocal() || source.isMulticast() || source.isUnspecified())
    return counters.drop(Drop::inner_source), false;
  if (isNeighborDiscovery(*inner)) return counters.drop(Drop::neighbor_discovery), false;
  if (source == tunnel->spec.remote && !tunnel->spec.inbound && fitsSlot(packet)) {
    if (isProbe(*inner, kEchoRequest)) {
      toInner(SlowPathKind::inner, packet, *tunnel, Policing::Inner::kProbe);
      return false;
    }
    if (isAnswer(*inner)) {
      const bool probe = isProbe(*inner, kEchoReply);
      toInner(SlowPathKind::control, packet, *tunnel,
              probe ? Policing::Inner::kProbe : Policing::Inner::kSelf);
      return false;
    }
  }
  if (tunnel->spec.signaling && isMobility(*inner)) {
    toInner(SlowPathKind::inner, packet, *tunnel, Policing::Inner::kMobility);
    return false;
  }
  if (tunnel->spec.optimise && inner->nextHeader() == kDestination)
    return fromHomeAddress(packet, *inner, *tunnel, false);
  return hold(*tunnel, packet);
}

bool Forwarder::type2Routed(Packet packet, const Ipv6View& outer, const Type2Routing& routing) {
  const Tunnel* tunnel = table_->fromHomeAgent(outer.source(), outer.destination());
  const Tunnel* straight = tunnel ? nullptr : straightTunnel(outer, routing);
  if (straight && !isMobility(outer)) return straightToMobileNode(packet, outer, *straight);
  const bool matches = tunnel && tunnel->owns(routing.homeAddress);
  const bool mobility = straight || routing.nextHeader == kMobility || routing.nextHeader == kEsp;
  const DropCounters& drops = tunnel ? static_cast<const DropCounters&>(tunnel->counters) : counters_;
  if (!matches && !mobility) return drops.drop(Drop::routing_header), false;
  // A Mobility Header behind further headers, not from the home agent: no tunnel's.
  if (!tunnel || isSignalling(routing.nextHeader) || (fitsSlot(packet) && isAnswer(outer))) {
    toControl(packet, outer, Side::kMobileNode, tunnel);
    return false;
  }
  if (!stripType2Routing(packet)) return tunnel->counters.drop(Drop::malformed), false;
  return hold(*tunnel, packet);
}

bool Forwarder::toHomeAgent(Packet packet, const Ipv6View& outer) {
  const Packet whole = packet;
  const auto congestion = decapsulate(packet);
  if (!congestion) return counters_.drop(Drop::malformed), false;
  const auto inner = viewIpv6(packet.bytes);
  if (!inner) return counters_.drop(Drop::malformed), false;
  const Tunnel* tunnel = table_->homeAgentOf(inner->source());
  if (!tunnel) {
    toUnbound(whole, outer);
    return counters_.drop(Drop::no_tunnel), false;
  }
  const TunnelCounters& counters = tunnel->counters;
  // RFC 6275 10.4.5: the outer source must be the care-of address bound to the inner source.
  if (tunnel->spec.remote != outer.source() || tunnel->spec.local != outer.destination())
    return counters.drop(Drop::outer_source), false;
  if (!passesCongestion(*congestion, *tunnel)) return false;

  const Address destination = inner->destination();
  if (destination.isLinkLocal()) return counters.drop(Drop::link_local), false;
  if (destination.isMulticast()) return counters.drop(Drop::multicast), false;
  if (table_->localSide(destination)) {
    const bool probe = isProbe(*inner, kEchoRequest) || isProbe(*inner, kEchoReply);
    toInner(SlowPathKind::inner, packet, *tunnel, probe ? Policing::Inner::kProbe : Policing::Inner::kSelf);
    return false;
  }
  if (const Tunnel* other = table_->homeAgentOf(destination))
    return reencapsulate(packet, *tunnel, *other), false;
  return hold(*tunnel, packet);
}

// The guest has left (RFC 5568 3.2: its previous access router tunnels to the new care-of address). We are a
// router on this way, so two hosts that send a packet to each other do so until its hop limit is used up.
void Forwarder::sendOnward(const Tunnel& tunnel, const Packet& packet) {
  const Tunnel* place = table_->homeAgentOf(Ipv6View{packet.bytes}.destination());
  if (!place) return tunnel.counters.drop(Drop::guest_left, wireTotals(packet).packets);
  reencapsulate(packet, tunnel, *place);
}

// From one mobile node to another, or after one that left: the router between is us.
void Forwarder::reencapsulate(Packet packet, const Tunnel& from, const Tunnel& to) {
  std::uint8_t& hopLimit = packet.bytes[7];
  if (hopLimit <= 1) {
    toErrors({.kind = SlowPathKind::hopLimit, .tunnelSlot = from.spec.slot}, packet, from,
             Policing::Inner::kErrorFrom);
    return from.counters.drop(Drop::hop_limit);
  }
  const auto outer = prepareOuter(to, packet, kNone, from, Policing::Inner::kErrorFrom, to.counters);
  if (!outer) return;
  --hopLimit;
  clamp(from, packet);
  const WireTotals read = wireTotals(packet);
  if (!sendThrough(to, *outer, packet, TunnelCounter::toGuestPackets, TunnelCounter::toGuestBytes,
                   to.counters))
    return;
  const bool toGuest = from.spec.side == Side::kMobileNode;
  from.counters.add(toGuest ? TunnelCounter::toGuestPackets : TunnelCounter::toHomePackets, read.packets);
  from.counters.add(toGuest ? TunnelCounter::toGuestBytes : TunnelCounter::toHomeBytes, read.bytes);
}

// At the home agent: the kernel routed a packet for a mobile node into our device. What is too big for every
// tunnel it has answered itself.
void Forwarder::toRegistered(Packet packet, const Ipv6View& view) {
  const Address source = view.source(), destination = view.destination();
  if (source.isLinkLocal() || destination.isLinkLocal()) return counters_.drop(Drop::link_local);
  if (destination.isMulticast()) return counters_.drop(Drop::multicast);
  const Tunnel* tunnel = table_->homeAgentOf(destination);
  if (!tunnel || tunnel->isPlace) return counters_.drop(Drop::not_ours);
  if (cameFromOurTunnel(view)) return tunnel->counters.drop(Drop::recursive_encapsulation);
  const auto outer =
      prepareOuter(*tunnel, packet, kNone, *tunnel, Policing::Inner::kErrorTo, tunnel->counters);
  if (!outer) return;
  sendThrough(*tunnel, *outer, packet, TunnelCounter::toGuestPackets, TunnelCounter::toGuestBytes,
              tunnel->counters);
}

// Whether a packet for a registered home address is one that we, or another tunnel after us, have already put
// into a tunnel: a care-of address is a home address itself. To encapsulate it again would let two mobile
// nodes that name each other's home address as their care-of address make us send for ever (RFC 2473 4.1.2).
bool Forwarder::cameFromOurTunnel(Ipv6View packet) const {
  for (int depth = 0; depth < kMaxNesting; ++depth) {
    const auto upper = findUpperLayer(packet);
    // The middle of a tunnel packet that was fragmented behind its limit option says only that options
    // follow.
    const bool tunnelled =
        upper && (upper->protocol == kIpv6 || (upper->fragment && upper->protocol == kDestination));
    if (!tunnelled) return false;
    if (table_->localSide(packet.source())) return true;
    if (upper->fragment) return false;
    const auto inner = viewIpv6(packet.bytes.subspan(upper->offset));
    if (!inner) return false;
    packet = *inner;
  }
  return true;
}

}  // namespace kagemusha
