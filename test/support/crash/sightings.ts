/*
 * What a judge on the wire reads of ESP packets around Mobility Headers. Nothing of src/wire is used: a mistake there must not hide
 * itself here.
 */

/** A Mobility Header of home registration inside ESP with NULL encryption (RFC 2410). */
export type SeenMessage =
  | { readonly kind: 'update'; readonly sequence: number; readonly seconds: number }
  | {
      readonly kind: 'acknowledgement';
      readonly status: number;
      readonly sequence: number;
      readonly seconds: number;
    };

/** One ESP packet on the wire (RFC 4303 2). */
export interface Sighting {
  /** When it was on the wire, milliseconds since 1970. */
  readonly at: number;
  readonly source: string;
  readonly destination: string;
  /** Out of the Home Address option or the type 2 routing header, as hexadecimal digits like the other two. */
  readonly homeAddress: string;
  readonly spi: number;
  readonly sequence: number;
  /** Undefined for what is no Binding Update and no Binding Acknowledgement. */
  readonly message: SeenMessage | undefined;
}

const ETHERNET = 14;
const IPV6 = 40;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const ESP = 50;
const DESTINATION = 60;
const MOBILITY = 135;
/** RFC 6275 6.3 */
const HOME_ADDRESS_OPTION = 201;
/** HMAC-SHA1-96 (RFC 2404) */
const ICV = 12;
/** Of the lifetime field, seconds (RFC 6275 6.1.7). */
const LIFETIME_UNIT = 4;

/** Reads an Ethernet frame; undefined when there is no ESP in it. */
export function sightingOf(frame: Buffer, at: number): Sighting | undefined {
  if (frame.length < ETHERNET + IPV6 || frame.readUInt16BE(12) !== 0x86dd) return undefined;
  const packet = frame.subarray(ETHERNET, ETHERNET + IPV6 + frame.readUInt16BE(ETHERNET + 4));
  let protocol = packet.readUInt8(6);
  let offset = IPV6;
  let homeAddress = '';
  while (protocol === HOP_BY_HOP || protocol === DESTINATION || protocol === ROUTING) {
    if (offset + 8 > packet.length) return undefined;
    const header = packet.subarray(offset, offset + 8 * (packet.readUInt8(offset + 1) + 1));
    if (protocol === DESTINATION) homeAddress = homeAddressOption(header) ?? homeAddress;
    if (protocol === ROUTING && header.readUInt8(2) === 2) {
      homeAddress = header.toString('hex', 8, 24);
    }
    protocol = header.readUInt8(0);
    offset += header.length;
  }
  const esp = packet.subarray(offset);
  if (protocol !== ESP || esp.length < 8 + 2 + ICV) return undefined;
  return {
    at,
    source: packet.toString('hex', 8, 24),
    destination: packet.toString('hex', 24, 40),
    homeAddress,
    spi: esp.readUInt32BE(0),
    sequence: esp.readUInt32BE(4),
    message: messageOf(esp),
  };
}

function homeAddressOption(header: Buffer): string | undefined {
  for (let at = 2; at + 1 < header.length; ) {
    const type = header.readUInt8(at);
    if (type === HOME_ADDRESS_OPTION) return header.toString('hex', at + 2, at + 18);
    at += type === 0 ? 1 : 2 + header.readUInt8(at + 1);
  }
  return undefined;
}

/** RFC 6275 6.1.7, 6.1.8 */
function messageOf(esp: Buffer): SeenMessage | undefined {
  if (esp.readUInt8(esp.length - ICV - 1) !== MOBILITY) return undefined;
  const header = esp.subarray(8);
  const type = header.readUInt8(2);
  const seconds = LIFETIME_UNIT * header.readUInt16BE(10);
  if (type === 5) return { kind: 'update', sequence: header.readUInt16BE(6), seconds };
  if (type !== 6) return undefined;
  const status = header.readUInt8(6);
  return { kind: 'acknowledgement', status, sequence: header.readUInt16BE(8), seconds };
}
