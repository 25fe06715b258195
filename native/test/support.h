// Packets for tests: built by hand, held in memory of exactly their size so that AddressSanitizer sees one
// octet too far.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "../engine/error.h"
#include "../engine/packet.h"
#include "../engine/tcp.h"
#include "reference.h"

namespace kagemusha::test {

using Octets = std::vector<std::uint8_t>;

// Of the EngineError that `call` throws.
template <class Call>
inline std::string codeOf(Call&& call) {
  try {
    call();
  } catch (const EngineError& error) {
    return error.code();
  }
  return "none";
}

// "6000 0000 …" in hexadecimal, spaces and newlines ignored.
inline Octets hex(std::string_view text) {
  Octets octets;
  int high = -1;
  for (const char digit : text) {
    if (digit == ' ' || digit == '\n') continue;
    const int value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
    if (high >= 0) octets.push_back(static_cast<std::uint8_t>(high * 16 + value));
    high = high >= 0 ? -1 : value;
  }
  return octets;
}

// 2001:db8::`last`.
inline Address addressOf(std::uint8_t last) {
  return Address{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}};
}

struct Random {
  std::mt19937 engine;
  explicit Random(std::uint32_t seed) : engine(seed) {}
  // A number below `limit`.
  std::size_t below(std::size_t limit) { return engine() % limit; }
  bool oneIn(std::size_t count) { return below(count) == 0; }
  std::uint8_t octet() { return static_cast<std::uint8_t>(engine()); }
  Octets octets(std::size_t count) {
    Octets result(count);
    for (std::uint8_t& value : result) value = octet();
    return result;
  }
};

// A packet in a slot of its own, headroom included, nothing behind its last octet.
struct Slot {
  Octets memory;
  Packet packet;

  explicit Slot(const Octets& octets, const Offload& offload = {}) : memory(kHeadroom + octets.size()) {
    std::copy(octets.begin(), octets.end(), memory.begin() + kHeadroom);
    packet = {Bytes(memory).subspan(kHeadroom), offload};
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  Slot(Slot&&) = default;  // the vector keeps its memory, so the packet stays true
  Slot& operator=(Slot&&) = default;
};

inline Octets copy(ConstBytes bytes) { return {bytes.begin(), bytes.end()}; }

inline Offload needsChecksum(std::size_t start) {
  Offload offload{};
  offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  offload.csum_start = static_cast<std::uint16_t>(start);
  offload.csum_offset = tcp::kChecksum;
  return offload;
}

inline Offload trainOf(std::size_t start, std::size_t headers, std::size_t size) {
  Offload offload = needsChecksum(start);
  offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
  offload.gso_size = static_cast<std::uint16_t>(size);
  offload.hdr_len = static_cast<std::uint16_t>(headers);
  return offload;
}

// What a TCP packet of a test says; the rest of it follows.
struct TcpFields {
  Address source = addressOf(1);
  Address destination = addressOf(2);
  std::uint16_t sourcePort = 40000;
  std::uint16_t destinationPort = 443;
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgement = 77;
  std::uint8_t flags = tcp::kAck;
  std::uint8_t reserved = 0;  // the four bits beside the data offset
  std::uint16_t window = 501;
  std::uint16_t urgent = 0;
  std::uint8_t trafficClass = 0;
  std::uint32_t flowLabel = 0x12345;
  std::uint8_t hopLimit = 64;
  Octets extensions{};              // extension headers, whole
  std::uint8_t firstHeader = kTcp;  // next header of the IPv6 header
  Octets options{};                 // TCP options, a multiple of 4
  Octets payload{};
};

inline void put16(Octets& into, std::size_t value) {
  into.push_back(static_cast<std::uint8_t>(value >> 8));
  into.push_back(static_cast<std::uint8_t>(value));
}

inline void put32(Octets& into, std::uint32_t value) {
  put16(into, value >> 16);
  put16(into, value & 0xffff);
}

inline void put(Octets& into, const auto& octets) { into.insert(into.end(), octets.begin(), octets.end()); }

// The packet with a checksum field of 0. `payload` is not limited to what the length field can say.
inline Octets buildTcp(const TcpFields& fields) {
  Octets packet;
  put32(packet, 0x60000000u | (std::uint32_t{fields.trafficClass} << 20) | fields.flowLabel);
  put16(packet, fields.extensions.size() + 20 + fields.options.size() + fields.payload.size());
  packet.push_back(fields.firstHeader);
  packet.push_back(fields.hopLimit);
  put(packet, fields.source.octets);
  put(packet, fields.destination.octets);
  put(packet, fields.extensions);
  put16(packet, fields.sourcePort);
  put16(packet, fields.destinationPort);
  put32(packet, fields.sequence);
  put32(packet, fields.acknowledgement);
  packet.push_back(static_cast<std::uint8_t>(((5 + fields.options.size() / 4) << 4) | fields.reserved));
  packet.push_back(fields.flags);
  put16(packet, fields.window);
  put16(packet, 0);
  put16(packet, fields.urgent);
  put(packet, fields.options);
  put(packet, fields.payload);
  return packet;
}

// The same with its whole checksum; the transport starts at `transport`.
inline Octets complete(Octets packet, std::size_t transport = 40) {
  reference::storeChecksum(packet, transport, reference::addressAt(packet, 8),
                           reference::addressAt(packet, 24));
  return packet;
}

// The same with the pseudo-header sum only, as a packet with NEEDS_CSUM carries it.
inline Octets partial(Octets packet, std::size_t transport = 40) {
  reference::storePseudoSum(packet, transport, reference::addressAt(packet, 8),
                            reference::addressAt(packet, 24));
  return packet;
}

}  // namespace kagemusha::test
