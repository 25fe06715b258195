// The packet uplink on a veth pair, in a network namespace of its own: as root.
#include "../engine/packet_uplink.h"

#include <doctest/doctest.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include "../engine/batch_memory.h"
#include "../engine/engine.h"
#include "../engine/error.h"
#include "../engine/outgoing.h"
#include "../engine/packet_socket.h"
#include "../engine/raw_socket.h"
#include "../engine/tun_device.h"
#include "peer.h"
#include "wire.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

// An IPv6 packet of `length` octets whose hop limit is its number.
Octets packetOf(std::size_t number, std::size_t length, const Address& destination = addressOf(9)) {
  Octets packet;
  put32(packet, 0x60000000u);
  put16(packet, length - kIpv6Header);
  packet.push_back(kIpv6);
  packet.push_back(static_cast<std::uint8_t>(number));
  put(packet, addressOf(8).octets);
  put(packet, destination.octets);
  packet.resize(length, static_cast<std::uint8_t>(number));
  return packet;
}

Octets frameTo(const Mac& to, const Octets& packet) {
  Octets frame;
  put(frame, to.octets);
  put(frame, stranger.octets);
  put16(frame, kEtherTypeIpv6);
  put(frame, packet);
  return frame;
}

std::shared_ptr<PacketUplink> openOwn(std::uint32_t frames = 64) {
  return openPacketUplink("kgu0", {.mac = own, .rxFrames = frames});
}

bool readable(const Device& device, int milliseconds = 2000) {
  pollfd poll{device.fd(), POLLIN, 0};
  return ::poll(&poll, 1, milliseconds) == 1 && (poll.revents & POLLIN);
}

// The next packet; what comes is waited for.
std::optional<Octets> readOne(Device& device, Bytes slot, int milliseconds = 2000) {
  Packet packet;
  if (!readable(device, milliseconds) || device.read(slot, packet) != Io::kDone) return std::nullopt;
  return copy(packet.bytes);
}

void sendAll(Device& device, OutgoingQueue& queue) {
  while (!queue.flush(device)) {
    pollfd writable{device.sendFd(), POLLOUT, 0};
    REQUIRE(::poll(&writable, 1, 5000) == 1);
  }
}

struct Counters {
  std::array<std::uint64_t, EngineCounters::kValues> values{};
  EngineCounters engine{values.data()};
  std::uint64_t drops(Drop reason) const {
    return values[kEngineCounterNames.size() + static_cast<std::size_t>(reason)];
  }
};

// Another guest's tap on the bridge kgubr, on which the uplink is.
class Neighbor {
 public:
  static std::unique_ptr<Neighbor> make() {
    if (!run("ip link add kgubr type bridge && ip link set kgubr up")) return nullptr;
    auto neighbor = std::unique_ptr<Neighbor>(new Neighbor);
    return run("ip link set kgut master kgubr up") ? std::move(neighbor) : nullptr;
  }
  void send(const Octets& packet, const Offload& offload = {}) const {
    Slot slot(frameTo(own, packet), offload);
    REQUIRE(tap_->write(slot.packet, {}) == Io::kDone);
  }
  // What no virtio_net_hdr can say in the kernel's receive ring: UDP to be cut to fragments.
  void sendPoison() const {
    Octets packet = packetOf(1, 3000);
    packet[6] = 17;
    Offload offload{};
    offload.gso_type = VIRTIO_NET_HDR_GSO_UDP;
    offload.gso_size = 1000;
    send(packet, offload);
  }

 private:
  Neighbor() : tap_(openTunDevice("kgut", TunMode::kTap)) {}
  std::unique_ptr<Device> tap_;
};

}  // namespace

