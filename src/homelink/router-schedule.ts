import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type { Address, Mac } from '../wire/index.js';

/** RFC 4861 10, in milliseconds. */
const MAX_INITIAL_RTR_ADVERT_INTERVAL: Millis = 16_000;
const MAX_INITIAL_RTR_ADVERTISEMENTS = 3;
const MIN_DELAY_BETWEEN_RAS: Millis = 3000;
const MAX_RA_DELAY_TIME: Millis = 500;
/** RFC 4861 6.2.1: default and bounds of MaxRtrAdvInterval, seconds. */
const DEFAULT_MAX_INTERVAL = 600;
const LEAST_MAX_INTERVAL = 4;
const LEAST_MIN_INTERVAL = 3;
/** Router Solicitations answered to the solicitor alone, so many at a time and in a second. */
const SOLICITED_BURST = 3;
const SOLICITED_RATE = 1 / 3;

/** Who asked for an advertisement, and may have one of its own. */
export interface Solicitor {
  readonly address: Address;
  readonly mac: Mac;
}

/** When Router Advertisements are due, to all nodes and to who asked (RFC 4861 6.2.4, 6.2.6). */
export class RouterSchedule {
  readonly #random: () => number;
  readonly #bucket = new TokenBucket(SOLICITED_BURST, SOLICITED_RATE);
  /** bounded by the bucket: nobody waits longer than MAX_RA_DELAY_TIME */
  readonly #solicitors = new Map<Address, { readonly mac: Mac; readonly at: Millis }>();
  #started = false;
  #initial = 0;
  #toAllAt: Millis | undefined;
  #sentAt: Millis = Number.NEGATIVE_INFINITY;

  /** @param random 0 <= r < 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** When something is due; see `isDue` and `dueSolicitors`. */
  get dueAt(): Millis | undefined {
    return earliest(this.#toAllAt, ...[...this.#solicitors.values()].map(({ at }) => at));
  }

  /** Whether it advertises on its own; until `start`, only who asks is answered. */
  get isStarted(): boolean {
    return this.#started;
  }

  /** The interface has just begun to advertise (RFC 4861 6.2.4). */
  start(now: Millis): void {
    this.#started = true;
    this.#initial = MAX_INITIAL_RTR_ADVERTISEMENTS;
    this.#toAllAt = this.#allowedFrom(now);
  }

  /** The interface has ceased to advertise. */
  stop(): void {
    this.#started = false;
    this.#toAllAt = undefined;
    this.#solicitors.clear();
  }

  /**
   * A solicitation, or (without `solicitor`: the sender has no address yet) news for all nodes (RFC 4861 6.2.6): the answer has a random delay,
   * goes to the solicitor alone while there are few of them, and otherwise to all nodes, not more often than allowed. What leaves for all
   * nodes before is the answer.
   */
  solicited(now: Millis, solicitor?: Solicitor): void {
    const delay = MAX_RA_DELAY_TIME * this.#random();
    if (this.#toAllAt !== undefined && this.#toAllAt <= now + delay) return;
    if (solicitor !== undefined) {
      if (this.#solicitors.has(solicitor.address)) return;
      if (this.#bucket.take(now)) {
        this.#solicitors.set(solicitor.address, { mac: solicitor.mac, at: now + delay });
        return;
      }
    }
    const at = this.#allowedFrom(now) + delay;
    this.#toAllAt = Math.min(this.#toAllAt ?? at, at);
  }

  /** Whether an advertisement to all nodes is to leave now; `sent` says that it has. */
  isDue(now: Millis): boolean {
    return this.#toAllAt !== undefined && now >= this.#toAllAt;
  }

  /** Takes out those who are to have an advertisement of their own now. */
  dueSolicitors(now: Millis): Solicitor[] {
    const due: Solicitor[] = [];
    for (const [address, { mac, at }] of [...this.#solicitors]) {
      if (now < at) continue;
      this.#solicitors.delete(address);
      due.push({ address, mac });
    }
    return due;
  }

  /**
   * An advertisement to all nodes has left. Three of them fit into the shortest lifetime that it told, where the least intervals allow it: none
   * runs out when one is lost.
   * @param lifetimes seconds; those of 0 have run out already
   */
  sent(now: Millis, lifetimes: readonly number[]): void {
    this.#sentAt = now;
    this.#initial = Math.max(0, this.#initial - 1);
    this.#solicitors.clear();
    const positive = lifetimes.filter((seconds) => seconds > 0);
    const shortest = Math.min(3 * DEFAULT_MAX_INTERVAL, ...positive);
    const max = Math.max(LEAST_MAX_INTERVAL, shortest / 3);
    const min = Math.max(LEAST_MIN_INTERVAL, 0.33 * max);
    const interval = 1000 * (min + (max - min) * this.#random());
    const next = this.#initial > 0 ? Math.min(interval, MAX_INITIAL_RTR_ADVERT_INTERVAL) : interval;
    this.#toAllAt = this.#started ? now + next : undefined;
  }

  #allowedFrom(now: Millis): Millis {
    return Math.max(now, this.#sentAt + MIN_DELAY_BETWEEN_RAS);
  }
}
