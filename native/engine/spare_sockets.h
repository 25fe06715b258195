// Sockets that were opened while the process still had the right to (CAP_NET_RAW): whoever needs one takes
// one of these first. A packet socket is given back. They belong to the network namespace that they were
// opened in; nothing arrives on them.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <vector>

#include "unique_fd.h"

namespace kagemusha {

// `count` packet sockets, and with `xdp`, where the kernel has it, an AF_XDP socket, that stay open over
// execve(2). Throws EngineError DEVICE_PERMISSION.
std::vector<UniqueFd> openSpareSockets(unsigned count, bool xdp = false);

// These are ours from now on, and close with the process again. What is neither is left alone.
void adoptSpareSockets(std::span<const int> fds);

// How many packet sockets were adopted.
std::size_t spareSocketsAdopted();

// One of them; empty when there is none left.
UniqueFd takeSpareSocket(int family = AF_PACKET);

// A packet socket that was taken, as it was then.
void returnSpareSocket(UniqueFd fd);

}  // namespace kagemusha