TEST_CASE("packet uplink: what is for our MAC is read where it lies, with headroom before it") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const Peer peer;
  const BatchMemory memory;
  CHECK(uplink->mac() == own);
  CHECK(uplink->ringBytes() == 64 * 2048);

  peer.send(frameTo(stranger, packetOf(1, 100)));
  peer.send(frameTo(own, packetOf(2, 1400)));
  peer.send(frameTo(own, packetOf(3, kIpv6Header)));
  std::vector<Packet> held(2);
  REQUIRE(readable(*uplink));
  for (Packet& packet : held) REQUIRE(uplink->read(memory.batch().next(), packet) == Io::kDone);
  for (const Packet& packet : held) {
    CHECK((packet.bytes.data() < memory.batch().next().data() ||
           packet.bytes.data() > memory.batch().next().data() + kMaxPacket));
    std::fill_n(packet.bytes.data() - kHeadroom, kHeadroom, std::uint8_t{0xee});
  }
  CHECK(copy(held[0].bytes) == packetOf(2, 1400));
  CHECK(copy(held[1].bytes) == packetOf(3, kIpv6Header));
  Packet none;
  CHECK(uplink->read(memory.batch().next(), none) == Io::kAgain);
  uplink->endBatch();
  CHECK_FALSE(readable(*uplink, 50));
  CHECK(uplink->takeLosses().full == 0);
}

TEST_CASE("packet uplink: the ring goes round, and what it had no room for is counted") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const Peer peer;
  const BatchMemory memory;
  const Bytes slot = memory.batch().next();
  for (std::size_t round = 0; round < 50; ++round) {
    const std::size_t burst = round % 5 == 4 ? 100 : 40, fits = std::min<std::size_t>(burst, 64);
    for (std::size_t number = 0; number < burst; ++number) peer.send(frameTo(own, packetOf(number, 500)));
    for (std::size_t number = 0; number < fits; ++number) {
      CHECK(readOne(*uplink, slot) == packetOf(number, 500));
      if (number % 7 == 0) uplink->endBatch();
    }
    CHECK_FALSE(readOne(*uplink, slot, 1));
    uplink->endBatch();
    // The kernel tells with the next one.
    peer.send(frameTo(own, packetOf(200, 500)));
    CHECK(readOne(*uplink, slot) == packetOf(200, 500));
    uplink->endBatch();
    CHECK(uplink->takeLosses().full == burst - fits);
  }
}

TEST_CASE(
    "packet uplink: a ring that the kernel stopped is made anew, and who means it does not get it twice") {
  ON_A_WIRE(wire);
  const auto neighbor = Neighbor::make();
  REQUIRE(neighbor);
  const auto uplink = openPacketUplink("kgubr", {.mac = own, .rxFrames = 64});
  const BatchMemory memory;
  const Bytes slot = memory.batch().next();
  const auto passes = [&](std::size_t number) {
    neighbor->send(packetOf(number, 500));
    const bool came = readOne(*uplink, slot, 300) == packetOf(number, 500);
    uplink->endBatch();
    return came;
  };
  const WithoutCapabilities without;
  // More than a ring has: each place of it is used.
  for (std::size_t number = 0; number < 100; ++number) REQUIRE(passes(number));
  CHECK(uplink->look() == Io::kDone);

  neighbor->sendPoison();
  REQUIRE_FALSE(passes(1));
  CHECK(uplink->look() == Io::kDone);
  auto losses = uplink->takeLosses();
  CHECK(losses.stopped == 2);
  CHECK(losses.full == 0);
  for (std::size_t number = 0; number < 100; ++number) REQUIRE(passes(number));
  CHECK(uplink->look() == Io::kDone);
  CHECK(uplink->takeLosses().stopped == 0);

  // Again: without a ring only the frame itself is lost.
  neighbor->sendPoison();
  REQUIRE_FALSE(passes(2));
  CHECK(uplink->look() == Io::kDone);
  CHECK(uplink->takeLosses().stopped == 2);
  for (std::size_t number = 0; number < 10; ++number) {
    neighbor->sendPoison();
    REQUIRE(readable(*uplink));
    Packet none;
    CHECK(uplink->read(slot, none) == Io::kAgain);
    REQUIRE(passes(number));
  }
  CHECK(uplink->takeLosses().stopped == 10);
  neighbor->send(packetOf(3, kIpv6Header));
  CHECK(readOne(*uplink, slot) == packetOf(3, kIpv6Header));
  CHECK_FALSE(readable(*uplink, 0));

  // A minute later it has one again, and may read it until the next time.
  for (int look = 0; look < 60; ++look) CHECK(uplink->look() == Io::kDone);
  for (std::size_t number = 0; number < 100; ++number) REQUIRE(passes(number));
  Packet packet;
  neighbor->send(packetOf(4, 500));
  REQUIRE(readable(*uplink));
  REQUIRE(uplink->read(slot, packet) == Io::kDone);
  CHECK(packet.bytes.data() != slot.data());
  uplink->endBatch();
  CHECK(uplink->look() == Io::kDone);
  neighbor->sendPoison();
  REQUIRE_FALSE(passes(5));
  CHECK(uplink->look() == Io::kDone);
  CHECK(passes(6));
}

