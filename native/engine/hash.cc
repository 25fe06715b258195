#include "hash.h"

#include <sys/random.h>

#include <cerrno>
#include <random>

namespace kagemusha {

void fillRandom(std::span<std::uint64_t> words) {
  const auto octets = std::as_writable_bytes(words);
  std::size_t filled = 0;
  while (filled < octets.size()) {
    const auto count = ::getrandom(octets.data() + filled, octets.size() - filled, 0);
    if (count > 0) {
      filled += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      // No such system call: another source of it.
      std::random_device device;
      for (std::uint64_t& word : words) word = (std::uint64_t{device()} << 32) | device();
      return;
    }
  }
}

const std::array<std::uint64_t, 3> kHashKey = randomWords<3>();

}  // namespace kagemusha
