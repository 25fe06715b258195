#include "policing.h"

namespace kagemusha {
namespace {

constexpr std::uint32_t kSequence16 = 0xffff;  // a Mobility Header's numbers are modulo 2^16

}  // namespace

Policing::Policing(const Region& region)
    : region_(region),
      mapping_(
          (std::size_t{region.layout().maxSignalers} * kSignalerLanes +
           std::size_t{region.layout().maxTunnels} * kInnerLanes + std::size_t{kLocalSets} * kLocalLanes) *
              sizeof(TokenBucket),
          Mapping::Sharing::kPrivate, Mapping::Extent::kClaimed),
      locals_(reinterpret_cast<TokenBucket*>(mapping_.bytes().data())),
      inners_(locals_ + std::size_t{kLocalSets} * kLocalLanes),
      signalers_(inners_ + std::size_t{region.layout().maxTunnels} * kInnerLanes) {
  claim(locals_, std::size_t{kLocalSets} * kLocalLanes);
}

void Policing::claim(const TokenBucket* first, std::size_t count) {
  mapping_.require(static_cast<std::size_t>(first - locals_) * sizeof *first, count * sizeof *first);
}

std::uint32_t Policing::lane(const SignalerSpec& spec, const ControlPacket& packet, std::uint32_t base) {
  const auto right = spec.esp ? ControlPacket::Kind::kEsp : ControlPacket::Kind::kMobility;
  if (base == kNoSequence || packet.kind != right || !packet.sequence) return kOtherLane;
  const std::uint32_t sequence = *packet.sequence;
  const std::uint32_t near = sequence % kNearLanes;
  if (spec.esp) {
    if (packet.spi != spec.spi || sequence <= base) return kOtherLane;
    if (sequence - base <= kNearLanes) return near;
    return sequence - base <= kSoon ? kNearLanes + sequence % kSoonLanes : kOtherLane;
  }
  if (spec.side == Side::kMobileNode) {
    const std::uint32_t back = (base - sequence) & kSequence16;
    return packet.mobilityType == kBindingAcknowledgement && back < kOutstanding ? near : kOtherLane;
  }
  const std::uint32_t ahead = (sequence - base - 1) & kSequence16;
  return packet.mobilityType == kBindingUpdate && ahead < kNearLanes ? near : kOtherLane;
}

bool Policing::admit(const Signaler& signaler, const ControlPacket& packet, Instant now) {
  const std::uint32_t index = signaler.spec.index;
  const std::uint32_t chosen = lane(signaler.spec, packet, region_.expectedSequence(index));
  TokenBucket& bucket = signalers_[std::size_t{index} * kSignalerLanes + chosen];
  if (chosen == kOtherLane) return bucket.take(kOther, now) && otherTotal_.take(kOtherTotal, now);
  return bucket.take(kNear, now) && nearTotal_.take(kNearTotal, now);
}

TokenBucket& Policing::local(const Address& address, std::uint32_t lane) const {
  const std::size_t set = std::hash<Address>{}(address) % kLocalSets;
  return locals_[set * kLocalLanes + lane];
}

bool Policing::admit(const Address& address, const ControlPacket& packet, Instant now) {
  TokenBucket& total = packet.kind == ControlPacket::Kind::kTunnelError ? tunnelErrorTotal_ : localTotal_;
  return local(address, static_cast<std::uint32_t>(packet.kind)).take(kLocal, now) &&
         total.take(kLocalTotal, now);
}

bool Policing::admitUnbound(const Address& address, Instant now) {
  return local(address, kUnboundLane).take(kUnbound, now) && localTotal_.take(kLocalTotal, now);
}

bool Policing::admit(std::uint32_t slot, Inner what, Instant now) {
  TokenBucket& bucket = inners_[slot * kInnerLanes + static_cast<std::uint32_t>(what)];
  switch (what) {
    case Inner::kProbe:
      return bucket.take(kProbe, now) && probeTotal_.take(kProbeTotal, now);
    case Inner::kGuestError:
      return bucket.take(kGuestError, now);
    case Inner::kErrorTo:
      return bucket.take(kError, now) && errorToTotal_.take(kErrorTotal, now);
    case Inner::kErrorFrom:
      return bucket.take(kError, now) && errorFromTotal_.take(kErrorTotal, now);
    default:
      return bucket.take(kInner, now) && innerTotal_.take(kInnerTotal, now);
  }
}

}  // namespace kagemusha
