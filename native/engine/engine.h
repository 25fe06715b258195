// The packet engine: ports, one uplink, the tunnel table, the workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "memory_device.h"
#include "packet_socket.h"
#include "packet_uplink.h"
#include "stream_device.h"
#include "tun_device.h"
#include "worker.h"

namespace kagemusha {

struct EngineOptions {
  std::uint32_t workers = 1;
  std::uint32_t maxPorts = 1024;
  std::uint32_t maxTunnels = 1024;
  std::uint32_t maxSignalers = 2048;
  // Workers go on looking for packets for a while after the last one, and do not sleep (Worker::kBusyFor).
  bool busyPoll = false;
};

// One thread controls it; errors are thrown as EngineError. It neither brings devices up nor configures them.
class Engine {
 public:
  // `wake` is called from any worker when the receive ring of the region has packets.
  Engine(const EngineOptions& options, std::function<void()> wake);
  ~Engine();

  struct PacketPort {
    PortId id;
    Mac mac;  // the interface's
  };
  struct MemoryPort {
    PortId id;
    std::shared_ptr<MemoryDevice> device;
  };

  // A guest's tap (see openTunDevice). `localMac` is the source of the frames that the guest gets.
  PortId openTap(const std::string& device, const Mac& localMac);
  // A guest's port that is a stream of QEMU's, not connected yet: what is written is dropped as port_error. A
  // train is cut to packets of `mtu` octets. No device of the system: nothing else is made or needed.
  PortId openStream(const std::string& path, const Mac& localMac, std::size_t mtu);
  // Connects a port of openStream() (see connectStream); nothing when it is connected. When the connection
  // ends, the port counts `lost` and JavaScript is woken: then it may be connected again, and is the same
  // port.
  void connectStream(PortId port);
  // A link where every frame goes to the slow path (see openPacketSocket).
  PacketPort openPacketPort(const std::string& interface, const PacketSocketOptions& options = {});
  MemoryPort openMemoryPort(const Mac& localMac);
  // A guest's port; the uplink (UPLINK_OPEN when there is one already). Whatever opens one throws
  // OUT_OF_DESCRIPTORS when its device cannot be watched, and then it is not open.
  PortId openPort(std::shared_ptr<Device> device, const Mac& localMac);
  void openUplink(std::shared_ptr<Device> device);
  // The uplink; UPLINK_OPEN when there is one already.
  void openTun(const std::string& device, TunMode mode = TunMode::kTun);
  // On a network interface. The next hops of the table say where packets go.
  const PacketUplink& openPacketUplink(const std::string& interface, const PacketUplinkOptions& options = {});
  std::shared_ptr<MemoryDevice> openMemoryUplink();
  // Nothing more is read from or written to the port once this returns. NO_PORT when there is none.
  void closePort(PortId port);

  void setPeerMac(PortId port, const Mac& mac);
  void watchFirstFrame(PortId port);
  // The next packet that comes out of a tunnel and is written to the port is told of, once.
  void watchFirstDelivery(PortId port);
  // Replaces the whole table; workers see all of it or nothing. TABLE_INVALID: the old one stays.
  void publish(TableSpec table);
  // For a slot that is given to another tunnel. TABLE_INVALID: no such slot.
  void clearTunnelCounters(std::uint32_t slot);
  // There is something on the transmit ring.
  void kick();

  // Octets that are mapped for packets, touched or not: the engine's, of this process, and the receive ring
  // of a packet uplink, which the kernel has allocated.
  struct Memory {
    std::size_t mapped, uplinkRing;
  };
  Memory memory() const { return {Mapping::total(), packetUplink_ ? packetUplink_->ringBytes() : 0}; }

  const std::shared_ptr<Region>& region() const { return region_; }

 private:
  PortId freePort();
  void addPort(std::shared_ptr<Port> port);
  void setUplink(std::shared_ptr<Uplink> uplink);
  void requireNoUplink() const;
  Port& port(PortId id) const;
  Worker& workerOf(PortId id) const;
  std::unique_ptr<const TunnelTable> makeTable(const TableSpec& spec) const;

  std::shared_ptr<Region> region_;  // others may look at it after our end
  SlowPath slowPath_;
  Policing policing_;
  TunnelTable::Ports ports_;
  struct Stream {
    std::string path;
    std::shared_ptr<StreamDevice> device;
  };
  std::unordered_map<PortId, Stream> streams_;
  PortId nextPort_ = 0;  // where the search for a free number begins
  std::shared_ptr<Uplink> uplink_;
  std::shared_ptr<PacketUplink> packetUplink_;  // the same, where it is one
  TableSpec spec_;
  Published<TunnelTable> table_;
  std::vector<std::unique_ptr<Worker>> workers_;  // last: they stop before the rest goes
};

}  // namespace kagemusha
