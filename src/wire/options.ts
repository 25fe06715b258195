import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { OctetWriter, viewOf } from './octets.js';
import type { TlvShape } from './tlv.js';
import { alignTlv, emitTlv, parseTlv } from './tlv.js';

/** An option of a hop-by-hop or destination options header (RFC 8200 4.2). */
export type Option =
  | { readonly kind: 'pad1' }
  | { readonly kind: 'padN'; readonly data: Uint8Array }
  | { readonly kind: 'home-address'; readonly address: Address }
  | { readonly kind: 'tunnel-encapsulation-limit'; readonly limit: number }
  | { readonly kind: 'router-alert'; readonly value: number }
  | { readonly kind: 'unknown'; readonly type: number; readonly data: Uint8Array };

/** Option types, with the section that defines each. */
const TYPE = {
  tunnelEncapsulationLimit: 4, // RFC 2473 4.1.1
  routerAlert: 5, // RFC 2711 2.1
  homeAddress: 0xc9, // RFC 6275 6.3
} as const;

type Known = Exclude<Option, { kind: 'pad1' | 'padN' | 'unknown' }>;

const SHAPE: TlvShape<Known> = {
  what: 'IPv6 option',
  length: (type) => {
    switch (type) {
      case TYPE.tunnelEncapsulationLimit:
        return 1;
      case TYPE.routerAlert:
        return 2;
      case TYPE.homeAddress:
        return 16;
      default:
        return undefined;
    }
  },
  parse: (type, data) => {
    switch (type) {
      case TYPE.tunnelEncapsulationLimit:
        return { kind: 'tunnel-encapsulation-limit', limit: viewOf(data).getUint8(0) };
      case TYPE.routerAlert:
        return { kind: 'router-alert', value: viewOf(data).getUint16(0) };
      case TYPE.homeAddress:
        return { kind: 'home-address', address: readAddress(data, 0) };
      default:
        return undefined;
    }
  },
  emit: (option) => {
    switch (option.kind) {
      case 'tunnel-encapsulation-limit': {
        const out = new OctetWriter('tunnel encapsulation limit', 1);
        out.uint8(0, option.limit, 'limit');
        return { type: TYPE.tunnelEncapsulationLimit, data: out.bytes };
      }
      case 'router-alert': {
        const out = new OctetWriter('router alert', 2);
        out.uint16(0, option.value, 'value');
        return { type: TYPE.routerAlert, data: out.bytes };
      }
      case 'home-address': {
        const data = new Uint8Array(16);
        writeAddress(option.address, data, 0);
        return { type: TYPE.homeAddress, data };
      }
    }
  },
  alignment: (option) => {
    switch (option.kind) {
      case 'home-address':
        return [8, 6]; // RFC 6275 6.3
      case 'router-alert':
        return [2, 0]; // RFC 2711 2.1
      default:
        return [1, 0];
    }
  },
};

/**
 * Options of a header: what follows its first two octets. Padding is kept as it is.
 * @param base where `bytes` starts in what the caller decodes: error offsets count from there
 * @throws WireError `WIRE_TRUNCATED`, or `WIRE_MALFORMED` for a known option with a wrong length
 */
export function parseOptions(bytes: Uint8Array, base = 0): Option[] {
  return parseTlv(SHAPE, bytes, base);
}

/** Exactly the options listed: no padding is added. @throws WireError `WIRE_RANGE` */
export function emitOptions(options: readonly Option[]): Uint8Array {
  return emitTlv(SHAPE, options);
}

/**
 * The same options with fresh padding: each starts where its RFC wants it, counted from the start of the header
 * (the two octets before the options included), and the header ends on 8 octets. Padding that was there goes.
 */
export function alignOptions(options: readonly Option[]): Option[] {
  return alignTlv(SHAPE, options, 2);
}
