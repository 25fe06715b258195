// The way of a fragment for one of our addresses: it waits for the others, and the whole packet goes on as if
// it had come as one.
#include "forwarder.h"

namespace kagemusha {
namespace {

// Nobody can know the checksum of a packet of which this is a part: Linux computes it before it fragments.
bool soundOffload(const Offload& offload) {
  return !(offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && offload.gso_type == VIRTIO_NET_HDR_GSO_NONE;
}

}  // namespace

// Only the other end of a tunnel gets memory.
bool Forwarder::fromFragment(Packet packet, const Ipv6View& outer, Side side, std::size_t position) {
  const auto known = table_->anyBetween(outer.source(), outer.destination());
  const DropCounters& drops =
      known && *known ? static_cast<const DropCounters&>((*known)->counters) : counters_;
  const auto fragment = viewFragment(outer, position);
  if (!fragment) return drops.drop(Drop::fragment_malformed), false;
  if (fragment->isAtomic()) return passAtomic(packet, *fragment, side, drops);
  if (!known) return drops.drop(Drop::fragment_stranger), false;
  if (position > Reassembler::kMostHeaders) return drops.drop(Drop::fragment_header), false;
  putTogether({outer.source(), outer.destination(), fragment->identification}, packet.offload, *fragment,
              side, drops);
  return false;
}

// A packet that the home agent sends to the home address itself is the guest's to put together; what the
// engine would not give the guest if it were whole is ours. Only the first fragment shows which of the two it
// is.
bool Forwarder::fromRoutedFragment(Packet packet, const Ipv6View& outer, const Type2Routing& routing) {
  const Tunnel* tunnel = table_->fromHomeAgent(outer.source(), outer.destination());
  if (!tunnel || !tunnel->owns(routing.homeAddress)) return type2Routed(packet, outer, routing);
  const DropCounters& drops = tunnel->counters;
  const auto fragment = viewFragment(outer, kIpv6Header + kType2RoutingHeader);
  if (!fragment) return drops.drop(Drop::fragment_malformed), false;
  if (fragment->isAtomic()) return passAtomic(packet, *fragment, Side::kMobileNode, drops);
  const FragmentKey key{outer.source(), routing.homeAddress, fragment->identification};
  if (fragment->isFirst() ? !isForUs(*fragment) : !reassembler_.expects(key))
    return type2Routed(packet, outer, routing);
  putTogether(key, packet.offload, *fragment, Side::kMobileNode, drops);
  return false;
}

void Forwarder::putTogether(const FragmentKey& key, const Offload& offload, const Fragment& fragment,
                            Side side, const DropCounters& drops) {
  if (!soundOffload(offload)) return drops.drop(Drop::bad_offload);
  const auto whole = reassembler_.add(key, fragment, drops, now_);
  const auto view = whole ? viewIpv6(*whole) : std::nullopt;
  if (view) toLocal({*whole, {}}, *view, side);
}

// RFC 6946 4: alone, whatever else has its identification.
bool Forwarder::passAtomic(Packet packet, const Fragment& fragment, Side side, const DropCounters& drops) {
  if (fragment.nextHeader == kFragment) return drops.drop(Drop::fragment_malformed), false;
  if (packet.offload.gso_type != VIRTIO_NET_HDR_GSO_NONE || !stripAtomic(packet, fragment))
    return drops.drop(Drop::bad_offload), false;
  const auto view = viewIpv6(packet.bytes);
  return view && toLocal(packet, *view, side);
}

}  // namespace kagemusha
