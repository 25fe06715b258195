import type { Prefix } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { WireError } from './error.js';
import type { Mac } from './mac.js';
import { readMac, writeMac } from './mac.js';
import { concat, copy, OctetWriter, reservedBits, viewOf, window } from './octets.js';

/** A Neighbor Discovery option (RFC 4861 4.6). Link-layer addresses are those of Ethernet (RFC 2464 6). */
export type NdpOption =
  | { readonly kind: 'source-link-layer-address'; readonly mac: Mac }
  | { readonly kind: 'target-link-layer-address'; readonly mac: Mac }
  | {
      readonly kind: 'prefix-information';
      /** With the R flag its address is the router's own (RFC 6275 7.2). */
      readonly prefix: Prefix;
      readonly onLink: boolean;
      readonly autonomous: boolean;
      readonly routerAddress: boolean;
      /** seconds, 0xffffffff is for ever */
      readonly validLifetime: number;
      /** seconds, 0xffffffff is for ever */
      readonly preferredLifetime: number;
      /** The 5 bits behind L A R, only when not 0. */
      readonly reserved?: number;
      /** The 32 bits before the prefix, only when not 0. */
      readonly reserved2?: number;
    }
  | { readonly kind: 'mtu'; readonly mtu: number; readonly reserved?: number }
  | {
      readonly kind: 'home-agent-information';
      /** signed, higher is better */
      readonly preference: number;
      /** seconds, 1..65535 */
      readonly lifetime: number;
      readonly reserved?: number;
    }
  | {
      readonly kind: 'unknown';
      readonly type: number;
      /** What follows the length; its length is 8·n + 6. */
      readonly data: Uint8Array;
    };

const TYPE = {
  sourceLinkLayerAddress: 1, // RFC 4861 4.6.1
  targetLinkLayerAddress: 2, // RFC 4861 4.6.1
  prefixInformation: 3, // RFC 4861 4.6.2
  mtu: 5, // RFC 4861 4.6.4
  homeAgentInformation: 8, // RFC 6275 7.4
} as const;

/** RFC 4861 4.6 */
const COMMON = { type: 0, length: 1, data: 2 } as const;
/** RFC 4861 4.6.1, RFC 2464 6 */
const LINK_LAYER = { address: 2, end: 8 } as const;
/** RFC 4861 4.6.2, RFC 6275 7.2 */
const PREFIX = {
  length: 2,
  flags: 3,
  validLifetime: 4,
  preferredLifetime: 8,
  reserved2: 12,
  prefix: 16,
  end: 32,
} as const;
const PREFIX_FLAG = { onLink: 0x80, autonomous: 0x40, routerAddress: 0x20 } as const;
/** RFC 4861 4.6.4 */
const MTU = { reserved: 2, mtu: 4, end: 8 } as const;
/** RFC 6275 7.4 */
const HOME_AGENT = { reserved: 2, preference: 4, lifetime: 6, end: 8 } as const;

function parsePrefixInformation(bytes: Uint8Array, at: number): NdpOption {
  const view = viewOf(bytes);
  const length = view.getUint8(PREFIX.length);
  const flags = view.getUint8(PREFIX.flags);
  const reserved2 = view.getUint32(PREFIX.reserved2);
  if (length > 128) {
    throw new WireError(
      'WIRE_MALFORMED',
      `prefix information: prefix length ${length}`,
      at + PREFIX.length,
    );
  }
  return {
    kind: 'prefix-information',
    prefix: { address: readAddress(bytes, PREFIX.prefix), length },
    onLink: (flags & PREFIX_FLAG.onLink) !== 0,
    autonomous: (flags & PREFIX_FLAG.autonomous) !== 0,
    routerAddress: (flags & PREFIX_FLAG.routerAddress) !== 0,
    validLifetime: view.getUint32(PREFIX.validLifetime),
    preferredLifetime: view.getUint32(PREFIX.preferredLifetime),
    ...reservedBits(flags & 0x1f),
    ...(reserved2 === 0 ? {} : { reserved2 }),
  };
}

function parseOne(type: number, bytes: Uint8Array, at: number): NdpOption {
  const view = viewOf(bytes);
  if (type === TYPE.sourceLinkLayerAddress && bytes.length === LINK_LAYER.end) {
    return { kind: 'source-link-layer-address', mac: readMac(bytes, LINK_LAYER.address) };
  }
  if (type === TYPE.targetLinkLayerAddress && bytes.length === LINK_LAYER.end) {
    return { kind: 'target-link-layer-address', mac: readMac(bytes, LINK_LAYER.address) };
  }
  if (type === TYPE.prefixInformation && bytes.length === PREFIX.end) {
    return parsePrefixInformation(bytes, at);
  }
  if (type === TYPE.mtu && bytes.length === MTU.end) {
    const mtu = view.getUint32(MTU.mtu);
    return { kind: 'mtu', mtu, ...reservedBits(view.getUint16(MTU.reserved)) };
  }
  if (type === TYPE.homeAgentInformation && bytes.length === HOME_AGENT.end) {
    return {
      kind: 'home-agent-information',
      preference: view.getInt16(HOME_AGENT.preference),
      lifetime: view.getUint16(HOME_AGENT.lifetime),
      ...reservedBits(view.getUint16(HOME_AGENT.reserved)),
    };
  }
  return { kind: 'unknown', type, data: copy(bytes, COMMON.data) };
}

