import type { Millis } from '../time.js';

/** How a guest's arrival on this host went, milliseconds. */
export interface ArrivalReport {
  /** When it was here first, since 1970: its machine ran, or its first frame came. */
  readonly at: Millis;
  /** From then on until the first Binding Update left. */
  readonly trigger: Millis;
  /** From the Binding Update on until the Home Agent's answer. Left out while there is none. */
  readonly answer?: Millis;
}

/** Watches one arrival; all times since 1970, by one clock. */
export class Arrival {
  readonly #at: Millis;
  #sent: Millis | undefined;
  #answered: Millis | undefined;

  /** @param at when the guest was here first */
  constructor(at: Millis) {
    this.#at = at;
  }

  /** A Binding Update leaves. */
  sent(now: Millis): void {
    this.#sent ??= now;
  }

  /** The home agent has confirmed the binding; true for the first time. */
  answered(now: Millis): boolean {
    if (this.#sent === undefined || this.#answered !== undefined) return false;
    this.#answered = now;
    return true;
  }

  /** Undefined until a Binding Update has left. */
  get report(): ArrivalReport | undefined {
    const at = this.#at;
    const sent = this.#sent;
    if (sent === undefined) return undefined;
    const answer = this.#answered === undefined ? {} : { answer: this.#answered - sent };
    return { at, trigger: sent - at, ...answer };
  }
}
