import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import { LONGEST_LIFETIME } from './constants.js';

/** As long as the longest binding. */
const KEPT_FOR: Millis = 1000 * LONGEST_LIFETIME;

interface Kept {
  readonly sequence: number;
  readonly until: Millis;
}

/**
 * The last sequence numbers of bindings that are no more. RFC 6275 9.5.1 lets a node without a binding begin with any
 * number, and with it whoever recorded an old Binding Update, or held one back until its binding had ended: a replay window takes what it
 * has not seen. An older number gets status 135 instead, with the one to go on from: a mobile node that has lost its own is in with
 * its next Binding Update, a recording is not.
 */
export class SequenceMemory {
  /** oldest first; apart, so that strangers cannot drive out those that are listed */
  readonly #listed = new Map<Address, Kept>();
  readonly #strangers = new Map<Address, Kept>();

  get size(): number {
    return this.#listed.size + this.#strangers.size;
  }

  /**
   * @param listed the home address is one of the configuration's
   * @param limit how many of its kind are kept: then the oldest goes
   */
  remember(
    now: Millis,
    homeAddress: Address,
    sequence: number,
    { listed, limit }: { readonly listed: boolean; readonly limit: number },
  ): void {
    this.forget(homeAddress);
    const kept = listed ? this.#listed : this.#strangers;
    kept.set(homeAddress, { sequence, until: now + KEPT_FOR });
    for (const [oldest, { until }] of kept) {
      if (kept.size <= limit && now < until) break;
      kept.delete(oldest);
    }
  }

  /** The number that the next one has to be greater than, if any. */
  last(now: Millis, homeAddress: Address): number | undefined {
    const kept = this.#listed.get(homeAddress) ?? this.#strangers.get(homeAddress);
    return kept !== undefined && now < kept.until ? kept.sequence : undefined;
  }

  forget(homeAddress: Address): void {
    this.#listed.delete(homeAddress);
    this.#strangers.delete(homeAddress);
  }
}
