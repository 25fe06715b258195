import {
  careOfKeygenToken,
  homeKeygenToken,
  KEYGEN_TOKEN_LENGTH,
  NODE_KEY_LENGTH,
} from '../../crypto/return-routability.js';
import type { Millis } from '../../time.js';
import type { Address } from '../../wire/index.js';
import { MAX_NONCE_LIFETIME, MAX_TOKEN_LIFETIME } from './constants.js';

/** A nonce makes tokens for so long; then it is good for every token made from it until that one is too old. */
const NONCE_IN_USE: Millis = MAX_NONCE_LIFETIME - MAX_TOKEN_LIFETIME;
const INDICES = 0x10000;

interface Nonce {
  readonly index: number;
  readonly octets: Uint8Array;
  readonly madeAt: Millis;
}

export interface KeygenToken {
  readonly nonceIndex: number;
  readonly keygenToken: Uint8Array;
}

/**
 * A correspondent's secrets (RFC 6275 5.2.2, 5.2.5): Kcn, and nonces of which a few are remembered. Nothing is stored for
 * whoever asks for a token: it is computed again from the index that comes back with it.
 */
export class Nonces {
  readonly #kcn: Uint8Array;
  readonly #randomBytes: (count: number) => Uint8Array;
  /** oldest first */
  #nonces: Nonce[] = [];
  #nextIndex: number;

  /** @param randomBytes as good as keys need it */
  constructor(randomBytes: (count: number) => Uint8Array) {
    this.#kcn = randomBytes(NODE_KEY_LENGTH);
    this.#randomBytes = randomBytes;
    // After a restart old indices shall most likely be unknown, not another nonce's.
    const [high = 0, low = 0] = randomBytes(2);
    this.#nextIndex = high * 256 + low;
  }

  /** A token for whoever receives at the home address. */
  home(now: Millis, homeAddress: Address): KeygenToken {
    const { index, octets } = this.#current(now);
    return { nonceIndex: index, keygenToken: homeKeygenToken(this.#kcn, homeAddress, octets) };
  }

  /** A token for whoever receives at the care-of address. */
  careOf(now: Millis, careOfAddress: Address): KeygenToken {
    const { index, octets } = this.#current(now);
    return { nonceIndex: index, keygenToken: careOfKeygenToken(this.#kcn, careOfAddress, octets) };
  }

  /** The token that was given out with this index; undefined when the nonce is too old or never was. */
  homeAgain(now: Millis, homeAddress: Address, nonceIndex: number): Uint8Array | undefined {
    const nonce = this.#find(now, nonceIndex);
    return nonce && homeKeygenToken(this.#kcn, homeAddress, nonce);
  }

  /** The same for a care-of address. */
  careOfAgain(now: Millis, careOfAddress: Address, nonceIndex: number): Uint8Array | undefined {
    const nonce = this.#find(now, nonceIndex);
    return nonce && careOfKeygenToken(this.#kcn, careOfAddress, nonce);
  }

  #forget(now: Millis): void {
    this.#nonces = this.#nonces.filter(({ madeAt }) => now < madeAt + MAX_NONCE_LIFETIME);
  }

  #find(now: Millis, index: number): Uint8Array | undefined {
    this.#forget(now);
    return this.#nonces.find((nonce) => nonce.index === index)?.octets;
  }

  #current(now: Millis): Nonce {
    this.#forget(now);
    const latest = this.#nonces.at(-1);
    if (latest !== undefined && now < latest.madeAt + NONCE_IN_USE) return latest;
    const nonce = {
      index: this.#nextIndex,
      octets: this.#randomBytes(KEYGEN_TOKEN_LENGTH),
      madeAt: now,
    };
    this.#nextIndex = (this.#nextIndex + 1) % INDICES;
    this.#nonces.push(nonce);
    return nonce;
  }
}