TEST_CASE("packet uplink: a ring that was only full is not taken for one that stopped") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const Peer peer;
  const BatchMemory memory;
  const auto burst = [&] {
    for (std::size_t number = 0; number < 100; ++number) peer.send(frameTo(own, packetOf(number, 500)));
  };
  burst();
  CHECK(uplink->look() == Io::kDone);
  CHECK(uplink->takeLosses().full == 36);  // nobody need send anything for it
  burst();
  CHECK(uplink->look() == Io::kDone);
  CHECK(uplink->takeLosses().full == 100);
  for (std::size_t number = 0; number < 64; ++number)
    CHECK(readOne(*uplink, memory.batch().next()) == packetOf(number, 500));
  uplink->endBatch();
  burst();
  for (std::size_t number = 0; number < 64; ++number) CHECK(readOne(*uplink, memory.batch().next()));
  uplink->endBatch();
  CHECK(uplink->look() == Io::kDone);
  const auto losses = uplink->takeLosses();
  CHECK(losses.full == 36);
  CHECK(losses.stopped == 0);
}

TEST_CASE("packet uplink: an engine's ring that stopped goes on by itself") {
  ON_A_WIRE(wire);
  const auto neighbor = Neighbor::make();
  REQUIRE(neighbor);
  Engine engine({.workers = 1, .maxPorts = 4, .maxTunnels = 4}, [] {});
  engine.openPacketUplink("kgubr", {.mac = own, .rxFrames = 64});
  const auto port = engine.openMemoryPort(Mac{{2, 0, 0, 0, 0, 1}});
  TableSpec spec;
  spec.tunnels.push_back({.slot = 0,
                          .side = Side::kMobileNode,
                          .local = careOf,
                          .remote = agent,
                          .homeAddresses = {home},
                          .port = port.id,
                          .mtu = kMtu});
  spec.locals = {{careOf, Side::kMobileNode}};
  engine.publish(spec);
  engine.setPeerMac(port.id, stranger);
  const Octets packet = tunnelled(test::packetOf(far, home, 1000), agent, careOf);
  const auto comes = [&](int milliseconds) {
    for (int waited = 0; waited < milliseconds; waited += 20) {
      if (port.device->take()) return true;
      ::poll(nullptr, 0, 20);
    }
    return false;
  };
  neighbor->send(packet);
  REQUIRE(comes(2000));
  neighbor->sendPoison();
  neighbor->send(packet);
  CHECK_FALSE(comes(100));
  bool again = false;
  for (int attempt = 0; attempt < 100 && !again; ++attempt) {
    neighbor->send(packet);
    again = comes(50);
  }
  CHECK(again);
  const auto& layout = engine.region()->layout();
  auto* values = reinterpret_cast<std::uint64_t*>(engine.region()->bytes().data() + layout.engineCounters);
  const auto index = kEngineCounterNames.size() + static_cast<std::size_t>(Drop::uplink_stopped);
  CHECK(std::atomic_ref(values[index]).load() > 1);
}

TEST_CASE("packet uplink: packets longer than a frame come whole, in order, into the slot") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const Peer peer;
  const BatchMemory memory;
  std::vector<Octets> sent;
  for (std::size_t number = 0; number < 60; ++number) {
    sent.push_back(packetOf(number, number % 3 == 1 ? 8900 : number % 3 == 2 ? 1800 + number : 100));
    peer.send(frameTo(own, sent.back()));
  }
  for (const Octets& expected : sent) {
    const auto packet = readOne(*uplink, memory.batch().next());
    REQUIRE(packet);
    CHECK(*packet == expected);
  }
  uplink->endBatch();
  CHECK(uplink->takeLosses().full == 0);
}

