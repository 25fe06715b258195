import { Arrival, type ArrivalReport } from '../migration/index.js';
import type { Millis } from '../time.js';
import type { Logger } from './log.js';
import { wallClock } from './wall-clock.js';

/** A guest to which nobody speaks has arrived all the same, milliseconds. */
const TELL_ANYWAY = 5_000;

/** Times the arrivals of one guest, and says in the log how each went. */
export class ArrivalWatch {
  readonly #log: Logger;
  /** the last one that was seen, or that is to come */
  #arrival: Arrival | undefined;
  #telling: NodeJS.Timeout | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  get report(): ArrivalReport | undefined {
    return this.#arrival?.report;
  }

  /** Whether the guest was seen to come, or is about to. */
  get isSeen(): boolean {
    return this.#arrival !== undefined;
  }

  /** Its machine stopped on the host that it leaves. @param at milliseconds since 1970 */
  stopped(at: Millis): void {
    this.#arrival ??= new Arrival();
    this.#arrival.stopped(at);
  }

  /** It is here. @param at milliseconds since 1970 */
  here(at: Millis): void {
    if (this.#arrival === undefined || this.#arrival.isHere) this.#arrival = new Arrival();
    this.#arrival.here(at);
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => this.tell(), TELL_ANYWAY);
  }

  /** Nobody has seen it come, or it has left. */
  forget(): void {
    if (this.#telling !== undefined) this.tell();
    this.#arrival = undefined;
  }

  /** A Binding Update left. */
  sent(): void {
    this.#arrival?.sent(wallClock());
  }

  /** The Home Agent has answered. */
  answered(): void {
    this.#arrival?.answered(wallClock());
  }

  /** A packet came out of the tunnel for it, which ends the arrival. */
  delivered(): void {
    this.#arrival?.delivered(wallClock());
    this.tell();
  }

  /** Nothing more is to come of it. */
  tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const arrival = this.report;
    if (arrival !== undefined) this.#log.info({ arrival }, 'arrived');
  }

  stop(): void {
    clearTimeout(this.#telling);
  }
}
