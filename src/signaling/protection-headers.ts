import type { ExtensionHeader, Ipv6Packet, Option } from '../wire/index.js';
import { homeAddressOption, PROTOCOL } from '../wire/index.js';

/**
 * Why the headers before the upper layer make a packet no signaling: a fragment (RFC 4303 3.4.1: ESP is for whole
 * packets), a routing header that is not done, or headers that only the other end may send (RFC 6275 6.1.1). Without this the home
 * address that a policy is found by would not be the one that the message is about.
 */
export function unsound(
  packet: Ipv6Packet,
  role: 'mobile-node' | 'home-agent',
): string | undefined {
  for (const header of packet.extensions) {
    const flaw = flawOf(header, role);
    if (flaw !== undefined) return flaw;
  }
  const signaling = packet.protocol === PROTOCOL.mobility || packet.protocol === PROTOCOL.esp;
  if (role === 'mobile-node' && signaling && homeAddressOption(packet) !== undefined) {
    return 'unexpected_home_address_option';
  }
  return undefined;
}

function flawOf(header: ExtensionHeader, role: 'mobile-node' | 'home-agent'): string | undefined {
  switch (header.kind) {
    case 'fragment':
      return header.offset > 0 || header.more ? 'fragment' : undefined;
    case 'routing':
      return header.segmentsLeft > 0 ? 'unexpected_routing_header' : undefined;
    case 'routing-type-2':
      return role === 'home-agent' || header.segmentsLeft !== 1
        ? 'unexpected_routing_header'
        : undefined;
    case 'hop-by-hop':
    case 'destination': {
      // RFC 8200 4.2: what an unknown option's type says about itself.
      const discards = (option: Option) => option.kind === 'unknown' && option.type >> 6 !== 0;
      return header.options.some(discards) ? 'unrecognized_option' : undefined;
    }
  }
}
