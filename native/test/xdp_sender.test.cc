// Sending by AF_XDP on a veth pair, in a network namespace of its own: as root.
#include "../engine/xdp_sender.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <array>

#include "../engine/packet_uplink.h"
#include "../engine/spare_sockets.h"
#include "../engine/tun_device.h"
#include "peer.h"
#include "wire.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

using Checksums = XdpSender::Checksums;

// A TCP segment in a frame; its sequence number tells which one it is.
Octets frameOf(std::uint32_t number, std::size_t payload) {
  TcpFields fields{.source = home, .destination = far, .sequence = number};
  fields.payload = Octets(payload, static_cast<std::uint8_t>(number));
  return frame(complete(buildTcp(fields)));
}

// Messages as OutgoingQueue has them: headers in one part, payload in another.
class Messages {
 public:
  explicit Messages(std::size_t most) { frames_.reserve(most), parts_.reserve(most), all_.reserve(most); }
  void add(const Octets& frame, const Offload& offload = {}) {
    Octets& octets = frames_.emplace_back(sizeof offload);
    std::memcpy(octets.data(), &offload, sizeof offload);
    octets.insert(octets.end(), frame.begin(), frame.end());
    const std::size_t first = std::min<std::size_t>(octets.size(), sizeof offload + 74);
    parts_.push_back({{{octets.data(), first}, {octets.data() + first, octets.size() - first}}});
    mmsghdr& message = all_.emplace_back();
    message.msg_hdr.msg_iov = parts_.back().data();
    message.msg_hdr.msg_iovlen = 2;
  }
  std::span<mmsghdr> all() { return all_; }

 private:
  std::vector<Octets> frames_;
  std::vector<std::array<iovec, 2>> parts_;
  std::vector<mmsghdr> all_;
};

// Until all are gone, as a worker does it; how often it had to wait.
std::size_t sendAll(XdpSender& sender, std::span<mmsghdr> messages) {
  std::size_t waits = 0;
  for (;;) {
    std::size_t sent = 0;
    const Io result = sender.send(messages, sent);
    messages = messages.subspan(sent);
    if (result == Io::kDone && messages.empty()) return waits;
    REQUIRE(result == Io::kAgain);
    pollfd due{sender.fd(), POLLIN, 0};
    REQUIRE(::poll(&due, 1, 5000) == 1);
    ++waits;
  }
}

// Frames that fit a slot.
bool narrow(int mtu = 1500) {
  const std::string to = " mtu " + std::to_string(mtu);
  return run(("ip link set kgu0" + to + " && ip link set kgu1" + to).c_str());
}

std::unique_ptr<XdpSender> open(const std::string& interface = "kgu0",
                                Checksums checksums = Checksums::kAsked) {
  std::string why;
  auto sender = XdpSender::open(interface, why, checksums);
  INFO(why);
  REQUIRE(sender);
  return sender;
}

}  // namespace

TEST_CASE("AF_XDP: frames of all lengths leave in order, their checksums with them") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  REQUIRE(narrow());
  // The kernel, not its driver, is to see to a checksum: what arrives has it.
  REQUIRE(run("ethtool -K kgu0 tx off >/dev/null"));
  for (const Checksums checksums : {Checksums::kAsked, Checksums::kComplete, Checksums::kAsked}) {
    const auto sender = open("kgu0", checksums);
    const Peer peer("kgu1");
    std::vector<Octets> expected;
    Messages messages(400);
    for (std::uint32_t number = 0; number < 400; ++number) {
      const Octets whole = frameOf(number, number * 7 % 1441);
      expected.push_back(whole);
      if (number % 2) {
        messages.add(whole);
      } else {
        const Octets packet(whole.begin() + kEthernetHeader, whole.end());
        messages.add(frame(partial(packet)), needsChecksum(kEthernetHeader + kIpv6Header));
      }
    }
    sendAll(*sender, messages.all());
    for (const Octets& one : expected) CHECK(peer.receive() == one);
    CHECK_FALSE(peer.receive(50));
    CHECK(sender->takeLost() == 0);
  }
}

