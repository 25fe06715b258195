import { receiveFrame, receiveIcmpv6 } from '../link/frame.js';
import { isNdp, ndpFault } from '../link/ndp-rules.js';
import type { Address } from '../wire/index.js';
import {
  attempt,
  ETHERTYPE_IPV6,
  isUnspecified,
  parseEthernet,
  peekAddresses,
  WireError,
} from '../wire/index.js';

/** RARP, with which a hypervisor announces a VM that has arrived (RFC 903). */
const ETHERTYPE_RARP = 0x8035;

/**
 * Whether a frame shows that the guest itself is behind the port: a packet from one of its home addresses (the frame may be
 * cut short), its duplicate address detection or an advertisement of one of them, or its hypervisor's RARP. What a bridge
 * between the two says for itself (IGMP, MLD, spanning tree), or somebody who asks for the guest, shows nothing.
 */
export function isSignOfGuest(bytes: Uint8Array, homeAddresses: readonly Address[]): boolean {
  const frame = attempt(() => parseEthernet(bytes));
  if (frame instanceof WireError) return false;
  if (frame.etherType === ETHERTYPE_RARP) return true;
  if (frame.etherType !== ETHERTYPE_IPV6) return false;
  const source = peekAddresses(frame.payload)?.source;
  if (source !== undefined && homeAddresses.includes(source)) return true;
  const received = receiveFrame(bytes);
  if (typeof received === 'string') return false;
  const { packet } = received;
  const message = receiveIcmpv6(packet);
  if (typeof message !== 'object' || !isNdp(message)) return false;
  if (ndpFault(packet, message) !== undefined) return false;
  const tells =
    message.kind === 'neighbor-advertisement' ||
    (message.kind === 'neighbor-solicitation' && isUnspecified(packet.source));
  return tells && homeAddresses.includes(message.target);
}
