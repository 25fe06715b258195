#include "../engine/stream_device.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "../engine/engine.h"
#include "../engine/error.h"
#include "world.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

constexpr std::size_t kLinkMtu = 1500;

// A device and QEMU's end of its connection.
struct Line {
  StreamDevice device{kLinkMtu};
  UniqueFd far;

  Line() { connect(); }
  void connect() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    far = UniqueFd(ends[1]);
    device.attach(UniqueFd(ends[0]));
  }
  bool readable() const {
    pollfd one{device.fd(), POLLIN, 0};
    return ::poll(&one, 1, 0) == 1;
  }
  // What QEMU sends; less than all of it when the socket is full.
  std::size_t say(ConstBytes octets) {
    const auto count = ::send(far.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  // What QEMU has got since the last call, `most` octets of it.
  Octets hear(std::size_t most = 1 << 20) {
    Octets octets(most);
    const auto count = ::recv(far.get(), octets.data(), octets.size(), 0);
    octets.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return octets;
  }
  Io write(Slot&& slot) { return device.write(slot.packet, {}); }
};

Octets framed(const Octets& frame) {
  Octets result;
  put32(result, static_cast<std::uint32_t>(frame.size()));
  put(result, frame);
  return result;
}

// The frames of a stream that must be whole.
std::vector<Octets> framesOf(const Octets& stream) {
  std::vector<Octets> frames;
  std::size_t at = 0;
  while (at != stream.size()) {
    REQUIRE(stream.size() - at >= 4);
    const std::size_t length = reference::number(stream, at, 4);
    REQUIRE(stream.size() - at - 4 >= length);
    const auto first = stream.begin() + static_cast<std::ptrdiff_t>(at + 4);
    frames.emplace_back(first, first + static_cast<std::ptrdiff_t>(length));
    at += 4 + length;
  }
  return frames;
}

// Reads a frame as the forwarder treats one: the headroom is written over.
std::optional<Octets> next(StreamDevice& device, Io expected = Io::kDone) {
  Packet packet;
  const Io result = device.read({}, packet);
  if (result != Io::kDone) {
    CHECK(result == (expected == Io::kDone ? Io::kAgain : expected));
    return std::nullopt;
  }
  CHECK(packet.offload.flags == 0);
  CHECK(packet.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE);
  Octets frame = copy(packet.bytes);
  std::fill(packet.bytes.data() - kHeadroom, packet.bytes.data(), std::uint8_t{0xdd});
  return frame;
}

// A train of the guest's network as the forwarder writes it: behind an Ethernet header.
Slot trainSlot(const TcpFields& fields, std::size_t size) {
  const std::size_t headers = 60 + fields.options.size();
  return Slot(frame(partial(buildTcp(fields))), trainOf(54, 14 + headers, size));
}

std::vector<Octets> cutByHand(const TcpFields& fields, std::size_t size) {
  const std::size_t headers = 60 + fields.options.size();
  std::vector<Octets> frames;
  for (const Octets& packet : reference::segment(buildTcp(fields), 40, std::min(size, kLinkMtu - headers),
                                                 fields.source, fields.destination))
    frames.push_back(frame(packet));
  return frames;
}

}  // namespace

TEST_CASE("frames come out as they went in, in whatever pieces") {
  Random random(3);
  for (const std::size_t piece : {1, 3, 4, 5, 1000, 100000}) {
    CAPTURE(piece);
    Line line;
    std::vector<Octets> sent, got;
    Octets stream;
    for (const std::size_t length : {1, 13, 14, 60, 1514, 9014, 65589, 69632, 2, 1514}) {
      if (piece < 10 && length > 2000) continue;
      sent.push_back(random.octets(length));
      put(stream, framed(sent.back()));
    }
    for (std::size_t at = 0; at != stream.size();) {
      const std::size_t count = std::min(stream.size() - at, 1 + random.below(piece));
      at += line.say(ConstBytes(stream).subspan(at, count));
      if (random.oneIn(3) || line.readable())
        while (auto one = next(line.device)) got.push_back(std::move(*one));
    }
    while (auto one = next(line.device)) got.push_back(std::move(*one));
    CHECK(got == sent);
    CHECK_FALSE(line.readable());
  }
}

