import fc from 'fast-check';
import t from 'tap';
import type { Signal } from '../../src/signaling/index.js';
import { bindingAcknowledgement } from '../support/mobile-node-harness.js';
import type { Network } from '../support/mobility-simulation.js';
import { MobilitySimulation } from '../support/mobility-simulation.js';
import { seededRandom } from '../support/random.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';

const HOUR = 3_600_000;
const SEEDS = [1, 2, 3];

t.test('DAD: the first acknowledgement takes 1.0 to 1.1 s, a move takes no DAD', (t) => {
  const simulation = new MobilitySimulation({ seed: 1 });
  simulation.register();
  const first = simulation.runUntil(() => simulation.alive, 5000);
  t.ok(first !== undefined && first >= 1000 && first <= 1100, `registered after ${first} ms`);
  simulation.move(OTHER_CARE_OF);
  const moved = simulation.runUntil(() => simulation.bound === OTHER_CARE_OF, 5000);
  t.ok(moved !== undefined && moved <= 50, `moved after ${moved} ms`);
  t.ok(simulation.alive);
  t.end();
});

t.test('8 h on a good network: the binding never lapses, and signalling stays small', (t) => {
  const simulation = new MobilitySimulation({ seed: 7 });
  simulation.register();
  simulation.run(2000);
  simulation.aliveFor = 0;
  simulation.run(8 * HOUR);
  t.equal(simulation.aliveFor, 8 * HOUR);
  // A refresh half way through 60 s: two packets every 27 to 30 s.
  t.ok(simulation.signals < (2 * 8 * 3600) / 26, `${simulation.signals} packets`);
  t.end();
});

const rough: readonly { name: string; network: Partial<Network>; share: number }[] = [
  { name: '5 % loss', network: { loss: 0.05 }, share: 0.9999 },
  { name: '30 % loss', network: { loss: 0.3 }, share: 0.98 },
  { name: '50 % loss', network: { loss: 0.5 }, share: 0.7 },
  { name: 'reordering over 3 s', network: { delay: [1, 3000] }, share: 0.9999 },
  { name: 'every packet twice', network: { duplication: 1, delay: [1, 200] }, share: 0.9999 },
  {
    name: '20 % loss, duplication, reordering',
    network: { loss: 0.2, duplication: 0.3, delay: [1, 2500] },
    share: 0.98,
  },
];

for (const { name, network, share } of rough) {
  t.test(`2 h with ${name}: bound at least ${100 * share} % of the time`, (t) => {
    for (const seed of SEEDS) {
      const simulation = new MobilitySimulation({ seed, network });
      simulation.check = () => {
        const { bound, confirmed } = simulation;
        if (bound !== undefined && !confirmed.has(bound)) throw new Error(`${bound} unconfirmed`);
        if (bound !== undefined && simulation.tunnels.get(HOME_ADDRESS) !== bound) {
          throw new Error(`at ${simulation.now} ms only the mobile node holds the binding`);
        }
      };
      simulation.register();
      simulation.runUntil(() => simulation.alive, HOUR);
      const start = simulation.now;
      simulation.aliveFor = 0;
      simulation.run(2 * HOUR);
      const alive = simulation.aliveFor / (simulation.now - start);
      t.ok(alive >= share, `seed ${seed}: ${alive}`);
    }
    t.end();
  });
}

t.test('after a blackout of any length it is registered within MAX_BINDACK_TIMEOUT', (t) => {
  const random = seededRandom(99);
  for (const seed of SEEDS) {
    const simulation = new MobilitySimulation({ seed });
    simulation.register();
    simulation.run(5000);
    for (let round = 0; round < 20; round += 1) {
      simulation.network.loss = 1;
      simulation.run(random() * 600_000);
      simulation.network.loss = 0;
      const took = simulation.runUntil(() => simulation.alive, HOUR);
      t.ok(took !== undefined && took <= 32_000 + 1100, `${took} ms`);
    }
  }
  t.end();
});

t.test('restart of the mobile node with any sequence number: bound again at once (135)', (t) => {
  for (const seed of SEEDS) {
    const simulation = new MobilitySimulation({ seed });
    simulation.register();
    simulation.run(5000);
    for (let round = 0; round < 30; round += 1) {
      simulation.restartNode();
      const took = simulation.runUntil(() => simulation.alive, 10_000);
      t.ok(took !== undefined && took <= 100, `${took} ms`);
      simulation.run(simulation.random() * 60_000);
    }
  }
  t.end();
});

