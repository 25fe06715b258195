import {
  type Address,
  alignOptions,
  type ExtensionHeader,
  PROTOCOL,
} from '../../src/wire/index.js';
import { AGENT, CARE_OF, ipv6 } from './world.js';

// Signaling as the engine looks at it: headers, SPI, type and sequence number; the rest is `last` in the last octet.

/** 16 octets of a Mobility Header (RFC 6275 6.1.1); type 5 is a Binding Update, 6 an acknowledgement. */
export function mobility(type: number, sequence: number, last = 0): Uint8Array {
  const message = new Uint8Array(16);
  message.set([59, 1, type]);
  new DataView(message.buffer).setUint16(type === 6 ? 8 : 6, sequence & 0xffff);
  message[15] = last;
  return message;
}

/** RFC 4303 2 */
export function esp(spi: number, sequence: number, last = 0): Uint8Array {
  const packet = new Uint8Array(44);
  const view = new DataView(packet.buffer);
  view.setUint32(0, spi);
  view.setUint32(4, sequence);
  packet[43] = last;
  return packet;
}

/** Destination options with a Home Address option (RFC 6275 6.3). */
export function homeAddressOptions(address: Address): ExtensionHeader {
  return { kind: 'destination', options: alignOptions([{ kind: 'home-address', address }]) };
}

/** RFC 6275 6.4 */
export function type2Routing(homeAddress: Address): ExtensionHeader {
  return { kind: 'routing-type-2', segmentsLeft: 1, homeAddress };
}

export function update(careOf: Address, home: Address, sequence: number, last = 0): Uint8Array {
  const extensions = [homeAddressOptions(home)];
  return ipv6(careOf, AGENT, PROTOCOL.mobility, mobility(5, sequence, last), { extensions });
}

export function espUpdate(
  careOf: Address,
  home: Address,
  spi: number,
  sequence: number,
  last = 0,
): Uint8Array {
  const extensions = [homeAddressOptions(home)];
  return ipv6(careOf, AGENT, PROTOCOL.esp, esp(spi, sequence, last), { extensions });
}

export function acknowledgement(home: Address, sequence: number, last = 0): Uint8Array {
  const extensions = [type2Routing(home)];
  return ipv6(AGENT, CARE_OF, PROTOCOL.mobility, mobility(6, sequence, last), { extensions });
}

export function espAcknowledgement(
  home: Address,
  spi: number,
  sequence: number,
  last = 0,
): Uint8Array {
  const extensions = [type2Routing(home)];
  return ipv6(AGENT, CARE_OF, PROTOCOL.esp, esp(spi, sequence, last), { extensions });
}
