import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { WireError } from './error.js';
import type { NdpOption } from './ndp-options.js';
import { emitNdpOptions, parseNdpOptions } from './ndp-options.js';
import { need, OctetWriter, reservedBits, viewOf, window } from './octets.js';

/** RFC 4191 2.1; `reserved` is the fourth value of the two bits, to be taken for medium. */
export type RouterPreference = 'low' | 'medium' | 'high' | 'reserved';

interface WithOptions {
  readonly options: readonly NdpOption[];
  /** Reserved bits, only when not 0: 32 of RS, NS and Redirect, 29 of NA, 3 of RA. */
  readonly reserved?: number;
}

/** A Neighbor Discovery message (RFC 4861 4). */
export type NdpMessage =
  | ({ readonly kind: 'router-solicitation' } & WithOptions)
  | ({
      readonly kind: 'router-advertisement';
      /** 0: unspecified */
      readonly hopLimit: number;
      readonly managed: boolean;
      readonly other: boolean;
      /** RFC 6275 7.1 */
      readonly homeAgent: boolean;
      readonly preference: RouterPreference;
      /** seconds, 0: no default router */
      readonly routerLifetime: number;
      /** milliseconds, 0: unspecified */
      readonly reachableTime: number;
      /** milliseconds, 0: unspecified */
      readonly retransTimer: number;
    } & WithOptions)
  | ({ readonly kind: 'neighbor-solicitation'; readonly target: Address } & WithOptions)
  | ({
      readonly kind: 'neighbor-advertisement';
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly target: Address;
    } & WithOptions)
  | ({
      readonly kind: 'redirect';
      readonly target: Address;
      readonly destination: Address;
    } & WithOptions);

export type NdpKind = NdpMessage['kind'];

/** RFC 4861 4.1 */
const SOLICIT_ROUTER = { reserved: 4 } as const;
/** RFC 4861 4.2 */
const ADVERTISE_ROUTER = {
  hopLimit: 4,
  flags: 5,
  routerLifetime: 6,
  reachableTime: 8,
  retransTimer: 12,
} as const;
/** RFC 4861 4.2; H: RFC 6275 7.1; the preference, two bits: RFC 4191 2.2 */
const ADVERTISE_FLAG = { managed: 0x80, other: 0x40, homeAgent: 0x20, preference: 3 } as const;
/** RFC 4861 4.3, 4.4 */
const NEIGHBOR = { reserved: 4, target: 8 } as const;
const NEIGHBOR_FLAG = { router: 31, solicited: 30, override: 29 } as const;
/** RFC 4861 4.5 */
const REDIRECT = { reserved: 4, target: 8, destination: 24 } as const;

/** ICMPv6 type and where the options start, which is also the smallest length (RFC 4861 4.1 - 4.5). */
const LAYOUT: Record<NdpKind, { type: number; options: number }> = {
  'router-solicitation': { type: 133, options: 8 },
  'router-advertisement': { type: 134, options: 16 },
  'neighbor-solicitation': { type: 135, options: 24 },
  'neighbor-advertisement': { type: 136, options: 24 },
  redirect: { type: 137, options: 40 },
};

const KINDS: Readonly<Record<number, NdpKind>> = {
  133: 'router-solicitation',
  134: 'router-advertisement',
  135: 'neighbor-solicitation',
  136: 'neighbor-advertisement',
  137: 'redirect',
};

/** RFC 4191 2.1: two bits, signed */
const PREFERENCES: readonly RouterPreference[] = ['medium', 'high', 'reserved', 'low'];

/** The message behind an ICMPv6 type, if it is one of Neighbor Discovery. */
export function ndpKind(type: number): NdpKind | undefined {
  return KINDS[type];
}

/**
 * `bytes` is the whole ICMPv6 message. Its code must be 0 (RFC 4861 6.1, 7.1, 8.1); the hop limit and the
 * addresses are for the receiver to check.
 */
