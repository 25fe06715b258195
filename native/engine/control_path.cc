// The way to JavaScript of what comes for our own addresses: past the police.
#include "checksum.h"
#include "forwarder.h"

namespace kagemusha {
namespace {

// What the slow path would refuse must not use up a lane.
bool fitsSlowPath(const Packet& packet) {
  return packet.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE && packet.bytes.size() <= SlowPathRing::kPayload;
}

// Whose message it says it is: the home agent looks for the home address in the option (RFC 6275 9.5.1), or,
// of a mobile node that is at home, in the source; the mobile node in the routing header, or, at home, in the
// destination.
Address homeAddressOf(const ControlPacket& control, const Ipv6View& view, Side side) {
  if (side == Side::kMobileNode) return control.routed ? *control.routed : view.destination();
  return control.homeAddressOption ? *control.homeAddressOption : view.source();
}

// ICMPv6 is a home address's own only when it says so by more than its source.
bool namesHomeAddress(const ControlPacket& control) {
  using Kind = ControlPacket::Kind;
  return control.kind == Kind::kMobility || control.kind == Kind::kEsp || control.homeAddressOption ||
         control.routed;
}

}  // namespace

bool Forwarder::police(const ControlPacket& control, const Ipv6View& view, Side side, bool ours,
                       const DropCounters& drops) {
  const Address local = view.destination();
  const bool named = namesHomeAddress(control);
  const Signaler* signaler = named ? table_->signaler(homeAddressOf(control, view, side), local) : nullptr;
  if (signaler) {
    if (policing_.admit(*signaler, control, now_)) return true;
    if (signaler->tunnel != kNone)
      return table_->tunnel(signaler->tunnel).counters.drop(Drop::policed), false;
  } else {
    const bool admitted = !ours                               ? policing_.admitBystander(now_)
                          : named && side == Side::kHomeAgent ? policing_.admitStranger(now_)
                                                              : policing_.admit(local, control, now_);
    if (admitted) return true;
  }
  return drops.drop(Drop::policed), false;
}

void Forwarder::toControl(const Packet& packet, const Ipv6View& view, Side side, const Tunnel* tunnel) {
  const DropCounters& drops = tunnel ? static_cast<const DropCounters&>(tunnel->counters) : counters_;
  const auto control = viewControl(view);
  if (!control) return drops.drop(Drop::malformed);
  // Nobody is routed by a home agent's address.
  if (control->foreignRouting || (control->routed && side == Side::kHomeAgent))
    return drops.drop(Drop::routing_header);
  if (control->fragment) return drops.drop(Drop::fragment_header);  // all others were put together
  if (fitsSlowPath(packet) && !police(*control, view, side, true, drops)) return;
  toSlowPath({.kind = SlowPathKind::control, .tunnelSlot = tunnel ? tunnel->spec.slot : kNone}, packet,
             drops);
}

void Forwarder::toInner(SlowPathKind kind, const Packet& packet, const Tunnel& tunnel, Policing::Inner what) {
  if (fitsSlowPath(packet) && !policing_.admit(tunnel.spec.slot, what, now_))
    return tunnel.counters.drop(Drop::policed);
  toSlowPath({.kind = kind, .tunnelSlot = tunnel.spec.slot}, packet, tunnel.counters);
}

void Forwarder::toErrors(SlowPathRecord record, Packet packet, const Tunnel& tunnel, Policing::Inner what) {
  if (!policing_.admit(tunnel.spec.slot, what, now_)) return;
  if (packet.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE) completeChecksum(packet);
  const std::size_t link = record.port == kNone ? 0 : kEthernetHeader;
  tellSlowPath(record, ConstBytes(packet.bytes.data() - link, packet.bytes.size() + link), kQuote + link);
}

void Forwarder::toUnbound(const Packet& packet, const Ipv6View& outer) {
  if (!policing_.admitUnbound(outer.destination(), now_)) return;
  tellSlowPath({.kind = SlowPathKind::unbound}, packet.bytes, kQuote);
}

void Forwarder::fromLink(Port& port, const Packet& frame) {
  const SlowPathRecord record{.kind = SlowPathKind::control, .port = port.id};
  if (frame.bytes.size() < kEthernetHeader + kIpv6Header) return toSlowPath(record, frame, port.counters);
  const auto view = viewIpv6(frame.bytes.subspan(kEthernetHeader));
  // ICMPv6, behind hop-by-hop options too: the port's share of the ring is its limit.
  if (!view || view->nextHeader() == kIcmpv6 || view->nextHeader() == kHopByHop)
    return toSlowPath(record, frame, port.counters);

  const auto control = viewControl(*view);
  if (!control) return port.counters.drop(Drop::malformed);
  const Side* known = table_->localSide(view->destination());
  if (fitsSlowPath(frame) &&
      !police(*control, *view, known ? *known : Side::kMobileNode, known != nullptr, port.counters))
    return;
  toSlowPath(record, frame, port.counters);
}

}  // namespace kagemusha