t.test('restart of the home agent: bound again with the next refresh', (t) => {
  for (const seed of SEEDS) {
    const simulation = new MobilitySimulation({ seed });
    simulation.register();
    simulation.run(5000);
    for (let round = 0; round < 20; round += 1) {
      simulation.restartAgent();
      t.notOk(simulation.alive);
      const took = simulation.runUntil(() => simulation.alive, HOUR);
      t.ok(took !== undefined && took <= 30_000 + 1100, `${took} ms`);
      simulation.run(simulation.random() * 60_000);
    }
  }
  t.end();
});

t.test('a granted lifetime shorter than asked sets the pace', (t) => {
  const simulation = new MobilitySimulation({ seed: 3, lifetime: 600, maxLifetime: 22 });
  simulation.register();
  simulation.run(2000);
  t.match(simulation.node.summary(simulation.now), { state: 'registered', lifetime: 20 });
  simulation.aliveFor = 0;
  simulation.run(HOUR);
  t.equal(simulation.aliveFor, HOUR);
  t.end();
});

t.test('de-registration is heard over a lossy network and leaves nothing behind', (t) => {
  for (const seed of SEEDS) {
    const simulation = new MobilitySimulation({ seed, network: { loss: 0.3 } });
    simulation.register();
    simulation.runUntil(() => simulation.alive, HOUR);
    simulation.deregister();
    simulation.run(120_000);
    t.same(simulation.node.state, { kind: 'idle' });
    t.equal(simulation.tunnels.size, 0);
    t.equal(simulation.bound, undefined);
    t.equal(simulation.node.wakeAt(), undefined);
    t.equal(simulation.agent.wakeAt(), undefined);
  }
  t.end();
});

/** What somebody off the path may send in the home agent's name: he does not know our sequence numbers. */
const forged = fc
  .record({
    status: fc.constantFrom(128, 129, 133, 134, 135),
    sequence: fc.nat(0xffff),
    destination: fc.constantFrom(CARE_OF, OTHER_CARE_OF),
    error: fc.boolean(),
  })
  .map(({ status, sequence, destination, error }): Signal => {
    if (!error) return bindingAcknowledgement({ status, sequence }, { destination });
    const message = { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS } as const;
    return { source: HOME_AGENT, destination, message: { ...message, options: [] } };
  });

t.test(
  'property: whatever happens, nothing unconfirmed is bound and calm brings the binding back',
  (t) => {
    const careOfAddresses = [CARE_OF, OTHER_CARE_OF];
    const happening = fc.oneof(
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(90_000) }),
      fc.record({ kind: fc.constant('move' as const), to: fc.nat(1) }),
      fc.record({
        kind: fc.constant('network' as const),
        loss: fc.double({ min: 0, max: 1, noNaN: true }),
        duplication: fc.double({ min: 0, max: 1, noNaN: true }),
        most: fc.integer({ min: 5, max: 5000 }),
      }),
      fc.record({ kind: fc.constant('suspend' as const), ms: fc.nat(2 * 86_400_000) }),
      fc.record({ kind: fc.constant('forge' as const), signal: forged }),
      fc.record({
        kind: fc.constantFrom('restart-node', 'restart-agent', 'register', 'deregister', 'replay'),
      }),
    );
    fc.assert(
      fc.property(fc.nat(), fc.array(happening, { maxLength: 25 }), (seed, story) => {
        const simulation = new MobilitySimulation({ seed });
        let careOf = CARE_OF;
        simulation.check = () => {
          const { bound, confirmed } = simulation;
          if (bound !== undefined && !confirmed.has(bound)) throw new Error(`${bound} unconfirmed`);
        };
        simulation.register();
        for (const event of story) {
          switch (event.kind) {
            case 'wait':
              simulation.run(event.ms);
              break;
            case 'suspend':
              simulation.suspend(event.ms);
              break;
            case 'forge':
              simulation.receive(event.signal);
              break;
            case 'replay':
              simulation.replay();
              break;
            case 'move':
              careOf = careOfAddresses[event.to] ?? CARE_OF;
              simulation.move(careOf);
              break;
            case 'network': {
              const { loss, duplication, most } = event;
              Object.assign(simulation.network, { loss, duplication, delay: [1, most] });
              break;
            }
            case 'restart-node':
              simulation.restartNode(careOf);
              break;
            case 'restart-agent':
              simulation.restartAgent();
              break;
            case 'register':
              simulation.register();
              break;
            case 'deregister':
              simulation.deregister();
              break;
          }
        }
        Object.assign(simulation.network, { loss: 0, duplication: 0, delay: [5, 5] });
        simulation.run(5000);
        simulation.register();
        const took = simulation.runUntil(
          () => simulation.alive && simulation.bound === careOf,
          60_000,
        );
        if (took === undefined) throw new Error(JSON.stringify(simulation.node.state));
      }),
      { numRuns: 150 },
    );
    t.end();
  },
);
