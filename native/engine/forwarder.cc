#include "forwarder.h"

#include "bytes.h"
#include "checksum.h"
#include "segment.h"
#include "tcp.h"

namespace kagemusha {
namespace {

bool isTrain(const Offload& offload) { return offload.gso_type != VIRTIO_NET_HDR_GSO_NONE; }

// Takes `count` octets of headroom into the packet.
void growFront(Packet& packet, std::size_t count) {
  packet.bytes = Bytes(packet.bytes.data() - count, packet.bytes.size() + count);
  if (packet.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
    packet.offload.csum_start = static_cast<std::uint16_t>(packet.offload.csum_start + count);
}

}  // namespace

Forwarder::Forwarder(const Region& region, SlowPath& slowPath)
    : region_(region), counters_(region.engineCounters()), slowPath_(slowPath) {}

bool Forwarder::sendThrough(const Tunnel& tunnel, Packet packet, TunnelCounter packets, TunnelCounter bytes,
                            const DropCounters& drops) {
  WireTotals sent{0, 0};
  bool complete = true;
  if (!isTrain(packet.offload)) {
    const auto length = packet.bytes.size();
    encapsulate(packet, tunnel.spec.local, tunnel.spec.remote);
    complete = writeUplink(packet, {}, drops);
    if (complete) sent = {1, length};
  } else {
    const auto result = segment(packet, tunnel.spec.mtu, scratch_, kHeadroom, [&](const Segment& part) {
      const auto length = part.headers.size() + part.payload.size();
      Packet head{part.headers, part.offload};
      growFront(head, kIpv6Header);
      writeOuterHeader(head.bytes.first(kIpv6Header), tunnel.spec.local, tunnel.spec.remote, part.headers,
                       length);
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
  return complete;
}

bool Forwarder::hold(const Tunnel& tunnel, const Packet& packet) {
  const bool mergeable =
      tunnel.spec.side == Side::kMobileNode
          ? tunnel.port && tunnel.port->mergeable.load(std::memory_order_relaxed)
          : table_->uplink() && table_->uplink()->mergeable.load(std::memory_order_relaxed);
  if (!mergeable) {
    deliver(tunnel, {packet, {}, packet.bytes.size(), 1, packet.offload});
    return false;
  }
  if (!coalescer_.add(tunnel.index, packet)) {
    endBatch();
    coalescer_.add(tunnel.index, packet);
  }
  return true;
}

void Forwarder::endBatch() {
  coalescer_.flush(
      [this](std::uint32_t index, const Train& train) { deliver(table_->tunnel(index), train); });
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
  Mac guest;
  if (!tunnel.port) return tunnel.counters.drop(Drop::no_port, train.segments);
  if (!tunnel.port->peerMac(guest)) return tunnel.counters.drop(Drop::guest_mac_unknown, train.segments);
  const WireTotals totals = wireTotals(train);
  Packet frame{train.head.bytes, train.offload};
  growFront(frame, kEthernetHeader);
  writeEthernetHeader(frame.bytes, guest, tunnel.port->localMac);
  if (!writePort(*tunnel.port, frame, train.tail, tunnel.counters)) return;
  tunnel.counters.add(TunnelCounter::toGuestPackets, totals.packets);
  tunnel.counters.add(TunnelCounter::toGuestBytes, totals.bytes);
}

void Forwarder::deliverToKernel(const Tunnel& tunnel, const Train& train) {
  const WireTotals totals = wireTotals(train);
  if (!writeUplink({train.head.bytes, train.offload}, train.tail, tunnel.counters)) return;
  tunnel.counters.add(TunnelCounter::toHomePackets, totals.packets);
  tunnel.counters.add(TunnelCounter::toHomeBytes, totals.bytes);
}

bool Forwarder::writeUplink(const Packet& head, std::span<const iovec> tail, const DropCounters& drops) {
  Uplink* uplink = table_->uplink();
  if (!uplink) return drops.drop(Drop::no_uplink), false;
  const Io result = uplink->device->write(head, tail);
  if (result == Io::kDone) {
    counters_.add(EngineCounter::uplinkPacketsWritten);
    return true;
  }
  if (result == Io::kRefused && isTrain(head.offload))
    uplink->mergeable.store(false, std::memory_order_relaxed);
  drops.drop(result == Io::kAgain ? Drop::uplink_full : Drop::uplink_error);
  return false;
}

bool Forwarder::writePort(Port& port, const Packet& head, std::span<const iovec> tail,
                          const DropCounters& drops) {
  const Io result = port.device->write(head, tail);
  if (result == Io::kDone) {
    auto length = head.bytes.size();
    for (const iovec& part : tail) length += part.iov_len;
    port.counters.add(PortCounter::framesWritten);
    port.counters.add(PortCounter::bytesWritten, length);
    return true;
  }
  if (result == Io::kRefused && isTrain(head.offload)) port.mergeable.store(false, std::memory_order_relaxed);
  drops.drop(result == Io::kAgain ? Drop::port_full : Drop::port_error);
  return false;
}

// Every whole packet for JavaScript passes here: the place where a guest's share of the ring would be
// policed.
void Forwarder::toSlowPath(SlowPathRecord record, Packet packet, const DropCounters& drops) {
  if (isTrain(packet.offload) || !completeChecksum(packet)) return drops.drop(Drop::bad_offload);
  if (packet.bytes.size() > SlowPathRing::kPayload) return drops.drop(Drop::slow_path_too_big);
  truncatedToSlowPath(record, packet.bytes, drops);
}

void Forwarder::truncatedToSlowPath(const SlowPathRecord& record, ConstBytes bytes,
                                    const DropCounters& drops) {
  if (!slowPath_.push(record, bytes)) return drops.drop(Drop::slow_path_full);
  counters_.add(EngineCounter::slowPathPackets);
  wakeNeeded_ = true;
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
  while (const auto entry = ring.front()) {
    const Packet packet{entry->bytes, {}};
    bool sent = false;
    if (entry->record.port == kToUplink)
      sent = writeUplink(packet, {}, counters_);
    else if (Port* port = table_->port(entry->record.port))
      sent = writePort(*port, packet, {}, port->counters);
    else
      counters_.drop(Drop::no_port);
    if (sent) counters_.add(EngineCounter::transmitted);
    ring.pop();
  }
}

}  // namespace kagemusha