TEST_CASE("AF_XDP: what it is not for is refused, and all before it is on its way") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  REQUIRE(narrow());
  const auto sender = open();
  const Peer peer("kgu1");
  const Octets fits = frameOf(1, 1440), tooLong = frameOf(2, 1441);
  REQUIRE(fits.size() == 1514);
  const auto refused = [&](const Octets& frame, const Offload& offload) {
    Messages messages(2);
    messages.add(fits);
    messages.add(frame, offload);
    std::size_t sent = 0;
    CHECK(sender->send(messages.all(), sent) == Io::kRefused);
    CHECK(sent == 1);
    CHECK(peer.receive() == fits);
  };
  refused(tooLong, {});
  refused(frameOf(3, 1000), trainOf(kEthernetHeader + kIpv6Header, 74, 500));
  REQUIRE(run("ip link set kgu0 mtu 1400"));
  sender->learnMtu();
  Messages messages(1);
  messages.add(fits);
  std::size_t sent = 1;
  CHECK(sender->send(messages.all(), sent) == Io::kRefused);
  CHECK(sent == 0);
  {
    // A checksum in no place that there is.
    const auto complete = open("kgu1", Checksums::kComplete);
    Messages wrong(1);
    wrong.add(frameOf(4, 100), needsChecksum(5000));
    CHECK(complete->send(wrong.all(), sent) == Io::kRefused);
  }
}

TEST_CASE("AF_XDP: when the interface is slow frames wait, and none is lost") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  REQUIRE(narrow(4000));
  // What leaves by this one has the other one's queue before it.
  if (!run("ip link add link kgu0 name kguv type macvlan mode private && ip link set kguv up && "
           "tc qdisc add dev kgu0 root tbf rate 20mbit burst 128kb limit 10mb")) {
    MESSAGE("needs macvlan: not looked at");
    return;
  }
  const auto sender = open("kguv");
  const Peer peer;
  const auto many = [](std::uint32_t count, std::size_t payload) {
    auto messages = std::make_unique<Messages>(count);
    for (std::uint32_t number = 0; number < count; ++number) messages->add(frameOf(number, payload));
    return messages;
  };
  // As many as may be on their way; and so long that the socket's buffer is full before.
  for (const auto& [count, payload] : {std::pair{3000u, std::size_t{200}}, {600u, std::size_t{3900}}}) {
    CHECK(sendAll(*sender, many(count, payload)->all()) > 5);
    for (std::uint32_t number = 0; number < count; ++number)
      CHECK(peer.receive() == frameOf(number, payload));
    CHECK(sender->takeLost() == 0);
  }

  // What waits when the interface goes down is not sent when it is up again.
  const auto waiting = many(600, 3900);
  Messages& messages = *waiting;
  std::size_t sent = 0;
  REQUIRE(sender->send(messages.all(), sent) == Io::kAgain);
  REQUIRE(run("ip link set kguv down"));
  std::size_t none = 0;
  CHECK(sender->send({}, none) == Io::kDown);
  const std::size_t lost = sender->takeLost();
  CHECK(lost > 0);
  for (std::size_t count = lost; count < sent; ++count) CHECK(peer.receive());
  for (int attempt = 0; attempt < 100; ++attempt) {
    CHECK(sender->send(messages.all(), sent) == Io::kDown);
    CHECK(sent == 0);
  }
  CHECK(sender->takeLost() == 0);
  REQUIRE(run("ip link set kguv up"));
  Messages last(1);
  last.add(frameOf(1000, 100));
  sendAll(*sender, last.all());
  CHECK(peer.receive() == frameOf(1000, 100));
}

TEST_CASE("AF_XDP: what the interface drops is counted") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  // Nobody reads from this tap, which keeps ten.
  const auto tap = openTunDevice("kgut", TunMode::kTap);
  REQUIRE(run("ip link set kgut txqueuelen 10 up"));
  const auto sender = open("kgut");
  Messages messages(100);
  for (std::uint32_t number = 0; number < 100; ++number) messages.add(frameOf(number, 100));
  sendAll(*sender, messages.all());
  CHECK(sender->takeLost() == 90);
  CHECK(sender->takeLost() == 0);
}

