import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { WireError } from './error.js';
import { copy, need, OctetWriter, reservedBits, viewOf, window } from './octets.js';
import type { Option } from './options.js';
import { emitOptions, parseOptions } from './options.js';
import { PROTOCOL } from './protocol.js';

/** An extension header between the fixed header and the upper-layer protocol (RFC 8200 4). */
export type ExtensionHeader =
  | { readonly kind: 'hop-by-hop'; readonly options: readonly Option[] }
  | { readonly kind: 'destination'; readonly options: readonly Option[] }
  | {
      readonly kind: 'routing-type-2';
      /** 1 on the way, 0 once taken */
      readonly segmentsLeft: number;
      readonly homeAddress: Address;
      /** 32 bits, only when not 0 */
      readonly reserved?: number;
    }
  | {
      readonly kind: 'routing';
      readonly routingType: number;
      readonly segmentsLeft: number;
      /** What follows the first 4 octets; its length is 8·n + 4. */
      readonly data: Uint8Array;
    }
  | {
      readonly kind: 'fragment';
      /** octets, a multiple of 8 */
      readonly offset: number;
      readonly more: boolean;
      readonly identification: number;
      /** 10 bits: the octet behind the next header, then the two bits before M */
      readonly reserved: number;
    };

/** RFC 8200 4.3, 4.4, 4.6: every header but the fragment header starts like this. */
const COMMON = { nextHeader: 0, length: 1, body: 2 } as const;
/** RFC 8200 4.4 */
const ROUTING = { type: 2, segmentsLeft: 3, data: 4 } as const;
/** RFC 6275 6.4.1 */
const TYPE_2 = { routingType: 2, reserved: 4, homeAddress: 8, end: 24 } as const;
/** RFC 8200 4.5 */
const FRAGMENT = { reserved: 1, offset: 2, identification: 4, end: 8 } as const;

const NUMBER: Record<ExtensionHeader['kind'], number> = {
  'hop-by-hop': PROTOCOL.hopByHop,
  destination: PROTOCOL.destination,
  'routing-type-2': PROTOCOL.routing,
  routing: PROTOCOL.routing,
  fragment: PROTOCOL.fragment,
};

/** The next header value that announces this header. */
export function extensionNumber(header: ExtensionHeader): number {
  return NUMBER[header.kind];
}

/** Whether a next header value announces a header that `parseExtension` knows. */
export function isExtension(protocol: number): boolean {
  return (
    protocol === PROTOCOL.hopByHop ||
    protocol === PROTOCOL.destination ||
    protocol === PROTOCOL.routing ||
    protocol === PROTOCOL.fragment
  );
}

/** A fragment other than the first: what follows is data, not headers (RFC 8200 4.5). */
export function isLaterFragment(header: ExtensionHeader): boolean {
  return header.kind === 'fragment' && header.offset > 0;
}

function parseFragment(bytes: Uint8Array): ExtensionHeader {
  const view = viewOf(bytes);
  const word = view.getUint16(FRAGMENT.offset);
  return {
    kind: 'fragment',
    offset: word & 0xfff8,
    more: (word & 1) === 1,
    identification: view.getUint32(FRAGMENT.identification),
    reserved: view.getUint8(FRAGMENT.reserved) * 4 + ((word >> 1) & 3),
  };
}

function parseRouting(bytes: Uint8Array, at: number): ExtensionHeader {
  const view = viewOf(bytes);
  const routingType = view.getUint8(ROUTING.type);
  const segmentsLeft = view.getUint8(ROUTING.segmentsLeft);
  if (routingType !== TYPE_2.routingType) {
    return { kind: 'routing', routingType, segmentsLeft, data: copy(bytes, ROUTING.data) };
  }
  if (bytes.length !== TYPE_2.end) {
    throw new WireError(
      'WIRE_MALFORMED',
      'type 2 routing header: holds other than one address',
      at + COMMON.length,
    );
  }
  if (segmentsLeft > 1) {
    throw new WireError(
      'WIRE_MALFORMED',
      `type 2 routing header: ${segmentsLeft} segments left`,
      at + ROUTING.segmentsLeft,
    );
  }
  return {
    kind: 'routing-type-2',
    segmentsLeft,
    homeAddress: readAddress(bytes, TYPE_2.homeAddress),
    ...reservedBits(view.getUint32(TYPE_2.reserved)),
  };
}

