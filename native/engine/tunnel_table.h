// Which packet belongs to which tunnel: an immutable table that the workers read without locks.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "encapsulate.h"
#include "flat_map.h"
#include "ipv6.h"
#include "port.h"
#include "region.h"
#include "route.h"
#include "side.h"
#include "signaler.h"

namespace kagemusha {

struct TunnelSpec {
  std::uint32_t slot;  // counter block, chosen by the caller
  Side side;
  Address local;   // outer source: care-of address, or the home agent's address
  Address remote;  // home agent's address, or care-of address
  std::vector<Address> homeAddresses;
  PortId port = kNone;  // mobile node's side
  std::uint32_t mtu;    // of inner packets, octets
  // Of outer packets, octets; 0: that of the largest inner one.
  std::uint32_t pathMtu = 0;
  // SYNs both ways tell their receiver what fits.
  bool mssClamp = false;
  bool signaling = false;  // mobile node's side: Mobility Headers for a home address come to the slow path
  bool optimise = false;   // mobile node's side: tell of correspondents, take their packets straight
  // Mobile node's side: the guest has left. What comes out for it goes on through the tunnel of the home
  // agent's side that has its home address: from our care-of address to where it is now (as RFC 5568 3.2's
  // previous access router does; RFC 2473 3.1 on the way).
  bool onward = false;
  // Mobile node's side: the other end is the host that the guest left, not its home agent. Packets come out
  // only; what the guest sends goes by another tunnel, which may have the same home addresses.
  bool inbound = false;
  std::vector<RouteSpec> routes{};
  std::uint8_t hopLimit = 64;                        // of outer headers, 1..255
  std::optional<std::uint8_t> dscp{};                // of outer headers, 0..63; otherwise the inner packet's
  std::optional<std::uint8_t> encapsulationLimit{};  // sent of our own accord (RFC 2473 4.1.1)
};

struct LocalSpec {
  Address address;
  Side side;
};

// On an uplink that is an Ethernet interface: whose frame a packet for `destination` becomes.
struct NextHopSpec {
  Address destination;
  Mac mac;
};

struct TableSpec {
  std::vector<TunnelSpec> tunnels;
  std::vector<LocalSpec> locals;
  std::vector<SignalerSpec> signalers{};
  std::vector<NextHopSpec> nextHops{};
  std::optional<Mac> defaultNextHop{};  // of all other destinations: the router
};

// The two outer addresses of a tunnel; of a signaler, its home address and our own; of a route, the
// correspondent and the home address.
struct AddressPair {
  Address remote, local;
  bool operator==(const AddressPair&) const = default;
};

}  // namespace kagemusha

template <>
struct std::hash<kagemusha::AddressPair> {
  std::size_t operator()(const kagemusha::AddressPair& pair) const noexcept {
    const std::hash<kagemusha::Address> one;
    return kagemusha::mix(one(pair.remote), one(pair.local) ^ kagemusha::kHashKey[2]);
  }
};

namespace kagemusha {

struct Tunnel {
  std::uint32_t index;  // in the table
  TunnelSpec spec;
  std::shared_ptr<Port> port;  // null: none, or closed
  TunnelCounters counters;
  // Home agent's side, but from a care-of address: where the guest of an `onward` tunnel is now. Nobody's
  // home agent, so only what comes out of that tunnel goes in.
  bool isPlace;

  // Octets that its packets gain.
  std::size_t overhead() const { return kIpv6Header + (spec.encapsulationLimit ? kLimitHeader : 0); }
  // The largest outer packet, octets: what is longer becomes fragments.
  std::size_t pathMtu() const { return spec.pathMtu != 0 ? spec.pathMtu : spec.mtu + overhead(); }
  // The largest inner packet that needs no fragments, octets: TCP is made to fit it. Less than 1280 where the
  // path has hardly more.
  std::size_t unfragmentedMtu() const { return unfragmentedMtu(overhead()); }
  // The same for a packet that gains so many octets.
  std::size_t unfragmentedMtu(std::size_t outer) const {
    return std::min<std::size_t>(spec.mtu, pathMtu() - outer);
  }

