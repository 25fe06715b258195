import fc from 'fast-check';
import { test } from 'tap';
import { KagemushaError } from '../src/errors.js';
import { ReservedCounter } from '../src/reserved-counter.js';

test('numbers are reserved in blocks before the first of a block is used', async (t) => {
  const reserved: number[] = [];
  const counter = new ReservedCounter({
    next: 1,
    last: 0xffffffff,
    block: 4,
    reserve: (until) => reserved.push(until),
  });
  t.same(
    Array.from({ length: 6 }, () => counter.take()),
    [1, 2, 3, 4, 5, 6],
  );
  t.same(reserved, [5, 9]);
});

test('RFC 4303 3.3.3: a counter that does not wrap ends', async (t) => {
  const reserved: number[] = [];
  const counter = new ReservedCounter({
    next: 8,
    last: 9,
    block: 64,
    reserve: (until) => reserved.push(until),
  });
  t.same([counter.take(), counter.take(), counter.take()], [8, 9, undefined]);
  t.same(reserved, [10], 'one past the last: all used');
  const again = new ReservedCounter({ next: 10, last: 9, block: 64, reserve: () => {} });
  t.equal(again.take(), undefined);
});

test('RFC 6275 9.5.1: a counter that wraps goes on at 0', async (t) => {
  const reserved: number[] = [];
  const counter = new ReservedCounter({
    next: 0xfffe,
    last: 0xffff,
    wraps: true,
    block: 3,
    reserve: (until) => reserved.push(until),
  });
  t.same(
    Array.from({ length: 4 }, () => counter.take()),
    [0xfffe, 0xffff, 0, 1],
  );
  t.same(reserved, [1, 4]);
});

test('a jump reserves anew', async (t) => {
  const reserved: number[] = [];
  const counter = new ReservedCounter({
    next: 5,
    last: 0xffff,
    wraps: true,
    block: 8,
    reserve: (until) => reserved.push(until),
  });
  counter.take();
  counter.jump(100);
  t.equal(counter.next, 100);
  t.equal(counter.take(), 100);
  t.same(reserved, [13, 108]);
});

test('whatever the instant of a crash, no number is given out twice', async (t) => {
  const runs = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 20 });
  fc.assert(
    fc.property(runs, fc.integer({ min: 1, max: 16 }), (lives, block) => {
      let stored = 1;
      const given = new Set<number>();
      for (const takes of lives) {
        const reserve = (until: number): void => {
          stored = until;
        };
        const counter = new ReservedCounter({ next: stored, last: 0xffffffff, block, reserve });
        for (let n = 0; n < takes; n += 1) {
          const number = counter.take() ?? -1;
          if (given.has(number)) return false;
          given.add(number);
        }
      }
      return true;
    }),
  );
  t.pass();
});

test('a floor that grows is never undercut, and what it skips is not reserved', async (t) => {
  const reserved: number[] = [];
  let floor = 100;
  const counter = new ReservedCounter({
    next: 7,
    last: 0xffffffff,
    block: 4,
    floor: () => floor,
    reserve: (until) => reserved.push(until),
  });
  t.same([counter.take(), counter.take()], [100, 101]);
  floor = 102;
  t.equal(counter.take(), 102, 'inside the block');
  floor = 50;
  t.equal(counter.take(), 103, 'a clock set back changes nothing');
  floor = 1000;
  t.equal(counter.take(), 1000);
  t.same(reserved, [104, 1004]);
});

test('what cannot be reserved is not given out', async (t) => {
  let full = true;
  const counter = new ReservedCounter({
    next: 1,
    last: 0xffffffff,
    block: 4,
    reserve: () => {
      if (full) throw new KagemushaError('STORE_FAILED', 'the disk is full');
    },
  });
  t.equal(counter.take(), undefined);
  full = false;
  t.equal(counter.take(), 1, 'the same number later');
});

test('prepared: the next number is written down before anybody needs it', async (t) => {
  const written: number[] = [];
  let floor = 0;
  const counter = new ReservedCounter({
    next: 1,
    last: 50,
    block: 10,
    reserve: (until) => written.push(until),
    floor: () => floor,
  });
  t.equal(counter.prepare(), true);
  t.strictSame(written, [11]);
  t.equal(counter.prepare(), true);
  t.equal(counter.take(), 1);
  t.strictSame(written, [11], 'once');
  floor = 30;
  counter.prepare();
  t.strictSame(written, [11, 40], 'the floor has left the block behind');
  t.equal(counter.take(), 30);
  floor = 51;
  t.equal(counter.prepare(), false, 'none is left');
  t.equal(counter.take(), undefined);
});
