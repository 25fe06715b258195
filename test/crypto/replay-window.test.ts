import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ReplayWindow } from '../../src/crypto/index.js';

/** RFC 4303 3.4.3 in so many words: seen is seen, and what lies left of the window is too old. */
class Reference {
  readonly #seen = new Set<number>();
  readonly #size: number;
  readonly #restored: number;
  #top: number;

  constructor(size: number, top: number) {
    this.#size = size;
    this.#restored = top;
    this.#top = top;
  }

  get top(): number {
    return this.#top;
  }

  check(sequence: number): boolean {
    if (sequence === 0 || sequence <= this.#restored) return false;
    return sequence > this.#top - this.#size && !this.#seen.has(sequence);
  }

  accept(sequence: number): void {
    this.#seen.add(sequence);
    this.#top = Math.max(this.#top, sequence);
  }
}

const LAST = 2 ** 32 - 1;
const size = fc.oneof(
  fc.constantFrom(64, 65, 95, 96, 97, 127, 128, 1000, 1024, 8191, 8192),
  fc.integer({ min: 64, max: 8192 }),
);
const restored = fc.oneof(
  fc.constant(0),
  fc.nat(5000),
  fc.integer({ min: LAST - 20_000, max: LAST }),
);
/** Where the next number is, seen from the top: near, at the window's edge, far. */
const step = fc.oneof(
  fc.integer({ min: -40, max: 40 }),
  fc.integer({ min: -9000, max: 9000 }),
  fc.constantFrom('edge', 'beyond-edge') as fc.Arbitrary<'edge' | 'beyond-edge'>,
  fc.integer({ min: 0, max: LAST }).map((jump) => Math.floor(jump / 1000)),
);

t.test('RFC 4303 3.4.3: the window says what the obvious model says', (t) => {
  fc.assert(
    fc.property(size, restored, fc.array(step, { maxLength: 400 }), (packets, top, steps) => {
      const window = new ReplayWindow(packets, top);
      const model = new Reference(packets, top);
      for (const by of steps) {
        const edge = by === 'edge' ? 1 - packets : -packets;
        const wanted = model.top + (typeof by === 'number' ? by : edge);
        const sequence = Math.min(LAST, Math.max(0, wanted));
        const fresh = window.check(sequence);
        assert.equal(fresh, model.check(sequence), `${sequence}, top ${model.top}`);
        if (!fresh) continue;
        window.accept(sequence);
        model.accept(sequence);
        assert.equal(window.top, model.top);
        assert.equal(window.check(sequence), false);
      }
      for (
        let sequence = Math.max(0, model.top - packets - 70);
        sequence <= model.top;
        sequence += 1
      ) {
        assert.equal(window.check(sequence), model.check(sequence), `${sequence} at the end`);
      }
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('RFC 4303 3.4.3: check changes nothing', (t) => {
  const window = new ReplayWindow(64);
  for (let again = 0; again < 3; again += 1) t.equal(window.check(100), true);
  t.equal(window.top, 0);
  t.end();
});

t.test('RFC 4303 2.2: numbers start at 1 and end at 2^32 - 1', (t) => {
  const window = new ReplayWindow(64);
  t.equal(window.check(0), false);
  t.equal(window.check(1), true);
  window.accept(LAST);
  t.equal(window.check(LAST), false);
  t.equal(window.check(LAST - 63), true);
  t.equal(window.check(LAST - 64), false);
  t.end();
});

t.test('restored: everything up to the stored top counts as seen', (t) => {
  const window = new ReplayWindow(128, 1000);
  for (const seen of [1, 937, 999, 1000]) t.equal(window.check(seen), false, `${seen}`);
  t.equal(window.check(1001), true);
  t.equal(window.top, 1000);
  t.end();
});

t.test('sizes: 64 to 8192 packets', (t) => {
  for (const bad of [0, 1, 63, 8193, 64.5, Number.NaN]) {
    t.throws(() => new ReplayWindow(bad), RangeError, `${bad}`);
  }
  t.end();
});
