#include "tunnel_table.h"

#include <arpa/inet.h>

#include "error.h"

namespace kagemusha {
namespace {

constexpr std::uint32_t kMinimumMtu = 1280;  // RFC 8200 5
constexpr std::uint8_t kMaxDscp = 63;        // RFC 2474 3: 6 bits

std::string text(const Address& address) {
  char buffer[INET6_ADDRSTRLEN];
  return ::inet_ntop(AF_INET6, address.octets.data(), buffer, sizeof buffer);
}

[[noreturn]] void invalid(const std::string& what) {
  throw EngineError("TABLE_INVALID", "tunnel table: " + what);
}

std::size_t countHomeAddresses(const TableSpec& spec) {
  std::size_t count = 0;
  for (const TunnelSpec& tunnel : spec.tunnels) count += tunnel.homeAddresses.size();
  return count;
}

std::size_t countRoutes(const TableSpec& spec) {
  std::size_t count = 0;
  for (const TunnelSpec& tunnel : spec.tunnels) count += tunnel.routes.size();
  return count;
}

}  // namespace

TunnelTable::TunnelTable(const TableSpec& spec, Ports ports, std::shared_ptr<Uplink> uplink,
                         const Region& region)
    : mobileNodes_(countHomeAddresses(spec)),
      homeAgents_(countHomeAddresses(spec)),
      byPair_(spec.tunnels.size()),
      byEnds_(spec.tunnels.size()),
      locals_(spec.locals.size()),
      bySignaler_(spec.signalers.size()),
      routes_(countRoutes(spec)),
      nextHops_(spec.nextHops.size()),
      defaultNextHop_(spec.defaultNextHop),
      ports_(std::move(ports)),
      portHasTunnel_(ports_.size()),
      uplink_(std::move(uplink)) {
  for (const LocalSpec& local : spec.locals)
    if (!locals_.insert(local.address, local.side))
      invalid("local address " + text(local.address) + " stands there twice");
  std::vector<bool> slotTaken(region.layout().maxTunnels);
  tunnels_.reserve(spec.tunnels.size());
  for (const TunnelSpec& tunnel : spec.tunnels) {
    const auto index = static_cast<std::uint32_t>(tunnels_.size());
    if (tunnel.slot >= slotTaken.size())
      invalid("slot " + std::to_string(tunnel.slot) + " is not below maxTunnels " +
              std::to_string(slotTaken.size()));
    if (slotTaken[tunnel.slot]) invalid("two tunnels use slot " + std::to_string(tunnel.slot));
    slotTaken[tunnel.slot] = true;
    if (tunnel.mtu < kMinimumMtu) invalid("an MTU of " + std::to_string(tunnel.mtu) + " is below 1280");
    if (tunnel.hopLimit == 0) invalid("a hop limit of 0 leaves no tunnel packet this node");
    if (tunnel.dscp.value_or(0) > kMaxDscp)
      invalid("a DSCP of " + std::to_string(*tunnel.dscp) + " is above 63");
    if (tunnel.pathMtu != 0 && tunnel.pathMtu < kMinimumMtu)
      invalid("a path MTU of " + std::to_string(tunnel.pathMtu) + " is below 1280");

    const bool mobileNode = tunnel.side == Side::kMobileNode;
    if ((tunnel.onward || tunnel.inbound) && !mobileNode)
      invalid("a home agent's tunnel cannot be onward or inbound");
    if (tunnel.onward && tunnel.inbound)
      invalid("a tunnel cannot be onward and inbound: its guest has left, or has come");
    if (!tunnel.inbound)
      for (const Address& home : tunnel.homeAddresses)
        if (!(mobileNode ? mobileNodes_ : homeAgents_).insert(home, index))
          invalid("two tunnels have home address " + text(home));
    if (mobileNode && !byPair_.insert({tunnel.remote, tunnel.local}, index))
      invalid("two tunnels run between " + text(tunnel.local) + " and " + text(tunnel.remote) +
              ": give each guest its own care-of address");
    const AddressPair ends{tunnel.remote, tunnel.local};
    byEnds_.set(ends, byEnds_.find(ends) ? kNone : index);

    addRoutes(tunnel);
    std::shared_ptr<Port> port = tunnel.port < ports_.size() ? ports_[tunnel.port] : nullptr;
    if (port && !tunnel.inbound) portHasTunnel_[port->id] = true;
    const Side* at = locals_.find(tunnel.local);
    const bool isPlace = !mobileNode && at && *at == Side::kMobileNode;
    tunnels_.push_back({index, tunnel, std::move(port), region.tunnelCounters(tunnel.slot), isPlace});
  }
  addSignalers(spec.signalers, region.layout().maxSignalers);
  for (const NextHopSpec& hop : spec.nextHops)
    if (!nextHops_.insert(hop.destination, hop.mac))
      invalid("two next hops lead to " + text(hop.destination));
}

void TunnelTable::addSignalers(const std::vector<SignalerSpec>& specs, std::uint32_t most) {
  std::vector<bool> taken(most);
  signalers_.reserve(specs.size());
  for (const SignalerSpec& signaler : specs) {
    const auto name = "signaler " + std::to_string(signaler.index);
    if (signaler.index >= most) invalid(name + " is not below maxSignalers " + std::to_string(most));
    if (taken[signaler.index]) invalid("two signalers have index " + std::to_string(signaler.index));
    taken[signaler.index] = true;
    const auto position = static_cast<std::uint32_t>(signalers_.size());
    if (!bySignaler_.insert({signaler.homeAddress, signaler.local}, position))
      invalid(name + ": another one signals for " + text(signaler.homeAddress) + " to " +
              text(signaler.local));
    const auto& homes = signaler.side == Side::kMobileNode ? mobileNodes_ : homeAgents_;
    const auto* tunnel = homes.find(signaler.homeAddress);
    signalers_.push_back({signaler, tunnel ? *tunnel : kNone});
  }
}

void TunnelTable::addRoutes(const TunnelSpec& tunnel) {
  if (tunnel.routes.size() > kMaxRoutes)
    invalid("a tunnel has more than " + std::to_string(kMaxRoutes) + " routes");
  for (const RouteSpec& route : tunnel.routes) {
    bool owned = false;
    for (const Address& home : tunnel.homeAddresses) owned = owned || home == route.homeAddress;
    if (!owned || tunnel.side != Side::kMobileNode)
      invalid("a route is for " + text(route.homeAddress) + ", which is not its tunnel's home address");
    if (!routes_.insert({route.correspondent, route.homeAddress}, route))
      invalid("two routes lead from " + text(route.homeAddress) + " to " + text(route.correspondent));
  }
}

}  // namespace kagemusha