/**
 * The extension header at `at`, announced as `protocol` (one that `isExtension` accepts), inside `packet`.
 * @throws WireError with its offset counted from the start of the packet
 */
export function parseExtension(
  protocol: number,
  packet: Uint8Array,
  at: number,
): { header: ExtensionHeader; nextHeader: number; length: number } {
  need(packet, 8, 'extension header', at);
  const view = viewOf(packet);
  const nextHeader = view.getUint8(at + COMMON.nextHeader);
  const fragment = protocol === PROTOCOL.fragment;
  const length = fragment ? FRAGMENT.end : (view.getUint8(at + COMMON.length) + 1) * 8;
  need(packet, length, 'extension header', at);
  const bytes = window(packet, at, at + length);
  if (fragment) return { header: parseFragment(bytes), nextHeader, length };
  if (protocol === PROTOCOL.routing) {
    return { header: parseRouting(bytes, at), nextHeader, length };
  }
  const kind = protocol === PROTOCOL.hopByHop ? 'hop-by-hop' : 'destination';
  const options = parseOptions(window(bytes, COMMON.body), at + COMMON.body);
  return { header: { kind, options }, nextHeader, length };
}

function emitBody(what: string, nextHeader: number, body: Uint8Array): OctetWriter {
  const length = COMMON.body + body.length;
  const out = new OctetWriter(what, length);
  if (length % 8 !== 0) {
    throw new WireError(
      'WIRE_RANGE',
      `${what}: ${length} octets are no multiple of 8, options need alignOptions first`,
      COMMON.length,
    );
  }
  out.uint8(COMMON.nextHeader, nextHeader, 'nextHeader');
  out.uint8(COMMON.length, length / 8 - 1, 'length');
  out.bytes.set(body, COMMON.body);
  return out;
}

/** The octets of one extension header. @throws WireError `WIRE_RANGE` */
export function emitExtension(header: ExtensionHeader, nextHeader: number): Uint8Array {
  switch (header.kind) {
    case 'hop-by-hop':
    case 'destination':
      return emitBody(`${header.kind} options`, nextHeader, emitOptions(header.options)).bytes;
    case 'routing': {
      const body = new Uint8Array(2 + header.data.length);
      body.set(header.data, 2);
      const out = emitBody('routing header', nextHeader, body);
      out.uint8(ROUTING.type, header.routingType, 'routingType');
      out.uint8(ROUTING.segmentsLeft, header.segmentsLeft, 'segmentsLeft');
      return out.bytes;
    }
    case 'routing-type-2': {
      const out = emitBody('type 2 routing header', nextHeader, new Uint8Array(TYPE_2.end - 2));
      out.uint8(ROUTING.type, TYPE_2.routingType, 'routingType');
      out.fits(header.segmentsLeft, 1, 'segmentsLeft', ROUTING.segmentsLeft);
      out.uint8(ROUTING.segmentsLeft, header.segmentsLeft, 'segmentsLeft');
      out.uint32(TYPE_2.reserved, header.reserved ?? 0, 'reserved');
      writeAddress(header.homeAddress, out.bytes, TYPE_2.homeAddress);
      return out.bytes;
    }
    case 'fragment': {
      const out = new OctetWriter('fragment header', FRAGMENT.end);
      const units = out.fits(header.offset / 8, 13, 'offset in units of 8', FRAGMENT.offset);
      const reserved = out.fits(header.reserved, 10, 'reserved', FRAGMENT.reserved);
      out.uint8(COMMON.nextHeader, nextHeader, 'nextHeader');
      out.uint8(FRAGMENT.reserved, reserved >> 2, 'reserved');
      const low = (reserved & 3) * 2 + (header.more ? 1 : 0);
      out.uint16(FRAGMENT.offset, units * 8 + low, 'offset');
      out.uint32(FRAGMENT.identification, header.identification, 'identification');
      return out.bytes;
    }
  }
}
