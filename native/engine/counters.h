// Every counter of the engine, named once: the enumerators, the layout of the counter blocks in the shared
// region and the names that JavaScript shows all come from these lists.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kagemusha {

// Why a packet was not passed on.
#define KAGEMUSHA_DROPS(X)                                                                        \
  X(not_ipv6)            /* an Ethernet frame of another type */                                  \
  X(malformed)           /* no whole IPv6 packet, or headers that run past its end */             \
  X(bad_offload)         /* the kernel's offload header says something that cannot be */          \
  X(link_local)          /* link-local addresses do not leave their link */                       \
  X(multicast)           /* multicast is not tunnelled */                                         \
  X(source_not_home)     /* guest: the source is none of its home addresses */                    \
  X(no_tunnel)           /* nothing in the table for this guest, or for this inner source */      \
  X(too_big)             /* longer than the tunnel's MTU */                                       \
  X(not_ours)            /* uplink: neither a local address nor a registered home address */      \
  X(unexpected_protocol) /* uplink: TCP or UDP to an address of the tunnel's ends */              \
  X(outer_source)        /* the outer source is not this tunnel's other end */                    \
  X(inner_source)        /* a link-local, multicast or unspecified source inside the tunnel */    \
  X(neighbor_discovery)  /* inside the tunnel, with the hop limit of the guest's own link */      \
  X(inner_destination)   /* the inner destination is none of the guest's home addresses */        \
  X(routing_header)      /* a type 2 routing header that no tunnel asked for */                   \
  X(home_address_option) /* a Home Address option that no binding of its source covers */         \
  X(hop_limit)           /* the hop limit ran out at the home agent */                            \
  X(ecn_congestion)      /* congestion that the transport inside would not understand */          \
  X(encapsulation_limit) /* it carries a limit that lets it enter no further tunnel */            \
  X(guest_mac_unknown)   /* no frame of the guest seen yet */                                     \
  X(no_port)             /* the tunnel, or the packet to send, names a port that is closed */     \
  X(guest_left)          /* the guest has left, and nobody said where to */                       \
  X(no_uplink)           /* no uplink is open */                                                  \
  X(port_full)           /* the port takes no more at the moment */                               \
  X(port_error)          /* the port is down, or refused the frame */                             \
  X(uplink_full)         /* the uplink takes no more at the moment */                             \
  X(uplink_error)        /* the uplink is down, or refused the packet */                          \
  X(uplink_overrun)      /* came when the uplink's receive ring was full */                       \
  X(uplink_stopped)      /* a frame that this ring stops at, and what came behind it */           \
  X(no_next_hop)         /* nobody on the uplink's link is known who takes it on */               \
  X(slow_path_full)      /* the ring, or this source's share of it, still waits for JavaScript */ \
  X(slow_path_too_big)   /* does not fit a slot of the slow-path ring */                          \
  X(policed)             /* more for one of our own addresses than its lane lets through */       \
  /* a packet of one of our tunnels that would enter one again */                                 \
  X(recursive_encapsulation)                                                                      \
  X(fragment_stranger)  /* a fragment that is not from the other end of a tunnel */               \
  X(fragment_header)    /* a fragment behind headers that no tunnel packet begins with */         \
  X(fragment_malformed) /* fragments that cannot be parts of one packet (RFC 8200 4.5) */         \
  X(fragment_overlap)   /* of a packet whose fragments overlap (RFC 5722) */                      \
  X(fragment_duplicate) /* the very same fragment came before */                                  \
  X(fragment_too_long)  /* of a packet longer than is put together */                             \
  X(fragment_timeout)   /* of a packet that was not whole after 60 seconds */                     \
  X(fragment_evicted)   /* of a packet that gave way to newer ones */                             \
  X(stream_nonsense)    /* what came by a stream is no frame behind its length; it was closed */