export function parseNdp(kind: NdpKind, bytes: Uint8Array): NdpMessage {
  const start = LAYOUT[kind].options;
  need(bytes, start, kind);
  const view = viewOf(bytes);
  if (view.getUint8(1) !== 0) {
    throw new WireError('WIRE_MALFORMED', `${kind}: code ${view.getUint8(1)} instead of 0`, 1);
  }
  const options = parseNdpOptions(window(bytes, start), start);
  switch (kind) {
    case 'router-solicitation':
      return { kind, options, ...reservedBits(view.getUint32(SOLICIT_ROUTER.reserved)) };
    case 'router-advertisement': {
      const flags = view.getUint8(ADVERTISE_ROUTER.flags);
      return {
        kind,
        hopLimit: view.getUint8(ADVERTISE_ROUTER.hopLimit),
        managed: (flags & ADVERTISE_FLAG.managed) !== 0,
        other: (flags & ADVERTISE_FLAG.other) !== 0,
        homeAgent: (flags & ADVERTISE_FLAG.homeAgent) !== 0,
        preference: PREFERENCES[(flags >> ADVERTISE_FLAG.preference) & 3] ?? 'medium',
        routerLifetime: view.getUint16(ADVERTISE_ROUTER.routerLifetime),
        reachableTime: view.getUint32(ADVERTISE_ROUTER.reachableTime),
        retransTimer: view.getUint32(ADVERTISE_ROUTER.retransTimer),
        options,
        ...reservedBits(flags & 7),
      };
    }
    case 'neighbor-solicitation': {
      const target = readAddress(bytes, NEIGHBOR.target);
      return { kind, target, options, ...reservedBits(view.getUint32(NEIGHBOR.reserved)) };
    }
    case 'neighbor-advertisement': {
      const word = view.getUint32(NEIGHBOR.reserved);
      const flag = (bit: number) => ((word >>> bit) & 1) === 1;
      return {
        kind,
        router: flag(NEIGHBOR_FLAG.router),
        solicited: flag(NEIGHBOR_FLAG.solicited),
        override: flag(NEIGHBOR_FLAG.override),
        target: readAddress(bytes, NEIGHBOR.target),
        options,
        ...reservedBits(word & 0x1fffffff),
      };
    }
    case 'redirect':
      return {
        kind,
        target: readAddress(bytes, REDIRECT.target),
        destination: readAddress(bytes, REDIRECT.destination),
        options,
        ...reservedBits(view.getUint32(REDIRECT.reserved)),
      };
  }
}

/** The whole ICMPv6 message, its checksum still 0. @throws WireError `WIRE_RANGE` */
export function emitNdp(message: NdpMessage): OctetWriter {
  const { type, options: start } = LAYOUT[message.kind];
  const options = emitNdpOptions(message.options);
  const out = new OctetWriter(message.kind, start + options.length);
  const reserved = message.reserved ?? 0;
  out.uint8(0, type, 'type');
  out.bytes.set(options, start);
  switch (message.kind) {
    case 'router-solicitation':
      out.uint32(SOLICIT_ROUTER.reserved, reserved, 'reserved');
      break;
    case 'router-advertisement': {
      const flags =
        (message.managed ? ADVERTISE_FLAG.managed : 0) |
        (message.other ? ADVERTISE_FLAG.other : 0) |
        (message.homeAgent ? ADVERTISE_FLAG.homeAgent : 0) |
        (PREFERENCES.indexOf(message.preference) << ADVERTISE_FLAG.preference) |
        out.fits(reserved, 3, 'reserved', ADVERTISE_ROUTER.flags);
      out.uint8(ADVERTISE_ROUTER.hopLimit, message.hopLimit, 'hopLimit');
      out.uint8(ADVERTISE_ROUTER.flags, flags, 'flags');
      out.uint16(ADVERTISE_ROUTER.routerLifetime, message.routerLifetime, 'routerLifetime');
      out.uint32(ADVERTISE_ROUTER.reachableTime, message.reachableTime, 'reachableTime');
      out.uint32(ADVERTISE_ROUTER.retransTimer, message.retransTimer, 'retransTimer');
      break;
    }
    case 'neighbor-solicitation':
      out.uint32(NEIGHBOR.reserved, reserved, 'reserved');
      writeAddress(message.target, out.bytes, NEIGHBOR.target);
      break;
    case 'neighbor-advertisement': {
      const flags =
        (message.router ? 2 ** NEIGHBOR_FLAG.router : 0) +
        (message.solicited ? 2 ** NEIGHBOR_FLAG.solicited : 0) +
        (message.override ? 2 ** NEIGHBOR_FLAG.override : 0) +
        out.fits(reserved, 29, 'reserved', NEIGHBOR.reserved);
      out.uint32(NEIGHBOR.reserved, flags, 'flags');
      writeAddress(message.target, out.bytes, NEIGHBOR.target);
      break;
    }
    case 'redirect':
      out.uint32(REDIRECT.reserved, reserved, 'reserved');
      writeAddress(message.target, out.bytes, REDIRECT.target);
      writeAddress(message.destination, out.bytes, REDIRECT.destination);
      break;
  }
  return out;
}
