// Slow and obvious versions of what the engine does: everything is copied, one octet at a time, and every
// checksum is computed in full. Tests compare with them.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "../engine/checksum.h"
#include "../engine/ipv6.h"
#include "../engine/packet.h"

namespace kagemusha::reference {

using Octets = std::vector<std::uint8_t>;

inline Address addressAt(const Octets& packet, std::size_t offset) {
  Address address;
  for (std::size_t index = 0; index < 16; ++index) address.octets[index] = packet[offset + index];
  return address;
}

inline std::uint32_t number(const Octets& packet, std::size_t offset, std::size_t length) {
  std::uint32_t value = 0;
  for (std::size_t index = 0; index < length; ++index) value = value * 256 + packet[offset + index];
  return value;
}

inline void setNumber(Octets& packet, std::size_t offset, std::size_t length, std::uint32_t value) {
  for (std::size_t index = length; index-- > 0; value /= 256)
    packet[offset + index] = static_cast<std::uint8_t>(value % 256);
}

// RFC 8200 8.1, written out as it is drawn there.
inline std::uint16_t pseudoSum(const Address& source, const Address& destination, std::size_t length,
                               std::uint8_t protocol) {
  Octets header;
  for (const std::uint8_t octet : source.octets) header.push_back(octet);
  for (const std::uint8_t octet : destination.octets) header.push_back(octet);
  header.resize(40);
  setNumber(header, 32, 4, static_cast<std::uint32_t>(length));
  header[39] = protocol;
  return checksumAdd(header);
}

inline constexpr std::size_t kTcpChecksumAt = 16;

inline void storePseudoSum(Octets& packet, std::size_t transport, const Address& source,
                           const Address& destination) {
  setNumber(packet, transport + kTcpChecksumAt, 2,
            pseudoSum(source, destination, packet.size() - transport, kTcp));
}

// The TCP checksum in full. Its value is never written as 0, which is the same number as 0xffff.
inline void storeChecksum(Octets& packet, std::size_t transport, const Address& source,
                          const Address& destination) {
  storePseudoSum(packet, transport, source, destination);
  const Octets segment(packet.begin() + static_cast<std::ptrdiff_t>(transport), packet.end());
  const auto sum = static_cast<std::uint16_t>(~checksumAdd(segment));
  setNumber(packet, transport + kTcpChecksumAt, 2, sum == 0 ? 0xffff : sum);
}

inline bool checksumIsRight(const Octets& packet, std::size_t transport) {
  const std::size_t length = packet.size() - transport;
  const Octets segment(packet.begin() + static_cast<std::ptrdiff_t>(transport), packet.end());
  return checksumAdd(segment, pseudoSum(addressAt(packet, 8), addressAt(packet, 24), length, kTcp)) == 0xffff;
}

// Cuts a TCP train whose TCP header starts at `transport` into packets of at most `step` payload octets, each
// with its whole checksum over the given addresses.
inline std::vector<Octets> segment(const Octets& train, std::size_t transport, std::size_t step,
                                   const Address& source, const Address& destination) {
  const std::size_t headers = transport + static_cast<std::size_t>(train[transport + 12] / 16) * 4;
  std::vector<Octets> packets;
  std::size_t offset = 0;
  do {
    Octets packet(train.begin(), train.begin() + static_cast<std::ptrdiff_t>(headers));
    for (std::size_t index = 0; index < step && headers + offset + index < train.size(); ++index)
      packet.push_back(train[headers + offset + index]);
    const std::size_t count = packet.size() - headers;
    const bool last = headers + offset + count == train.size();
    setNumber(packet, 4, 2, static_cast<std::uint32_t>(packet.size() - 40));
    setNumber(packet, transport + 4, 4, number(train, transport + 4, 4) + static_cast<std::uint32_t>(offset));
    if (!last) packet[transport + 13] &= 0xff - 0x01 - 0x08;  // FIN, PSH
    if (offset > 0) packet[transport + 13] &= 0xff - 0x80;    // CWR
    storeChecksum(packet, transport, source, destination);
    packets.push_back(packet);
    offset += count;
  } while (headers + offset < train.size());
  return packets;
}

// A packet as the coalescer is given it.
struct Arrival {
  std::uint32_t key;
  Octets bytes;
  Offload offload;
};

// How many packets each train of a batch must have, in order of each train's first packet. Says the rules of
// coalesce.h one after the other; packets here have no padding and no malformed headers.
inline std::vector<std::size_t> coalesce(const std::vector<Arrival>& arrivals) {
  struct Growing {
    std::size_t index;  // into `trains`
    Arrival first;
    std::uint32_t next;
    std::size_t length;
    bool open;
  };
  std::vector<std::size_t> trains;
  std::map<std::tuple<std::uint32_t, Octets, std::uint32_t>, Growing> flows;
  for (const Arrival& arrival : arrivals) {
    const Octets& bytes = arrival.bytes;
    const Octets addresses(bytes.begin() + 8, bytes.begin() + 40);
    if (bytes[6] != kTcp) {
      const bool extension =
          bytes[6] == kHopByHop || bytes[6] == kRouting || bytes[6] == kFragment || bytes[6] == kDestination;
      for (auto& [flow, train] : flows)
        if (extension && std::get<0>(flow) == arrival.key && std::get<1>(flow) == addresses)
          train.open = false;
      trains.push_back(1);
      continue;
    }
    const std::size_t headers = 40 + static_cast<std::size_t>(bytes[52] / 16) * 4;
    const std::size_t payload = bytes.size() - headers;
    const bool push = bytes[53] & 0x08;
    const bool onlyAck = bytes[52] % 16 == 0 && (bytes[53] == 0x10 || bytes[53] == 0x18);
    const bool vouched = arrival.offload.flags != 0 || checksumIsRight(bytes, 40);
    const bool mergeable =
        onlyAck && payload > 0 && vouched && arrival.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE;
    const std::tuple flow{arrival.key, addresses, number(bytes, 40, 4)};

    const auto found = flows.find(flow);
    if (found != flows.end() && found->second.open) {
      Growing& train = found->second;
      const Octets& first = train.first.bytes;
      const std::size_t size = first.size() - headers;
      bool alike = mergeable && first[52] == bytes[52];
      for (std::size_t index = 0; alike && index < headers; ++index) {
        const bool differs = index == 4 || index == 5 || (index >= 44 && index < 48) || index == 53 ||
                             index == 56 || index == 57;
        if (!differs && first[index] != bytes[index]) alike = false;
      }
      if (alike && number(bytes, 44, 4) == train.next && payload <= size &&
          train.length + payload <= 40 + 65535) {
        trains[train.index] += 1;
        train.next += static_cast<std::uint32_t>(payload);
        train.length += payload;
        if (push || payload < size) train.open = false;
        continue;
      }
    }
    trains.push_back(1);
    flows.erase(flow);
    if (mergeable && !push) {
      const std::uint32_t next = number(bytes, 44, 4) + static_cast<std::uint32_t>(payload);
      flows.emplace(flow, Growing{trains.size() - 1, arrival, next, bytes.size(), true});
    }
  }
  return trains;
}

}  // namespace kagemusha::reference
