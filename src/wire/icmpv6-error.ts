import type { Address } from './address.js';
import { isMulticast, isUnspecified } from './address.js';
import { attempt, WireError } from './error.js';
import { isLaterFragment } from './extension-headers.js';
import type { Icmpv6Message } from './icmpv6.js';
import { IPV6_HEADER_LENGTH } from './ipv6.js';
import { copy, viewOf } from './octets.js';
import type { Ipv6Packet } from './packet.js';
import { parsePacket } from './packet.js';
import { PROTOCOL } from './protocol.js';

/** Octets that every IPv6 link carries (RFC 8200 5); no ICMPv6 error is larger (RFC 4443 2.4c). */
export const MINIMUM_MTU = 1280;
/** RFC 4443 3.1 - 3.4: type, code, checksum, one word. */
const ERROR_HEADER = 8;
/** RFC 8200 3 */
const PAYLOAD_LENGTH = 4;
/** RFC 4443 2.1: errors are below; RFC 4861 4.5 */
const FIRST_INFORMATIONAL = 128;
const REDIRECT = 137;

/** An ICMPv6 error that is due, and whom it is for. */
export interface Icmpv6Error {
  readonly destination: Address;
  readonly message: Icmpv6Message;
}

/** What an ICMPv6 error says, without the packet that it is about. */
export type Icmpv6Fault =
  | { readonly kind: 'destination-unreachable'; readonly code: number }
  | { readonly kind: 'packet-too-big'; readonly mtu: number }
  | { readonly kind: 'time-exceeded'; readonly code: number }
  | { readonly kind: 'parameter-problem'; readonly code: number; readonly pointer: number };

/** Why no error is due: not a packet; one of RFC 4443 2.4(e): e.6, e.3, e.1 and e.2; less room than its headers take. */
export type NoIcmpv6Error = 'malformed' | 'source' | 'multicast' | 'icmpv6_error' | 'too_small';

/** A packet whose end was cut off, with a payload length that fits what is left: the headers can be read. */
export function withFittingLength(bytes: Uint8Array): Uint8Array {
  if (bytes.length < IPV6_HEADER_LENGTH) return bytes;
  const present = bytes.length - IPV6_HEADER_LENGTH;
  if (viewOf(bytes).getUint16(PAYLOAD_LENGTH) <= present) return bytes;
  const fitting = copy(bytes, 0);
  viewOf(fitting).setUint16(PAYLOAD_LENGTH, present);
  return fitting;
}

/** No error about an ICMPv6 error or a redirect; in a later fragment nobody can tell. */
function mayBeError(packet: Ipv6Packet): boolean {
  if (packet.protocol !== PROTOCOL.icmpv6) return false;
  const later = packet.extensions.some(isLaterFragment);
  const type = packet.payload[0] ?? 0;
  return later || type < FIRST_INFORMATIONAL || type === REDIRECT;
}

/**
 * The ICMPv6 error about a packet (RFC 4443 3), quoting as much of it as fits, or the reason why none is due (2.4e). A Packet
 * Too Big for a multicast destination, which RFC 4443 would allow, is not sent: no path here is one of a group.
 * @param bytes the IPv6 packet, its end may be cut off
 * @param largest octets of the IPv6 packet that the error becomes: to be no larger than its cause, for one
 */
export function icmpv6ErrorAbout(
  bytes: Uint8Array,
  fault: Icmpv6Fault,
  largest: number = MINIMUM_MTU,
): Icmpv6Error | NoIcmpv6Error {
  const packet = attempt(() => parsePacket(withFittingLength(bytes)));
  if (packet instanceof WireError) return 'malformed';
  if (isMulticast(packet.source) || isUnspecified(packet.source)) return 'source';
  if (isMulticast(packet.destination)) return 'multicast';
  if (mayBeError(packet)) return 'icmpv6_error';
  const room = Math.min(largest, MINIMUM_MTU) - IPV6_HEADER_LENGTH - ERROR_HEADER;
  if (room < 0) return 'too_small';
  const quoted = copy(bytes, 0, Math.min(bytes.length, room));
  return { destination: packet.source, message: { ...fault, quoted } };
}
