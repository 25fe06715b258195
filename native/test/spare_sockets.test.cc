#include "../engine/spare_sockets.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>

using namespace kagemusha;

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
