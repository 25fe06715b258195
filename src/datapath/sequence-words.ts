import type { RegionLayout } from './native.js';

/** The words of the shared region that tell the engine where each signaler's sequence numbers are. */
export class SequenceWords {
  private readonly words: Uint32Array;
  private readonly none: number;

  /** @param none the word's value when no number is known */
  constructor(region: ArrayBuffer, layout: RegionLayout, none: number) {
    this.words = new Uint32Array(region, layout.sequences, layout.maxSignalers);
    this.none = none;
  }

  expect(index: number, base: number | undefined): void {
    if (!(index >= 0 && index < this.words.length)) throw new RangeError(`no signaler ${index}`);
    Atomics.store(this.words, index, base ?? this.none);
  }
}
