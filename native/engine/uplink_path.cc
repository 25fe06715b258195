// The way of a packet from the network: tunnel → guest at the mobile node's side; both ways at the home
// agent's.
#include "forwarder.h"

namespace kagemusha {
namespace {

constexpr std::uint8_t kEchoReply = 129;                  // RFC 4443 4.2
constexpr std::uint8_t kMobilePrefixAdvertisement = 147;  // RFC 6275 6.8

// Every packet in the tunnel begins with the IPv6 header, or with destination options that say how deep
// tunnels may nest (RFC 2473 4.1.1).
bool isTunnelPacket(const Ipv6View& view) {
  if (view.nextHeader() == kIpv6) return true;
  return view.nextHeader() == kDestination && view.bytes.size() > kIpv6Header &&
         view.bytes[kIpv6Header] == kIpv6;
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

bool Forwarder::fromUplink(const Packet& read) {
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
  if (!decapsulate(packet)) return counters.drop(Drop::malformed), false;
  const auto inner = viewIpv6(packet.bytes);
  if (!inner) return counters.drop(Drop::malformed), false;
  if (!tunnel->owns(inner->destination())) return counters.drop(Drop::inner_destination), false;
  const Address source = inner->source();
  if (source.isLinkLocal() || source.isMulticast() || source.isUnspecified())
    return counters.drop(Drop::inner_source), false;
  if (source == tunnel->spec.remote && fitsSlot(packet) && isAnswer(*inner)) {
    toInner(SlowPathKind::control, packet, *tunnel, Policing::Inner::kSelf);
    return false;
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
  const Tunnel* tunnel = table_->between(outer.source(), outer.destination());
  const Tunnel* straight = tunnel ? nullptr : straightTunnel(outer, routing);
  if (straight && !isMobility(outer)) return straightToMobileNode(packet, outer, *straight);
  const bool matches = tunnel && tunnel->owns(routing.homeAddress);
  const bool mobility = straight || routing.nextHeader == kMobility || routing.nextHeader == kEsp;
  const DropCounters& drops = tunnel ? static_cast<const DropCounters&>(tunnel->counters) : counters_;
  if (!matches && !mobility) return drops.drop(Drop::routing_header), false;
  if (isSignalling(routing.nextHeader) || (fitsSlot(packet) && isAnswer(outer))) {
    toControl(packet, outer, Side::kMobileNode, tunnel);
    return false;
  }
  if (!stripType2Routing(packet)) return tunnel->counters.drop(Drop::malformed), false;
  return hold(*tunnel, packet);
}

bool Forwarder::toHomeAgent(Packet packet, const Ipv6View& outer) {
  const Packet whole = packet;
  if (!decapsulate(packet)) return counters_.drop(Drop::malformed), false;
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

  const Address destination = inner->destination();
  if (destination.isLinkLocal()) return counters.drop(Drop::link_local), false;
  if (destination.isMulticast()) return counters.drop(Drop::multicast), false;
  if (table_->localSide(destination)) {
    toInner(SlowPathKind::inner, packet, *tunnel, Policing::Inner::kSelf);
    return false;
  }
  if (const Tunnel* other = table_->homeAgentOf(destination))
    return reencapsulate(packet, *tunnel, *other), false;
  return hold(*tunnel, packet);
}

// From one mobile node to another: the router between them is us.
void Forwarder::reencapsulate(Packet packet, const Tunnel& from, const Tunnel& to) {
  std::uint8_t& hopLimit = packet.bytes[7];
  if (hopLimit <= 1) return from.counters.drop(Drop::hop_limit);
  --hopLimit;
  if (packet.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE && packet.bytes.size() > to.spec.mtu)
    return to.counters.drop(Drop::too_big);
  const auto bytes = packet.bytes.size();
  if (!sendThrough(to, packet, TunnelCounter::toGuestPackets, TunnelCounter::toGuestBytes, to.counters))
    return;
  from.counters.add(TunnelCounter::toHomePackets);
  from.counters.add(TunnelCounter::toHomeBytes, bytes);
}

// At the home agent: the kernel routed a packet for a mobile node into our device, whose MTU is the tunnel's,
// so that the kernel has already answered what is too big.
void Forwarder::toRegistered(Packet packet, const Ipv6View& view) {
  const Address source = view.source(), destination = view.destination();
  if (source.isLinkLocal() || destination.isLinkLocal()) return counters_.drop(Drop::link_local);
  if (destination.isMulticast()) return counters_.drop(Drop::multicast);
  const Tunnel* tunnel = table_->homeAgentOf(destination);
  if (!tunnel) return counters_.drop(Drop::not_ours);
  if (packet.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE && packet.bytes.size() > tunnel->spec.mtu)
    return tunnel->counters.drop(Drop::too_big);
  sendThrough(*tunnel, packet, TunnelCounter::toGuestPackets, TunnelCounter::toGuestBytes, tunnel->counters);
}

}  // namespace kagemusha
