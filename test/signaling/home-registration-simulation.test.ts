import fc from 'fast-check';
import t from 'tap';
import { ofType } from '../support/drain.js';
import { HomeNetworkSimulation } from '../support/home-network-simulation.js';
import { unreachable } from '../support/mobile-node-harness.js';
import { SECOND_AGENT } from '../support/registration-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  OTHER_CARE_OF,
} from '../support/testbed-addresses.js';

const HOUR = 3_600_000;
const BOTH = [HOME_AGENT, SECOND_AGENT];
const AUTO = { homeAgents: { kind: 'auto' } } as const;

function registered(...[agents, config]: ConstructorParameters<typeof HomeNetworkSimulation>) {
  const simulation = new HomeNetworkSimulation(agents, config);
  simulation.handle({ type: 'register' });
  simulation.runUntil(() => simulation.alive, 10_000);
  return simulation;
}

t.test(
  '8 h with echo requests: one tunnel, no other Binding Updates than the refreshes',
  async (t) => {
    const simulation = registered(BOTH, { livenessInterval: 5 });
    simulation.run(8 * HOUR);
    t.same(ofType(simulation.outputs, 'unbound'), []);
    t.match(simulation.tunnel, { homeAgent: HOME_AGENT });
    t.ok(ofType(simulation.outputs, 'transmit').length < (8 * 3600) / 29);
  },
);

t.test(
  'a home agent dies and the path says so: lost after 3 s, the next one holds it after DAD',
  async (t) => {
    const simulation = registered(BOTH);
    simulation.run(10_000);
    simulation.kill(HOME_AGENT);
    simulation.handle({ type: 'path-error', error: unreachable() });
    const lost = simulation.runUntil(
      () => simulation.registration.summary(simulation.now).state === 'lost',
      10_000,
    );
    t.ok(lost !== undefined && lost <= 3005, `lost after ${lost} ms`);
    t.match(simulation.tunnel, { homeAgent: HOME_AGENT }, 'the tunnel stays open meanwhile');
    const back = simulation.runUntil(() => simulation.alive, 10_000);
    t.ok(back !== undefined && back <= 1100, `and ${back} ms later alive`);
    t.match(simulation.tunnel, { homeAgent: SECOND_AGENT });
  },
);

t.test('a home agent dies without a word: found out by echo requests', async (t) => {
  const simulation = registered(BOTH, { lifetime: 3600, livenessInterval: 30 });
  simulation.run(10_000);
  simulation.kill(HOME_AGENT);
  const back = simulation.runUntil(() => simulation.alive, 120_000);
  t.ok(back !== undefined && back <= 30_000 + 3000 + 3000 + 1100, `${back} ms`);
});

t.test('a home agent restarts with an empty cache: found out by echo requests', async (t) => {
  const simulation = registered([HOME_AGENT], { lifetime: 3600, livenessInterval: 30 });
  simulation.run(10_000);
  simulation.start(HOME_AGENT);
  const back = simulation.runUntil(() => simulation.alive, 120_000);
  t.ok(back !== undefined && back <= 30_000 + 3000 + 1100, `${back} ms`);
  t.same(ofType(simulation.outputs, 'unbound'), []);
});

t.test('RFC 6275 11.4.1: found by discovery, and another one when that one dies', async (t) => {
  const simulation = registered(BOTH, AUTO);
  t.ok(simulation.alive);
  t.equal(ofType(simulation.outputs, 'transmit-icmpv6').length, 1);
  simulation.kill(HOME_AGENT);
  simulation.handle({ type: 'path-error', error: unreachable() });
  const back = simulation.runUntil(() => simulation.alive, 300_000);
  t.ok(back !== undefined && back <= 70_000, `${back} ms`);
  t.match(simulation.tunnel, { homeAgent: SECOND_AGENT });
});

t.test('RFC 6275 11.4.2: a renumbered home network is learnt from the home agent', async (t) => {
  const simulation = registered();
  const { machine } = simulation.agents.get(HOME_AGENT) ?? {};
  machine?.handle(simulation.now, {
    type: 'prefixes-changed',
    prefixes: [
      {
        prefix: HOME_PREFIX,
        validLifetime: 86_400,
        preferredLifetime: 0,
        onLink: true,
        autonomous: true,
      },
    ],
  });
  simulation.run(HOUR);
  t.match(ofType(simulation.outputs, 'prefixes').at(-1)?.prefixes, [
    { prefix: HOME_PREFIX, preferredLifetime: 0 },
  ]);
  t.match(simulation.registration.summary(simulation.now).reason, /being given up/);
  t.ok(simulation.alive);
});

t.test(
  'RFC 6275 11.5.5: home again: the home agent lets go before the address is announced',
  async (t) => {
    const simulation = registered();
    simulation.handle({ type: 'at-home' });
    const took = simulation.runUntil(
      () => ofType(simulation.outputs, 'returned').length > 0,
      10_000,
    );
    t.ok(took !== undefined && took <= 50, `${took} ms`);
    t.equal(simulation.agents.get(HOME_AGENT)?.bound.has(HOME_ADDRESS), false);
    t.equal(simulation.tunnel, undefined);
    simulation.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
    simulation.handle({ type: 'register' });
    t.ok(simulation.runUntil(() => simulation.alive, 10_000));
  },
);

t.test('property: while one home agent is up, the tunnel comes to it', async () => {
  const happening = fc.oneof(
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(120_000) }),
    fc.record({ kind: fc.constantFrom('kill', 'start'), which: fc.nat(1) }),
    fc.record({ kind: fc.constant('move' as const), to: fc.constantFrom(CARE_OF, OTHER_CARE_OF) }),
    fc.record({
      kind: fc.constantFrom('register', 'deregister', 'at-home', 'traffic', 'path-error'),
    }),
  );
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.nat(1),
      fc.array(happening, { maxLength: 20 }),
      (auto, survivor, story) => {
        const simulation = registered(BOTH, auto ? AUTO : {});
        for (const what of story) {
          if ('ms' in what) simulation.run(what.ms);
          else if ('to' in what) simulation.handle({ type: 'move', careOfAddress: what.to });
          else if ('which' in what) {
            const address = BOTH[what.which] ?? HOME_AGENT;
            if (what.kind === 'kill') simulation.kill(address);
            else simulation.start(address);
          } else if (what.kind === 'path-error') {
            simulation.handle({ type: 'path-error', error: unreachable() });
          } else if (what.kind === 'traffic') {
            simulation.handle({ type: 'traffic' });
          } else if (what.kind === 'register' || what.kind === 'deregister') {
            simulation.handle({ type: what.kind });
          } else simulation.handle({ type: 'at-home' });
        }
        const address = BOTH[survivor] ?? HOME_AGENT;
        simulation.kill(BOTH[1 - survivor] ?? HOME_AGENT);
        const agent = simulation.agents.get(address);
        if (agent?.up !== true) simulation.start(address);
        simulation.handle({ type: 'register' });
        const took = simulation.runUntil(() => simulation.alive, HOUR / 6);
        const { state, reason } = simulation.registration.summary(simulation.now);
        if (took === undefined) throw new Error(`${state}: ${reason}`);
        if (simulation.tunnel?.homeAgent !== address) throw new Error('at a dead home agent');
      },
    ),
    { numRuns: 150 },
  );
});
