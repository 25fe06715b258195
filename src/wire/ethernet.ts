import type { Mac } from './mac.js';
import { readMac, writeMac } from './mac.js';
import { need, OctetWriter, viewOf, window } from './octets.js';

/** IEEE 802.3 3.2 */
const FIELD = { destination: 0, source: 6, etherType: 12, payload: 14 } as const;

/** RFC 2464 3 */
export const ETHERTYPE_IPV6 = 0x86dd;

/** An Ethernet II frame without its frame check sequence. */
export interface EthernetFrame {
  readonly destination: Mac;
  readonly source: Mac;
  readonly etherType: number;
  /** Of a parsed frame: a view into it, link padding included. */
  readonly payload: Uint8Array;
}

/** @throws WireError `WIRE_TRUNCATED` */
export function parseEthernet(bytes: Uint8Array): EthernetFrame {
  need(bytes, FIELD.payload, 'Ethernet header');
  return {
    destination: readMac(bytes, FIELD.destination),
    source: readMac(bytes, FIELD.source),
    etherType: viewOf(bytes).getUint16(FIELD.etherType),
    payload: window(bytes, FIELD.payload),
  };
}

/** @throws WireError `WIRE_RANGE` */
export function emitEthernet(frame: EthernetFrame): Uint8Array {
  const out = new OctetWriter('Ethernet header', FIELD.payload + frame.payload.length);
  writeMac(frame.destination, out.bytes, FIELD.destination);
  writeMac(frame.source, out.bytes, FIELD.source);
  out.uint16(FIELD.etherType, frame.etherType, 'etherType');
  out.bytes.set(frame.payload, FIELD.payload);
  return out.bytes;
}