TEST_CASE("packet uplink: larger packets than there is room for are counted, too") {
  ON_A_WIRE(wire);
  const auto uplink = openPacketUplink("kgu0", {.mac = own, .rxFrames = 64, .rxQueue = 40000});
  const Peer peer;
  const BatchMemory memory;
  for (std::size_t number = 0; number < 40; ++number) peer.send(frameTo(own, packetOf(number, 8000)));
  std::size_t read = 0, last = 0;
  while (const auto packet = readOne(*uplink, memory.batch().next(), 50)) {
    CHECK(packet->size() == 8000);
    last = (*packet)[7];
    ++read;
  }
  uplink->endBatch();
  const auto losses = uplink->takeLosses().full;
  CHECK(read > 0);
  CHECK(losses > 0);
  CHECK(read + losses == 40);
  CHECK(last == read - 1);
  peer.send(frameTo(own, packetOf(99, 8000)));
  CHECK(readOne(*uplink, memory.batch().next()) == packetOf(99, 8000));
}

TEST_CASE("packet uplink: VLANs are others'") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const Peer peer;
  const BatchMemory memory;
  Octets tagged = frameTo(own, packetOf(1, 100));
  const Octets tag = hex("81 00 00 07");
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  peer.send(tagged);
  peer.send(frameTo(own, packetOf(2, 100)));
  CHECK(readOne(*uplink, memory.batch().next()) == packetOf(2, 100));
}

TEST_CASE("packet uplink: many are sent at a time, checksums left to the kernel") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  const auto uplink = openOwn();
  const Peer peer;
  Counters counters;
  OutgoingQueue queue(counters.engine);
  std::vector<std::unique_ptr<Slot>> slots;
  for (std::size_t number = 0; number < 200; ++number) {
    slots.push_back(
        std::make_unique<Slot>(frameTo(peer.socket.mac, packetOf(number, number % 2 ? 1500 : 80))));
    REQUIRE(queue.add(*uplink, slots.back()->packet, {}, counters.engine));
  }
  sendAll(*uplink, queue);
  for (std::size_t number = 0; number < 200; ++number)
    CHECK(peer.receive() == frameTo(peer.socket.mac, packetOf(number, number % 2 ? 1500 : 80)));

  // One that needs its checksum, and one in parts: as a cut train and a merged one.
  Octets headers = frameTo(peer.socket.mac, packetOf(1, 100));
  Slot slot(headers, needsChecksum(14 + 40));
  const Octets payload(1000, 7);
  const iovec parts[2]{{const_cast<std::uint8_t*>(payload.data()), 600},
                       {const_cast<std::uint8_t*>(payload.data()) + 600, 400}};
  CHECK(uplink->write(slot.packet, parts) == Io::kDone);
  const auto got = peer.receive();
  REQUIRE(got);
  CHECK(got->size() == headers.size() + payload.size());
  CHECK(copy(ConstBytes(*got).subspan(headers.size())) == payload);
}

TEST_CASE("packet uplink: when the interface is slow, packets wait, and epoll tells when there is room") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  REQUIRE(run("tc qdisc add dev kgu0 root tbf rate 5mbit burst 128kb limit 10mb"));
  const auto uplink = openOwn();
  const Peer peer;
  Counters counters;
  OutgoingQueue queue(counters.engine);
  std::vector<std::unique_ptr<Slot>> slots;
  std::size_t waits = 0;
  for (std::size_t number = 0; number < 400; ++number) {
    slots.push_back(std::make_unique<Slot>(frameTo(peer.socket.mac, packetOf(number, 1500))));
    if (queue.waiting()) {
      ++waits;
      sendAll(*uplink, queue);
    }
    REQUIRE(queue.add(*uplink, slots.back()->packet, {}, counters.engine));
  }
  sendAll(*uplink, queue);
  CHECK(waits > 0);
  for (std::size_t number = 0; number < 400; ++number) {
    const auto got = peer.receive();
    REQUIRE(got);
    CHECK(*got == frameTo(peer.socket.mac, packetOf(number, 1500)));
  }
  CHECK(counters.drops(Drop::uplink_full) == 0);
}

