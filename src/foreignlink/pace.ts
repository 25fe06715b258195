import type { Millis } from '../time.js';

/**
 * A few at a time, then a pause: what hundreds of addresses say at once overflows the ring to the engine, and floods the link (RFC 4862
 * 5.4.2 wants them spread as well).
 */
export class Pace {
  readonly #atOnce: number;
  readonly #pause: Millis;
  #left: number;
  #turnAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(atOnce: number, pause: Millis) {
    this.#atOnce = atOnce;
    this.#pause = pause;
    this.#left = atOnce;
  }

  /** Whether one more may be sent now. */
  take(now: Millis): boolean {
    if (now >= this.#turnAt) {
      this.#turnAt = now + this.#pause;
      this.#left = this.#atOnce;
    }
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  /** When one more may be sent: in the past where that is now. */
  get readyAt(): Millis {
    return this.#left > 0 ? Number.NEGATIVE_INFINITY : this.#turnAt;
  }
}
