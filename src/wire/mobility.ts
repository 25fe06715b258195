import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import type { PseudoHeader } from './checksum.js';
import { upperLayerChecksum } from './checksum.js';
import { WireError } from './error.js';
import type { MobilityOption } from './mobility-options.js';
import {
  emitMobilityOptions,
  lifetimeUnits,
  MOBILITY_OPTION_SHAPE,
  parseMobilityOptions,
  SECONDS_PER_UNIT,
} from './mobility-options.js';
import { copy, need, OctetWriter, reservedBits, viewOf, window } from './octets.js';
import { PROTOCOL } from './protocol.js';
import { alignTlv } from './tlv.js';

interface Message {
  readonly options: readonly MobilityOption[];
  /** The octet behind the MH type, only when not 0. */
  readonly headerReserved?: number;
}

/** Reserved bits of the message itself, only when not 0: 16 of BRR, HoTI, CoTI, 8 of BE, 7 of BA. */
interface Reserved {
  readonly reserved?: number;
}

interface TestInit extends Message, Reserved {
  /** 8 octets */
  readonly cookie: Uint8Array;
}

interface Test extends Message {
  readonly nonceIndex: number;
  /** 8 octets */
  readonly cookie: Uint8Array;
  /** 8 octets */
  readonly keygenToken: Uint8Array;
}

/** A Mobility Header (RFC 6275 6.1). */
export type MobilityMessage =
  | ({ readonly kind: 'binding-refresh-request' } & Message & Reserved)
  | ({ readonly kind: 'home-test-init' } & TestInit)
  | ({ readonly kind: 'care-of-test-init' } & TestInit)
  | ({ readonly kind: 'home-test' } & Test)
  | ({ readonly kind: 'care-of-test' } & Test)
  | ({
      readonly kind: 'binding-update';
      readonly sequence: number;
      readonly acknowledge: boolean;
      readonly homeRegistration: boolean;
      readonly linkLocalCompatible: boolean;
      readonly keyManagement: boolean;
      /** The 12 bits behind A H L K; the highest are M (RFC 4140), R (RFC 3963), P (RFC 5213). */
      readonly reserved: number;
      /** seconds, a multiple of 4; 0 de-registers */
      readonly lifetime: number;
    } & Message)
  | ({
      readonly kind: 'binding-acknowledgement';
      readonly status: number;
      readonly keyManagement: boolean;
      /** The 7 bits behind K; the highest is R (RFC 3963). */
      readonly reserved: number;
      readonly sequence: number;
      /** seconds, a multiple of 4 */
      readonly lifetime: number;
    } & Message)
  | ({
      readonly kind: 'binding-error';
      readonly status: number;
      readonly homeAddress: Address;
    } & Message &
      Reserved)
  | {
      readonly kind: 'unknown';
      /** MH type; answered by a Binding Error with status 2 (RFC 6275 9.2) */
      readonly type: number;
      /** What follows the checksum; its length is 8·n + 2. */
      readonly data: Uint8Array;
      readonly headerReserved?: number;
      /** Only when not 59. */
      readonly payloadProtocol?: number;
    };

type Known = Exclude<MobilityMessage, { kind: 'unknown' }>;
type Kind = Known['kind'];

/** RFC 6275 6.1.1 */
const HEADER = {
  payloadProtocol: 0,
  length: 1,
  type: 2,
  reserved: 3,
  checksum: 4,
  data: 6,
} as const;
const SMALLEST = 8;
const LARGEST = 256 * 8;

/** RFC 6275 6.1.2 */
const REFRESH_REQUEST = { reserved: 6 } as const;
/** RFC 6275 6.1.3, 6.1.4 */
const TEST_INIT = { reserved: 6, cookie: 8 } as const;
/** RFC 6275 6.1.5, 6.1.6 */
const TEST = { nonceIndex: 6, cookie: 8, keygenToken: 16 } as const;
/** RFC 6275 6.1.7 */
const UPDATE = { sequence: 6, flags: 8, lifetime: 10 } as const;
const UPDATE_FLAG = { acknowledge: 15, homeRegistration: 14, linkLocal: 13, keyManagement: 12 };
/** RFC 6275 6.1.8 */
const ACKNOWLEDGEMENT = { status: 6, flags: 7, sequence: 8, lifetime: 10 } as const;
/** RFC 6275 6.1.9 */
const ERROR = { status: 6, reserved: 7, homeAddress: 8 } as const;

/** MH type and where its options start, which is also the smallest length of the message. */
const LAYOUT: Record<Kind, { type: number; options: number }> = {
  'binding-refresh-request': { type: 0, options: 8 },
  'home-test-init': { type: 1, options: 16 },
  'care-of-test-init': { type: 2, options: 16 },
  'home-test': { type: 3, options: 24 },
  'care-of-test': { type: 4, options: 24 },
  'binding-update': { type: 5, options: 12 },
  'binding-acknowledgement': { type: 6, options: 12 },
  'binding-error': { type: 7, options: 24 },
};

