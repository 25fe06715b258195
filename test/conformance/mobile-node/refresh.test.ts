import t from 'tap';
import { alignMobilityOptions } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../../support/registration-harness.js';
import { CARE_OF, HOME_AGENT } from '../../support/testbed-addresses.js';

const advice = (interval: number) =>
  alignMobilityOptions([{ kind: 'binding-refresh-advice', interval }], 'binding-acknowledgement');

t.test('RFC 6275 11.7.1: a new Binding Update well before the lifetime ends', async (t) => {
  for (const [lifetime, after] of [
    [4, 2],
    [60, 30],
    [600, 480],
    [3600, 3480],
    [262_140, 262_020],
  ] as const) {
    const harness = RegistrationHarness.registered({ lifetime });
    harness.pass(1000 * after - 1);
    t.equal(harness.updates.length, 1);
    harness.pass(1);
    t.equal(harness.updates.length, 2, `${lifetime} s: after ${after} s`);
    t.equal(harness.latest.lifetime, lifetime);
  }
});

t.test('RFC 6275 11.7.1: every refresh is confirmed with its lifetime', async (t) => {
  const harness = RegistrationHarness.registered();
  for (let round = 1; round <= 5; round += 1) {
    harness.pass(30_000);
    t.match(ofType(harness.acknowledge(), 'bound'), [
      { homeAgent: HOME_AGENT, careOfAddress: CARE_OF, expiresAt: round * 30_000 + 60_000 },
    ]);
  }
});

t.test('RFC 6275 6.2.4: Binding Refresh Advice of the home agent SHOULD be followed', async (t) => {
  const harness = RegistrationHarness.registered({}, { options: advice(12) });
  harness.pass(11_999);
  t.equal(harness.updates.length, 1);
  harness.pass(1);
  t.equal(harness.updates.length, 2);
});

t.test('RFC 6275 6.2.4: advice that is not shorter than the lifetime is none', async (t) => {
  for (const interval of [0, 60, 64, 262_140]) {
    const harness = RegistrationHarness.registered({}, { options: advice(interval) });
    harness.pass(29_999);
    t.equal(harness.updates.length, 1);
    harness.pass(1);
    t.equal(harness.updates.length, 2, `${interval} s`);
  }
});

t.test(
  'RFC 6275 11.7.1: the binding stands until its lifetime ends, answered or not',
  async (t) => {
    const harness = RegistrationHarness.registered();
    t.same(ofType(harness.pass(59_999), 'unbound'), []);
    t.equal(ofType(harness.pass(1), 'unbound').length, 1);
    t.match(harness.summary, { state: 'registering' });
  },
);

t.test(
  'RFC 6275 11.4.1: a refresh MUST be tried first with the home agent of the binding',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: listOf(HOME_AGENT, SECOND_AGENT) });
    harness.register();
    harness.acknowledge({ status: 130 });
    harness.acknowledge();
    t.equal(harness.registration.homeAgent, SECOND_AGENT);
    harness.pass(30_000);
    t.same(harness.sent.at(-1), [30_000, SECOND_AGENT]);
  },
);

t.test(
  'a changed lifetime is asked for at once, an unchanged configuration sends nothing',
  async (t) => {
    const harness = RegistrationHarness.registered();
    const homeAgents = listOf(HOME_AGENT);
    t.same(harness.handle({ type: 'reconfigure', homeAgents, lifetime: 60 }), []);
    harness.handle({ type: 'reconfigure', homeAgents, lifetime: 120 });
    t.equal(harness.latest.lifetime, 120);
    t.same(ofType(harness.outputs, 'unbound'), []);
  },
);
