import type { Icmpv6Error, Icmpv6Fault, NoIcmpv6Error } from '../wire/index.js';
import { icmpv6ErrorAbout, MINIMUM_MTU } from '../wire/index.js';

/** RFC 4443 3.3, 3.4, 3.1 */
const CODE = { hopLimitExceeded: 0, erroneousHeaderField: 0, addressUnreachable: 3 } as const;

/** Why a packet in the tunnel has no error: a reason for a drop. */
export type NoError = `error_${NoIcmpv6Error}`;

function about(inner: Uint8Array, fault: Icmpv6Fault): Icmpv6Error | NoError {
  const error = icmpv6ErrorAbout(inner, fault);
  return typeof error === 'string' ? `error_${error}` : error;
}

/**
 * Packet Too Big for an inner packet that does not fit the tunnel (RFC 2473 7.1a, RFC 4443 3.2).
 * @param inner the IPv6 packet, its end may be cut off
 * @param mtu octets of the largest inner packet; less than 1280 is told as 1280 (RFC 8201 4)
 */
export function packetTooBig(inner: Uint8Array, mtu: number): Icmpv6Error | NoError {
  return about(inner, { kind: 'packet-too-big', mtu: Math.max(MINIMUM_MTU, mtu) });
}

/** Time Exceeded for a packet whose hop limit ran out before the tunnel (RFC 4443 3.3, RFC 2473 3.1). */
export function timeExceeded(inner: Uint8Array): Icmpv6Error | NoError {
  return about(inner, { kind: 'time-exceeded', code: CODE.hopLimitExceeded });
}

/**
 * Parameter Problem, erroneous header field (RFC 4443 3.4): with `pointer` at a Tunnel Encapsulation Limit of 0 it says
 * that a packet may not enter one more tunnel (RFC 2473 4.1.1).
 * @param pointer octets from the start of the packet's IPv6 header
 */
export function parameterProblem(inner: Uint8Array, pointer: number): Icmpv6Error | NoError {
  return about(inner, { kind: 'parameter-problem', code: CODE.erroneousHeaderField, pointer });
}

/** Destination Unreachable, address unreachable: what is wrong inside the tunnel, to those outside (RFC 2473 8.2). */
export function addressUnreachable(inner: Uint8Array): Icmpv6Error | NoError {
  return about(inner, { kind: 'destination-unreachable', code: CODE.addressUnreachable });
}
