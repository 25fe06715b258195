import t from 'tap';
import { Pace } from '../../src/foreignlink/pace.js';
import type { Address } from '../../src/wire/index.js';
import { parseAddress, UNSPECIFIED } from '../../src/wire/index.js';
import { BoundedLink } from '../support/bounded-link.js';
import { ForeignLinkHarness } from '../support/foreign-link-harness.js';

const GUESTS = 500;
/** Slots of the ring from JavaScript to the engine (native/engine/slow_path_ring.h). */
const RING = 256;

const address = (n: number): Address => parseAddress(`2001:db8:3000::1:${n.toString(16)}`);
const addresses = Array.from({ length: GUESTS }, (_, n) => address(n));

/** For each address when its last probe left before it was usable, and when it was. */
function proofs(link: BoundedLink) {
  return addresses.map((one) => {
    const usableAt = link.usable.get(one);
    const probes = link.left.filter(
      ({ at, packet: { source, message } }) =>
        source === UNSPECIFIED &&
        message.kind === 'neighbor-solicitation' &&
        message.target === one &&
        at <= (usableAt ?? 0),
    );
    return { one, probedAt: probes.at(-1)?.at, usableAt };
  });
}

for (const optimistic of [false, true]) {
  const what = optimistic ? 'as after a restart' : 'at once';
  t.test(`RFC 4862 5.4.2: 500 addresses ${what} never fill the ring, in seconds`, (t) => {
    const harness = new ForeignLinkHarness();
    // An engine that is woken every 50 ms only is a slow one.
    const link = new BoundedLink(harness, { room: RING, every: 50 });
    if (optimistic) link.handle({ type: 'start', again: true });
    for (const one of addresses) link.handle({ type: 'add', address: one, optimistic });
    link.pass(12_000);
    t.equal(link.refused, 0, 'nothing was lost');
    t.equal(link.usable.size, GUESTS);
    t.ok(link.most <= RING / 2, `${link.most} frames within 50 ms at most`);
    const probed = new Set(
      link.left.flatMap(({ packet: { source, message } }) =>
        source === UNSPECIFIED && message.kind === 'neighbor-solicitation' ? [message.target] : [],
      ),
    );
    t.equal(probed.size, GUESTS);
    if (!optimistic) {
      const times = proofs(link).map(({ usableAt = 1e9 }) => usableAt);
      t.ok(Math.max(...times) < 6000, `the last one after ${Math.max(...times)} ms`);
      const bad = proofs(link).filter(
        ({ probedAt = 1e9, usableAt = 0 }) => usableAt < probedAt + 1000,
      );
      t.same(bad, [], 'each a second after its probe');
      t.equal(link.wakeAfter(20_000), undefined, 'and then there is silence');
    }
    t.end();
  });
}

t.test('a link that takes much less: all come up, none without a probe that left', (t) => {
  const harness = new ForeignLinkHarness();
  const link = new BoundedLink(harness, { room: 8, every: 50 });
  for (const one of addresses) link.handle({ type: 'add', address: one });
  link.pass(120_000);
  t.ok(link.refused > 100, `${link.refused} frames were refused`);
  t.equal(link.usable.size, GUESTS);
  const bad = proofs(link).filter(({ probedAt = 1e9, usableAt = 0 }) => usableAt < probedAt + 1000);
  t.same(bad, [], 'each a second after a probe that left');
  t.end();
});

t.test('a link that takes nothing: nothing is proven, and what is tried is bounded', (t) => {
  const harness = new ForeignLinkHarness();
  const link = new BoundedLink(harness, { room: 0, every: 50 });
  link.handle({ type: 'start' });
  for (const one of addresses) link.handle({ type: 'add', address: one });
  link.pass(60_000);
  t.equal(link.usable.size, 0);
  t.ok(link.refused < 60 * 1000, `${link.refused} in a minute`);
  t.ok((harness.link.drops.get('unsent') ?? 0) > 0, 'what is given up is counted');
  t.end();
});

t.test('a pace: so many, then a pause', (t) => {
  const pace = new Pace(2, 50);
  t.same([pace.take(0), pace.take(0), pace.take(49)], [true, true, false]);
  t.equal(pace.readyAt, 50);
  t.equal(pace.take(50), true);
  t.equal(pace.readyAt, Number.NEGATIVE_INFINITY);
  t.end();
});
