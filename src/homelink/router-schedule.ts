import type { Millis } from '../time.js';

/** RFC 4861 10, in milliseconds. */
const MAX_INITIAL_RTR_ADVERT_INTERVAL: Millis = 16_000;
const MAX_INITIAL_RTR_ADVERTISEMENTS = 3;
const MIN_DELAY_BETWEEN_RAS: Millis = 3000;
const MAX_RA_DELAY_TIME: Millis = 500;
/** RFC 4861 6.2.1: default and bounds of MaxRtrAdvInterval, seconds. */
const DEFAULT_MAX_INTERVAL = 600;
const LEAST_MAX_INTERVAL = 4;
const LEAST_MIN_INTERVAL = 3;

/** Seconds; 0 where a lifetime is none of the router's business. */
export interface AdvertisedLifetimes {
  readonly lifetime: number;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
}

/** When the next Router Advertisement to all nodes is due (RFC 4861 6.2.4, 6.2.6). */
export class RouterSchedule {
  readonly #maxInterval: Millis;
  readonly #minInterval: Millis;
  readonly #random: () => number;
  #initial = 0;
  #dueAt: Millis | undefined;
  #sentAt: Millis = Number.NEGATIVE_INFINITY;

  /** Three advertisements fit into the shortest lifetime, so that none runs out when one is lost. */
  constructor(lifetimes: AdvertisedLifetimes, random: () => number) {
    const { lifetime, validLifetime, preferredLifetime } = lifetimes;
    const shortest = Math.min(
      3 * DEFAULT_MAX_INTERVAL,
      ...[lifetime, validLifetime, preferredLifetime].filter((seconds) => seconds > 0),
    );
    const max = Math.max(LEAST_MAX_INTERVAL, shortest / 3);
    this.#maxInterval = 1000 * max;
    this.#minInterval = 1000 * Math.max(LEAST_MIN_INTERVAL, 0.33 * max);
    this.#random = random;
  }

  get dueAt(): Millis | undefined {
    return this.#dueAt;
  }

  /** The interface has just begun to advertise. */
  start(now: Millis): void {
    this.#initial = MAX_INITIAL_RTR_ADVERTISEMENTS;
    this.#dueAt = this.#allowedFrom(now);
  }

  /** A solicitation that is to be answered to all nodes: soon, but not more often than allowed. */
  solicited(now: Millis): void {
    const first = this.#sentAt === Number.NEGATIVE_INFINITY;
    const at = this.#allowedFrom(now) + (first ? 0 : MAX_RA_DELAY_TIME * this.#random());
    this.#dueAt = Math.min(this.#dueAt ?? at, at);
  }

  /** An advertisement to all nodes has left. */
  sent(now: Millis): void {
    this.#sentAt = now;
    this.#initial = Math.max(0, this.#initial - 1);
    const spread = this.#maxInterval - this.#minInterval;
    const interval = this.#minInterval + spread * this.#random();
    this.#dueAt =
      now + (this.#initial > 0 ? Math.min(interval, MAX_INITIAL_RTR_ADVERT_INTERVAL) : interval);
  }

  #allowedFrom(now: Millis): Millis {
    return Math.max(now, this.#sentAt + MIN_DELAY_BETWEEN_RAS);
  }
}
