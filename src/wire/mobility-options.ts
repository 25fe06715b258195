import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { WireError } from './error.js';
import { copy, OctetWriter, viewOf } from './octets.js';
import type { TlvShape } from './tlv.js';
import { emitTlv, parseTlv } from './tlv.js';

/** An option of a Mobility Header message (RFC 6275 6.2). */
export type MobilityOption =
  | { readonly kind: 'pad1' }
  | { readonly kind: 'padN'; readonly data: Uint8Array }
  /** seconds, a multiple of 4 */
  | { readonly kind: 'binding-refresh-advice'; readonly interval: number }
  | { readonly kind: 'alternate-care-of-address'; readonly address: Address }
  | { readonly kind: 'nonce-indices'; readonly home: number; readonly careOf: number }
  | { readonly kind: 'binding-authorization-data'; readonly authenticator: Uint8Array }
  /** Who sends it, whatever address it uses; subtype 1: a network access identifier (RFC 4283 3) */
  | {
      readonly kind: 'mobile-node-identifier';
      readonly subtype: number;
      readonly identifier: Uint8Array;
    }
  /** Subtype 1: between mobile node and home agent; 2: with an AAA server (RFC 4285 5) */
  | {
      readonly kind: 'mobility-authentication';
      readonly subtype: number;
      readonly spi: number;
      readonly authenticator: Uint8Array;
    }
  /** NTP format: 32 bits of seconds since 1900, 32 bits of fraction (RFC 4285 6) */
  | { readonly kind: 'replay-protection'; readonly timestamp: bigint }
  | { readonly kind: 'unknown'; readonly type: number; readonly data: Uint8Array };

const TYPE = {
  bindingRefreshAdvice: 2, // RFC 6275 6.2.4
  alternateCareOfAddress: 3, // RFC 6275 6.2.5
  nonceIndices: 4, // RFC 6275 6.2.6
  bindingAuthorizationData: 5, // RFC 6275 6.2.7
  mobileNodeIdentifier: 8, // RFC 4283 3
  mobilityAuthentication: 9, // RFC 4285 5
  replayProtection: 10, // RFC 4285 6
} as const;

/** RFC 4283 3 */
const IDENTIFIER = { subtype: 0, identifier: 1 } as const;
/** RFC 4285 5 */
const AUTHENTICATION = { subtype: 0, spi: 1, authenticator: 5 } as const;

/** Lifetimes and intervals count units of 4 seconds (RFC 6275 6.1.7, 6.2.4). */
export const SECONDS_PER_UNIT = 4;

/** Seconds to units of 4 seconds. @throws WireError `WIRE_RANGE` unless 0, 4, … 262140 */
export function lifetimeUnits(seconds: number, field: string, offset: number): number {
  const units = seconds / SECONDS_PER_UNIT;
  if (!Number.isInteger(units) || units < 0 || units > 0xffff) {
    throw new WireError(
      'WIRE_RANGE',
      `${field} ${seconds} s is not a multiple of 4 from 0 to 262140`,
      offset,
    );
  }
  return units;
}

type Known = Exclude<MobilityOption, { kind: 'pad1' | 'padN' | 'unknown' }>;

