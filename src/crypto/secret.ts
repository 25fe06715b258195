import { createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

const SHOWN = '[secret]';

/**
 * A key. However it is printed, logged or turned into JSON, it shows as `[secret]`; only `reveal` and `keyObject` give
 * the octets away.
 */
export class Secret {
  readonly #octets: Uint8Array;
  #key: KeyObject | undefined;

  /** Copies the octets. */
  constructor(octets: Uint8Array) {
    this.#octets = Uint8Array.from(octets);
  }

  /** Octets. */
  get length(): number {
    return this.#octets.length;
  }

  /** A copy of the octets. */
  reveal(): Uint8Array {
    return Uint8Array.from(this.#octets);
  }

  /** For `node:crypto`; made once. */
  keyObject(): KeyObject {
    this.#key ??= createSecretKey(this.#octets);
    return this.#key;
  }

  /** In a time that does not depend on where they differ. */
  equals(other: Secret): boolean {
    return this.length === other.length && timingSafeEqual(this.#octets, other.#octets);
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}
