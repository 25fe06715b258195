import fc from 'fast-check';
import t from 'tap';
import type { Signal } from '../../src/signaling/index.js';
import {
  Correspondent,
  RouteOptimiser,
  type RouteOptimiserOutput,
} from '../../src/signaling/route-optimisation/index.js';
import type { Address } from '../../src/wire/index.js';
import { drain } from '../support/drain.js';
import { seededRandom } from '../support/random.js';
import {
  overTheWire,
  PEER,
  PEER_CARE_OF,
  randomBytes,
} from '../support/route-optimisation-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';
import { drive } from '../support/wake.js';
import { mobilityMessage } from '../wire/arbitraries.js';

/** One guest's endpoint: both roles. */
class Endpoint {
  readonly optimiser: RouteOptimiser;
  readonly correspondent: Correspondent;
  readonly routes = new Map<Address, Address>();
  readonly bindings = new Map<Address, Address>();
  readonly homeAddress: Address;
  careOfAddress: Address;

  constructor(homeAddress: Address, careOfAddress: Address, seed: number) {
    this.homeAddress = homeAddress;
    this.careOfAddress = careOfAddress;
    this.optimiser = new RouteOptimiser({
      homeAddress,
      maxCorrespondents: 8,
      random: seededRandom(seed),
      randomBytes: randomBytes(seed),
    });
    this.correspondent = new Correspondent({
      homeAddress,
      maxBindings: 8,
      randomBytes: randomBytes(seed + 1),
    });
  }
}

/** Two guests away from home, and a network that loses and delays. */
class Pair {
  now = 0;
  readonly ends = [new Endpoint(HOME_ADDRESS, CARE_OF, 1), new Endpoint(PEER, PEER_CARE_OF, 3)];
  readonly #loss: number;
  readonly #random: () => number;
  #arrivals: { at: number; signal: Signal; tunnelled: boolean }[] = [];

  constructor(seed = 1, loss = 0) {
    this.#random = seededRandom(seed);
    this.#loss = loss;
    for (const end of this.ends) this.bind(end, end.careOfAddress);
  }

  bind(end: Endpoint, careOfAddress: Address): void {
    end.careOfAddress = careOfAddress;
    end.optimiser.handle(this.now, { type: 'bound', homeAgent: HOME_AGENT, careOfAddress });
    this.#settle();
  }

  traffic(): void {
    for (const end of this.ends) {
      for (const other of this.ends) {
        const event = { type: 'correspondent', address: other.homeAddress } as const;
        if (other === end) continue;
        end.optimiser.handle(this.now, event);
        end.optimiser.handle(this.now, { type: 'heard', address: other.homeAddress });
        end.correspondent.handle(this.now, event);
      }
    }
    this.#settle();
  }

  run(milliseconds: number): void {
    for (const end = this.now + milliseconds; this.now < end; this.now += 10) {
      const due = this.#arrivals.filter(({ at }) => at <= this.now);
      this.#arrivals = this.#arrivals.filter(({ at }) => at > this.now);
      for (const { signal, tunnelled } of due) this.#deliver(overTheWire(signal), tunnelled);
      for (const { optimiser, correspondent } of this.ends) {
        optimiser.handle(this.now, { type: 'tick' });
        correspondent.handle(this.now, { type: 'tick' });
      }
      this.#settle();
    }
  }

  #deliver(signal: Signal, tunnelled: boolean): void {
    for (const end of this.ends) {
      const home = (signal.routingHeader ?? signal.destination) === end.homeAddress;
      const here = home || signal.destination === end.careOfAddress;
      if (!here) continue;
      switch (signal.message.kind) {
        case 'home-test-init':
        case 'care-of-test-init':
        case 'binding-update':
          end.correspondent.handle(this.now, { type: 'signal', signal });
          break;
        default:
          end.optimiser.handle(this.now, { type: 'signal', signal, tunnelled });
      }
    }
    this.#settle();
  }

  #send(signal: Signal): void {
    if (this.#random() < this.#loss) return;
    // To a home address everything comes by way of the home agent.
    const tunnelled = this.ends.some((end) => end.homeAddress === signal.destination);
    this.#arrivals.push({ at: this.now + (tunnelled ? 50 : 20), signal, tunnelled });
  }

  #settle(): void {
    for (const end of this.ends) {
      for (const output of drain(end.optimiser)) this.#route(end, output);
      for (const output of drain(end.correspondent)) {
        if (output.type === 'transmit-in-tunnel') this.#send(output.signal);
        else if (output.type === 'bind') end.bindings.set(output.homeAddress, output.careOfAddress);
        else end.bindings.delete(output.homeAddress);
      }
    }
  }

  #route(end: Endpoint, output: RouteOptimiserOutput): void {
    if ('signal' in output) this.#send(output.signal);
    else if (output.type === 'optimise') end.routes.set(output.correspondent, output.careOfAddress);
    else if (output.type === 'revert') end.routes.delete(output.correspondent);
  }

  /** Both send straight, to where the other one is. */
  get optimised(): boolean {
    return this.ends.every((end) =>
      this.ends.every(
        (other) =>
          other === end ||
          (end.routes.get(other.homeAddress) === end.careOfAddress &&
            end.bindings.get(other.homeAddress) === other.careOfAddress),
      ),
    );
  }
}

