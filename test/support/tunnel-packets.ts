import { fileURLToPath } from 'node:url';
import type { Icmpv6Error, Icmpv6Message } from '../../src/wire/index.js';
import {
  emitIcmpv6,
  emitPacket,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
} from '../../src/wire/index.js';
import { scapy } from './judges.js';
import { CARE_OF, HOME_AGENT } from './testbed-addresses.js';

/** What test/tunnel/tunnel-packets.py makes. */
const BY_SCAPY = scapy(
  fileURLToPath(new URL('../tunnel/tunnel-packets.py', import.meta.url)),
) as Record<string, string>;

export const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

export function byScapy(name: string): Uint8Array {
  const hex = BY_SCAPY[name];
  if (hex === undefined) throw new Error(`no packet ${name}`);
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** The ICMPv6 message of a packet. */
export function icmpv6Of(bytes: Uint8Array): Icmpv6Message {
  const packet = parsePacket(bytes);
  return parseIcmpv6(packet.payload, pseudoHeader(packet));
}

/** What a packet with an ICMPv6 error quotes. */
export function quoteOf(name: string): Uint8Array {
  const message = icmpv6Of(byScapy(name));
  if (!('quoted' in message)) throw new Error(`${name} quotes nothing`);
  return message.quoted;
}

/** The packet that the home agent sends for an error. */
export function errorPacket({ destination, message }: Icmpv6Error): Uint8Array {
  const source = HOME_AGENT;
  return emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source,
    destination,
    extensions: [],
    protocol: 58,
    payload: emitIcmpv6(message, { source, destination }),
  });
}

/** Our end of the tunnel is the care-of address. */
export const ENDS = { local: CARE_OF, remote: HOME_AGENT };
/** The flow label of all tunnel packets here. */
export const LABEL = 0x5cafe;
