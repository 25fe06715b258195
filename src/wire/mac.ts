import type { Address } from './address.js';
import { addressBytes } from './address.js';
import { WireError } from './error.js';
import { need } from './octets.js';

declare const macBrand: unique symbol;

/** An Ethernet address, `aa:bb:cc:dd:ee:ff` in lower case: two are equal when `===` says so. */
export type Mac = string & { readonly [macBrand]: true };

/** @throws WireError `WIRE_MALFORMED` */
export function parseMac(text: string): Mac {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) {
    throw new WireError(
      'WIRE_MALFORMED',
      `${JSON.stringify(text.slice(0, 60))} is not a MAC address, write aa:bb:cc:dd:ee:ff`,
      0,
    );
  }
  return text.toLowerCase() as Mac;
}

/** The 6 octets at `offset`. @throws WireError `WIRE_TRUNCATED` */
export function readMac(bytes: Uint8Array, offset: number): Mac {
  need(bytes, 6, 'MAC address', offset);
  const octets = Array.from(bytes.subarray(offset, offset + 6));
  return octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':') as Mac;
}

/** Writes 6 octets at `offset`. @throws WireError `WIRE_RANGE` when `into` is too short */
export function writeMac(mac: Mac, into: Uint8Array, offset: number): void {
  if (offset < 0 || offset + 6 > into.length) {
    throw new WireError('WIRE_RANGE', 'MAC address: no room for 6 octets', offset);
  }
  into.set(
    mac.split(':').map((octet) => Number.parseInt(octet, 16)),
    offset,
  );
}

/** 33:33 and the low 32 bits of the group (RFC 2464 7). */
export function multicastMac(group: Address): Mac {
  const bytes = addressBytes(group);
  bytes.set([0x33, 0x33], 10);
  return readMac(bytes, 10);
}

/** Whether one station may have it: neither a group (broadcast counts) nor all zero. */
export function isUnicastMac(mac: Mac): boolean {
  const group = (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
  return !group && mac !== '00:00:00:00:00:00';
}
