// How much of what comes for our own addresses may reach JavaScript.
#pragma once

#include "control_packet.h"
#include "mapping.h"
#include "region.h"
#include "signaler.h"
#include "token_bucket.h"

namespace kagemusha {

// Anyone can send us signaling in anyone's name, faster than JavaScript can look at it. Only JavaScript can
// tell a forged message from a valid one; here each is put into a lane by what a forger cannot easily have
// right, and each lane lets little through:
//
//   names a signaler ── its SPI, sequence number near what is expected ──▶ one of 64 near lanes ─┐
//     (home address)    ESP, not that near (the peer has restarted) ─────▶ one of 16 soon lanes ─┤ total
//                       anything else ───────────────────────────────────▶ its other lane ───────── total
//   names nobody we know, at the home agent ─────────────────────────────▶ strangers' lane
//   came out of a tunnel ────────────────────────────────────────────────▶ two lanes a tunnel ───── total
//   probes a tunnel's path ──────────────────────────────────────────────▶ a lane a tunnel ──────── total
//   goes no further and is told so (RFC 4443) ───────────────────────────▶ three lanes a tunnel ─── totals
//   an ICMPv6 error that quotes a tunnel packet of ours ─────────────────▶ a lane a local ───────── total
//   the rest (ICMPv6, errors, what names no home address) ───────────────▶ a lane a kind and local  total
//
// A lane belongs to a sequence number, not to a distance: while the window moves on, what was poured into one
// number's lane does not reach the next number's. So a forger who sprays numbers loses against the 64 (of
// 65536, or of 2^32) that are near, one who repeats a number blocks that number only, and the retransmission
// has the next one.
//
// No allocation and no lock: fixed arrays of buckets, each one atomic word, that any worker may ask. Those of
// signalers and tunnels that are in use take memory, and no others.
// (Signaling comes by the uplink, which worker 0 serves alone, but for what a home link's port shows: that
// port may live on another worker. A per-worker set would give a flood on both paths twice the budget.)
class Policing {
 public:
  static constexpr std::uint32_t kNearLanes = 64;
  static constexpr std::uint32_t kSoonLanes = 16;
  // ESP numbers up to here count as soon: a peer that reserves numbers ahead skips some when it restarts.
  static constexpr std::uint32_t kSoon = 65536;
  // A Binding Acknowledgement answers one of the last so many Binding Updates.
  static constexpr std::uint32_t kOutstanding = 16;

  static constexpr Limit kNear{4, 4}, kNearTotal{900, 128};
  static constexpr Limit kOther{16, 16}, kOtherTotal{300, 64};
  static constexpr Limit kStrangers{150, 128}, kBystanders{20, 20};
  static constexpr Limit kLocal{50, 32}, kUnbound{20, 20}, kLocalTotal{300, 128};
  static constexpr Limit kInner{50, 32}, kInnerTotal{300, 64};
  // A tunnel that opens sends a ladder of probes, and all may open at once.
  static constexpr Limit kProbe{50, 32}, kProbeTotal{2000, 128};
  // Of what our own guest sends no other guest has less: its port has a share of the ring.
  static constexpr Limit kGuestError{100, 50}, kError{20, 16}, kErrorTotal{300, 48};

  // What belongs to a tunnel and goes to JavaScript.
  enum class Inner : std::uint32_t {
    kSelf,        // to us
    kMobility,    // a guest's Mobility Header
    kProbe,       // of the path between the tunnel's ends, and its answer
    kGuestError,  // what its guest sent by its port goes no further
    kErrorTo,     // what was to go into it goes no further
    kErrorFrom,   // what came out of it goes no further
    kCount,
  };

  explicit Policing(const Region& region);

  // Before the first packet of a table with it is asked about. Throw EngineError OUT_OF_MEMORY.
  void claimTunnel(std::uint32_t slot) { claim(inners_ + std::size_t{slot} * kInnerLanes, kInnerLanes); }
  void claimSignaler(std::uint32_t index) {
    claim(signalers_ + std::size_t{index} * kSignalerLanes, kSignalerLanes);
  }

  // A packet to one of our addresses that names `signaler`.
  bool admit(const Signaler& signaler, const ControlPacket& packet, Instant now);
  // One that names a home address that no signaler has.
  bool admitStranger(Instant now) { return strangers_.take(kStrangers, now); }
  // One on a home link that is for nobody we know.
  bool admitBystander(Instant now) { return bystanders_.take(kBystanders, now); }
  // One that names no home address.
  bool admit(const Address& local, const ControlPacket& packet, Instant now);
  // A tunnel packet to `local` that no binding allows.
  bool admitUnbound(const Address& local, Instant now);
  // One of the tunnel with this slot.
  bool admit(std::uint32_t tunnelSlot, Inner what, Instant now);

 private:
  static constexpr std::uint32_t kOtherLane = kNearLanes + kSoonLanes;
  static constexpr std::uint32_t kSignalerLanes = kOtherLane + 1;
  static constexpr std::uint32_t kInnerLanes = static_cast<std::uint32_t>(Inner::kCount);
  static constexpr std::uint32_t kUnboundLane = static_cast<std::uint32_t>(ControlPacket::Kind::kCount);
  static constexpr std::uint32_t kLocalLanes = kUnboundLane + 1;
  // Local addresses share so many sets of lanes by hash: addresses come and go, memory does not.
  static constexpr std::uint32_t kLocalSets = 1024;

  static std::uint32_t lane(const SignalerSpec& spec, const ControlPacket& packet, std::uint32_t base);
  void claim(const TokenBucket* first, std::size_t count);
  TokenBucket& local(const Address& address, std::uint32_t lane) const;

  const Region& region_;
  Mapping mapping_;
  TokenBucket* locals_;     // kLocalLanes for each set
  TokenBucket* inners_;     // kInnerLanes for each tunnel slot
  TokenBucket* signalers_;  // kSignalerLanes for each
  TokenBucket strangers_, bystanders_;
  TokenBucket nearTotal_, otherTotal_, localTotal_, tunnelErrorTotal_, innerTotal_;
  TokenBucket probeTotal_, errorToTotal_, errorFromTotal_;
};

}  // namespace kagemusha
