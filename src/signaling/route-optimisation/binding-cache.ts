import type { Millis } from '../../time.js';
import { earliest } from '../../time.js';
import type { Address } from '../../wire/index.js';
import { MAX_NONCE_LIFETIME } from './constants.js';

/** What a correspondent remembers of a mobile node (RFC 6275 9.1). */
export interface CachedBinding {
  readonly homeAddress: Address;
  /** undefined: deleted; the sequence number is kept while the nonces of old updates may still hold (RFC 6275 9.5.3) */
  readonly careOfAddress: Address | undefined;
  readonly sequence: number;
  /** seconds granted */
  readonly lifetime: number;
  readonly updatedAt: Millis;
  readonly expiresAt: Millis;
  /** the latest traffic with it */
  readonly seenAt: Millis;
  /** Binding Refresh Requests so far */
  readonly refreshRequests: number;
  /** when errors came back from its care-of address lately */
  readonly unreachableAt: readonly Millis[];
}

/** A bounded binding cache (RFC 6275 9.1, 9.6): nothing is thrown out for a newcomer. */
export class BindingCache {
  readonly #capacity: number;
  readonly #bindings = new Map<Address, CachedBinding>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The live binding, or undefined. */
  find(homeAddress: Address): (CachedBinding & { careOfAddress: Address }) | undefined {
    const binding = this.#bindings.get(homeAddress);
    return binding !== undefined && isLive(binding) ? binding : undefined;
  }

  /** The last sequence number that counts for this home address, of a deleted binding too. */
  sequence(homeAddress: Address): number | undefined {
    return this.#bindings.get(homeAddress)?.sequence;
  }

  hasRoom(homeAddress: Address): boolean {
    return this.#bindings.has(homeAddress) || this.#bindings.size < this.#capacity;
  }

  put(binding: CachedBinding): void {
    this.#bindings.set(binding.homeAddress, binding);
  }

  /** Deletes a binding; what an old update could bring back is remembered until its nonces are too old. */
  remove(now: Millis, homeAddress: Address, sequence?: number): void {
    const binding = this.#bindings.get(homeAddress);
    if (binding === undefined) return;
    const updatedAt = sequence === undefined ? binding.updatedAt : now;
    this.#bindings.set(homeAddress, {
      ...binding,
      careOfAddress: undefined,
      sequence: sequence ?? binding.sequence,
      updatedAt,
      expiresAt: updatedAt + MAX_NONCE_LIFETIME,
    });
    this.expire(now);
  }

  /** Removes what ran out; gives the home addresses whose binding ended. */
  expire(now: Millis): Address[] {
    const ended: Address[] = [];
    for (const binding of [...this.#bindings.values()]) {
      if (now < binding.expiresAt) continue;
      this.#bindings.delete(binding.homeAddress);
      if (!isLive(binding)) continue;
      ended.push(binding.homeAddress);
      const expiresAt = binding.updatedAt + MAX_NONCE_LIFETIME;
      if (now < expiresAt) {
        this.#bindings.set(binding.homeAddress, {
          ...binding,
          careOfAddress: undefined,
          expiresAt,
        });
      }
    }
    return ended;
  }

  /** The live bindings. */
  *live(): Iterable<CachedBinding & { careOfAddress: Address }> {
    for (const binding of this.#bindings.values()) if (isLive(binding)) yield binding;
  }

  deadline(): Millis | undefined {
    return earliest(...[...this.#bindings.values()].map(({ expiresAt }) => expiresAt));
  }
}

function isLive(binding: CachedBinding): binding is CachedBinding & { careOfAddress: Address } {
  return binding.careOfAddress !== undefined;
}