// Slower than its guests: they wait, each packet comes, and nothing else is kept from its way.
TEST_CASE("packet uplink: an engine's guests wait for a slow interface") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  REQUIRE(run("tc qdisc add dev kgu0 root tbf rate 5mbit burst 128kb limit 10mb"));
  constexpr std::size_t kEach = 240;
  for (const std::uint32_t workers : {1u, 3u}) {
    CAPTURE(workers);
    const Peer peer;
    Engine engine({.workers = workers, .maxPorts = 4, .maxTunnels = 4}, [] {});
    CHECK(engine.openPacketUplink("kgu0", {.mac = own, .rxFrames = 64}).mac() == own);
    CHECK(engine.memory().uplinkRing == 64 * 2048);
    const auto ports = openTwoGuests(engine, peer.socket.mac);
    for (std::size_t number = 0; number < kEach; ++number)
      for (std::uint32_t guest = 0; guest < 2; ++guest) {
        Octets packet = test::packetOf(guest == 0 ? home : other, far, 1400);
        packet[7] = static_cast<std::uint8_t>(number);
        REQUIRE(ports[guest].device->inject(frame(packet), {}));
      }
    // What comes the other way is not kept waiting.
    peer.send(frameTo(own, tunnelled(test::packetOf(far, home, 1000), agent, careOf)));
    std::size_t got[2]{};
    for (std::size_t count = 0; count < 2 * kEach; ++count) {
      const auto received = peer.receive(10000);
      REQUIRE(received);
      const std::size_t guest = (*received)[14 + 8 + 15] == careOf.octets[15] ? 0 : 1;
      CHECK((*received)[14 + 40 + 7] == static_cast<std::uint8_t>(got[guest]++));
      if (count == kEach) CHECK(ports[0].device->take());
    }
    CHECK(got[0] == kEach);
    CHECK(got[1] == kEach);
  }
}

// Whoever fills the interface again and again is not first again each time.
TEST_CASE("packet uplink: a guest that always has more to send keeps nobody else waiting") {
  ON_A_WIRE(wire);
  REQUIRE(run("tc qdisc add dev kgu0 root tbf rate 20mbit burst 128kb limit 10mb"));
  const Peer peer;
  Engine engine({.workers = 1, .maxPorts = 4, .maxTunnels = 4}, [] {});
  CHECK(engine.openPacketUplink("kgu0", {.mac = own, .rxFrames = 64}).mac() == own);
  const auto ports = openTwoGuests(engine, peer.socket.mac);
  // A batch of such trains is more than the interface takes at a time.
  TcpFields fields{.source = home, .destination = far};
  fields.payload = Octets(60000, 1);
  const Octets greedy = frame(partial(buildTcp(fields)));
  const Offload train = trainOf(54, 74, 1400);
  const Octets modest = frame(test::packetOf(other, far, 1400));
  while (ports[0].device->inject(greedy, train)) continue;
  // The first ones fill the interface.
  for (int count = 0; count < 300; ++count) {
    REQUIRE(peer.receive(10000));
    while (ports[0].device->inject(greedy, train)) continue;
  }
  REQUIRE(ports[1].device->inject(modest, {}));
  bool heard = false;
  for (int count = 0; count < 1500 && !heard; ++count) {
    const auto received = peer.receive(10000);
    REQUIRE(received);
    heard = (*received)[14 + 8 + 15] == otherCareOf.octets[15];
    while (ports[0].device->inject(greedy, train)) continue;
  }
  CHECK(heard);
}

TEST_CASE("packet uplink: without the queueing discipline, where asked") {
  ON_A_WIRE(wire);
  REQUIRE(run("tc qdisc add dev kgu0 root tbf rate 8kbit burst 128kb limit 10mb"));
  const auto uplink = openPacketUplink("kgu0", {.mac = own, .rxFrames = 64, .bypassQdisc = true});
  const Peer peer;
  for (std::size_t number = 0; number < 150; ++number) {
    Slot slot(frameTo(peer.socket.mac, packetOf(number, 1500)));
    REQUIRE(uplink->write(slot.packet, {}) == Io::kDone);
    CHECK(peer.receive() == frameTo(peer.socket.mac, packetOf(number, 1500)));
  }
}

