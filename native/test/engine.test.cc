// The engine with its threads. `make tsan` runs this under ThreadSanitizer.
#include "../engine/engine.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <semaphore>

#include "../engine/error.h"
#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr std::uint32_t kGuests = 6;

Address homeOf(std::uint32_t guest) { return addressOf(static_cast<std::uint8_t>(0x20 + guest)); }
Address careOfOf(std::uint32_t guest) { return addressOf(static_cast<std::uint8_t>(0x40 + guest)); }

// JavaScript's end of the rings, with the wake-up that the addon makes: one call waits at most.
struct Script {
  std::atomic<bool> pending = false;
  std::counting_semaphore<> called{0};
  std::uint64_t received = 0;

  void wake() {
    if (!pending.exchange(true)) called.release();
  }
  void drain(const Region& region) {
    pending.exchange(false);
    SlowPathRing ring = region.receiveRing();
    while (const auto entry = ring.front()) {
      received += entry->bytes.empty() ? 0 : 1;
      ring.pop();
    }
  }
  // Only when called: a lost wake-up is a test that does not end.
  void drainWhenCalled(const Region& region) {
    REQUIRE(called.try_acquire_for(std::chrono::seconds(20)));
    drain(region);
  }
};

void transmit(Engine& engine, std::uint32_t target, ConstBytes bytes) {
  SlowPathRing ring = engine.region()->transmitRing();
  while (!ring.push({.port = target}, bytes)) std::this_thread::yield();
  if (ring.ask()) engine.kick();
}

std::uint64_t engineValue(const Engine& engine, EngineCounter counter) {
  auto* values = reinterpret_cast<std::uint64_t*>(engine.region()->bytes().data() +
                                                  engine.region()->layout().engineCounters);
  return std::atomic_ref(values[static_cast<std::size_t>(counter)]).load();
}

TableSpec tableOf(const std::vector<Engine::MemoryPort>& ports, bool moved) {
  TableSpec spec;
  for (std::uint32_t guest = 0; guest < ports.size(); ++guest)
    spec.tunnels.push_back({.slot = guest,
                            .side = Side::kMobileNode,
                            .local = careOfOf(guest),
                            .remote = moved ? addressOf(2) : agent,
                            .homeAddresses = {homeOf(guest)},
                            .port = ports[guest].id,
                            .mtu = kMtu});
  for (std::uint32_t guest = 0; guest < ports.size(); ++guest)
    spec.locals.push_back({careOfOf(guest), Side::kMobileNode});
  return spec;
}

}  // namespace

TEST_CASE("tables and ports change under running workers") {
  for (const std::uint32_t workers : {1u, 4u}) {
    CAPTURE(workers);
    Script script;
    auto engine = std::make_unique<Engine>(
        EngineOptions{.workers = workers, .maxPorts = 16, .maxTunnels = 16}, [&script] { script.wake(); });
    const auto network = engine->openMemoryUplink();
    std::vector<Engine::MemoryPort> ports;
    for (std::uint32_t guest = 0; guest < kGuests; ++guest)
      ports.push_back(engine->openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}}));

    // Devices outlive their ports here, so that the traffic goes on while ports close and open.
    std::mutex mutex;
    std::vector<std::shared_ptr<MemoryDevice>> devices;
    for (const auto& port : ports) devices.push_back(port.device);
    std::atomic<bool> stop = false;
    const auto traffic = [&](std::uint32_t half) {
      for (std::uint32_t turn = 0; !stop; ++turn) {
        const std::uint32_t guest = turn % kGuests;
        std::shared_ptr<MemoryDevice> device;
        {
          const std::lock_guard lock(mutex);
          device = devices[guest];
        }
        device->inject(frame(turn % 3 ? packetOf(homeOf(guest), far, 200) : solicitation()), {});
        TcpFields fields{.source = far, .destination = homeOf(guest), .sequence = turn * 100};
        fields.payload = Octets(100, 1);
        network->inject(
            tunnelled(complete(buildTcp(fields)), turn % 2 ? agent : addressOf(2), careOfOf(guest)), {});
        network->inject(packetOf(far, careOfOf(guest), 100, kMobility), {});
        while (device->take()) continue;
        if (half == 0)
          while (network->take()) continue;
      }
    };
    std::thread first(traffic, 0), second(traffic, 1);
    for (int round = 0; round < 150; ++round) {
      engine->publish(tableOf(ports, round % 2));
      const std::uint32_t guest = static_cast<std::uint32_t>(round) % kGuests;
      engine->setPeerMac(ports[guest].id, Mac{{2, 0, 0, 0, 1, static_cast<std::uint8_t>(round)}});
      engine->watchFirstFrame(ports[guest].id);
      transmit(*engine, ports[guest].id, solicitation());
      transmit(*engine, kToUplink, packetOf(careOf, far, 100));
      if (round % 5 == 0) {
        const auto closed = ports[guest].id;
        engine->closePort(closed);
        ports[guest] = engine->openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}});
        CHECK(ports[guest].id != closed);  // its packets may still be in the rings
        const std::lock_guard lock(mutex);
        devices[guest] = ports[guest].device;
      }
      script.drain(*engine->region());
    }
    if (workers == 1) stop = true;  // with four, the workers stop while packets still come
    const auto region = engine->region();
    CHECK(engineValue(*engine, EngineCounter::uplinkPacketsRead) > 0);
    engine.reset();
    stop = true;
    first.join();
    second.join();
    script.drain(*region);
    CHECK(script.received > 0);
  }
}

