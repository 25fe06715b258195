#include "../engine/spare_sockets.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>

#include "../engine/error.h"
#include "../engine/packet_socket.h"
#include "support.h"
#include "wire.h"

using namespace kagemusha;
using namespace kagemusha::test;

TEST_CASE("spare sockets: only packet sockets are adopted, each is taken once, and none outlives an exec") {
  const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM, 0));
  // None where this user may not open one: then nothing is adopted.
  const int packet = ::socket(AF_PACKET, SOCK_RAW, 0);
  adoptSpareSockets(std::array{other.get(), packet, -1});
  const UniqueFd taken = takeSpareSocket();
  CHECK(taken.get() == packet);
  CHECK_FALSE(takeSpareSocket());
  if (taken) CHECK((::fcntl(packet, F_GETFD) & FD_CLOEXEC) != 0);
}

namespace {

std::string opening(const std::string& interface) {
  return codeOf([&] { openPacketSocket(interface, {}); });
}

// A Neighbor Solicitation for all.
Octets solicitationOf(std::uint8_t number) {
  Octets frame(14 + 40 + 24);
  frame[0] = frame[1] = 0x33;
  frame[6] = 2;
  frame[12] = 0x86;
  frame[13] = 0xdd;
  frame[14] = 0x60;
  frame[14 + 5] = 24;
  frame[14 + 6] = kIcmpv6;
  frame[14 + 7] = 255;
  frame[14 + 40] = 135;
  frame[14 + 41] = number;
  return frame;
}

Io send(Device& device, std::uint8_t number) {
  Slot slot(solicitationOf(number));
  return device.write(slot.packet, {});
}

}  // namespace

TEST_CASE("spare sockets: a port that closes gives its one back, whatever failed or happened to it") {
  ON_A_WIRE(wire);
  while (takeSpareSocket()) continue;
  auto opened = openSpareSockets(2);
  for (UniqueFd& fd : opened) adoptSpareSockets(std::array{fd.release()});
  const WithoutCapabilities without;
  const Mac own{{2, 0, 0, 0, 0, 0x44}};
  for (std::uint8_t round = 0; round < 20; ++round) {
    CHECK(opening("lo") == "DEVICE_KIND");
    CHECK(opening("kgnone") == "DEVICE_MISSING");
    const bool even = round % 2 == 0;
    const PacketSocket a = openPacketSocket(even ? "kgu0" : "kgu1", {.promiscuous = even});
    const PacketSocket b = openPacketSocket(even ? "kgu1" : "kgu0", {.mac = own});
    CHECK(opening("kgu0") == "OUT_OF_PACKET_SOCKETS");
    CHECK(run("ip -d link show kgu0 | grep -q 'promiscuity 1'"));
    // One by each: what is not read is nobody's afterwards.
    REQUIRE(send(*a.device, round) == Io::kDone);
    REQUIRE(send(*b.device, round) == Io::kDone);
    Octets memory(kHeadroom + kMaxPacket);
    Packet packet;
    REQUIRE(a.device->read(Bytes(memory).subspan(kHeadroom), packet) == Io::kDone);
    CHECK(copy(packet.bytes) == solicitationOf(round));
    CHECK(a.device->read(Bytes(memory).subspan(kHeadroom), packet) == Io::kAgain);
  }
  CHECK(run("ip -d link show kgu0 | grep -q 'promiscuity 0'"));
  CHECK_FALSE(run("ip -d link show kgu0 | grep -q 'allmulti 1'"));
  {
    const PacketSocket port = openPacketSocket("kgu0", {});
    REQUIRE(run("ip link delete kgu0"));
    CHECK(port.device->look() == Io::kGone);
  }
  REQUIRE(run("ip link add kgu0 type veth peer name kgu1 && ip link set kgu0 up && ip link set kgu1 up"));
  const PacketSocket a = openPacketSocket("kgu0", {}), b = openPacketSocket("kgu1", {});
  REQUIRE(send(*a.device, 1) == Io::kDone);
  Octets memory(kHeadroom + kMaxPacket);
  Packet packet;
  REQUIRE(b.device->read(Bytes(memory).subspan(kHeadroom), packet) == Io::kDone);
  CHECK(copy(packet.bytes) == solicitationOf(1));
}

TEST_CASE("spare sockets: one that comes back is as new") {
  ON_A_WIRE(wire);
  while (takeSpareSocket()) continue;
  auto opened = openSpareSockets(1);
  const int fd = opened[0].release();
  adoptSpareSockets(std::array{fd});
  { const PacketSocket port = openPacketSocket("kgu0", {.promiscuous = true}); }
  const UniqueFd again = takeSpareSocket();
  REQUIRE(again.get() == fd);
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  CHECK(address.sll_ifindex == 0);
  for (const int option : {PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING}) {
    int value = 1;
    length = sizeof value;
    CHECK(::getsockopt(fd, SOL_PACKET, option, &value, &length) == 0);
    CHECK(value == 0);
  }
  const UniqueFd sender(::socket(AF_PACKET, SOCK_RAW, 0));
  address.sll_ifindex = static_cast<int>(::if_nametoindex("kgu1"));
  for (const std::uint8_t octet : {std::uint8_t{0x86}, std::uint8_t{0xff}}) {
    Octets frame = solicitationOf(1);
    frame[12] = octet;
    frame[13] = octet == 0x86 ? 0xdd : 0xff;
    REQUIRE(::sendto(sender.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&address),
                     sizeof address) == static_cast<ssize_t>(frame.size()));
  }
  CHECK(::recv(fd, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) < 0);
}