TEST_CASE("packet uplink: the interface goes down, comes up, goes away") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const auto peer = std::make_unique<Peer>();
  const BatchMemory memory;
  Slot slot(frameTo(peer->socket.mac, packetOf(1, 100)));
  REQUIRE(run("ip link set kgu0 down"));
  pollfd error{uplink->fd(), POLLIN, 0};
  REQUIRE(::poll(&error, 1, 1000) == 1);
  CHECK((error.revents & POLLERR) != 0);
  CHECK(uplink->takeError() == Io::kDown);
  CHECK(::poll(&error, 1, 0) == 0);  // told once
  CHECK(uplink->write(slot.packet, {}) == Io::kDown);

  REQUIRE(run("ip link set kgu0 up"));
  peer->send(frameTo(own, packetOf(2, 100)));
  CHECK(readOne(*uplink, memory.batch().next()) == packetOf(2, 100));
  uplink->endBatch();
  CHECK(uplink->write(slot.packet, {}) == Io::kDone);

  REQUIRE(run("ip link delete kgu0"));
  CHECK(uplink->takeError() == Io::kGone);
  CHECK(uplink->write(slot.packet, {}) == Io::kGone);
  Packet packet;
  CHECK(uplink->read(memory.batch().next(), packet) == Io::kAgain);
}

TEST_CASE("packet uplink: with the interface's MAC, what is for its addresses") {
  ON_A_WIRE(wire);
  const auto uplink = openPacketUplink("kgu0", {.rxFrames = 64});
  const Peer peer;
  const BatchMemory memory;
  CHECK(uplink->mac() == openRawSocket("kgu0").mac);
  const auto send = [&](std::uint8_t last) {
    peer.send(frameTo(uplink->mac(), packetOf(last, 100, addressOf(last))));
  };
  const auto next = [&] {
    const auto packet = readOne(*uplink, memory.batch().next());
    uplink->endBatch();
    return packet;
  };
  send(0x44);
  uplink->setDestinations({addressOf(0x44), addressOf(0x45)});
  for (const std::uint8_t last : {std::uint8_t{0x46}, std::uint8_t{0x45}, std::uint8_t{0x44}}) send(last);
  CHECK(next() == packetOf(0x45, 100, addressOf(0x45)));
  CHECK(next() == packetOf(0x44, 100, addressOf(0x44)));
  uplink->setDestinations({addressOf(0x46)});
  send(0x45);
  send(0x46);
  CHECK(next() == packetOf(0x46, 100, addressOf(0x46)));
}

TEST_CASE("packet uplink: beside it, a control port for the same MAC") {
  ON_A_WIRE(wire);
  const auto uplink = openOwn();
  const PacketSocket port = openPacketSocket("kgu0", {.mac = own});
  CHECK(port.mac == own);
  const Peer peer;
  const BatchMemory memory;
  Octets solicitation = packetOf(255, 64);
  solicitation[6] = kIcmpv6;
  solicitation[40] = 135;
  peer.send(frameTo(own, packetOf(1, 100)));
  peer.send(frameTo(stranger, solicitation));
  peer.send(frameTo(own, solicitation));
  CHECK(readOne(*uplink, memory.batch().next()) == packetOf(1, 100));
  CHECK(readOne(*port.device, memory.meanwhile().next()) == frameTo(own, solicitation));
  CHECK_FALSE(readOne(*uplink, memory.batch().next(), 50));
  CHECK_FALSE(readOne(*port.device, memory.meanwhile().next(), 50));
}

TEST_CASE("packet uplink: what cannot be") {
  ON_A_WIRE(wire);
  CHECK(codeOf([] { openPacketUplink("kgnone", {}); }) == "DEVICE_MISSING");
  CHECK(codeOf([] { openPacketUplink("lo", {}); }) == "DEVICE_KIND");
  for (const std::uint32_t frames : {0u, 32u, 65u, 65600u})
    CHECK(codeOf([&] { openPacketUplink("kgu0", {.rxFrames = frames}); }) == "UPLINK_OPTIONS");
  CHECK(codeOf([] { openPacketUplink("kgu0", {.mac = Mac{{0x33, 0x33, 0, 0, 0, 1}}}); }) == "UPLINK_OPTIONS");
}