#define KAGEMUSHA_ENGINE_COUNTERS(X)                                                 \
  X(wakeups)              /* returns of epoll_wait, all workers */                   \
  X(uplinkPacketsRead)    /* as read: a train counts once */                         \
  X(uplinkPacketsWritten) /* as written */                                           \
  X(slowPathPackets)      /* handed to JavaScript */                                 \
  X(transmitted)          /* taken from the transmit ring and written to a device */ \
  X(transmitRingFull)     /* written by JavaScript: no free slot */                  \
  X(transmitTooLong)      /* written by JavaScript: does not fit a slot */           \
  X(devicesLost)          /* devices that went away under the engine */              \
  X(uplinksLost)          /* of those, uplinks */

#define KAGEMUSHA_PORT_COUNTERS(X)             \
  X(framesRead) /* as read: a train is one */  \
  X(bytesRead)  /* Ethernet header included */ \
  X(framesWritten)                             \
  X(bytesWritten)                              \
  X(lost) /* times that its device went away */

// Inner IPv6 lengths, one packet per segment on the wire.
#define KAGEMUSHA_TUNNEL_COUNTERS(X)                                 \
  X(toHomePackets)                                                   \
  X(toHomeBytes)                                                     \
  X(toGuestPackets)                                                  \
  X(toGuestBytes)                                                    \
  X(straightTo)    /* packets without a tunnel, counted above too */ \
  X(straightFrom)  /* as read: a train counts once */                \
  X(ecnAlarms)     /* RFC 6040 figure 4, (!) and (!!!), as read */   \
  X(fragmentsSent) /* of outer packets longer than the path MTU */   \
  X(mssClamped)    /* SYNs whose MSS was lowered */

#define KAGEMUSHA_ENUMERATOR(name) name,
#define KAGEMUSHA_NAME(name) std::string_view(#name),
#define KAGEMUSHA_COUNTERS(Enum, LIST, names)                   \
  enum class Enum : std::size_t { LIST(KAGEMUSHA_ENUMERATOR) }; \
  inline constexpr std::array names{LIST(KAGEMUSHA_NAME)};

KAGEMUSHA_COUNTERS(Drop, KAGEMUSHA_DROPS, kDropNames)
KAGEMUSHA_COUNTERS(EngineCounter, KAGEMUSHA_ENGINE_COUNTERS, kEngineCounterNames)
KAGEMUSHA_COUNTERS(PortCounter, KAGEMUSHA_PORT_COUNTERS, kPortCounterNames)
KAGEMUSHA_COUNTERS(TunnelCounter, KAGEMUSHA_TUNNEL_COUNTERS, kTunnelCounterNames)

#undef KAGEMUSHA_ENUMERATOR
#undef KAGEMUSHA_NAME
#undef KAGEMUSHA_COUNTERS

// A block of the shared region: the counters of `Counter` in order, then one per drop reason; 64 bits each,
// host byte order. Any worker may add; readers see each value whole, not the block at one instant.
class DropCounters {
 public:
  DropCounters(std::uint64_t* values, std::size_t firstDrop) : values_(values), firstDrop_(firstDrop) {}
  void drop(Drop reason, std::uint64_t count = 1) const {
    addAt(firstDrop_ + static_cast<std::size_t>(reason), count);
  }

 protected:
  void addAt(std::size_t index, std::uint64_t count) const {
    // Who sees this sees what was counted before it.
    std::atomic_ref(values_[index]).fetch_add(count, std::memory_order_release);
  }

 private:
  std::uint64_t* values_;
  std::size_t firstDrop_;
};

template <class Counter, std::size_t Count>
class CounterBlock : public DropCounters {
 public:
  static constexpr std::size_t kValues = Count + kDropNames.size();
  explicit CounterBlock(std::uint64_t* values) : DropCounters(values, Count) {}
  void add(Counter counter, std::uint64_t count = 1) const {
    addAt(static_cast<std::size_t>(counter), count);
  }
};

using EngineCounters = CounterBlock<EngineCounter, kEngineCounterNames.size()>;
using PortCounters = CounterBlock<PortCounter, kPortCounterNames.size()>;
using TunnelCounters = CounterBlock<TunnelCounter, kTunnelCounterNames.size()>;

}  // namespace kagemusha
