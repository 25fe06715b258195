import t from 'tap';
import { ofType } from '../../support/drain.js';
import { unreachable } from '../../support/mobile-node-harness.js';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../../support/registration-harness.js';
import { CARE_OF, HOME_AGENT, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

const HOUR = 3_600_000;
const TWO = listOf(HOME_AGENT, SECOND_AGENT);

/** An hour's binding, so that no refresh gets in the way of what is looked at. */
const watched = (config = {}) =>
  RegistrationHarness.registered({ lifetime: 7200, livenessInterval: 30, ...config });

function echoes(harness: RegistrationHarness): number {
  return ofType(harness.outputs, 'probe').length;
}

function answerEcho(harness: RegistrationHarness): void {
  const last = ofType(harness.outputs, 'probe').at(-1);
  if (last === undefined) throw new Error('no probe yet');
  const { identifier, sequence } = last;
  harness.handle({ type: 'echo-reply', identifier, sequence });
}

t.test(
  'RFC 6275 11.7.1: a sign of trouble: three questions in less than 3 s, then the home agent is lost',
  async (t) => {
    const harness = watched({ livenessInterval: 0 });
    harness.pass(10_000);
    harness.handle({ type: 'path-error', error: unreachable() });
    harness.pass(2799);
    t.same(
      harness.sent.slice(1).map(([at]) => at),
      [10_000, 11_000, 12_000],
    );
    t.match(harness.summary, { state: 'registered' });
    harness.pass(1);
    t.match(harness.summary, {
      state: 'lost',
      homeAgent: HOME_AGENT,
      reason: /no answer from the home agent 2001:db8:2000::1.*stays open for/,
    });
    t.same(ofType(harness.outputs, 'unbound'), [], 'the tunnel stays');
  },
);

t.test('RFC 6275 11.8: once it is lost, the questions back off', async (t) => {
  const harness = watched({ livenessInterval: 0 });
  harness.handle({ type: 'path-error', error: unreachable() });
  harness.pass(40_000);
  t.same(
    harness.sent.slice(1).map(([at]) => at),
    [0, 1000, 2000, 3000, 5000, 9000, 17_000, 33_000],
  );
});

t.test('RFC 6275 11.4.1: the home agent is lost: the next one of the list at once', async (t) => {
  const harness = watched({ livenessInterval: 0, homeAgents: TWO });
  harness.pass(10_000);
  harness.handle({ type: 'path-error', error: unreachable() });
  harness.pass(3000);
  t.same(harness.sent.slice(1), [
    [10_000, HOME_AGENT],
    [11_000, HOME_AGENT],
    [12_000, HOME_AGENT],
    [12_800, SECOND_AGENT],
  ]);
  t.match(harness.summary, { state: 'lost', homeAgent: HOME_AGENT }, 'the old tunnel is in use');
  t.same(ofType(harness.outputs, 'unbound'), []);
  t.match(harness.acknowledge(), [{ type: 'bound', homeAgent: SECOND_AGENT }]);
  t.match(harness.summary, { state: 'registered', homeAgent: SECOND_AGENT });
});

t.test(
  'RFC 6275 11.7.3: an answer that comes after all, from the first: it keeps the binding',
  async (t) => {
    const harness = watched({ livenessInterval: 0, homeAgents: TWO });
    harness.handle({ type: 'path-error', error: unreachable() });
    harness.pass(2500);
    const asked = harness.last;
    harness.pass(1000);
    t.match(harness.acknowledge({}, {}, asked), [{ type: 'bound', homeAgent: HOME_AGENT }]);
    t.equal(harness.registration.homeAgent, HOME_AGENT);
    t.match(
      harness.acknowledge(),
      [{ type: 'bound', homeAgent: SECOND_AGENT }],
      'what was sent later counts later: both home agents see it so',
    );
  },
);

t.test(
  'RFC 6275 11.7.1: a refresh without an answer: lost less than 3 s after the first one was missed',
  async (t) => {
    const harness = RegistrationHarness.registered({ lifetime: 600 });
    harness.pass(483_799);
    t.match(harness.summary, { state: 'registered' });
    harness.pass(1);
    t.match(harness.summary, { state: 'lost' });
    t.match(harness.acknowledge(), [{ type: 'bound' }]);
    t.match(harness.summary, { state: 'registered' });
  },
);

t.test('a lost binding that runs out ends, and registering begins afresh', async (t) => {
  const harness = RegistrationHarness.registered();
  const outputs = harness.pass(60_000);
  t.match(ofType(outputs, 'unbound'), [{ reason: /ran out/ }]);
  t.match(harness.summary, { state: 'registering' });
});

t.test('no traffic for the interval: an echo request through the tunnel', async (t) => {
  const harness = watched();
  harness.pass(29_999);
  t.equal(echoes(harness), 0);
  t.match(harness.pass(1), [{ type: 'probe', homeAgent: HOME_AGENT, careOfAddress: CARE_OF }]);
});

t.test('traffic from the tunnel puts it off', async (t) => {
  const harness = watched();
  for (let i = 0; i < 100; i += 1) {
    harness.pass(20_000);
    harness.handle({ type: 'traffic' });
  }
  t.equal(echoes(harness), 0);
  harness.pass(30_000);
  t.equal(echoes(harness), 1);
});

t.test('an echo reply is a sign of life', async (t) => {
  const harness = watched();
  for (let i = 0; i < 10; i += 1) {
    harness.pass(30_000);
    answerEcho(harness);
  }
  t.equal(echoes(harness), 10);
  t.equal(harness.updates.length, 1, 'no Binding Update');
});

t.test('three echo requests without reply: a Binding Update asks', async (t) => {
  const harness = watched();
  harness.pass(32_999);
  t.equal(echoes(harness), 3);
  t.equal(harness.updates.length, 1);
  harness.pass(1);
  t.equal(harness.updates.length, 2);
  harness.pass(2800);
  t.match(harness.summary, { state: 'lost' }, 'and no answer to that means lost');
});

t.test('an echo reply that nobody asked for is no sign of life', async (t) => {
  const harness = watched();
  harness.handle({ type: 'echo-reply', identifier: 0, sequence: 0 });
  harness.pass(30_000);
  harness.handle({ type: 'echo-reply', identifier: 7, sequence: 1 });
  harness.handle({ type: 'echo-reply', identifier: 0, sequence: 2 });
  t.equal(harness.dropped('no_such_probe'), 3);
  harness.pass(3000);
  t.equal(harness.updates.length, 2);
});

t.test('a home agent that answers but never echoes is asked less often', async (t) => {
  const harness = watched({ lifetime: 86_400 });
  for (let second = 0; second < 4 * 3600; second += 1) {
    const before = harness.updates.length;
    harness.pass(1000);
    if (harness.updates.length > before) harness.acknowledge();
  }
  const questions = harness.updates.length - 1;
  t.ok(questions > 20 && questions < 50, `${questions} in 4 h instead of 400`);
  t.match(harness.summary, { state: 'registered' });
});

t.test('interval 0: never', async (t) => {
  const harness = watched({ livenessInterval: 0 });
  harness.pass(HOUR);
  t.equal(echoes(harness), 0);
});

t.test('without a binding nothing is probed', async (t) => {
  const harness = watched();
  harness.handle({ type: 'deregister' });
  harness.acknowledge();
  harness.pass(HOUR);
  t.equal(echoes(harness), 0);
});

t.test('the probe goes through the tunnel that is open: its own ends', async (t) => {
  const harness = watched();
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.acknowledge();
  t.match(ofType(harness.pass(30_000), 'probe'), [{ careOfAddress: OTHER_CARE_OF }]);
});

t.test(
  'RFC 6275 11.4.1: two home agents, both silent: round after round, ever more patiently',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: TWO });
    harness.register();
    harness.pass(24 * HOUR);
    const perHour = harness.updates.filter(({ at }) => at >= 23 * HOUR).length;
    t.ok(perHour >= 100 && perHour <= 150, `${perHour} in the last hour`);
    for (const homeAgent of [HOME_AGENT, SECOND_AGENT]) {
      t.ok(harness.sent.slice(-10).some(([, to]) => to === homeAgent));
    }
  },
);