TEST_CASE("no wake-up is lost: what JavaScript is not told of, nobody tells it of later") {
  Script script;
  Engine engine({.workers = 4, .maxPorts = 8, .maxTunnels = 8}, [&script] { script.wake(); });
  std::vector<Engine::MemoryPort> ports;
  for (std::uint32_t guest = 0; guest < 4; ++guest)
    ports.push_back(engine.openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}}));
  std::uint64_t sent = 0;
  for (int round = 0; round < 3000; ++round) {
    // A few from each worker, so that some come while the ring is being looked at.
    for (const auto& port : ports)
      for (int count = 0; count <= round % 3; ++count) sent += port.device->inject(frame(solicitation()), {});
    while (script.received < sent) script.drainWhenCalled(*engine.region());
  }
  CHECK(script.received == sent);
}

TEST_CASE("no kick is lost: all that JavaScript writes is sent") {
  Script script;
  Engine engine({.workers = 1, .maxPorts = 8, .maxTunnels = 8}, [&script] { script.wake(); });
  const auto network = engine.openMemoryUplink();
  const Octets packet = packetOf(careOf, far, 100);
  std::uint64_t sent = 0;
  for (int round = 0; round < 3000; ++round) {
    for (int count = 0; count <= round % 4; ++count) {
      transmit(engine, kToUplink, packet);
      ++sent;
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    if (round % 8 == 0)
      while (engineValue(engine, EngineCounter::transmitted) < sent) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        std::this_thread::yield();
      }
    while (network->take()) continue;
  }
}

TEST_CASE("a guest that floods does not keep another's packets waiting") {
  Script script;
  Engine engine({.workers = 1, .maxPorts = 8, .maxTunnels = 8}, [&script] { script.wake(); });
  const auto network = engine.openMemoryUplink();
  std::vector<Engine::MemoryPort> ports;
  for (std::uint32_t guest = 0; guest < 2; ++guest)
    ports.push_back(engine.openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}}));
  engine.publish(tableOf(ports, false));
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    const Octets storm = frame(solicitation()), junk = frame(packetOf(far, far, 1400));
    while (!stop) {
      ports[0].device->inject(storm, {});
      ports[0].device->inject(junk, {});
    }
  });
  for (int round = 0; round < 200; ++round) {
    REQUIRE(ports[1].device->inject(frame(packetOf(homeOf(1), far, 100)), {}));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!network->take()) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      std::this_thread::yield();
    }
  }
  stop = true;
  flood.join();
}

namespace {

// epoll refuses a regular file (EPERM), as it refuses all when its watches run out.
class Unwatchable final : public Device {
 public:
  explicit Unwatchable(bool sender = false) : sender_(sender) {}
  int fd() const override { return sender_ ? readable_.get() : file_.get(); }
  Io read(Bytes, Packet&) override { return Io::kAgain; }
  Io write(const Packet&, std::span<const iovec>) override { return Io::kDone; }
  bool sendsMany() const override { return sender_; }
  int sendFd() const override { return file_.get(); }

 private:
  const bool sender_;
  const UniqueFd file_{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  const UniqueFd readable_{::epoll_create1(EPOLL_CLOEXEC)};
};

}  // namespace

TEST_CASE("a device that cannot be watched is not opened, and nothing of it is left") {
  Engine engine({.workers = 2, .maxPorts = 2, .maxTunnels = 2}, [] {});
  for (int round = 0; round < 4; ++round) {
    CHECK(codeOf([&] { engine.openPort(std::make_shared<Unwatchable>(), Mac{}); }) == "OUT_OF_DESCRIPTORS");
    CHECK(codeOf([&] { engine.openUplink(std::make_shared<Unwatchable>()); }) == "OUT_OF_DESCRIPTORS");
    CHECK(codeOf([&] { engine.openUplink(std::make_shared<Unwatchable>(true)); }) == "OUT_OF_DESCRIPTORS");
    for (const PortId port : {0u, 1u}) CHECK(codeOf([&] { engine.closePort(port); }) == "NO_PORT");
  }
  const auto network = engine.openMemoryUplink();
  std::vector<Engine::MemoryPort> ports;
  for (int count = 0; count < 2; ++count) ports.push_back(engine.openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}}));
  engine.publish(tableOf(ports, false));
  REQUIRE(ports[1].device->inject(frame(packetOf(homeOf(1), far, 100)), {}));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!network->take()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::yield();
  }
}