TEST_CASE("what was read and not handed out keeps the device readable") {
  Line line;
  Octets stream;
  for (int count = 0; count < 100; ++count) put(stream, framed(Octets(60, 7)));
  put(stream, Octets{0, 0});  // the beginning of one more
  REQUIRE(line.say(stream) == stream.size());
  for (int batch = 0; batch < 3; ++batch) {
    CHECK(line.readable());
    for (int count = 0; count < 32; ++count) REQUIRE(next(line.device));
    line.device.endBatch();
  }
  CHECK(line.hear().empty());
  CHECK(line.readable());
  for (int count = 0; count < 4; ++count) REQUIRE(next(line.device));
  CHECK_FALSE(next(line.device));
  line.device.endBatch();
  CHECK_FALSE(line.readable());
  REQUIRE(line.say(Octets{0, 1, 5}) == 3);
  CHECK(line.readable());
  CHECK(next(line.device) == Octets{5});
}

TEST_CASE("a length that cannot be ends the connection, after what came before it") {
  Octets http;
  for (const char letter : std::string_view("HTTP/1.1 400 Bad Request\r\n"))
    http.push_back(static_cast<std::uint8_t>(letter));
  for (const Octets& nonsense : {hex("00000000"), hex("00011001"), hex("ffffffff"), http}) {
    Line line;
    Octets stream = framed(Octets(60, 7));
    put(stream, nonsense);
    REQUIRE(line.say(stream) == stream.size());
    CHECK(next(line.device) == Octets(60, 7));
    CHECK(line.device.attached());
    CHECK_FALSE(next(line.device, Io::kNonsense));
    CHECK_FALSE(line.device.attached());
    CHECK_FALSE(line.readable());
    CHECK(line.write(Slot(frame(packetOf(far, home, 100)))) == Io::kDown);
    CHECK(line.say(stream) == 0);  // it is closed for the other end too

    line.connect();  // nothing of the last connection is left
    REQUIRE(line.say(framed(Octets(61, 8))) == 65);
    CHECK(line.readable());
    CHECK(next(line.device) == Octets(61, 8));
  }
}

TEST_CASE("the longest frame of QEMU's is taken, one octet more is not") {
  Line line;
  CHECK(StreamDevice::kMaxFrame == 0x11000);
  const Octets longest(StreamDevice::kMaxFrame, 1);
  REQUIRE(line.say(framed(longest)) == 4 + longest.size());
  CHECK(next(line.device) == longest);
}

TEST_CASE("a connection that ends, in the middle of a frame too") {
  for (const bool midFrame : {false, true}) {
    Line line;
    Octets stream = framed(Octets(60, 7));
    if (midFrame) put(stream, hex("0000 0100 aabb"));
    REQUIRE(line.say(stream) == stream.size());
    line.far = {};
    CHECK(line.readable());
    CHECK(next(line.device) == Octets(60, 7));
    CHECK_FALSE(next(line.device, Io::kGone));
    CHECK_FALSE(line.device.attached());
    CHECK_FALSE(line.readable());
    line.connect();
    REQUIRE(line.say(framed(Octets(61, 8))) == 65);
    CHECK(next(line.device) == Octets(61, 8));
  }
}

TEST_CASE("a writer finds the other end gone: no signal, and the reader is told") {
  Line line;
  REQUIRE(::shutdown(line.far.get(), SHUT_RD) == 0);  // no end of file for our reader by itself
  CHECK_FALSE(line.readable());
  CHECK(line.write(Slot(frame(packetOf(far, home, 100)))) == Io::kDown);
  CHECK(line.readable());
  CHECK_FALSE(next(line.device, Io::kGone));
  CHECK(line.write(Slot(frame(packetOf(far, home, 100)))) == Io::kDown);
}

TEST_CASE("a frame is written behind its length, its checksum whole") {
  Line line;
  TcpFields fields{.source = far, .destination = home};
  fields.payload = Octets(333, 0x5a);
  CHECK(line.write(Slot(frame(complete(buildTcp(fields))))) == Io::kDone);
  CHECK(line.write(Slot(frame(partial(buildTcp(fields))), needsChecksum(54))) == Io::kDone);
  CHECK(line.hear() == [&] {
    Octets both = framed(frame(complete(buildTcp(fields))));
    put(both, framed(frame(complete(buildTcp(fields)))));
    return both;
  }());
}

