import type { Icmpv6Error, Icmpv6Message } from '../wire/index.js';
import { IPV6_HEADER_LENGTH, MINIMUM_MTU } from '../wire/index.js';
import { addressUnreachable, packetTooBig } from './errors.js';
import { tunnelHeaders } from './quoted-packet.js';

/** RFC 8200 3 */
const PAYLOAD_LENGTH = 4;

/** Octets of a packet whose end may be cut off. */
function wholeLength(packet: Uint8Array): number {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  return IPV6_HEADER_LENGTH + view.getUint16(PAYLOAD_LENGTH);
}

/** RFC 2473 8.1: the packet could enter no further tunnel, its encapsulation limit was used up. */
function isLimitUsedUp(pointer: number, outer: Uint8Array): boolean {
  const headers = tunnelHeaders(outer);
  if (typeof headers === 'string' || headers.limitAt !== pointer) return false;
  // 8.1 says one, 8.2 says zero; it depends on whether the reporting node quotes the packet before or after.
  return (outer[pointer] ?? 0) <= 1;
}

/**
 * What the source of an inner packet is told when the tunnel packet that carried it met an error inside the tunnel
 * (RFC 2473 8.1, 8.2; 8.4 is the same for an inner packet that is a tunnel packet itself), or the reason why it is told nothing.
 * @param error what came, its quote believed (`quotedTunnelPacket`)
 * @param inner the quoted inner packet
 * @param overhead octets of the tunnel headers
 */
export function relayedError(
  error: Icmpv6Message,
  inner: Uint8Array,
  overhead: number,
): Icmpv6Error | string {
  if (inner.length < IPV6_HEADER_LENGTH) return 'error_malformed';
  switch (error.kind) {
    case 'destination-unreachable':
    case 'time-exceeded':
      return addressUnreachable(inner);
    case 'parameter-problem':
      // Any other one is between the ends of the tunnel: the source could mend nothing.
      if (!isLimitUsedUp(error.pointer, error.quoted)) return 'relay_not_encapsulation_limit';
      return addressUnreachable(inner);
    case 'packet-too-big':
      // RFC 8201 4: no packet is smaller because of it.
      if (error.mtu < MINIMUM_MTU) return 'relay_too_big_below_minimum';
      // RFC 2473 7.1, 8.2: what is no larger than 1280 octets goes in fragments.
      if (wholeLength(inner) <= MINIMUM_MTU) return 'relay_fits_minimum';
      return packetTooBig(inner, error.mtu - overhead);
    default:
      return 'relay_not_an_error';
  }
}