const KINDS: readonly (Kind | undefined)[] = [
  'binding-refresh-request',
  'home-test-init',
  'care-of-test-init',
  'home-test',
  'care-of-test',
  'binding-update',
  'binding-acknowledgement',
  'binding-error',
];

function parseKnown(kind: Kind, bytes: Uint8Array, common: Message): Known {
  const view = viewOf(bytes);
  switch (kind) {
    case 'binding-refresh-request':
      return { kind, ...reservedBits(view.getUint16(REFRESH_REQUEST.reserved)), ...common };
    case 'home-test-init':
    case 'care-of-test-init':
      return {
        kind,
        ...reservedBits(view.getUint16(TEST_INIT.reserved)),
        cookie: copy(bytes, TEST_INIT.cookie, TEST_INIT.cookie + 8),
        ...common,
      };
    case 'home-test':
    case 'care-of-test':
      return {
        kind,
        nonceIndex: view.getUint16(TEST.nonceIndex),
        cookie: copy(bytes, TEST.cookie, TEST.cookie + 8),
        keygenToken: copy(bytes, TEST.keygenToken, TEST.keygenToken + 8),
        ...common,
      };
    case 'binding-update': {
      const flags = view.getUint16(UPDATE.flags);
      const flag = (bit: number) => ((flags >> bit) & 1) === 1;
      return {
        kind,
        sequence: view.getUint16(UPDATE.sequence),
        acknowledge: flag(UPDATE_FLAG.acknowledge),
        homeRegistration: flag(UPDATE_FLAG.homeRegistration),
        linkLocalCompatible: flag(UPDATE_FLAG.linkLocal),
        keyManagement: flag(UPDATE_FLAG.keyManagement),
        reserved: flags & 0xfff,
        lifetime: view.getUint16(UPDATE.lifetime) * SECONDS_PER_UNIT,
        ...common,
      };
    }
    case 'binding-acknowledgement': {
      const flags = view.getUint8(ACKNOWLEDGEMENT.flags);
      return {
        kind,
        status: view.getUint8(ACKNOWLEDGEMENT.status),
        keyManagement: (flags & 0x80) !== 0,
        reserved: flags & 0x7f,
        sequence: view.getUint16(ACKNOWLEDGEMENT.sequence),
        lifetime: view.getUint16(ACKNOWLEDGEMENT.lifetime) * SECONDS_PER_UNIT,
        ...common,
      };
    }
    case 'binding-error':
      return {
        kind,
        status: view.getUint8(ERROR.status),
        homeAddress: readAddress(bytes, ERROR.homeAddress),
        ...reservedBits(view.getUint8(ERROR.reserved)),
        ...common,
      };
  }
}

/**
 * Checks and takes apart a Mobility Header in the order of RFC 6275 9.2: checksum, MH type (an unknown one comes
 * back as such), payload protocol, length. Octets behind the header are ignored (RFC 8200 4.7).
 * @param pseudo of the packet, with the home address in it: see `pseudoHeader`
 * @throws WireError `WIRE_CHECKSUM`, `WIRE_PAYLOAD_PROTOCOL` (offset 0, the pointer of the Parameter Problem),
 *   `WIRE_MALFORMED` (offset 1 when the length is too small for the message), `WIRE_TRUNCATED`
 */
export function parseMobility(bytes: Uint8Array, pseudo: PseudoHeader): MobilityMessage {
  need(bytes, SMALLEST, 'mobility header');
  const view = viewOf(bytes);
  const length = (view.getUint8(HEADER.length) + 1) * 8;
  need(bytes, length, 'mobility header');
  const header = window(bytes, 0, length);
  if (upperLayerChecksum(pseudo, PROTOCOL.mobility, header) !== 0) {
    throw new WireError('WIRE_CHECKSUM', 'mobility header: wrong checksum', HEADER.checksum);
  }
  const type = view.getUint8(HEADER.type);
  const payloadProtocol = view.getUint8(HEADER.payloadProtocol);
  const noNext = payloadProtocol === PROTOCOL.noNext;
  const reserved = view.getUint8(HEADER.reserved);
  const headerReserved = reserved === 0 ? {} : { headerReserved: reserved };
  const kind = KINDS[type];
  if (kind === undefined) {
    const data = copy(header, HEADER.data);
    const protocol = noNext ? {} : { payloadProtocol };
    return { kind: 'unknown', type, data, ...headerReserved, ...protocol };
  }
  if (!noNext) {
    throw new WireError(
      'WIRE_PAYLOAD_PROTOCOL',
      `mobility header: payload protocol ${payloadProtocol} instead of 59`,
      HEADER.payloadProtocol,
    );
  }
  const start = LAYOUT[kind].options;
  if (length < start) {
    throw new WireError('WIRE_MALFORMED', `${kind}: ${length} octets are too few`, HEADER.length);
  }
  const options = parseMobilityOptions(window(header, start), start);
  return parseKnown(kind, header, { options, ...headerReserved });
}

function octets8(value: Uint8Array, field: string, into: Uint8Array, offset: number): void {
  if (value.length !== 8) {
    throw new WireError('WIRE_RANGE', `${field}: ${value.length} octets instead of 8`, offset);
  }
  into.set(value, offset);
}