TEST_CASE("what cannot be written so is refused, and nothing of it leaves") {
  Line line;
  Octets behind(100, 1);
  const iovec tail{behind.data(), behind.size()};
  Slot merged(frame(packetOf(far, home, 100)));
  CHECK(line.device.write(merged.packet, {&tail, 1}) == Io::kRefused);
  CHECK(line.write(Slot(Octets(13, 1))) == Io::kRefused);
  CHECK(line.write(Slot(frame(packetOf(far, home, 100)), needsChecksum(100))) == Io::kRefused);
  Offload noSize = trainOf(54, 74, 0), udp = trainOf(54, 74, 1000);
  udp.gso_type = VIRTIO_NET_HDR_GSO_UDP;
  CHECK(line.write(Slot(frame(packetOf(far, home, 3000, kTcp)), noSize)) == Io::kRefused);
  CHECK(line.write(Slot(frame(packetOf(far, home, 3000)), udp)) == Io::kRefused);
  CHECK(line.hear().empty());
}

TEST_CASE("trains are cut to the link, over lengths, sizes and options") {
  Random random(11);
  for (const std::size_t length : {0, 1, 1000, 1440, 1441, 20000, 65000}) {
    for (const std::size_t size : {200, 536, 1388, 1428, 9000, 65535}) {
      for (const std::size_t options : {0, 12, 40}) {
        CAPTURE(length);
        CAPTURE(size);
        CAPTURE(options);
        Line line;
        TcpFields fields{.source = far, .destination = home};
        fields.flags = tcp::kAck | tcp::kPsh;
        fields.options = random.octets(options);
        fields.payload = random.octets(length);
        REQUIRE(line.write(trainSlot(fields, size)) == Io::kDone);
        Octets stream = line.hear();
        Packet packet;
        while (line.readable() && line.device.read({}, packet) == Io::kAgain) put(stream, line.hear());
        put(stream, line.hear());
        CHECK(framesOf(stream) == cutByHand(fields, size));
      }
    }
  }
}

TEST_CASE("a full socket drops whole frames only, and what waits leaves when there is room") {
  Random random(5);
  std::size_t refused = 0, waited = 0;
  for (int round = 0; round < 10; ++round) {
    Line line;
    std::vector<Octets> taken;
    Octets stream;
    for (int count = 0; count < 400; ++count) {
      TcpFields fields{.source = far, .destination = home};
      fields.payload = random.octets(1 + random.below(random.oneIn(4) ? 60000 : 1400));
      const bool train = fields.payload.size() > 1400;
      const Io result =
          train ? line.write(trainSlot(fields, 1400)) : line.write(Slot(frame(complete(buildTcp(fields)))));
      if (result == Io::kDone) {
        if (train)
          for (Octets& one : cutByHand(fields, 1400)) taken.push_back(std::move(one));
        else
          taken.push_back(frame(complete(buildTcp(fields))));
      } else {
        CHECK(result == Io::kAgain);
        ++refused;
      }
      if (random.oneIn(40)) put(stream, line.hear(random.below(200000)));
    }
    // Nobody writes any more: the reader alone sees to the rest.
    for (Octets heard = line.hear(); !heard.empty(); heard = line.hear()) {
      put(stream, heard);
      Packet packet;
      if (!line.readable()) continue;
      ++waited;
      CHECK(line.device.read({}, packet) == Io::kAgain);
    }
    CHECK_FALSE(line.readable());
    CHECK(framesOf(stream) == taken);
  }
  CHECK(refused > 0);
  CHECK(waited > 0);
}

// --- connecting ---

namespace {

struct Directory {
  std::string path = "/tmp/kgstreamXXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data())); }
  ~Directory() { std::filesystem::remove_all(path); }
};

UniqueFd listenAt(const std::string& path, int type = SOCK_STREAM, int queue = 8) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  if (type == SOCK_STREAM) REQUIRE(::listen(fd.get(), queue) == 0);
  return fd;
}

std::string refusal(const std::string& path) {
  try {
    connectStream(path);
  } catch (const EngineError& error) {
    CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
    return error.code();
  }
  return "";
}

}  // namespace

