import type { Icmpv6Error, NoIcmpv6Error } from '../wire/index.js';
import { icmpv6ErrorAbout, MINIMUM_MTU } from '../wire/index.js';

/**
 * The Packet Too Big for a packet that does not fit (RFC 4443 3.2), or the reason why none is due.
 * @param bytes the IPv6 packet, its end may be cut off
 * @param mtu octets; less than 1280 is told as 1280 (RFC 8201 4)
 */
export function packetTooBig(
  bytes: Uint8Array,
  mtu: number,
): Icmpv6Error | `too_big_${NoIcmpv6Error}` {
  const kind = 'packet-too-big';
  const error = icmpv6ErrorAbout(bytes, { kind, mtu: Math.max(MINIMUM_MTU, mtu) });
  return typeof error === 'string' ? `too_big_${error}` : error;
}