function emitKnown(message: Known, out: OctetWriter): void {
  switch (message.kind) {
    case 'binding-refresh-request':
      out.uint16(REFRESH_REQUEST.reserved, message.reserved ?? 0, 'reserved');
      return;
    case 'home-test-init':
    case 'care-of-test-init':
      out.uint16(TEST_INIT.reserved, message.reserved ?? 0, 'reserved');
      octets8(message.cookie, 'cookie', out.bytes, TEST_INIT.cookie);
      return;
    case 'home-test':
    case 'care-of-test':
      out.uint16(TEST.nonceIndex, message.nonceIndex, 'nonceIndex');
      octets8(message.cookie, 'cookie', out.bytes, TEST.cookie);
      octets8(message.keygenToken, 'keygenToken', out.bytes, TEST.keygenToken);
      return;
    case 'binding-update': {
      const flags =
        (message.acknowledge ? 1 << UPDATE_FLAG.acknowledge : 0) |
        (message.homeRegistration ? 1 << UPDATE_FLAG.homeRegistration : 0) |
        (message.linkLocalCompatible ? 1 << UPDATE_FLAG.linkLocal : 0) |
        (message.keyManagement ? 1 << UPDATE_FLAG.keyManagement : 0) |
        out.fits(message.reserved, 12, 'reserved', UPDATE.flags);
      out.uint16(UPDATE.sequence, message.sequence, 'sequence');
      out.uint16(UPDATE.flags, flags, 'flags');
      const lifetime = lifetimeUnits(message.lifetime, 'lifetime', UPDATE.lifetime);
      out.uint16(UPDATE.lifetime, lifetime, 'lifetime');
      return;
    }
    case 'binding-acknowledgement': {
      const reserved = out.fits(message.reserved, 7, 'reserved', ACKNOWLEDGEMENT.flags);
      out.uint8(ACKNOWLEDGEMENT.status, message.status, 'status');
      out.uint8(ACKNOWLEDGEMENT.flags, (message.keyManagement ? 0x80 : 0) | reserved, 'flags');
      out.uint16(ACKNOWLEDGEMENT.sequence, message.sequence, 'sequence');
      const lifetime = lifetimeUnits(message.lifetime, 'lifetime', ACKNOWLEDGEMENT.lifetime);
      out.uint16(ACKNOWLEDGEMENT.lifetime, lifetime, 'lifetime');
      return;
    }
    case 'binding-error':
      out.uint8(ERROR.status, message.status, 'status');
      out.uint8(ERROR.reserved, message.reserved ?? 0, 'reserved');
      writeAddress(message.homeAddress, out.bytes, ERROR.homeAddress);
      return;
  }
}

function headerWriter(what: string, length: number): OctetWriter {
  if (length % 8 !== 0 || length > LARGEST) {
    throw new WireError(
      'WIRE_RANGE',
      `${what}: ${length} octets, not a multiple of 8 up to ${LARGEST}; see alignMobilityOptions`,
      HEADER.length,
    );
  }
  const out = new OctetWriter(what, length);
  out.uint8(HEADER.length, length / 8 - 1, 'length');
  return out;
}

function compose(message: MobilityMessage): OctetWriter {
  if (message.kind === 'unknown') {
    const out = headerWriter('mobility header', HEADER.data + message.data.length);
    out.uint8(HEADER.payloadProtocol, message.payloadProtocol ?? PROTOCOL.noNext, 'protocol');
    out.uint8(HEADER.type, message.type, 'type');
    out.bytes.set(message.data, HEADER.data);
    return out;
  }
  const { type, options: start } = LAYOUT[message.kind];
  const options = emitMobilityOptions(message.options);
  const out = headerWriter(message.kind, start + options.length);
  out.uint8(HEADER.payloadProtocol, PROTOCOL.noNext, 'protocol');
  out.uint8(HEADER.type, type, 'type');
  out.bytes.set(options, start);
  emitKnown(message, out);
  return out;
}

/**
 * The octets of a Mobility Header with its checksum. Options are emitted as listed: run `alignMobilityOptions` first.
 * @param pseudo of the packet it goes into, with the home address in it: see `pseudoHeader`
 * @throws WireError `WIRE_RANGE`
 */
export function emitMobility(message: MobilityMessage, pseudo: PseudoHeader): Uint8Array {
  const out = compose(message);
  out.uint8(HEADER.reserved, message.headerReserved ?? 0, 'headerReserved');
  const checksum = upperLayerChecksum(pseudo, PROTOCOL.mobility, out.bytes);
  out.uint16(HEADER.checksum, checksum, 'checksum');
  return out.bytes;
}

/**
 * The same options with fresh padding: each starts where RFC 6275 6.2 wants it and the whole header is a multiple
 * of 8 octets. Padding that was there goes.
 * @param kind the message they go into: where its options start decides
 */
export function alignMobilityOptions(
  options: readonly MobilityOption[],
  kind: Kind = 'binding-update',
): MobilityOption[] {
  return alignTlv(MOBILITY_OPTION_SHAPE, options, LAYOUT[kind].options);
}