TEST_CASE("connecting says what is in the way") {
  const Directory directory;
  CHECK(refusal(directory.path + "/none") == "STREAM_MISSING");
  CHECK(refusal(directory.path + "/none/below") == "STREAM_MISSING");
  CHECK(refusal("") == "STREAM_MISSING");
  CHECK(refusal("/" + std::string(107, 'x')) == "STREAM_MISSING");
  CHECK(refusal("/tmp/a\0b") == "STREAM_MISSING");
  {
    const UniqueFd datagrams = listenAt(directory.path + "/dgram", SOCK_DGRAM);
    CHECK(refusal(directory.path + "/dgram") == "STREAM_KIND");
  }
  {
    const UniqueFd full = listenAt(directory.path + "/full", SOCK_STREAM, 0);
    const UniqueFd first = connectStream(directory.path + "/full");
    CHECK(refusal(directory.path + "/full") == "STREAM_BUSY");
  }
  CHECK(refusal(directory.path + "/full") == "STREAM_MISSING");  // a QEMU that was killed left it
}

TEST_CASE("a port through connections that come and go, under running workers") {
  const Directory directory;
  const std::string path = directory.path + "/vm1";
  for (const std::uint32_t workers : {1u, 3u}) {
    std::atomic<int> wakes = 0;
    Engine engine({.workers = workers, .maxPorts = 4, .maxTunnels = 4}, [&wakes] { ++wakes; });
    const auto network = engine.openMemoryUplink();
    const PortId port = engine.openStream(path, Mac{{2, 0, 0, 0, 0, 1}}, kLinkMtu);
    engine.publish({.tunnels = {{.slot = 0,
                                 .side = Side::kMobileNode,
                                 .local = careOf,
                                 .remote = agent,
                                 .homeAddresses = {home},
                                 .port = port,
                                 .mtu = kMtu}},
                    .locals = {{careOf, Side::kMobileNode}}});
    const auto value = [&](PortCounter counter) {
      auto* values = reinterpret_cast<std::uint64_t*>(engine.region()->bytes().data() +
                                                      engine.region()->layout().portCounters +
                                                      port * engine.region()->layout().portStride);
      return std::atomic_ref(values[static_cast<std::size_t>(counter)]).load();
    };
    const auto eventually = [](auto&& what) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (!what()) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        std::this_thread::yield();
      }
    };
    CHECK_THROWS_AS(engine.connectStream(port), EngineError);  // nobody listens yet
    std::atomic<bool> stop = false;
    std::thread world([&] {  // for the guest, all the time: from the worker of the uplink
      while (!stop) network->inject(tunnelled(packetOf(far, home, 300), agent, careOf), {});
    });
    for (std::uint64_t round = 1; round <= 20; ++round) {
      CAPTURE(round);
      UniqueFd listener = listenAt(path);
      engine.connectStream(port);
      engine.connectStream(port);  // it is
      const UniqueFd qemu(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      REQUIRE(qemu);
      const Octets up = framed(frame(packetOf(home, far, 200)));
      while (network->take()) continue;
      REQUIRE(::send(qemu.get(), up.data(), up.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(up.size()));
      eventually([&] { return network->take().has_value(); });
      Octets down(4 + 14 + 300);
      REQUIRE(::recv(qemu.get(), down.data(), down.size(), MSG_WAITALL) == static_cast<ssize_t>(down.size()));
      CHECK(framesOf(down)[0].size() == 314);
      const int before = wakes;
      if (round % 2 == 0)
        REQUIRE(::send(qemu.get(), "HTTP", 4, MSG_NOSIGNAL) == 4);
      else
        ::shutdown(qemu.get(), SHUT_RDWR);
      eventually([&] { return value(PortCounter::lost) == round; });
      eventually([&] { return wakes > before; });
      listener = {};
      std::filesystem::remove(path);
      CHECK_THROWS_AS(engine.connectStream(port), EngineError);
    }
    stop = true;
    world.join();
    CHECK(value(PortCounter::framesRead) == 20);
    auto* drops = reinterpret_cast<std::uint64_t*>(
        engine.region()->bytes().data() + engine.region()->layout().portCounters +
        port * engine.region()->layout().portStride + 8 * kPortCounterNames.size());
    CHECK(std::atomic_ref(drops[static_cast<std::size_t>(Drop::stream_nonsense)]).load() == 10);
    engine.closePort(port);
    CHECK_THROWS_AS(engine.connectStream(port), EngineError);
  }
}
