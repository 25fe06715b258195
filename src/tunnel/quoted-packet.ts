import type { Address } from '../wire/index.js';
import { IPV6_HEADER_LENGTH, PROTOCOL, peekAddresses } from '../wire/index.js';

/** RFC 8200 3: version, class and flow label; payload length; next header */
const FIXED = { flow: 0, payloadLength: 4, nextHeader: 6 } as const;
/** RFC 8200 4.6 */
const OPTIONS = { nextHeader: 0, length: 1, first: 2 } as const;
/** RFC 8200 4.5 */
const FRAGMENT = { offset: 2, length: 8 } as const;
/** RFC 2473 4.1.1: the option's type, and its value behind type and length */
const LIMIT = { type: 4, value: 2 } as const;
/** RFC 8200 4.2 */
const PAD1 = 0;

/** A packet of a tunnel of ours, as an ICMPv6 error quotes it. */
export interface QuotedTunnelPacket {
  /** The inner packet from its IPv6 header on, at least that header; its end may be cut off. A view into the quote. */
  readonly inner: Uint8Array;
  /** Octets of the tunnel packet (or of its first fragment) when it met its fate. */
  readonly outerLength: number;
  /** Where the inner packet begins in the quote: the tunnel headers' octets. */
  readonly innerOffset: number;
}

/** Where the headers of a tunnel packet end, and where in them its encapsulation limit is. */
export interface TunnelHeaders {
  /** octets: where the inner packet begins */
  readonly length: number;
  /** octets: where the value of the Tunnel Encapsulation Limit option is */
  readonly limitAt?: number;
}

/** Looks for the encapsulation limit among the options from `at` on. @returns the offset of its value */
function limitValue(bytes: Uint8Array, at: number, end: number): number | undefined {
  let offset = at;
  while (offset < end) {
    const type = bytes[offset];
    if (type === PAD1) {
      offset += 1;
      continue;
    }
    const length = bytes[offset + 1] ?? 0;
    if (type === LIMIT.type && length === 1 && offset + LIMIT.value < end) {
      return offset + LIMIT.value;
    }
    offset += 2 + length;
  }
  return undefined;
}

/**
 * The headers that an entry point puts before an inner IPv6 packet (RFC 2473 5): the fixed header, at most one
 * destination options header, at most one fragment header, which must be of the first fragment.
 * @param outer the tunnel packet, its end may be cut off
 * @returns a reason for a drop when it is anything else
 */
export function tunnelHeaders(outer: Uint8Array): TunnelHeaders | string {
  if (outer.length < IPV6_HEADER_LENGTH) return 'quote_truncated';
  const view = new DataView(outer.buffer, outer.byteOffset, outer.length);
  let next = view.getUint8(FIXED.nextHeader);
  let offset = IPV6_HEADER_LENGTH;
  let limitAt: number | undefined;
  const seen = new Set<number>();
  while (next !== PROTOCOL.ipv6) {
    if (next !== PROTOCOL.destination && next !== PROTOCOL.fragment) return 'quote_not_tunnel';
    if (seen.has(next)) return 'quote_not_tunnel';
    seen.add(next);
    if (outer.length < offset + FRAGMENT.length) return 'quote_truncated';
    let length: number = FRAGMENT.length;
    if (next === PROTOCOL.fragment) {
      if (view.getUint16(offset + FRAGMENT.offset) >> 3 !== 0) return 'quote_later_fragment';
    } else {
      length = (view.getUint8(offset + OPTIONS.length) + 1) * 8;
      if (outer.length < offset + length) return 'quote_truncated';
      limitAt = limitValue(outer, offset + OPTIONS.first, offset + length);
    }
    next = view.getUint8(offset + OPTIONS.nextHeader);
    offset += length;
  }
  return { length: offset, ...(limitAt === undefined ? {} : { limitAt }) };
}

/**
 * What an ICMPv6 error quotes, when it is a packet that our end of a tunnel sent to the other one (RFC 2473 8). The quote is
 * all that tells an error from a forged one (RFC 8201 6, RFC 5927 4.1 for the idea): the flow label, a keyed hash of
 * the inner packet, is what nobody off the path can know. A Packet Too Big is believed when its
 * MTU is at least 1280 and less than `outerLength` as well.
 * @param quoted from the error, an IPv6 packet whose end may be cut off
 * @param ends `local` ours, the source; `remote` the destination
 * @param flowLabel what the engine writes into the outer header for an inner packet, 20 bits
 * @returns a reason for a drop when it is no such packet
 */
export function quotedTunnelPacket(
  quoted: Uint8Array,
  ends: { readonly local: Address; readonly remote: Address },
  flowLabel: (inner: Uint8Array) => number,
): QuotedTunnelPacket | string {
  const addresses = peekAddresses(quoted);
  if (addresses === undefined) return 'quote_truncated';
  if (addresses.source !== ends.local || addresses.destination !== ends.remote) {
    return 'quote_not_ours';
  }
  const headers = tunnelHeaders(quoted);
  if (typeof headers === 'string') return headers;
  const innerOffset = headers.length;
  const inner = quoted.subarray(innerOffset);
  if (inner.length < IPV6_HEADER_LENGTH) return 'quote_truncated';
  if (peekAddresses(inner) === undefined) return 'quote_not_tunnel';
  const view = new DataView(quoted.buffer, quoted.byteOffset, quoted.length);
  if ((view.getUint32(FIXED.flow) & 0xfffff) !== flowLabel(inner)) return 'quote_flow_label';
  const outerLength = IPV6_HEADER_LENGTH + view.getUint16(FIXED.payloadLength);
  // Link padding behind the payload length is no part of it.
  const end = Math.max(innerOffset + IPV6_HEADER_LENGTH, Math.min(quoted.length, outerLength));
  return { inner: quoted.subarray(innerOffset, end), outerLength, innerOffset };
}
