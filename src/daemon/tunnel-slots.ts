import { KagemushaError } from '../errors.js';

/** The lowest free counter block for each tunnel; the engine has a fixed number of them. */
export class TunnelSlots {
  readonly #first: number;
  readonly #capacity: number;
  readonly #taken = new Set<number>();

  /** @param first of them */
  constructor(capacity: number, first = 0) {
    this.#first = first;
    this.#capacity = capacity;
  }

  /** How many are taken. */
  get taken(): number {
    return this.#taken.size;
  }

  /** @throws KagemushaError TUNNELS_EXHAUSTED */
  take(): number {
    for (let slot = this.#first; slot < this.#first + this.#capacity; slot++) {
      if (this.#taken.has(slot)) continue;
      this.#taken.add(slot);
      return slot;
    }
    throw new KagemushaError(
      'TUNNELS_EXHAUSTED',
      `all ${this.#capacity} tunnels are in use; run a second daemon for the rest`,
    );
  }

  release(slot: number): void {
    this.#taken.delete(slot);
  }
}
