// The straight way between a guest and its correspondents, beside the tunnel.
#include "forwarder.h"

namespace kagemusha {
namespace {

constexpr std::size_t kMinimumMtu = 1280;  // RFC 8200 5

}  // namespace

// JavaScript is told of the correspondent, now and again while there is traffic for it.
const RouteSpec* Forwarder::straightRoute(const Tunnel& tunnel, const Port& port, const Ipv6View& packet) {
  if (!tunnel.spec.optimise) return nullptr;
  const Address homeAddress = packet.source(), correspondent = packet.destination();
  if (correspondents_.due(homeAddress, correspondent, now_))
    tellSlowPath({.kind = SlowPathKind::correspondent, .port = port.id, .tunnelSlot = tunnel.spec.slot},
                 packet.bytes.first(kIpv6Header));
  const RouteSpec* route = table_->route(homeAddress, correspondent);
  if (!route || !route->straight || straightMtu(tunnel, *route) < kMinimumMtu || !canGoStraight(packet))
    return nullptr;
  return route;
}

std::size_t Forwarder::straightMtu(const Tunnel& tunnel, const RouteSpec& route) {
  return tunnel.pathMtu() - straightOverhead(route);
}

const Tunnel* Forwarder::straightTunnel(const Ipv6View& outer, const Type2Routing& routing) {
  const Tunnel* tunnel = table_->mobileNodeOf(routing.homeAddress);
  if (!tunnel || !tunnel->spec.optimise || tunnel->spec.local != outer.destination()) return nullptr;
  if (routing.nextHeader != kEsp) return tunnel;
  // Another home agent's, as long as no correspondent is known to send from there.
  const RouteSpec* route = table_->route(routing.homeAddress, outer.source());
  return route && route->accepted ? tunnel : nullptr;
}

// A packet with a type 2 routing header that does not come from the home agent (RFC 6275 11.3.3).
bool Forwarder::straightToMobileNode(Packet packet, const Ipv6View& outer, const Tunnel& tunnel) {
  const Address source = outer.source();
  if (!stripType2Routing(packet)) return tunnel.counters.drop(Drop::malformed), false;
  const auto view = viewIpv6(packet.bytes);
  if (!view) return tunnel.counters.drop(Drop::malformed), false;
  if (view->nextHeader() == kDestination) return fromHomeAddress(packet, *view, tunnel, true);
  const RouteSpec* route = table_->route(view->destination(), source);
  if (!route || !route->accepted) return tunnel.counters.drop(Drop::routing_header), false;
  return holdStraight(tunnel, packet, true);
}

// A packet whose source is a care-of address, when the Home Address option says so and a binding confirms it
// (RFC 6275 9.3.1). `routed`: it came by a type 2 routing header. The sender may know our care-of address
// from a binding that a process before this one had with it: who has proved its own is believed that.
bool Forwarder::fromHomeAddress(Packet packet, const Ipv6View& view, const Tunnel& tunnel, bool routed) {
  const auto header = viewHomeAddress(view);
  if (!header) {
    if (routed) return tunnel.counters.drop(Drop::home_address_option), false;
    return hold(tunnel, packet);
  }
  const Address source = view.source();
  const RouteSpec* route = table_->route(view.destination(), header->homeAddress);
  if (!route || route->careOf != source) {
    if (unbound_.due(source, header->homeAddress, now_))
      tellSlowPath({.kind = SlowPathKind::homeAddress, .tunnelSlot = tunnel.spec.slot},
                   view.bytes.first(kIpv6Header + header->length));
    return tunnel.counters.drop(Drop::home_address_option), false;
  }
  if (!stripHomeAddress(packet)) return tunnel.counters.drop(Drop::malformed), false;
  clamp(tunnel, packet, route);
  return holdStraight(tunnel, packet, routed);
}

// JavaScript is told now and again that the correspondent is heard on the straight way (`routed`: without our
// home agent): what is sent there without an answer may be lost.
bool Forwarder::holdStraight(const Tunnel& tunnel, Packet packet, bool routed) {
  refreshPseudoSum(packet);
  const auto view = routed ? viewIpv6(packet.bytes) : std::nullopt;
  if (view && heard_.due(view->destination(), view->source(), now_))
    tellSlowPath({.kind = SlowPathKind::heard, .tunnelSlot = tunnel.spec.slot},
                 packet.bytes.first(kIpv6Header));
  tunnel.counters.add(TunnelCounter::straightFrom);
  return hold(tunnel, packet);
}

}  // namespace kagemusha
