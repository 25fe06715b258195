/** 100 a second: less than a Home Agent's policing takes for a flood (native/engine/policing.h, `kOtherTotal`). */
const AT_ONCE = 10;
const EVERY_MS = 100;

/**
 * Does things a few at a time, the first few at once. What hundreds of guests send in the same millisecond overflows the rings and
 * the policing on its way, and then waits for retransmission.
 */
export class FewAtATime {
  readonly #onError: (error: unknown) => void;
  #waiting: { readonly owner: object; readonly act: () => void }[] = [];
  #left = AT_ONCE;
  #timer: NodeJS.Timeout | undefined;

  /** @param onError told of what is thrown: the others still have their turn */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Now, or in its turn. @param owner see forget */
  add(owner: object, act: () => void): void {
    this.#waiting.push({ owner, act });
    this.#work();
  }

  /** What waits for this owner is not done any more. */
  forget(owner: object): void {
    this.#waiting = this.#waiting.filter((one) => one.owner !== owner);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #work(): void {
    while (this.#left > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#left -= 1;
      this.#timer ??= setTimeout(() => this.#turn(), EVERY_MS);
      try {
        next.act();
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  #turn(): void {
    this.#timer = undefined;
    this.#left = AT_ONCE;
    this.#work();
  }
}
