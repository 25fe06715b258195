import { ReservedCounter } from '../../src/reserved-counter.js';

/** Sequence numbers of Binding Updates from `next` on, modulo 2^16, that nobody writes down. */
export function sequenceFrom(next: number): ReservedCounter {
  return new ReservedCounter({ next, last: 0xffff, wraps: true, block: 64, reserve: () => {} });
}
