import type { Address } from './address.js';
import { addressBytes } from './address.js';
import { viewOf } from './octets.js';

/** The addresses that an upper-layer checksum covers (RFC 8200 8.1). */
export interface PseudoHeader {
  readonly source: Address;
  readonly destination: Address;
}

/** Plain sum of 16-bit words, an odd last octet padded with zero: exact up to 2^53, folded by the caller. */
function sumWords(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  const even = bytes.length & ~1;
  let sum = 0;
  for (let offset = 0; offset < even; offset += 2) sum += view.getUint16(offset);
  return even < bytes.length ? sum + view.getUint8(even) * 256 : sum;
}

/**
 * The Internet checksum (RFC 1071), 0..0xffff; 0 over octets that include a right checksum.
 * @param seed a sum of 16-bit words that comes before `bytes`, not complemented
 */
export function internetChecksum(bytes: Uint8Array, seed = 0): number {
  let sum = sumWords(bytes) + seed;
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

/**
 * The checksum of an upper-layer packet (RFC 8200 8.1). Over octets whose checksum field is 0 it is the value to
 * store; over octets that hold a right checksum it is 0.
 * @param protocol the upper-layer protocol number, not that of an extension header before it
 */
export function upperLayerChecksum(
  pseudo: PseudoHeader,
  protocol: number,
  bytes: Uint8Array,
): number {
  const length = bytes.length;
  const seed =
    sumWords(addressBytes(pseudo.source)) +
    sumWords(addressBytes(pseudo.destination)) +
    Math.floor(length / 0x10000) +
    (length % 0x10000) +
    protocol;
  return internetChecksum(bytes, seed);
}
