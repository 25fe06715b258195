import { createCipheriv, createDecipheriv, createHmac, type KeyObject } from 'node:crypto';
import type { Algorithms, Authentication, Encryption } from './algorithms.js';
import { AUTHENTICATIONS, ENCRYPTIONS } from './algorithms.js';
import type { Secret } from './secret.js';

/** RFC 4303 2: the fixed part; IV, ciphertext and ICV follow. */
export const ESP = { spi: 0, sequence: 4, iv: 8 } as const;

/** RFC 4303 2.4 - 2.6: the end of what is encrypted: padding, its length, the next header. */
export const TRAILER = 2;

/** RFC 4303 2.4: what is encrypted ends on 4 octets, whatever the cipher's block. */
const ALIGNMENT = 4;

/** The keys of one security association. */
export interface AssociationKeys {
  /** of no octets where nothing is encrypted */
  readonly encryption: Secret;
  readonly authentication: Secret;
}

/** What the algorithms and keys of an association do to octets. */
export class Transform {
  readonly ivLength: number;
  readonly icvLength: number;
  /** what is encrypted is a multiple of this */
  readonly unit: number;
  readonly #encryption: Encryption;
  readonly #authentication: Authentication;
  readonly #encryptionKey: KeyObject | undefined;
  readonly #authenticationKey: KeyObject;

  /** @throws RangeError when a key has not the length of its algorithm */
  constructor(algorithms: Algorithms, keys: AssociationKeys) {
    this.#encryption = ENCRYPTIONS[algorithms.encryption];
    this.#authentication = AUTHENTICATIONS[algorithms.authentication];
    checkLength(algorithms.encryption, this.#encryption.keyLength, keys.encryption);
    checkLength(algorithms.authentication, this.#authentication.keyLength, keys.authentication);
    this.#encryptionKey =
      this.#encryption.cipher === undefined ? undefined : keys.encryption.keyObject();
    this.#authenticationKey = keys.authentication.keyObject();
    this.ivLength = this.#encryption.ivLength;
    this.icvLength = this.#authentication.icvLength;
    this.unit = Math.max(this.#encryption.blockLength, ALIGNMENT);
  }

  /** `plain` is a multiple of the cipher's block. */
  encrypt(iv: Uint8Array, plain: Uint8Array): Uint8Array {
    const { cipher } = this.#encryption;
    if (cipher === undefined || this.#encryptionKey === undefined) return plain;
    return createCipheriv(cipher, this.#encryptionKey, iv).setAutoPadding(false).update(plain);
  }

  /** `encrypted` is a multiple of the cipher's block. */
  decrypt(iv: Uint8Array, encrypted: Uint8Array): Uint8Array {
    const { cipher } = this.#encryption;
    if (cipher === undefined || this.#encryptionKey === undefined) return encrypted;
    return createDecipheriv(cipher, this.#encryptionKey, iv)
      .setAutoPadding(false)
      .update(encrypted);
  }

  /** The integrity check value over everything before it (RFC 4303 2.8, 3.3.2.1). */
  icv(covered: Uint8Array): Uint8Array {
    const digest = createHmac(this.#authentication.hash, this.#authenticationKey)
      .update(covered)
      .digest();
    return digest.subarray(0, this.icvLength);
  }
}

function checkLength(algorithm: string, length: number, key: Secret): void {
  if (key.length !== length) {
    throw new RangeError(`${algorithm} takes a key of ${length} octets, not of ${key.length}`);
  }
}

/** What is encrypted: the payload, padding 1, 2, 3, …, its length, the next header (RFC 4303 2.4). */
export function withTrailer(payload: Uint8Array, nextHeader: number, unit: number): Uint8Array {
  const padding = (unit - ((payload.length + TRAILER) % unit)) % unit;
  const plain = new Uint8Array(payload.length + padding + TRAILER);
  plain.set(payload);
  for (let index = 0; index < padding; index += 1) plain[payload.length + index] = index + 1;
  plain[plain.length - 2] = padding;
  plain[plain.length - 1] = nextHeader;
  return plain;
}

/** The reverse of `withTrailer`; undefined when the padding is not what RFC 4303 2.4 says. */
export function withoutTrailer(
  plain: Uint8Array,
): { nextHeader: number; payload: Uint8Array } | undefined {
  const padding = plain[plain.length - 2];
  const nextHeader = plain[plain.length - 1];
  if (padding === undefined || nextHeader === undefined) return undefined;
  const end = plain.length - TRAILER - padding;
  if (end < 0) return undefined;
  for (let index = 0; index < padding; index += 1) {
    if (plain[end + index] !== index + 1) return undefined;
  }
  return { nextHeader, payload: plain.subarray(0, end) };
}