  bool owns(const Address& homeAddress) const {
    for (const Address& own : spec.homeAddresses)
      if (own == homeAddress) return true;
    return false;
  }
};

// Everything that a worker needs to know about the world outside its packets. Owns the devices it names: they
// close when the last table that knows them is gone.
class TunnelTable {
 public:
  using Ports = std::vector<std::shared_ptr<Port>>;  // by number; null where there is none
  static constexpr std::size_t kMaxRoutes = 1024;    // of one tunnel

  // Throws EngineError TABLE_INVALID: a slot out of range or taken twice, a home address or pair of ends in
  // two tunnels of one side, a local address twice, an MTU or path MTU below 1280 (RFC 8200 5), a hop limit
  // of 0, a DSCP above 63, a signaler's index out of range or taken twice, two signalers with one home
  // address and local address, a route for a home address that is not the tunnel's, twice, or beyond
  // kMaxRoutes, a next hop's destination twice, a tunnel that is `onward` or `inbound` at the home agent's
  // side, or both. A home address may be in many inbound ones.
  TunnelTable(const TableSpec& spec, Ports ports, std::shared_ptr<Uplink> uplink, const Region& region);

  // nullptr: none. Never an inbound one.
  const Tunnel* mobileNodeOf(const Address& homeAddress) const { return at(mobileNodes_.find(homeAddress)); }
  const Tunnel* homeAgentOf(const Address& homeAddress) const { return at(homeAgents_.find(homeAddress)); }
  const Tunnel* between(const Address& remote, const Address& local) const {
    return at(byPair_.find({remote, local}));
  }
  // As between(), when the other end is the guest's home agent.
  const Tunnel* fromHomeAgent(const Address& remote, const Address& local) const {
    const Tunnel* tunnel = between(remote, local);
    return tunnel && !tunnel->spec.inbound ? tunnel : nullptr;
  }
  // The tunnel of either side that runs between these two: nullptr when there are several (home addresses
  // that share a care-of address), std::nullopt when there is none.
  std::optional<const Tunnel*> anyBetween(const Address& remote, const Address& local) const {
    const auto* index = byEnds_.find({remote, local});
    if (!index) return std::nullopt;
    return *index == kNone ? nullptr : &tunnels_[*index];
  }
  const RouteSpec* route(const Address& homeAddress, const Address& correspondent) const {
    return routes_.find({correspondent, homeAddress});
  }
  const Signaler* signaler(const Address& homeAddress, const Address& local) const {
    const auto* index = bySignaler_.find({homeAddress, local});
    return index ? &signalers_[*index] : nullptr;
  }
  // nullptr: none is known.
  const Mac* nextHop(const Address& destination) const {
    if (const Mac* mac = nextHops_.find(destination)) return mac;
    return defaultNextHop_ ? &*defaultNextHop_ : nullptr;
  }
  const Side* localSide(const Address& address) const { return locals_.find(address); }

  const Tunnel& tunnel(std::uint32_t index) const { return tunnels_[index]; }
  Port* port(PortId id) const { return id < ports_.size() ? ports_[id].get() : nullptr; }
  bool hasTunnel(const Port& port) const {
    return port.id < portHasTunnel_.size() && portHasTunnel_[port.id];
  }
  Uplink* uplink() const { return uplink_.get(); }

 private:
  void addSignalers(const std::vector<SignalerSpec>& specs, std::uint32_t most);
  void addRoutes(const TunnelSpec& tunnel);
  const Tunnel* at(const std::uint32_t* index) const { return index ? &tunnels_[*index] : nullptr; }

  std::vector<Tunnel> tunnels_;
  FlatMap<Address, std::uint32_t> mobileNodes_, homeAgents_;  // home address → tunnel
  FlatMap<AddressPair, std::uint32_t> byPair_;  // mobile node's side only: a home agent asks the inner source
  FlatMap<AddressPair, std::uint32_t> byEnds_;  // both sides; kNone: several
  FlatMap<Address, Side> locals_;
  std::vector<Signaler> signalers_;
  FlatMap<AddressPair, std::uint32_t> bySignaler_;
  FlatMap<AddressPair, RouteSpec> routes_;
  FlatMap<Address, Mac> nextHops_;
  std::optional<Mac> defaultNextHop_;
  Ports ports_;
  std::vector<bool> portHasTunnel_;
  std::shared_ptr<Uplink> uplink_;
};

}  // namespace kagemusha
