import type { PseudoHeader } from './checksum.js';
import { upperLayerChecksum } from './checksum.js';
import { WireError } from './error.js';
import type { HomeDiscoveryMessage } from './home-agent-discovery.js';
import {
  emitHomeDiscovery,
  homeDiscoveryKind,
  parseHomeDiscovery,
} from './home-agent-discovery.js';
import type { NdpMessage } from './ndp.js';
import { emitNdp, ndpKind, parseNdp } from './ndp.js';
import { copy, need, OctetWriter, reservedBits, viewOf } from './octets.js';
import { PROTOCOL } from './protocol.js';

/** An ICMPv6 message (RFC 4443, RFC 4861, RFC 6275 6.5 - 6.8). */
export type Icmpv6Message =
  | {
      readonly kind: 'destination-unreachable';
      readonly code: number;
      /** As much of the packet at fault as fits. */
      readonly quoted: Uint8Array;
      /** The 32 unused bits (RFC 4884 keeps a length there), only when not 0. */
      readonly reserved?: number;
    }
  | {
      readonly kind: 'packet-too-big';
      readonly mtu: number;
      readonly quoted: Uint8Array;
      /** Only when not 0: ignored by the receiver (RFC 4443 3.2). */
      readonly code?: number;
    }
  | {
      readonly kind: 'time-exceeded';
      readonly code: number;
      readonly quoted: Uint8Array;
      /** The 32 unused bits, only when not 0. */
      readonly reserved?: number;
    }
  | {
      readonly kind: 'parameter-problem';
      readonly code: number;
      /** Octet of the quoted packet where the error was found. */
      readonly pointer: number;
      readonly quoted: Uint8Array;
    }
  | {
      readonly kind: 'echo-request' | 'echo-reply';
      readonly identifier: number;
      readonly sequence: number;
      readonly data: Uint8Array;
      /** Only when not 0. */
      readonly code?: number;
    }
  | NdpMessage
  | HomeDiscoveryMessage
  | {
      readonly kind: 'unknown';
      readonly type: number;
      readonly code: number;
      /** What follows the checksum. */
      readonly body: Uint8Array;
    };

/** RFC 4443 2.1 */
const HEADER = { type: 0, code: 1, checksum: 2, body: 4 } as const;
/** RFC 4443 3.1 - 3.4: one 32-bit word, then the quoted packet. */
const ERROR = { word: 4, quoted: 8 } as const;
/** RFC 4443 4.1, 4.2 */
const ECHO = { identifier: 4, sequence: 6, data: 8 } as const;

const TYPE = {
  'destination-unreachable': 1,
  'packet-too-big': 2,
  'time-exceeded': 3,
  'parameter-problem': 4,
  'echo-request': 128,
  'echo-reply': 129,
} as const;

/** Multicast Listener Discovery: query, report, done (RFC 2710 3.1), version 2 report (RFC 3810 5.2). */
export function isMld(type: number): boolean {
  return (type >= 130 && type <= 132) || type === 143;
}

function parseBody(bytes: Uint8Array): Icmpv6Message {
  const view = viewOf(bytes);
  const type = view.getUint8(HEADER.type);
  const code = view.getUint8(HEADER.code);
  const optionalCode = code === 0 ? {} : { code };
  const neighbor = ndpKind(type);
  if (neighbor !== undefined) return parseNdp(neighbor, bytes);
  const discovery = homeDiscoveryKind(type);
  if (discovery !== undefined) return parseHomeDiscovery(discovery, bytes);
  const word = () => view.getUint32(ERROR.word);
  const rest = () => copy(bytes, ERROR.quoted);
  switch (type) {
    case TYPE['destination-unreachable']:
    case TYPE['time-exceeded']: {
      need(bytes, ERROR.quoted, 'ICMPv6 error');
      const kind =
        type === TYPE['time-exceeded'] ? ('time-exceeded' as const) : 'destination-unreachable';
      return { kind, code, quoted: rest(), ...reservedBits(word()) };
    }
    case TYPE['packet-too-big']:
      need(bytes, ERROR.quoted, 'ICMPv6 error');
      return { kind: 'packet-too-big', mtu: word(), quoted: rest(), ...optionalCode };
    case TYPE['parameter-problem']:
      need(bytes, ERROR.quoted, 'ICMPv6 error');
      return { kind: 'parameter-problem', code, pointer: word(), quoted: rest() };
    case TYPE['echo-request']:
    case TYPE['echo-reply']:
      need(bytes, ECHO.data, 'ICMPv6 echo');
      return {
        kind: type === TYPE['echo-request'] ? 'echo-request' : 'echo-reply',
        identifier: view.getUint16(ECHO.identifier),
        sequence: view.getUint16(ECHO.sequence),
        data: copy(bytes, ECHO.data),
        ...optionalCode,
      };
    default:
      return { kind: 'unknown', type, code, body: copy(bytes, HEADER.body) };
  }
}

