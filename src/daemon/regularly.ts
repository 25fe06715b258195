import type { Millis } from '../time.js';

/** Work of many that is done again and again: with one timer for all of them, and none while there is nobody. */
export class Regularly {
  readonly #every: Millis;
  readonly #works = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(every: Millis) {
    this.#every = every;
  }

  /** Begins with the next round. `work` must not throw. */
  add(work: () => void): void {
    this.#works.add(work);
    this.#timer ??= setInterval(() => this.#round(), this.#every);
  }

  /** Does nothing when it was never added. */
  remove(work: () => void): void {
    this.#works.delete(work);
    if (this.#works.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #round(): void {
    for (const work of this.#works) work();
  }
}