TEST_CASE("AF_XDP: the interface is deleted, or taken; without a right, or with a spare socket") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  std::string why;
  CHECK_FALSE(XdpSender::open("kgu0", why));
  CHECK(why == "frames of an MTU of 9000 are too long for it");
  REQUIRE(narrow());
  const auto sender = open();
  CHECK_FALSE(XdpSender::open("kgu0", why));
  CHECK(why == "Device or resource busy");
  CHECK_FALSE(XdpSender::open("kgnone", why));
  CHECK(why == "No such device");
  for (UniqueFd& fd : openSpareSockets(0, true)) adoptSpareSockets(std::array{fd.release()});
  {
    const WithoutCapabilities without;
    CHECK(XdpSender::open("kgu1", why));
    CHECK_FALSE(XdpSender::open("kgu1", why));
    CHECK(why == "Operation not permitted");
  }
  REQUIRE(run("ip link delete kgu0"));
  Messages messages(1);
  messages.add(frameOf(1, 100));
  std::size_t sent = 0;
  CHECK(sender->send(messages.all(), sent) == Io::kGone);
  CHECK(sent == 0);
  CHECK(sender->takeLost() == 0);
}

TEST_CASE("AF_XDP: an uplink sends what is too long for it in its place, by its socket") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  REQUIRE(narrow(3000));
  const auto uplink = openPacketUplink("kgu0", {.rxFrames = 64, .bypassQdisc = true});
  CHECK(uplink->withoutXdp() == "");
  REQUIRE(narrow(9000));
  CHECK(uplink->look() == Io::kDone);
  const Peer peer("kgu1");
  Messages messages(60);
  const auto length = [](std::uint32_t number) { return number % 3 == 1 ? 8000u : 1000u; };
  for (std::uint32_t number = 0; number < 60; ++number) messages.add(frameOf(number, length(number)));
  std::size_t sent = 0;
  REQUIRE(uplink->send(messages.all(), sent) == Io::kDone);
  CHECK(sent == 60);
  for (std::uint32_t number = 0; number < 60; ++number)
    CHECK(peer.receive() == frameOf(number, length(number)));
  CHECK(uplink->takeLosses().unsent == 0);

  REQUIRE(narrow());
  const auto second = openPacketUplink("kgu0", {.rxFrames = 64, .bypassQdisc = true});
  CHECK(second->withoutXdp() == "Device or resource busy");
  Messages few(60);
  for (std::uint32_t number = 0; number < 60; ++number) few.add(frameOf(number, 1000));
  CHECK(second->send(few.all(), sent) == Io::kDone);
  for (std::uint32_t number = 0; number < 60; ++number) CHECK(peer.receive() == frameOf(number, 1000));
}

TEST_CASE("AF_XDP: the guests of several workers, each in order") {
  ON_A_WIRE(wire);
  const OnOneProcessor staying;
  const Peer peer("kgu1");
  Engine engine({.workers = 3, .maxPorts = 4, .maxTunnels = 4}, [] {});
  CHECK(engine.openPacketUplink("kgu0", {.mac = own, .rxFrames = 64, .bypassQdisc = true}).mac() == own);
  const auto ports = openTwoGuests(engine, own);
  constexpr std::size_t kEach = 200;
  for (std::size_t number = 0; number < kEach; ++number)
    for (std::uint32_t guest = 0; guest < 2; ++guest) {
      Octets packet = packetOf(guest == 0 ? home : other, far, 1400);
      packet[7] = static_cast<std::uint8_t>(number);
      REQUIRE(ports[guest].device->inject(frame(packet), {}));
    }
  std::size_t got[2]{};
  for (std::size_t count = 0; count < 2 * kEach; ++count) {
    const auto received = peer.receive();
    REQUIRE(received);
    const std::size_t guest = (*received)[14 + 8 + 15] == careOf.octets[15] ? 0 : 1;
    CHECK((*received)[14 + 40 + 7] == static_cast<std::uint8_t>(got[guest]++));
  }
  CHECK(got[0] == kEach);
}
