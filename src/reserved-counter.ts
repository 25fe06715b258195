import { KagemushaError } from './errors.js';

export interface ReservedCounterOptions {
  /** the first number to give out */
  readonly next: number;
  /** the last number; what follows it is 0 when the counter `wraps`, else nothing */
  readonly last: number;
  readonly wraps?: boolean;
  /** how many numbers are reserved at a time */
  readonly block: number;
  /**
   * Writes down, before it returns and for good, that every number before `until` may have been used. A counter that wraps reserves
   * modulo `last + 1`.
   */
  readonly reserve: (until: number) => void;
  /** Numbers below this are not given out any more: it grows, with time say. */
  readonly floor?: () => number;
}

/**
 * Numbers that are never given out twice, not even after a crash: they are reserved in blocks before the first of a
 * block is used, and a counter made anew begins at the end of what was reserved.
 */
export class ReservedCounter {
  readonly #options: ReservedCounterOptions;
  #next: number;
  /** how many numbers from `#next` on are reserved */
  #left = 0;

  constructor(options: ReservedCounterOptions) {
    this.#options = options;
    this.#next = options.next;
  }

  /** The number that `take` gives next. */
  get next(): number {
    return this.#next;
  }

  /** The next number; undefined when there is none left, or it could not be reserved (a KagemushaError, which the store told of). */
  take(): number | undefined {
    const { last, wraps = false } = this.#options;
    if (!this.prepare()) return undefined;
    const number = this.#next;
    this.#left -= 1;
    this.#next = wraps ? (number + 1) % (last + 1) : number + 1;
    return number;
  }

  /** Reserves what `take` is about to need: to write it down takes its time. False: `take` would give nothing. */
  prepare(): boolean {
    const { last, wraps = false, block, reserve, floor } = this.#options;
    if (floor !== undefined) this.#skipTo(floor());
    const number = this.#next;
    if (number > last) return false;
    if (this.#left > 0) return true;
    // One past the last number stands for "all used".
    const end = number + block;
    try {
      reserve(wraps ? end % (last + 1) : Math.min(end, last + 1));
    } catch (error) {
      if (error instanceof KagemushaError) return false;
      throw error;
    }
    this.#left = wraps ? block : Math.min(block, last + 1 - number);
    return true;
  }

  /** What is skipped of the reserved block is given up. */
  #skipTo(floor: number): void {
    const skipped = floor - this.#next;
    if (skipped <= 0) return;
    this.#next = floor;
    this.#left = Math.max(0, this.#left - skipped);
  }

  /** Goes on from another number, which the other side asked for. */
  jump(next: number): void {
    if (next === this.#next) return;
    this.#next = next;
    this.#left = 0;
  }
}