/**
 * Checks and takes apart an ICMPv6 message.
 * @param pseudo the addresses its checksum covers: see `pseudoHeader`
 * @throws WireError `WIRE_CHECKSUM`, `WIRE_TRUNCATED`, `WIRE_MALFORMED`
 */
export function parseIcmpv6(bytes: Uint8Array, pseudo: PseudoHeader): Icmpv6Message {
  need(bytes, HEADER.body, 'ICMPv6 header');
  if (upperLayerChecksum(pseudo, PROTOCOL.icmpv6, bytes) !== 0) {
    throw new WireError('WIRE_CHECKSUM', 'ICMPv6: wrong checksum', HEADER.checksum);
  }
  return parseBody(bytes);
}

function header(
  what: string,
  type: number,
  code: number,
  start: number,
  rest: Uint8Array,
): OctetWriter {
  const out = new OctetWriter(what, start + rest.length);
  out.uint8(HEADER.type, type, 'type');
  out.uint8(HEADER.code, code, 'code');
  out.bytes.set(rest, start);
  return out;
}

function compose(message: Icmpv6Message): OctetWriter {
  switch (message.kind) {
    case 'destination-unreachable':
    case 'time-exceeded': {
      const { kind, code, quoted } = message;
      const out = header(kind, TYPE[kind], code, ERROR.quoted, quoted);
      out.uint32(ERROR.word, message.reserved ?? 0, 'reserved');
      return out;
    }
    case 'packet-too-big': {
      const { kind, code = 0, quoted } = message;
      const out = header(kind, TYPE[kind], code, ERROR.quoted, quoted);
      out.uint32(ERROR.word, message.mtu, 'mtu');
      return out;
    }
    case 'parameter-problem': {
      const { kind, code, quoted } = message;
      const out = header(kind, TYPE[kind], code, ERROR.quoted, quoted);
      out.uint32(ERROR.word, message.pointer, 'pointer');
      return out;
    }
    case 'echo-request':
    case 'echo-reply': {
      const { kind, code = 0, data } = message;
      const out = header(kind, TYPE[kind], code, ECHO.data, data);
      out.uint16(ECHO.identifier, message.identifier, 'identifier');
      out.uint16(ECHO.sequence, message.sequence, 'sequence');
      return out;
    }
    case 'unknown':
      return header('ICMPv6', message.type, message.code, HEADER.body, message.body);
    case 'home-agent-discovery-request':
    case 'home-agent-discovery-reply':
    case 'mobile-prefix-solicitation':
    case 'mobile-prefix-advertisement':
      return emitHomeDiscovery(message);
    default:
      return emitNdp(message);
  }
}

/**
 * The octets of an ICMPv6 message with its checksum.
 * @param pseudo the addresses of the packet it goes into
 * @throws WireError `WIRE_RANGE`
 */
export function emitIcmpv6(message: Icmpv6Message, pseudo: PseudoHeader): Uint8Array {
  const out = compose(message);
  const checksum = upperLayerChecksum(pseudo, PROTOCOL.icmpv6, out.bytes);
  out.uint16(HEADER.checksum, checksum, 'checksum');
  return out.bytes;
}
