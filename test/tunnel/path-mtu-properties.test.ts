import fc from 'fast-check';
import t from 'tap';
import type { PathMtuEvent } from '../../src/tunnel/index.js';
import { PathMtu } from '../../src/tunnel/index.js';
import { PathSimulation } from '../support/path-simulation.js';
import { seededRandom } from '../support/random.js';
import { drive } from '../support/wake.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const seed = fc.nat(1_000_000);
const linkMtu = fc.oneof(
  fc.constantFrom(1280, 1281, 1500, 9000, 9216),
  fc.integer({ min: 1280, max: 9216 }),
);
/** What the path takes: often near a corner. */
const forward = fc.oneof(
  fc.constantFrom(1280, 1281, 1288, 1320, 1400, 1420, 1492, 1499, 1500, 8896, 9000),
  fc.integer({ min: 1280, max: 9216 }),
  fc.integer({ min: 1280, max: 1600 }),
);
const overhead = fc.constantFrom(40, 48);
const EXAMPLES = { seed: 20_473, numRuns: 150 };

/** What the estimate shall be: within 8 octets below. */
function near(estimate: number, link: number, path: number): boolean {
  const best = Math.min(link, path);
  return estimate <= best && estimate > best - 8;
}

function check(holds: boolean, path: PathSimulation, what: string): void {
  if (holds) return;
  const { machine, now, probes, estimates } = path;
  const seen = { mtu: machine.mtu, state: machine.state, now, probes: probes.length, estimates };
  throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

for (const tooBig of [false, true]) {
  const kind = tooBig ? 'with Packet Too Big' : 'in a black hole';
  t.test(
    `property: ${kind} the estimate is usable within 0.6 s, right, and never again too large`,
    (t) => {
      fc.assert(
        fc.property(
          ...[seed, linkMtu, forward, overhead],
          fc.double({ min: 0.2, max: 50, noNaN: true }),
          (random, link, size, headers, roundTrip) => {
            const config = { linkMtu: link, overhead: headers };
            const path = new PathSimulation({ forward: size, roundTrip, tooBig }, config, random);
            path.send({ type: 'open' });
            path.until(() => path.machine.mtu <= size, tooBig ? 60 : 600);
            path.until(() => path.machine.state === 'confirmed', 5000);
            check(near(path.machine.mtu, link, size), path, 'confirmed');
            if (tooBig) check(path.machine.mtu === Math.min(link, size), path, 'exact');
            const settledAt = path.now;
            path.run(MINUTE);
            check(path.probes.length <= 90, path, 'probes of the first minute');
            path.run(2 * HOUR);
            check(near(path.machine.mtu, link, size), path, 'two hours later');
            check(
              path.estimates.every(({ at }) => at <= settledAt),
              path,
              'it did not move',
            );
            // 360 verifications and 6 attempts to raise an hour.
            check(path.probes.length <= 90 + 2 * (360 * 2 + 6 * 20), path, 'probes of two hours');
          },
        ),
        EXAMPLES,
      );
      t.end();
    },
  );
}

t.test('property: with loss the estimate is never too large, and hardly ever too small', (t) => {
  fc.assert(
    fc.property(
      ...[seed, linkMtu, forward, overhead],
      fc.double({ min: 1, max: 300, noNaN: true }),
      fc.double({ min: 0, max: 0.1, noNaN: true }),
      fc.boolean(),
      (random, link, size, headers, roundTrip, loss, tooBig) => {
        const config = { linkMtu: link, overhead: headers };
        const path = new PathSimulation({ forward: size, roundTrip, loss, tooBig }, config, random);
        path.send({ type: 'open' });
        path.run(MINUTE);
        let low = 0;
        for (let second = 0; second < 7200; second += 1) {
          path.run(1000);
          check(path.machine.mtu <= size, path, 'too large');
          check(path.machine.mtu >= 1280, path, 'below 1280');
          if (!near(path.machine.mtu, link, size)) low += 1;
        }
        check(low <= 600, path, `too small for ${low} of 7200 s`);
        check(path.probes.length <= 4500, path, 'probes');
      },
    ),
    { ...EXAMPLES, numRuns: 60 },
  );
  t.end();
});

t.test(
  'property: whatever the path was before, twelve minutes after its last change the estimate is right',
  (t) => {
    const stretch = fc.record({
      forward,
      backward: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 1400),
      roundTrip: fc.constantFrom(1, 20, 150, 900),
      loss: fc.constantFrom(0, 0, 0.05, 0.5, 1),
      tooBig: fc.boolean(),
      answers: fc.constantFrom(true, true, true, false),
      answersPerSecond: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 2),
      lasts: fc.constantFrom(100, 3000, 40_000, 700_000),
    });
    fc.assert(
      fc.property(
        ...[seed, linkMtu, forward],
        fc.array(stretch, { maxLength: 8 }),
        fc.boolean(),
        (random, link, size, stretches, tooBig) => {
          const path = new PathSimulation({ forward: size }, { linkMtu: link }, random);
          path.send({ type: 'open' });
          for (const { lasts, ...of } of stretches) {
            Object.assign(path.path, of);
            path.run(lasts);
            check(path.machine.mtu >= 1280 && path.machine.mtu <= link, path, 'bounds');
          }
          const infinite = Number.POSITIVE_INFINITY;
          Object.assign(path.path, {
            forward: size,
            backward: infinite,
            roundTrip: 20,
            loss: 0,
            tooBig,
          });
          Object.assign(path.path, { answers: true, answersPerSecond: infinite });
          // A peer that was silent for long is asked again after ten minutes at the latest, and then raised after ten more.
          path.run(24 * MINUTE);
          check(near(path.machine.mtu, link, size), path, 'right');
          check(path.machine.state === 'confirmed', path, 'confirmed');
        },
      ),
      EXAMPLES,
    );
    t.end();
  },
);

t.test(
  'property: 1280 <= estimate <= link, only Packet Too Big and probes move it, no driver spins',
  (t) => {
    const pause = fc.oneof(
      fc.constantFrom(0, 0.001, 199.999, 200, 2000, 30_000, 600_000, 86_400_000),
      fc.double({ min: 0, max: 5000, noNaN: true }),
    );
    const event = fc.oneof(
      fc.constantFrom<PathMtuEvent>(
        ...([{ type: 'open' }, { type: 'close' }, { type: 'traffic' }, { type: 'tick' }] as const),
      ),
      fc.record({ type: fc.constant('too-big' as const), mtu: fc.oneof(forward, fc.nat(2 ** 32)) }),
      fc.record({ type: fc.constant('answer' as const), token: fc.nat(40) }),
    );
    fc.assert(
      fc.property(
        ...[linkMtu, fc.boolean(), seed],
        fc.array(fc.tuple(pause, event), { maxLength: 80 }),
        (link, probing, random, story) => {
          const numbers = seededRandom(random);
          // Tokens are few, so that some of the answers answer something.
          const small = () => Math.floor(numbers() * 40) / 2 ** 32;
          const machine = new PathMtu({ linkMtu: link, overhead: 40, probing, random: small });
          let now = 0;
          for (const [ms, what] of story) {
            now += ms;
            const before = machine.mtu;
            drive(machine, now, what);
            if (machine.mtu < 1280 || machine.mtu > link) throw new Error(`${machine.mtu}`);
            if (what.type === 'too-big' && what.mtu < 1280 && ms === 0 && machine.mtu < before) {
              throw new Error('lowered by less than 1280');
            }
          }
        },
      ),
      { ...EXAMPLES, numRuns: 500 },
    );
    t.end();
  },
);