export const MOBILITY_OPTION_SHAPE: TlvShape<Known> = {
  what: 'mobility option',
  length: (type) => {
    switch (type) {
      case TYPE.bindingRefreshAdvice:
        return 2;
      case TYPE.alternateCareOfAddress:
        return 16;
      case TYPE.nonceIndices:
        return 4;
      case TYPE.replayProtection:
        return 8;
      default:
        return undefined;
    }
  },
  parse: (type, data) => {
    const view = viewOf(data);
    switch (type) {
      case TYPE.bindingRefreshAdvice:
        return { kind: 'binding-refresh-advice', interval: view.getUint16(0) * SECONDS_PER_UNIT };
      case TYPE.alternateCareOfAddress:
        return { kind: 'alternate-care-of-address', address: readAddress(data, 0) };
      case TYPE.nonceIndices:
        return { kind: 'nonce-indices', home: view.getUint16(0), careOf: view.getUint16(2) };
      case TYPE.bindingAuthorizationData:
        return { kind: 'binding-authorization-data', authenticator: data };
      case TYPE.mobileNodeIdentifier:
        if (data.length < IDENTIFIER.identifier) return undefined;
        return {
          kind: 'mobile-node-identifier',
          subtype: view.getUint8(IDENTIFIER.subtype),
          identifier: copy(data, IDENTIFIER.identifier),
        };
      case TYPE.mobilityAuthentication:
        if (data.length < AUTHENTICATION.authenticator) return undefined;
        return {
          kind: 'mobility-authentication',
          subtype: view.getUint8(AUTHENTICATION.subtype),
          spi: view.getUint32(AUTHENTICATION.spi),
          authenticator: copy(data, AUTHENTICATION.authenticator),
        };
      case TYPE.replayProtection:
        return { kind: 'replay-protection', timestamp: view.getBigUint64(0) };
      default:
        return undefined;
    }
  },
  emit: (option) => {
    switch (option.kind) {
      case 'binding-refresh-advice': {
        const out = new OctetWriter('binding refresh advice', 2);
        out.uint16(0, lifetimeUnits(option.interval, 'interval', 0), 'interval');
        return { type: TYPE.bindingRefreshAdvice, data: out.bytes };
      }
      case 'alternate-care-of-address': {
        const data = new Uint8Array(16);
        writeAddress(option.address, data, 0);
        return { type: TYPE.alternateCareOfAddress, data };
      }
      case 'nonce-indices': {
        const out = new OctetWriter('nonce indices', 4);
        out.uint16(0, option.home, 'home');
        out.uint16(2, option.careOf, 'careOf');
        return { type: TYPE.nonceIndices, data: out.bytes };
      }
      case 'binding-authorization-data':
        return { type: TYPE.bindingAuthorizationData, data: option.authenticator };
      case 'mobile-node-identifier': {
        const { identifier } = option;
        const out = new OctetWriter('identifier', IDENTIFIER.identifier + identifier.length);
        out.uint8(IDENTIFIER.subtype, option.subtype, 'subtype');
        out.bytes.set(identifier, IDENTIFIER.identifier);
        return { type: TYPE.mobileNodeIdentifier, data: out.bytes };
      }
      case 'mobility-authentication': {
        const { authenticator } = option;
        const length = AUTHENTICATION.authenticator + authenticator.length;
        const out = new OctetWriter('mobility message authentication', length);
        out.uint8(AUTHENTICATION.subtype, option.subtype, 'subtype');
        out.uint32(AUTHENTICATION.spi, option.spi, 'spi');
        out.bytes.set(authenticator, AUTHENTICATION.authenticator);
        return { type: TYPE.mobilityAuthentication, data: out.bytes };
      }
      case 'replay-protection': {
        const data = new Uint8Array(8);
        viewOf(data).setBigUint64(0, option.timestamp);
        return { type: TYPE.replayProtection, data };
      }
    }
  },
  alignment: (option) => {
    switch (option.kind) {
      case 'binding-refresh-advice':
      case 'nonce-indices':
        return [2, 0];
      case 'alternate-care-of-address':
        return [8, 6];
      case 'binding-authorization-data':
      case 'replay-protection':
        return [8, 2];
      case 'mobility-authentication':
        return [4, 1];
      case 'mobile-node-identifier':
        return [1, 0];
    }
  },
};

/** @param base where `bytes` starts in what the caller decodes: error offsets count from there */
export function parseMobilityOptions(bytes: Uint8Array, base = 0): MobilityOption[] {
  return parseTlv(MOBILITY_OPTION_SHAPE, bytes, base);
}

/** Exactly the options listed: no padding is added. @throws WireError `WIRE_RANGE` */
export function emitMobilityOptions(options: readonly MobilityOption[]): Uint8Array {
  return emitTlv(MOBILITY_OPTION_SHAPE, options);
}
