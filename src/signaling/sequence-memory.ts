import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import { LONGEST_LIFETIME } from './constants.js';

/** As long as the longest binding. */
const KEPT_FOR: Millis = 1000 * LONGEST_LIFETIME;

/**
 * The last sequence numbers of bindings that are no more. RFC 6275 9.5.1 lets a node without a binding begin with any
 * number, and with it whoever recorded an old, unprotected Binding Update. An older number gets status 135 instead,
 * with the one to go on from: a mobile node that has lost its own is in with its next Binding Update, a recording is not.
 */
export class SequenceMemory {
  readonly #limit: number;
  /** oldest first */
  readonly #kept = new Map<Address, { readonly sequence: number; readonly until: Millis }>();

  /** @param limit how many are kept: then the oldest goes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#kept.size;
  }

  remember(now: Millis, homeAddress: Address, sequence: number): void {
    this.#kept.delete(homeAddress);
    this.#kept.set(homeAddress, { sequence, until: now + KEPT_FOR });
    for (const [oldest, { until }] of this.#kept) {
      if (this.#kept.size <= this.#limit && now < until) break;
      this.#kept.delete(oldest);
    }
  }

  /** The number that the next one has to be greater than, if any. */
  last(now: Millis, homeAddress: Address): number | undefined {
    const kept = this.#kept.get(homeAddress);
    return kept !== undefined && now < kept.until ? kept.sequence : undefined;
  }

  forget(homeAddress: Address): void {
    this.#kept.delete(homeAddress);
  }
}