t.test('two guests optimise towards each other', (t) => {
  const pair = new Pair();
  pair.traffic();
  pair.run(200);
  t.ok(pair.optimised);
  t.end();
});

t.test('an hour of traffic: always optimised, with few signals', (t) => {
  const pair = new Pair();
  pair.traffic();
  pair.run(200);
  for (let second = 0; second < 3600; second += 30) {
    pair.traffic();
    pair.run(30_000);
    t.ok(pair.optimised, `${second}`);
  }
  t.end();
});

t.test('an hour without traffic: nothing is left', (t) => {
  const pair = new Pair();
  pair.traffic();
  pair.run(200);
  pair.run(1_000_000);
  for (const { routes, bindings, optimiser } of pair.ends) {
    t.equal(routes.size + bindings.size, 0);
    t.same(optimiser.summary(), []);
  }
  t.end();
});

t.test('one moves, then the other: straight again within a few round trips', (t) => {
  const pair = new Pair();
  const [first, second] = pair.ends;
  if (first === undefined || second === undefined) throw new Error('two ends');
  pair.traffic();
  pair.run(200);
  pair.bind(first, OTHER_CARE_OF);
  t.notOk(pair.optimised);
  pair.run(200);
  t.ok(pair.optimised);
  pair.bind(second, CARE_OF);
  pair.run(200);
  t.ok(pair.optimised);
  t.end();
});

t.test(
  'a lossy network: a route is only ever used for a binding that the other side holds',
  (t) => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const pair = new Pair(seed, 0.1);
      let optimised = 0;
      for (let round = 0; round < 60; round += 1) {
        pair.traffic();
        pair.run(10_000);
        optimised += pair.optimised ? 1 : 0;
        for (const end of pair.ends) {
          for (const other of pair.ends) {
            if (end === other || !end.routes.has(other.homeAddress)) continue;
            t.equal(other.bindings.get(end.homeAddress), end.careOfAddress, `seed ${seed}`);
          }
        }
      }
      t.ok(optimised > 0, `seed ${seed}: ${optimised}`);
    }
    t.end();
  },
);

t.test('whatever arrives: nothing throws, nothing spins, what is kept stays bounded', (t) => {
  const addresses = [HOME_ADDRESS, PEER, CARE_OF, PEER_CARE_OF, OTHER_CARE_OF, HOME_AGENT];
  const one = fc.constantFrom(...addresses);
  const signal = fc.record(
    {
      source: one,
      destination: one,
      homeAddressOption: one,
      routingHeader: one,
      message: mobilityMessage,
    },
    { requiredKeys: ['source', 'destination', 'message'] },
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(signal, fc.boolean(), fc.nat(200_000)), { maxLength: 40 }),
      (steps) => {
        const end = new Endpoint(HOME_ADDRESS, CARE_OF, 5);
        let now = 0;
        const bound = { type: 'bound', homeAgent: HOME_AGENT, careOfAddress: CARE_OF } as const;
        drive(end.optimiser, now, bound);
        for (const [arrived, tunnelled, pause] of steps) {
          now += pause;
          drive(end.optimiser, now, { type: 'correspondent', address: arrived.source } as const);
          drive(end.optimiser, now, { type: 'signal', signal: arrived, tunnelled } as const);
          drive(end.correspondent, now, { type: 'signal', signal: arrived } as const);
        }
        return end.optimiser.summary().length <= 8;
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});
