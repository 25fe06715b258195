/** Many changes, one act: for each burst of them, and no more often than every `pause` milliseconds. */
export class Gathered {
  readonly #act: () => void;
  readonly #pause: number;
  #timer: NodeJS.Timeout | undefined;
  #actedAt = Number.NEGATIVE_INFINITY;

  constructor(act: () => void, pause: number) {
    this.#act = act;
    this.#pause = pause;
  }

  /** There is something to act upon. */
  soon(): void {
    if (this.#timer !== undefined) return;
    const left = this.#actedAt + this.#pause - performance.now();
    this.#timer = setTimeout(() => this.#run(), Math.max(0, left));
  }

  /** Somebody has acted meanwhile. */
  done(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#actedAt = performance.now();
  }

  /** Nothing is acted upon any more. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.done();
    this.#act();
  }
}
