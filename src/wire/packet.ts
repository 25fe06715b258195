import type { Address } from './address.js';
import type { PseudoHeader } from './checksum.js';
import { WireError } from './error.js';
import type { ExtensionHeader } from './extension-headers.js';
import {
  emitExtension,
  extensionNumber,
  isExtension,
  isLaterFragment,
  parseExtension,
} from './extension-headers.js';
import { emitIpv6Header, IPV6_HEADER_LENGTH, parseIpv6Header } from './ipv6.js';
import { concat, window } from './octets.js';
import type { Option } from './options.js';

/** A whole IPv6 packet: fixed header, extension headers, upper layer (RFC 8200 3, 4). */
export interface Ipv6Packet {
  readonly trafficClass: number;
  /** 20 bits */
  readonly flowLabel: number;
  readonly hopLimit: number;
  readonly source: Address;
  /** Of the fixed header: on the way to a type 2 routing header this is the care-of address. */
  readonly destination: Address;
  readonly extensions: readonly ExtensionHeader[];
  /** What `payload` is: the last next header value. */
  readonly protocol: number;
  /** Of a parsed packet: a view into it. Of a later fragment: the fragment's data. */
  readonly payload: Uint8Array;
}

function homeAddressOptions(extensions: readonly ExtensionHeader[]): Address[] {
  return extensions
    .flatMap((header): readonly Option[] => (header.kind === 'destination' ? header.options : []))
    .flatMap((option) => (option.kind === 'home-address' ? [option.address] : []));
}

function type2Headers(extensions: readonly ExtensionHeader[]) {
  return extensions.flatMap((header) => (header.kind === 'routing-type-2' ? [header] : []));
}

function checkChain(extensions: readonly ExtensionHeader[], code: 'WIRE_MALFORMED' | 'WIRE_RANGE') {
  if (extensions.some((header, index) => header.kind === 'hop-by-hop' && index > 0)) {
    throw new WireError(code, 'IPv6: hop-by-hop options are not first (RFC 8200 4.1)', 6);
  }
  if (extensions.slice(0, -1).some(isLaterFragment)) {
    throw new WireError(code, 'IPv6: headers behind a later fragment (RFC 8200 4.5)', 6);
  }
  if (homeAddressOptions(extensions).length > 1) {
    throw new WireError(code, 'IPv6: two Home Address options (RFC 6275 6.3)', 6);
  }
  if (type2Headers(extensions).length > 1) {
    throw new WireError(code, 'IPv6: two type 2 routing headers (RFC 6275 6.4)', 6);
  }
}

/**
 * Takes a packet apart. What lies behind the payload length is link padding and is ignored; ESP, AH and everything
 * unknown are upper-layer protocols here.
 * @throws WireError with its offset counted from the start of the packet
 */
export function parsePacket(bytes: Uint8Array): Ipv6Packet {
  const { payloadLength, nextHeader, ...fixed } = parseIpv6Header(bytes);
  const packet = window(bytes, 0, IPV6_HEADER_LENGTH + payloadLength);
  const extensions: ExtensionHeader[] = [];
  let protocol = nextHeader;
  let offset = IPV6_HEADER_LENGTH;
  while (isExtension(protocol)) {
    const step = parseExtension(protocol, packet, offset);
    extensions.push(step.header);
    protocol = step.nextHeader;
    offset += step.length;
    if (isLaterFragment(step.header)) break;
  }
  checkChain(extensions, 'WIRE_MALFORMED');
  return { ...fixed, extensions, protocol, payload: window(packet, offset) };
}

/** Puts a packet together; lengths and next headers follow from the record. @throws WireError `WIRE_RANGE` */
export function emitPacket(packet: Ipv6Packet): Uint8Array {
  const { extensions, protocol, payload } = packet;
  checkChain(extensions, 'WIRE_RANGE');
  const numbers = [...extensions.map(extensionNumber), protocol];
  const headers = extensions.map((h, index) => emitExtension(h, numbers[index + 1] ?? protocol));
  const behind = concat([...headers, payload]);
  const fixed = emitIpv6Header({
    ...packet,
    payloadLength: behind.length,
    nextHeader: numbers[0] ?? protocol,
  });
  return concat([fixed, behind]);
}

/** The address in the Home Address option (RFC 6275 6.3), wherever a destination options header carries it. */
export function homeAddressOption(packet: Ipv6Packet): Address | undefined {
  return homeAddressOptions(packet.extensions)[0];
}

/** The address in the type 2 routing header (RFC 6275 6.4), whatever its segments left. */
export function type2HomeAddress(packet: Ipv6Packet): Address | undefined {
  return type2Headers(packet.extensions)[0]?.homeAddress;
}

/**
 * The addresses that the upper layer means and that its checksum covers: the source is the one in a Home Address
 * option (RFC 6275 6.3, 11.3.1), the destination the final one of a type 2 routing header (RFC 8200 8.1).
 */
export function pseudoHeader(packet: Ipv6Packet): PseudoHeader {
  const route = type2Headers(packet.extensions)[0];
  return {
    source: homeAddressOption(packet) ?? packet.source,
    destination: route && route.segmentsLeft > 0 ? route.homeAddress : packet.destination,
  };
}
