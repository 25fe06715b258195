import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Address } from '../wire/index.js';
import { addressBytes } from '../wire/index.js';

/** Octets of a keygen token (RFC 6275 5.2.1: 64 bits). */
export const KEYGEN_TOKEN_LENGTH = 8;
/** Octets of Kcn (RFC 6275 5.2.1: 20). */
export const NODE_KEY_LENGTH = 20;
/** Octets of an authenticator (RFC 6275 5.2.6: 96 bits). */
export const AUTHENTICATOR_LENGTH = 12;

/** RFC 6275 6.1.1: where the checksum of a Mobility Header stands. */
const CHECKSUM = { start: 4, end: 6 } as const;

/** First(64, HMAC_SHA1(Kcn, address | nonce | last)) */
function keygenToken(
  kcn: Uint8Array,
  address: Address,
  nonce: Uint8Array,
  last: number,
): Uint8Array {
  const digest = createHmac('sha1', kcn)
    .update(addressBytes(address))
    .update(nonce)
    .update(Uint8Array.of(last))
    .digest();
  return new Uint8Array(digest.subarray(0, KEYGEN_TOKEN_LENGTH));
}

/** The token that shows whoever returns it to be reachable at the home address (RFC 6275 5.2.5). */
export function homeKeygenToken(
  kcn: Uint8Array,
  homeAddress: Address,
  nonce: Uint8Array,
): Uint8Array {
  return keygenToken(kcn, homeAddress, nonce, 0);
}

/** The same for the care-of address (RFC 6275 5.2.5). */
export function careOfKeygenToken(
  kcn: Uint8Array,
  careOfAddress: Address,
  nonce: Uint8Array,
): Uint8Array {
  return keygenToken(kcn, careOfAddress, nonce, 1);
}

/**
 * Kbm, the key of one binding (RFC 6275 5.2.5): 20 octets.
 * @param careOf left out where a binding is deleted (RFC 6275 5.2.6)
 */
export function bindingManagementKey(home: Uint8Array, careOf?: Uint8Array): Uint8Array {
  const hash = createHash('sha1').update(home);
  if (careOf !== undefined) hash.update(careOf);
  return new Uint8Array(hash.digest());
}

/**
 * The authenticator of a Binding Authorization Data option (RFC 6275 5.2.6, 6.2.7): First(96, HMAC_SHA1(Kbm, care-of
 * address | correspondent | MH data)).
 * @param careOfAddress that the message is about; the home address in a de-registration
 * @param correspondent its home address where it is mobile itself
 * @param header a whole Mobility Header that ends with the option; neither its checksum nor its authenticator counts
 */
export function bindingAuthenticator(
  kbm: Uint8Array,
  careOfAddress: Address,
  correspondent: Address,
  header: Uint8Array,
): Uint8Array {
  const digest = createHmac('sha1', kbm)
    .update(addressBytes(careOfAddress))
    .update(addressBytes(correspondent))
    .update(header.subarray(0, CHECKSUM.start))
    .update(new Uint8Array(CHECKSUM.end - CHECKSUM.start))
    .update(header.subarray(CHECKSUM.end, header.length - AUTHENTICATOR_LENGTH))
    .digest();
  return new Uint8Array(digest.subarray(0, AUTHENTICATOR_LENGTH));
}

/** Whether two secrets are the same, in a time that does not tell where they differ. */
export function sameSecret(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
