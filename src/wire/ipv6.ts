import type { Address } from './address.js';
import { readAddress, writeAddress } from './address.js';
import { WireError } from './error.js';
import { need, OctetWriter, viewOf } from './octets.js';

/** RFC 8200 3 */
const FIELD = {
  versionClassFlow: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const;

/** Octets of the fixed header (RFC 8200 3). */
export const IPV6_HEADER_LENGTH = 40;

/** The fixed header (RFC 8200 3). */
export interface Ipv6Header {
  readonly trafficClass: number;
  readonly flowLabel: number;
  /** Octets behind the fixed header, 0..65535: jumbograms (RFC 2675) are not spoken here. */
  readonly payloadLength: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly source: Address;
  readonly destination: Address;
}

/** Reads the fixed header and sees to it that its payload is there. @throws WireError */
export function parseIpv6Header(bytes: Uint8Array): Ipv6Header {
  need(bytes, IPV6_HEADER_LENGTH, 'IPv6 header');
  const view = viewOf(bytes);
  const first = view.getUint32(FIELD.versionClassFlow);
  if (first >>> 28 !== 6) {
    throw new WireError('WIRE_MALFORMED', `IPv6 header: version ${first >>> 28}`, 0);
  }
  const payloadLength = view.getUint16(FIELD.payloadLength);
  need(bytes, payloadLength, 'IPv6 payload', IPV6_HEADER_LENGTH);
  return {
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xfffff,
    payloadLength,
    nextHeader: view.getUint8(FIELD.nextHeader),
    hopLimit: view.getUint8(FIELD.hopLimit),
    source: readAddress(bytes, FIELD.source),
    destination: readAddress(bytes, FIELD.destination),
  };
}

/** The addresses of a packet whose end may be missing: a quote in an ICMPv6 error, a frame cut short. */
export function peekAddresses(
  bytes: Uint8Array,
): Pick<Ipv6Header, 'source' | 'destination'> | undefined {
  if (bytes.length < IPV6_HEADER_LENGTH || viewOf(bytes).getUint8(0) >> 4 !== 6) return undefined;
  return {
    source: readAddress(bytes, FIELD.source),
    destination: readAddress(bytes, FIELD.destination),
  };
}

/** The 40 octets of the fixed header. @throws WireError `WIRE_RANGE` */
export function emitIpv6Header(header: Ipv6Header): Uint8Array {
  const out = new OctetWriter('IPv6 header', IPV6_HEADER_LENGTH);
  const trafficClass = out.fits(header.trafficClass, 8, 'trafficClass', 0);
  const flowLabel = out.fits(header.flowLabel, 20, 'flowLabel', 1);
  const first = 6 * 2 ** 28 + trafficClass * 2 ** 20 + flowLabel;
  out.uint32(FIELD.versionClassFlow, first, 'version');
  out.uint16(FIELD.payloadLength, header.payloadLength, 'payloadLength');
  out.uint8(FIELD.nextHeader, header.nextHeader, 'nextHeader');
  out.uint8(FIELD.hopLimit, header.hopLimit, 'hopLimit');
  writeAddress(header.source, out.bytes, FIELD.source);
  writeAddress(header.destination, out.bytes, FIELD.destination);
  return out.bytes;
}
