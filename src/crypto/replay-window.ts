/** Sizes that a window may have, in packets (RFC 4303 3.4.3 asks for 32 at least, 64 by preference). */
export const SMALLEST_REPLAY_WINDOW = 64;
export const LARGEST_REPLAY_WINDOW = 8192;

const BITS = 32;

/**
 * Which sequence numbers have come (RFC 4303 3.4.3), as a ring of bitmap words: moving on clears whole words instead of
 * shifting bits (RFC 6479). The ring has one word more than the window needs, since the words at its two ends
 * are used in part.
 */
export class ReplayWindow {
  readonly #size: number;
  readonly #ring: Uint32Array;
  readonly #mask: number;
  /** all up to this counts as seen: what was accepted before a restart */
  readonly #seen: number;
  #top: number;

  /**
   * @param size in packets, 64 to 8192
   * @param top the highest sequence number that was accepted before a restart: it and all before it count as seen
   * @throws RangeError for another size
   */
  constructor(size: number, top = 0) {
    if (!Number.isInteger(size) || size < SMALLEST_REPLAY_WINDOW || size > LARGEST_REPLAY_WINDOW) {
      throw new RangeError(`a replay window of ${size} packets, not of 64 to 8192`);
    }
    const words = 2 ** Math.ceil(Math.log2(Math.ceil(size / BITS) + 1));
    this.#size = size;
    this.#ring = new Uint32Array(words);
    this.#mask = words - 1;
    this.#seen = top;
    this.#top = top;
  }

  /** The highest sequence number accepted; 0 before the first. */
  get top(): number {
    return this.#top;
  }

  /** Whether a packet with this number (32 bits) may be new. Changes nothing. */
  check(sequence: number): boolean {
    // Numbers start at 1 (RFC 4303 2.2).
    if (sequence === 0 || sequence <= this.#seen) return false;
    if (sequence > this.#top) return true;
    if (sequence <= this.#top - this.#size) return false;
    return ((this.#word(sequence) >>> (sequence % BITS)) & 1) === 0;
  }

  /** Marks a number as seen. Only for what `check` lets pass and whose ICV was right. */
  accept(sequence: number): void {
    if (sequence > this.#top) {
      const from = this.#top >>> 5;
      const steps = Math.min((sequence >>> 5) - from, this.#ring.length);
      for (let step = 1; step <= steps; step += 1) this.#ring[(from + step) & this.#mask] = 0;
      this.#top = sequence;
    }
    this.#ring[this.#index(sequence)] = this.#word(sequence) | (1 << (sequence % BITS));
  }

  #index(sequence: number): number {
    return (sequence >>> 5) & this.#mask;
  }

  #word(sequence: number): number {
    return this.#ring[this.#index(sequence)] ?? 0;
  }
}
