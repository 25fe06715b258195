import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { WireError } from './error.js';
import type { NdpOption } from './ndp-options.js';
import { emitNdpOptions, parseNdpOptions } from './ndp-options.js';
import { copy, need, OctetWriter, reservedBits, viewOf, window } from './octets.js';

/** The ICMPv6 messages of Mobile IPv6: who the home agents are, and what the home prefixes are (RFC 6275 6.5 - 6.8). */
export type HomeDiscoveryMessage =
  | {
      readonly kind: 'home-agent-discovery-request';
      readonly identifier: number;
      /** 16 bits, only when not 0; the highest is R (RFC 3963 7.1) */
      readonly reserved?: number;
      /** What follows and has no meaning yet, only when there is something. */
      readonly rest?: Uint8Array;
    }
  | {
      readonly kind: 'home-agent-discovery-reply';
      readonly identifier: number;
      /** best first, in order of preference (RFC 6275 10.5.1) */
      readonly homeAgents: readonly Address[];
      readonly reserved?: number;
    }
  | {
      readonly kind: 'mobile-prefix-solicitation';
      readonly identifier: number;
      readonly reserved?: number;
      /** What follows and has no meaning yet, only when there is something. */
      readonly rest?: Uint8Array;
    }
  | {
      readonly kind: 'mobile-prefix-advertisement';
      readonly identifier: number;
      readonly managed: boolean;
      readonly other: boolean;
      readonly options: readonly NdpOption[];
      /** 14 bits, only when not 0 */
      readonly reserved?: number;
    };

export type HomeDiscoveryKind = HomeDiscoveryMessage['kind'];

/** RFC 6275 6.5 - 6.8 */
const FIELD = { identifier: 4, flags: 6, homeAgents: 8, options: 8 } as const;
const FLAG = { managed: 0x8000, other: 0x4000, reserved: 0x3fff } as const;
const ADDRESS = 16;

const TYPE: Record<HomeDiscoveryKind, number> = {
  'home-agent-discovery-request': 144,
  'home-agent-discovery-reply': 145,
  'mobile-prefix-solicitation': 146,
  'mobile-prefix-advertisement': 147,
};

const KINDS: Readonly<Record<number, HomeDiscoveryKind>> = {
  144: 'home-agent-discovery-request',
  145: 'home-agent-discovery-reply',
  146: 'mobile-prefix-solicitation',
  147: 'mobile-prefix-advertisement',
};

/** The message behind an ICMPv6 type, if it is one of these. */
export function homeDiscoveryKind(type: number): HomeDiscoveryKind | undefined {
  return KINDS[type];
}

/** `bytes` is the whole ICMPv6 message; its code must be 0. @throws WireError */
export function parseHomeDiscovery(
  kind: HomeDiscoveryKind,
  bytes: Uint8Array,
): HomeDiscoveryMessage {
  need(bytes, FIELD.options, kind);
  const view = viewOf(bytes);
  if (view.getUint8(1) !== 0) {
    throw new WireError('WIRE_MALFORMED', `${kind}: code ${view.getUint8(1)} instead of 0`, 1);
  }
  const identifier = view.getUint16(FIELD.identifier);
  const flags = view.getUint16(FIELD.flags);
  switch (kind) {
    case 'home-agent-discovery-request':
    case 'mobile-prefix-solicitation': {
      const rest = bytes.length > FIELD.options ? { rest: copy(bytes, FIELD.options) } : {};
      return { kind, identifier, ...reservedBits(flags), ...rest };
    }
    case 'home-agent-discovery-reply': {
      const list = window(bytes, FIELD.homeAgents);
      if (list.length % ADDRESS !== 0) {
        const what = `${kind}: ${list.length} octets are no list of addresses`;
        throw new WireError('WIRE_MALFORMED', what, FIELD.homeAgents);
      }
      const homeAgents = Array.from({ length: list.length / ADDRESS }, (_, index) =>
        readAddress(list, index * ADDRESS),
      );
      return { kind, identifier, homeAgents, ...reservedBits(flags) };
    }
    case 'mobile-prefix-advertisement':
      return {
        kind,
        identifier,
        managed: (flags & FLAG.managed) !== 0,
        other: (flags & FLAG.other) !== 0,
        options: parseNdpOptions(window(bytes, FIELD.options), FIELD.options),
        ...reservedBits(flags & FLAG.reserved),
      };
  }
}

function body(message: HomeDiscoveryMessage): Uint8Array {
  switch (message.kind) {
    case 'home-agent-discovery-reply': {
      const list = new Uint8Array(message.homeAgents.length * ADDRESS);
      for (const [index, address] of message.homeAgents.entries()) {
        writeAddress(address, list, index * ADDRESS);
      }
      return list;
    }
    case 'mobile-prefix-advertisement':
      return emitNdpOptions(message.options);
    default:
      return message.rest ?? new Uint8Array(0);
  }
}

/** The octets of the message; its checksum is still 0. @throws WireError `WIRE_RANGE` */
export function emitHomeDiscovery(message: HomeDiscoveryMessage): OctetWriter {
  const rest = body(message);
  const out = new OctetWriter(message.kind, FIELD.options + rest.length);
  out.uint8(0, TYPE[message.kind], 'type');
  out.bytes.set(rest, FIELD.options);
  out.uint16(FIELD.identifier, message.identifier, 'identifier');
  if (message.kind === 'mobile-prefix-advertisement') {
    const reserved = out.fits(message.reserved ?? 0, 14, 'reserved', FIELD.flags);
    const flags = (message.managed ? FLAG.managed : 0) | (message.other ? FLAG.other : 0);
    out.uint16(FIELD.flags, flags | reserved, 'flags');
  } else {
    out.uint16(FIELD.flags, message.reserved ?? 0, 'reserved');
  }
  return out;
}
