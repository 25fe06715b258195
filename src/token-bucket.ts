import type { Millis } from './time.js';

/** The rate limit that RFC 4443 2.4(f) recommends for ICMPv6 errors: bursts pass, the long-term rate is bounded. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: Millis | undefined;

  /** @param capacity how many may pass at once @param perSecond how many in the long run */
  constructor(capacity: number, perSecond: number) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#tokens = capacity;
  }

  /** Takes one token if there is one. */
  take(now: Millis): boolean {
    if (!this.holds(now, 1)) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Whether there are so many tokens. */
  holds(now: Millis, count: number): boolean {
    const elapsed = Math.max(0, now - (this.#filledAt ?? now));
    this.#filledAt = now;
    this.#tokens = Math.min(this.#capacity, this.#tokens + (elapsed * this.#perSecond) / 1000);
    return this.#tokens >= count;
  }
}
