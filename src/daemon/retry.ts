/** Attempts that are made again ever less often, with one timer. */
export class Retry {
  readonly #first: number;
  readonly #longest: number;
  #pause: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param first the pause before the second attempt, milliseconds; it doubles up to `longest` */
  constructor(first: number, longest: number) {
    this.#first = first;
    this.#longest = longest;
    this.#pause = first;
  }

  /** The next attempt, after a pause; instead of one that is still to come. */
  later(attempt: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(attempt, this.#pause);
    this.#pause = Math.min(2 * this.#pause, this.#longest);
  }

  /** One has gone well: the pauses begin anew. */
  succeeded(): void {
    this.#pause = this.#first;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * For what QEMU is to open. A QEMU that starts is served within that time; to ask hundreds of sockets so often costs nothing to
 * speak of.
 */
export function retryForQemu(): Retry {
  return new Retry(100, 3000);
}
