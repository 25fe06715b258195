#include "engine.h"

#include "error.h"
#include "tun_device.h"

namespace kagemusha {
namespace {

// Of a guest's link, octets.
constexpr std::size_t kLeastMtu = 1280, kMostMtu = 65535;

void requireOptions(const EngineOptions& options) {
  constexpr std::uint32_t kMost = 65536;
  if (options.workers < 1 || options.workers > 64 || options.maxPorts < 1 || options.maxPorts > kMost ||
      options.maxTunnels < 1 || options.maxTunnels > kMost || options.maxSignalers < 1 ||
      options.maxSignalers > kMost)
    throw EngineError(
        "ENGINE_OPTIONS",
        "engine options: workers is 1 to 64, maxPorts, maxTunnels and maxSignalers are 1 to 65536");
}

std::vector<Address> localsOf(const TableSpec& spec) {
  std::vector<Address> addresses;
  for (const LocalSpec& local : spec.locals) addresses.push_back(local.address);
  return addresses;
}

}  // namespace

Engine::Engine(const EngineOptions& options, std::function<void()> wake)
    : region_((requireOptions(options),
               std::make_shared<Region>(options.maxPorts, options.maxTunnels, options.maxSignalers))),
      slowPath_(*region_, std::move(wake)),
      policing_(*region_),
      table_(options.workers, makeTable({})) {
  for (std::uint32_t index = 0; index < options.workers; ++index)
    workers_.push_back(std::make_unique<Worker>(
        index, *region_, slowPath_, policing_, table_,
        index == 0 ? std::optional(region_->transmitRing()) : std::nullopt, options.busyPoll));
}

Engine::~Engine() = default;

std::unique_ptr<const TunnelTable> Engine::makeTable(const TableSpec& spec) const {
  return std::make_unique<const TunnelTable>(spec, ports_, uplink_, *region_);
}

// Numbers are used again as late as can be: the rings may still hold packets that name the port before.
PortId Engine::freePort() {
  const auto most = region_->layout().maxPorts;
  for (std::uint32_t tried = 0; tried < most; ++tried) {
    const PortId id = nextPort_;
    nextPort_ = (id + 1) % most;
    if (id >= ports_.size() || !ports_[id]) return id;
  }
  throw EngineError("TOO_MANY_PORTS", "all " + std::to_string(most) +
                                          " ports are open: close one, or give the engine a larger maxPorts");
}

// The uplink lives on worker 0; with more workers, guests start at the next one.
Worker& Engine::workerOf(PortId id) const { return *workers_[(id + 1) % workers_.size()]; }

void Engine::addPort(std::shared_ptr<Port> port) {
  const PortId id = port->id;
  region_->clearPortCounters(id);
  workerOf(id).add(port);
  if (id >= ports_.size()) ports_.resize(id + 1);
  ports_[id] = std::move(port);
  table_.publish(makeTable(spec_));
}

PortId Engine::openTap(const std::string& device, const Mac& localMac) {
  const PortId id = freePort();
  addPort(std::make_shared<Port>(id, Port::Role::kGuest, openTunDevice(device, TunMode::kTap), localMac,
                                 region_->portCounters(id)));
  return id;
}

PortId Engine::openStream(const std::string& path, const Mac& localMac, std::size_t mtu) {
  if (mtu < kLeastMtu || mtu > kMostMtu)
    throw EngineError("ENGINE_OPTIONS", "the MTU of a port is 1280 to 65535, not " + std::to_string(mtu));
  const PortId id = freePort();
  auto device = std::make_shared<StreamDevice>(mtu);
  auto port = std::make_shared<Port>(id, Port::Role::kGuest, device, localMac, region_->portCounters(id));
  port->mergeable = false;  // a stream takes no trains: what was merged would be cut again
  addPort(std::move(port));
  streams_.insert_or_assign(id, Stream{path, std::move(device)});
  return id;
}

void Engine::connectStream(PortId id) {
  Port& stream = port(id);
  const auto found = streams_.find(id);
  if (found == streams_.end()) throw EngineError("NO_PORT", "port " + std::to_string(id) + " is no stream");
  StreamDevice& device = *found->second.device;
  if (device.attached()) return;
  UniqueFd socket = kagemusha::connectStream(found->second.path);
  workerOf(id).remove(*stream.device);  // it may not be done with the last connection
  device.attach(std::move(socket));
  try {
    workerOf(id).add(ports_[id]);
  } catch (const EngineError&) {
    device.detach();
    throw;
  }
}

Engine::PacketPort Engine::openPacketPort(const std::string& interface, const PacketSocketOptions& options) {
  const PortId id = freePort();
  PacketSocket socket = openPacketSocket(interface, options);
  addPort(std::make_shared<Port>(id, Port::Role::kControl, std::move(socket.device), socket.mac,
                                 region_->portCounters(id)));
  return {id, socket.mac};
}

PortId Engine::openPort(std::shared_ptr<Device> device, const Mac& localMac) {
  const PortId id = freePort();
  addPort(
      std::make_shared<Port>(id, Port::Role::kGuest, std::move(device), localMac, region_->portCounters(id)));
  return id;
}

Engine::MemoryPort Engine::openMemoryPort(const Mac& localMac) {
  auto device = std::make_shared<MemoryDevice>();
  return {openPort(device, localMac), device};
}

void Engine::requireNoUplink() const {
  if (uplink_)
    throw EngineError("UPLINK_OPEN", "the engine has an uplink already: use one engine per uplink");
}

void Engine::setUplink(std::shared_ptr<Uplink> uplink) {
  try {
    if (uplink->device->sendsMany())
      for (const auto& worker : workers_) worker->addSender(uplink->device);
    workers_.front()->add(uplink);
  } catch (const EngineError&) {
    for (const auto& worker : workers_) worker->removeSender();
    throw;
  }
  uplink_ = std::move(uplink);
  table_.publish(makeTable(spec_));
}

void Engine::openTun(const std::string& device, TunMode mode) {
  requireNoUplink();
  setUplink(std::make_shared<Uplink>(openTunDevice(device, mode)));
}

const PacketUplink& Engine::openPacketUplink(const std::string& interface,
                                             const PacketUplinkOptions& options) {
  requireNoUplink();
  auto device = kagemusha::openPacketUplink(interface, options);
  device->setDestinations(localsOf(spec_));
  setUplink(std::make_shared<Uplink>(device, device->mac()));
  packetUplink_ = std::move(device);
  return *packetUplink_;
}

void Engine::openUplink(std::shared_ptr<Device> device) {
  requireNoUplink();
  setUplink(std::make_shared<Uplink>(std::move(device)));
}

std::shared_ptr<MemoryDevice> Engine::openMemoryUplink() {
  auto device = std::make_shared<MemoryDevice>();
  openUplink(device);
  return device;
}

Port& Engine::port(PortId id) const {
  if (id >= ports_.size() || !ports_[id])
    throw EngineError("NO_PORT", "port " + std::to_string(id) + " is not open");
  return *ports_[id];
}

void Engine::closePort(PortId id) {
  workerOf(id).remove(*port(id).device);
  ports_[id] = nullptr;
  streams_.erase(id);
  for (TunnelSpec& tunnel : spec_.tunnels)
    if (tunnel.port == id) tunnel.port = kNone;  // not the next one's that gets this number
  table_.publish(makeTable(spec_));
}

void Engine::setPeerMac(PortId id, const Mac& mac) { port(id).setPeerMac(mac); }

void Engine::watchFirstFrame(PortId id) { port(id).watchFirstFrame(); }

void Engine::watchFirstDelivery(PortId id) { port(id).watchFirstDelivery(); }

void Engine::publish(TableSpec spec) {
  for (const TunnelSpec& tunnel : spec.tunnels)
    if (tunnel.port != kNone) port(tunnel.port);
  auto table = makeTable(spec);
  for (const TunnelSpec& tunnel : spec.tunnels) policing_.claimTunnel(tunnel.slot);
  for (const SignalerSpec& signaler : spec.signalers) policing_.claimSignaler(signaler.index);
  if (packetUplink_) packetUplink_->setDestinations(localsOf(spec));
  table_.publish(std::move(table));
  spec_ = std::move(spec);
}

void Engine::clearTunnelCounters(std::uint32_t slot) {
  const std::uint32_t most = region_->layout().maxTunnels;
  if (slot >= most)
    throw EngineError("TABLE_INVALID",
                      "slot " + std::to_string(slot) + " is not below maxTunnels " + std::to_string(most));
  region_->clearTunnelCounters(slot);
}

void Engine::kick() { workers_.front()->kick(); }

}  // namespace kagemusha
