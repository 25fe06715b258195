#include "forwarder.h"

#include "bytes.h"
#include "checksum.h"
#include "segment.h"
#include "tcp.h"

namespace kagemusha {
namespace {

bool isTrain(const Offload& offload) { return offload.gso_type != VIRTIO_NET_HDR_GSO_NONE; }

// Each is a write of its own: a train of single octets would hold up everybody for long. No sender that means
// it comes near: Linux makes no segments of less than 48 octets.
constexpr std::size_t kMaxSegments = 2048;

// A train of our own making, not one that came as it is: only its refusal says that the kernel takes none.
bool isMerged(const Packet& head, std::span<const iovec> tail) {
  return isTrain(head.offload) && !tail.empty();
}

// Whether what the kernel said of the packet can be: a neighbour on a bridge, or a guest through its own
// virtio header, chooses these numbers, and whoever gets the packet from us acts on them. What counts for
// trains only is cleared elsewhere: a TUN refuses a packet whose hdr_len is longer than itself.
bool soundOffload(Packet& packet) {
  Offload& offload = packet.offload;
  if (!isTrain(offload))
    offload.hdr_len = offload.gso_size = 0;
  else if ((offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV6 ||
           offload.gso_size == 0 || segmentsAtMost(packet) > kMaxSegments)
    return false;
  return checksumIsInside(packet);
}

// Takes `count` octets of headroom into the packet.
void growFront(Packet& packet, std::size_t count) {
  packet.bytes = Bytes(packet.bytes.data() - count, packet.bytes.size() + count);
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    packet.offload.csum_start = static_cast<std::uint16_t>(packet.offload.csum_start + count);
}

}  // namespace

Forwarder::Forwarder(const Region& region, SlowPath& slowPath, Policing& policing)
    : region_(region),
      counters_(region.engineCounters()),
      slowPath_(slowPath),
      policing_(policing),
      outgoing_(counters_) {}

std::optional<Outer> Forwarder::prepareOuter(const Tunnel& tunnel, const Packet& packet, PortId port,
                                             const Tunnel& from, Policing::Inner what,
                                             const DropCounters& drops, const RouteSpec* route) {
  const Ipv6View inner{packet.bytes};
  const auto refused = [&](SlowPathKind kind, std::size_t number) {
    toErrors({.kind = kind,
              .port = port,
              .tunnelSlot = tunnel.spec.slot,
              .mtu = static_cast<std::uint32_t>(number)},
             packet, from, what);
  };
  Outer outer;
  if (!route) {
    // RFC 2473 4.1.2: what is as a packet of this very tunnel would go round for ever.
    if (inner.source() == tunnel.spec.local && inner.destination() == tunnel.spec.remote)
      return drops.drop(Drop::recursive_encapsulation), std::nullopt;
    const auto limit = findEncapsulationLimit(inner);
    if (limit && limit->value == 0) {
      refused(SlowPathKind::encapsulationLimit, limit->offset);
      return drops.drop(Drop::encapsulation_limit), std::nullopt;
    }
    outer = outerFor(tunnel.spec, inner, limit);
  }
  // Trains are cut to what fits.
  const std::size_t mtu = route ? straightMtu(tunnel, *route) : innerMtu(tunnel.spec, outer);
  if (!isTrain(packet.offload) && packet.bytes.size() > mtu) {
    refused(SlowPathKind::tooBig, mtu);
    return drops.drop(Drop::too_big), std::nullopt;
  }
  return outer;
}

bool Forwarder::passesCongestion(Congestion congestion, const Tunnel& tunnel) {
  if (congestion == Congestion::kUsual) return true;
  tunnel.counters.add(TunnelCounter::ecnAlarms);
  if (congestion == Congestion::kAlarm) return true;
  return tunnel.counters.drop(Drop::ecn_congestion), false;
}

bool Forwarder::sendThrough(const Tunnel& tunnel, const Outer& outer, Packet packet, TunnelCounter packets,
                            TunnelCounter bytes, const DropCounters& drops, const RouteSpec* route) {
  if (!soundOffload(packet)) return drops.drop(Drop::bad_offload), false;
  clamp(tunnel, packet, route);
  WireTotals sent{0, 0};
  bool complete = true;
  if (!isTrain(packet.offload)) {
    const auto length = packet.bytes.size();
    if (route) {
      goStraight(packet, tunnel.spec.local, *route);
      completeChecksum(packet);
    } else {
      encapsulate(packet, outer);
    }
    complete = route || packet.bytes.size() <= tunnel.pathMtu()
                   ? writeUplink(packet, {}, drops)
                   : writeFragments(tunnel, packet, packet.bytes.size() - length, drops);
    if (complete) sent = {1, length};
  } else {
    const std::size_t mtu = route ? straightMtu(tunnel, *route) : tunnel.unfragmentedMtu(outer.length());
    const auto result = segment(packet, mtu, scratch_, kHeadroom, [&](const Segment& part) {
      const auto length = part.headers.size() + part.payload.size();
      Packet head{part.headers, part.offload};
      if (route) {
        goStraight(head, tunnel.spec.local, *route);
        completeChecksum(head, part.payload);
      } else {
        growFront(head, outer.length());
        writeOuterHeader(head.bytes, outer, length);
      }
      // writev() does not write through its iovecs.
      const iovec payload{const_cast<std::uint8_t*>(part.payload.data()), part.payload.size()};
      if (writeUplink(head, {&payload, 1}, drops))
        sent = {sent.packets + 1, sent.bytes + length};
      else
        complete = false;
    });
    if (result == SegmentResult::kNoRoom) drops.drop(Drop::too_big);
    if (result == SegmentResult::kNotTcp || result == SegmentResult::kMalformed)
      drops.drop(Drop::bad_offload);
    complete = complete && result == SegmentResult::kDone;
  }
  tunnel.counters.add(packets, sent.packets);
  tunnel.counters.add(bytes, sent.bytes);
  if (route) tunnel.counters.add(TunnelCounter::straightTo, sent.packets);
  return complete;
}

bool Forwarder::writeFragments(const Tunnel& tunnel, const Packet& outer, std::size_t overhead,
                               const DropCounters& drops) {
  // The kernel would store a missing checksum in the first fragment, as if that were all.
  Packet whole = outer;
  if (!completeChecksum(whole)) return drops.drop(Drop::bad_offload), false;
  Fragments fragments(whole.bytes, overhead, tunnel.pathMtu(), identifications_.next(),
                      Bytes(scratch_).subspan(kHeadroom));
  std::uint64_t sent = 0;
  for (auto part = fragments.next(); part; part = fragments.next()) {
    const iovec payload{const_cast<std::uint8_t*>(part->payload.data()), part->payload.size()};
    // Without one of them the others are of no use.
    if (!writeUplink({part->headers, {}}, {&payload, 1}, drops)) return false;
    tunnel.counters.add(TunnelCounter::fragmentsSent);
    ++sent;
  }
  if (sent == 0) drops.drop(Drop::too_big);
  return sent != 0;
}

void Forwarder::lowerMss(const Tunnel& tunnel, const Packet& packet, const RouteSpec* route) {
  const std::size_t mtu = tunnel.unfragmentedMtu();
  const std::size_t most = (route ? std::min(mtu, straightMtu(tunnel, *route)) : mtu) - kMssHeaders;
  if (clampMss(packet, most)) tunnel.counters.add(TunnelCounter::mssClamped);
}

bool Forwarder::hold(const Tunnel& tunnel, Packet packet) {
  if (tunnel.spec.onward) return sendOnward(tunnel, packet), false;
  if (!soundOffload(packet)) return tunnel.counters.drop(Drop::bad_offload), false;
  clamp(tunnel, packet);
  const bool mergeable =
      tunnel.spec.side == Side::kMobileNode
          ? tunnel.port && tunnel.port->mergeable.load(std::memory_order_relaxed)
          : table_->uplink() && table_->uplink()->mergeable.load(std::memory_order_relaxed);
  if (!mergeable) {
    deliver(tunnel, {packet, {}, packet.bytes.size(), 1, packet.offload});
    return false;
  }
  if (!coalescer_.add(tunnel.index, packet)) {
    flush();
    coalescer_.add(tunnel.index, packet);
  }
  return true;
}

void Forwarder::flush() {
  coalescer_.flush(
      [this](std::uint32_t index, const Train& train) { deliver(table_->tunnel(index), train); });
}

void Forwarder::endBatch(Memory memory) {
  flush();
  sendOutgoing(memory);
  reassembler_.release();
  if (wakeNeeded_) slowPath_.wake();
  wakeNeeded_ = false;
}

void Forwarder::deliver(const Tunnel& tunnel, const Train& train) {
  if (tunnel.spec.side == Side::kMobileNode)
    deliverToGuest(tunnel, train);
  else
    deliverToKernel(tunnel, train);
}

void Forwarder::deliverToGuest(const Tunnel& tunnel, const Train& train) {
  const WireTotals totals = wireTotals(train);
  Mac guest;
  if (!tunnel.port) return tunnel.counters.drop(Drop::no_port, totals.packets);
  if (!tunnel.port->peerMac(guest)) return tunnel.counters.drop(Drop::guest_mac_unknown, totals.packets);
  Packet frame{train.head.bytes, train.offload};
  growFront(frame, kEthernetHeader);
  writeEthernetHeader(frame.bytes, guest, tunnel.port->localMac);
  if (!writePort(*tunnel.port, frame, train.tail, tunnel.counters, totals.packets)) return;
  tunnel.counters.add(TunnelCounter::toGuestPackets, totals.packets);
  tunnel.counters.add(TunnelCounter::toGuestBytes, totals.bytes);
  if (!tunnel.port->takeFirstDelivery()) return;
  const SlowPathRecord record{
      .kind = SlowPathKind::firstDelivery, .port = tunnel.port->id, .tunnelSlot = tunnel.spec.slot};
  if (!tellSlowPath(record, frame.bytes, kEthernetHeader + kIpv6Header))
    tunnel.port->watchFirstDelivery();  // no room: the next one is told of instead
}

void Forwarder::deliverToKernel(const Tunnel& tunnel, const Train& train) {
  const WireTotals totals = wireTotals(train);
  if (!writeUplink({train.head.bytes, train.offload}, train.tail, tunnel.counters, totals.packets)) return;
  tunnel.counters.add(TunnelCounter::toHomePackets, totals.packets);
  tunnel.counters.add(TunnelCounter::toHomeBytes, totals.bytes);
}

bool Forwarder::frameFor(const Uplink& uplink, Packet& packet) const {
  if (!uplink.mac) return true;
  const Mac* nextHop = table_->nextHop(Ipv6View{packet.bytes}.destination());
  if (!nextHop) return false;
  growFront(packet, kEthernetHeader);
  if (isTrain(packet.offload))
    packet.offload.hdr_len = static_cast<std::uint16_t>(packet.offload.hdr_len + kEthernetHeader);
  writeEthernetHeader(packet.bytes, *nextHop, *uplink.mac);
  return true;
}

bool Forwarder::writeUplink(const Packet& head, std::span<const iovec> tail, const DropCounters& drops,
                            std::uint64_t packets) {
  Uplink* uplink = table_->uplink();
  if (!uplink) return drops.drop(Drop::no_uplink, packets), false;
  Packet packet = head;
  if (!frameFor(*uplink, packet)) return drops.drop(Drop::no_next_hop, packets), false;
  if (uplink->device->sendsMany()) {
    if (OutgoingQueue::takes(packet, tail)) {
      if (outgoing_.add(*uplink->device, packet, tail, drops, transmitting_)) return true;
      return drops.drop(Drop::uplink_full, packets), false;
    }
    // In order: behind what waits.
    if (!outgoing_.flush(*uplink->device)) return drops.drop(Drop::uplink_full, packets), false;
  }
  const Io result = uplink->device->write(packet, tail);
  if (result == Io::kDone) {
    counters_.add(EngineCounter::uplinkPacketsWritten);
    return true;
  }
  if (result == Io::kRefused && isMerged(head, tail))
    uplink->mergeable.store(false, std::memory_order_relaxed);
  const bool full = result == Io::kAgain || result == Io::kLost;
  drops.drop(full ? Drop::uplink_full : Drop::uplink_error, packets);
  return false;
}

void Forwarder::sendOutgoing(Memory memory) {
  Uplink* uplink = table_->uplink();
  if (!uplink || !uplink->device->sendsMany()) return;
  if (!outgoing_.waiting()) outgoing_.flush(*uplink->device);
  if (outgoing_.waiting() && memory == Memory::kGoes) outgoing_.forgetReferring();
}

void Forwarder::resume() {
  Uplink* uplink = table_->uplink();
  if (uplink) outgoing_.flush(*uplink->device);
}

bool Forwarder::writePort(Port& port, const Packet& head, std::span<const iovec> tail,
                          const DropCounters& drops, std::uint64_t packets) {
  const Io result = port.device->write(head, tail);
  if (result == Io::kDone) {
    auto length = head.bytes.size();
    for (const iovec& part : tail) length += part.iov_len;
    port.counters.add(PortCounter::framesWritten);
    port.counters.add(PortCounter::bytesWritten, length);
    return true;
  }
  if (result == Io::kRefused && isMerged(head, tail)) port.mergeable.store(false, std::memory_order_relaxed);
  const bool full = result == Io::kAgain || result == Io::kLost;
  drops.drop(full ? Drop::port_full : Drop::port_error, packets);
  return false;
}

void Forwarder::toSlowPath(SlowPathRecord record, Packet packet, const DropCounters& drops) {
  if (isTrain(packet.offload) || !completeChecksum(packet)) return drops.drop(Drop::bad_offload);
  if (packet.bytes.size() > SlowPathRing::kPayload) return drops.drop(Drop::slow_path_too_big);
  if (!tellSlowPath(record, packet.bytes)) drops.drop(Drop::slow_path_full);
}

bool Forwarder::tellSlowPath(const SlowPathRecord& record, ConstBytes bytes, std::size_t most) {
  if (!slowPath_.push(record, bytes, most)) return false;
  counters_.add(EngineCounter::slowPathPackets);
  wakeNeeded_ = true;
  return true;
}

Forwarder::WireTotals Forwarder::wireTotals(const Train& train) {
  const Offload& offload = train.offload;
  const ConstBytes head = train.head.bytes;
  const std::size_t tcpStart = offload.csum_start;
  if (!isTrain(offload) || offload.gso_size == 0 || tcpStart + tcp::kHeader > head.size())
    return {1, train.length};
  const std::size_t headers = tcpStart + (head[tcpStart + tcp::kDataOffset] >> 4) * 4u;
  if (headers >= train.length) return {1, train.length};
  const std::size_t packets = (train.length - headers + offload.gso_size - 1) / offload.gso_size;
  return {packets, train.length + (packets - 1) * headers};
}

void Forwarder::transmit(SlowPathRing& ring) {
  // At most as many as the ring holds: whoever writes faster than we send asks again, and the ports get their
  // turn between.
  for (std::uint32_t taken = 0; taken < ring.cells();) {
    const auto entry = ring.front();
    if (!entry) return;
    const Packet packet{entry->bytes, {}};
    bool sent = false;
    transmitting_ = true;
    if (entry->record.port == kToUplink)
      sent = writeUplink(packet, {}, counters_);
    else if (Port* port = table_->port(entry->record.port))
      sent = writePort(*port, packet, {}, port->counters);
    else
      counters_.drop(Drop::no_port);
    transmitting_ = false;
    if (sent) counters_.add(EngineCounter::transmitted);
    // JavaScript may write there again at once.
    if (outgoing_.refers()) sendOutgoing(Memory::kGoes);
    taken += SlowPathRing::cellsOf(entry->bytes.size());
    ring.pop();
  }
}

}  // namespace kagemusha
