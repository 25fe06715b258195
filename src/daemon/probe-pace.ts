import { TokenBucket } from '../token-bucket.js';
import { monotonicNow } from './driver.js';

/** Path MTU probes of one daemon: at once, and per second in the long run. */
const BURST = 500;
const RATE = 500;
/**
 * Of the budget, what has to be there for another tunnel to open: it sends a handful of probes at once, and those that are under way
 * must not be kept from repeating theirs. A probe that is not sent looks like one that was lost.
 */
const TO_OPEN = 250;
/** Milliseconds until there is some budget again. */
const LOOK_AGAIN = 20;

/** How fast a daemon probes paths: after a restart thousands of tunnels open, and each must wait for its turn. */
export class ProbePace {
  readonly #budget = new TokenBucket(BURST, RATE);
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Calls `start`, which begins to probe, when it is its turn: never before this returns. */
  begin(start: () => void): void {
    if (this.#stopped) return;
    this.#waiting.add(start);
    this.#look(0);
  }

  /** Not to be called any more. */
  withdraw(start: () => void): void {
    this.#waiting.delete(start);
  }

  /** Whether one probe may leave now. */
  take(): boolean {
    return this.#budget.take(monotonicNow());
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    clearTimeout(this.#timer);
  }

  #look(delay: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#admit();
    }, delay);
  }

  #admit(): void {
    for (const start of this.#waiting) {
      if (!this.#budget.holds(monotonicNow(), TO_OPEN)) {
        this.#look(LOOK_AGAIN);
        return;
      }
      this.#waiting.delete(start);
      start();
    }
  }
}
