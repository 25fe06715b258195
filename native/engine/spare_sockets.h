// Packet sockets that were opened while the process still had the right to (CAP_NET_RAW): whoever needs one
// takes one of these first, and gives it back. They belong to the network namespace that they were opened in;
// nothing arrives on them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "unique_fd.h"

namespace kagemusha {

// `count` sockets that stay open over execve(2). Throws EngineError DEVICE_PERMISSION.
std::vector<UniqueFd> openSpareSockets(unsigned count);

// These are ours from now on, and close with the process again. What is no packet socket is left alone.
void adoptSpareSockets(std::span<const int> fds);

// How many were adopted.
std::size_t spareSocketsAdopted();

// One of them; empty when there is none left.
UniqueFd takeSpareSocket();

// One that was taken, as it was then.
void returnSpareSocket(UniqueFd fd);

}  // namespace kagemusha
