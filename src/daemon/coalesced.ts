/**
 * Work that many causes ask for and that is done once for all of one turn of the event loop: the whole tunnel table is written anew
 * whatever changed in it.
 */
export class Coalesced {
  readonly #work: () => void;
  readonly #onError: (error: unknown) => void;
  #waiting: (() => void)[] | undefined;

  /** @param onError told of what `work` throws, and what waited for it: nobody else is there to catch it */
  constructor(work: () => void, onError: (error: unknown) => void) {
    this.#work = work;
    this.#onError = onError;
  }

  /** The work is done before the event loop goes on. */
  ask(): void {
    if (this.#waiting !== undefined) return;
    this.#waiting = [];
    queueMicrotask(() => this.#do());
  }

  /** Once the work that was asked for is done; now, when none was. */
  after(act: () => void): void {
    if (this.#waiting === undefined) act();
    else this.#waiting.push(act);
  }

  #do(): void {
    const acts = [this.#work, ...(this.#waiting ?? [])];
    this.#waiting = undefined;
    for (const act of acts) {
      try {
        act();
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
