// The way of a guest's frame: port → slow path, or tunnel.
#include "forwarder.h"

namespace kagemusha {
namespace {

// NDP (RFC 4861) and MLD (RFC 2710, RFC 3810) live on the link only.
bool isLinkMessage(std::uint8_t type) {
  return (type >= 133 && type <= 137) || (type >= 130 && type <= 132) || type == 143;
}

bool isOfTheLink(const Address& address) {
  return address.isLinkLocal() || address.isMulticast() || address.isUnspecified();
}

// ICMPv6 that src/homelink answers in the home link's name.
bool isHomeLinkControl(const Ipv6View& view) {
  const auto upper = findUpperLayer(view);
  if (!upper || upper->protocol != kIcmpv6 || upper->fragment || upper->offset >= view.bytes.size())
    return false;
  return isLinkMessage(view.bytes[upper->offset]) || isOfTheLink(view.source()) ||
         isOfTheLink(view.destination());
}

}  // namespace

void Forwarder::route(Port& port, const Packet& frame) {
  const PortCounters& counters = port.counters;
  counters.add(PortCounter::framesRead);
  counters.add(PortCounter::bytesRead, frame.bytes.size());
  if (port.takeFirstFrame() &&
      !tellSlowPath({.kind = SlowPathKind::firstFrame, .port = port.id}, frame.bytes))
    port.watchFirstFrame();  // no room: the next one is told of instead
  if (port.role == Port::Role::kControl) return fromLink(port, frame);
  const SlowPathRecord control{.kind = SlowPathKind::control, .port = port.id};

  if (frame.bytes.size() < kEthernetHeader) return counters.drop(Drop::malformed);
  if (etherType(frame.bytes) != kEtherTypeIpv6) return counters.drop(Drop::not_ipv6);
  Packet packet = frame;
  trimFront(packet, kEthernetHeader);
  const auto view = viewIpv6(packet.bytes);
  if (!view) return counters.drop(Drop::malformed);
  packet.bytes = packet.bytes.first(view->bytes.size());

  if (isHomeLinkControl(*view)) return toSlowPath(control, frame, counters);
  const Address source = view->source(), destination = view->destination();
  if (source.isLinkLocal() || destination.isLinkLocal()) return counters.drop(Drop::link_local);
  if (source.isMulticast() || destination.isMulticast()) return counters.drop(Drop::multicast);

  const Tunnel* tunnel = table_->mobileNodeOf(source);
  if (!tunnel || tunnel->port.get() != &port)
    return counters.drop(table_->hasTunnel(port) ? Drop::source_not_home : Drop::no_tunnel);
  if (const Mac mac = sourceMac(frame.bytes); !mac.isGroup()) port.setPeerMac(mac);

  const RouteSpec* route = straightRoute(*tunnel, port, *view);
  const auto outer =
      prepareOuter(*tunnel, packet, port.id, *tunnel, Policing::Inner::kGuestError, counters, route);
  if (!outer) return;
  sendThrough(*tunnel, *outer, packet, TunnelCounter::toHomePackets, TunnelCounter::toHomeBytes, counters,
              route);
}

}  // namespace kagemusha
