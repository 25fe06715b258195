import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import { INITIAL_BINDACK_TIMEOUT_FIRST_REG, MAX_BINDACK_TIMEOUT } from './constants.js';

/** What the configuration says: addresses in order of preference, or find them (RFC 6275 11.4.1). */
export type HomeAgents =
  | { readonly kind: 'list'; readonly addresses: readonly Address[] }
  | { readonly kind: 'auto' };

/**
 * Which home agent is asked (RFC 6275 11.4.1, 11.7.1): each in its turn, in order of preference. A round begins with the one that
 * holds the binding, or held it last; when no home agent of a round has accepted, the next round is more patient.
 */
export class HomeAgentChoice {
  #addresses: readonly Address[];
  #index = 0;
  /** how many of this round have failed */
  #failed = 0;
  #rounds = 0;

  constructor(addresses: readonly Address[]) {
    this.#addresses = addresses;
  }

  get current(): Address | undefined {
    return this.#addresses[this.#index];
  }

  get addresses(): readonly Address[] {
    return this.#addresses;
  }

  /** How long its first Binding Update waits: twice as long with every round in vain. */
  get timeout(): Millis {
    const doubled = INITIAL_BINDACK_TIMEOUT_FIRST_REG * 2 ** Math.min(this.#rounds, 10);
    return Math.min(MAX_BINDACK_TIMEOUT, doubled);
  }

  /** The current one has failed. The next of this round; undefined: none is left, and the current one is the first again. */
  next(): Address | undefined {
    this.#failed += 1;
    if (this.#failed >= this.#addresses.length) {
      this.#failed = 0;
      this.#rounds += 1;
      this.#index = 0;
      return undefined;
    }
    this.#index = (this.#index + 1) % this.#addresses.length;
    return this.current;
  }

  /** This one has accepted: it comes first from now on. */
  confirmed(homeAgent: Address): void {
    const index = this.#addresses.indexOf(homeAgent);
    if (index >= 0) this.#index = index;
    this.#failed = 0;
    this.#rounds = 0;
  }

  /** Other addresses; the current one stays when it is one of them. */
  replace(addresses: readonly Address[]): void {
    const index = this.current === undefined ? -1 : addresses.indexOf(this.current);
    this.#addresses = addresses;
    this.#index = Math.max(0, index);
    this.#failed = 0;
    this.#rounds = 0;
  }
}