/**
 * Options of a Neighbor Discovery message. A known type with a length of its own (another link's address, say) is
 * kept as unknown.
 * @param base where `bytes` starts in what the caller decodes: error offsets count from there
 * @throws WireError `WIRE_MALFORMED` for length 0 (RFC 4861 4.6), `WIRE_TRUNCATED`
 */
export function parseNdpOptions(bytes: Uint8Array, base = 0): NdpOption[] {
  const options: NdpOption[] = [];
  const view = viewOf(bytes);
  let offset = 0;
  while (offset < bytes.length) {
    const rest = window(bytes, offset);
    if (rest.length < COMMON.data) {
      throw new WireError('WIRE_TRUNCATED', 'NDP option: has no length', base + offset);
    }
    const type = view.getUint8(offset + COMMON.type);
    const length = view.getUint8(offset + COMMON.length) * 8;
    if (length === 0) {
      throw new WireError(
        'WIRE_MALFORMED',
        `NDP option ${type}: length 0`,
        base + offset + COMMON.length,
      );
    }
    if (length > rest.length) {
      throw new WireError('WIRE_TRUNCATED', `NDP option ${type}: runs past the end`, base + offset);
    }
    options.push(parseOne(type, window(rest, 0, length), base + offset));
    offset += length;
  }
  return options;
}

function writer(what: string, type: number, length: number): OctetWriter {
  if (length % 8 !== 0) {
    throw new WireError('WIRE_RANGE', `${what}: ${length} octets are no multiple of 8`, 1);
  }
  const out = new OctetWriter(what, length);
  out.uint8(COMMON.type, type, 'type');
  out.uint8(COMMON.length, length / 8, 'length');
  return out;
}

function emitLinkLayer(type: number, mac: Mac): Uint8Array {
  const out = writer('link-layer address', type, LINK_LAYER.end);
  writeMac(mac, out.bytes, LINK_LAYER.address);
  return out.bytes;
}

function emitOne(option: NdpOption): Uint8Array {
  switch (option.kind) {
    case 'source-link-layer-address':
      return emitLinkLayer(TYPE.sourceLinkLayerAddress, option.mac);
    case 'target-link-layer-address':
      return emitLinkLayer(TYPE.targetLinkLayerAddress, option.mac);
    case 'prefix-information': {
      const out = writer('prefix information', TYPE.prefixInformation, PREFIX.end);
      const { prefix } = option;
      if (prefix.length > 128) {
        throw new WireError(
          'WIRE_RANGE',
          `prefix information: prefix length ${prefix.length}`,
          PREFIX.length,
        );
      }
      const flags =
        (option.onLink ? PREFIX_FLAG.onLink : 0) |
        (option.autonomous ? PREFIX_FLAG.autonomous : 0) |
        (option.routerAddress ? PREFIX_FLAG.routerAddress : 0) |
        out.fits(option.reserved ?? 0, 5, 'reserved', PREFIX.flags);
      out.uint8(PREFIX.length, prefix.length, 'prefix length');
      out.uint8(PREFIX.flags, flags, 'flags');
      out.uint32(PREFIX.validLifetime, option.validLifetime, 'validLifetime');
      out.uint32(PREFIX.preferredLifetime, option.preferredLifetime, 'preferredLifetime');
      out.uint32(PREFIX.reserved2, option.reserved2 ?? 0, 'reserved2');
      writeAddress(prefix.address, out.bytes, PREFIX.prefix);
      return out.bytes;
    }
    case 'mtu': {
      const out = writer('MTU', TYPE.mtu, MTU.end);
      out.uint16(MTU.reserved, option.reserved ?? 0, 'reserved');
      out.uint32(MTU.mtu, option.mtu, 'mtu');
      return out.bytes;
    }
    case 'home-agent-information': {
      const out = writer('home agent information', TYPE.homeAgentInformation, HOME_AGENT.end);
      const { preference, lifetime, reserved = 0 } = option;
      out.uint16(HOME_AGENT.reserved, reserved, 'reserved');
      const unsigned = preference < 0 && preference >= -0x8000 ? preference + 0x10000 : preference;
      out.uint16(HOME_AGENT.preference, unsigned, 'preference');
      out.uint16(HOME_AGENT.lifetime, lifetime, 'lifetime');
      return out.bytes;
    }
    case 'unknown': {
      const out = writer('NDP option', option.type, COMMON.data + option.data.length);
      out.bytes.set(option.data, COMMON.data);
      return out.bytes;
    }
  }
}

/** @throws WireError `WIRE_RANGE` */
export function emitNdpOptions(options: readonly NdpOption[]): Uint8Array {
  return concat(options.map(emitOne));
}
