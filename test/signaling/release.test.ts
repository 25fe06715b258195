import t from 'tap';
import { ofType } from '../support/drain.js';
import { listOf, RegistrationHarness } from '../support/registration-harness.js';
import { HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';

const HOUR = 3_600_000;

t.test('released: the binding is forgotten, and nothing is said', async (t) => {
  const harness = RegistrationHarness.registered();
  const before = harness.last;
  harness.pass(5000);
  t.strictSame(harness.handle({ type: 'release' }), [{ type: 'released' }]);
  t.match(harness.summary, { state: 'idle' });
  t.equal(harness.registration.wakeAt(), undefined);
  t.strictSame(harness.pass(HOUR), [], 'no refresh, no expiry');
  t.strictSame(harness.acknowledge({}, {}, before), [], 'an answer that comes late');
  t.strictSame(harness.handle({ type: 'release' }), [], 'once is enough');

  harness.register();
  t.equal(
    harness.latest.sequence,
    before.update.sequence + 1,
    'it comes back: a number of its own',
  );
  t.match(harness.acknowledge(), [{ type: 'bound' }]);
});

t.test('released while a Binding Update waits for its answer', async (t) => {
  for (const registered of [false, true]) {
    const harness = registered ? RegistrationHarness.registered() : new RegistrationHarness();
    harness.pass(5000);
    harness.register();
    t.strictSame(harness.handle({ type: 'release' }), registered ? [{ type: 'released' }] : []);
    t.strictSame(harness.acknowledge(), [], 'the answer opens no tunnel');
    t.strictSame(harness.pass(HOUR), []);
  }
});

t.test('released while a home agent is sought, or at home', async (t) => {
  const seeking = new RegistrationHarness({ homeAgents: { kind: 'auto' } });
  seeking.register();
  t.equal(seeking.icmpv6.length, 1);
  t.strictSame(seeking.handle({ type: 'release' }), []);
  t.strictSame(seeking.pass(HOUR), []);

  const home = RegistrationHarness.registered();
  home.pass(5000);
  home.handle({ type: 'at-home' });
  home.acknowledge();
  t.strictSame(ofType(home.handle({ type: 'release' }), 'released'), []);
  t.match(home.summary, { state: 'idle' });
  t.strictSame(home.pass(HOUR), []);
});

t.test('RFC 6275 11.5.5: released and at home again: de-registered anew', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.pass(5000);
  harness.handle({ type: 'at-home' });
  harness.acknowledge();
  const before = harness.updates.length;
  harness.handle({ type: 'at-home' });
  t.equal(harness.updates.length, before, 'nothing has changed');

  harness.handle({ type: 'release' });
  harness.handle({ type: 'at-home' });
  t.equal(harness.updates.length, before + 1, 'another host may have registered it meanwhile');
  t.match(harness.latest, { lifetime: 0, homeRegistration: true });
  t.match(harness.summary, { state: 'deregistering' });
  t.match(harness.acknowledge(), [{ type: 'returned' }]);
});

t.test('held: nothing is sent and nothing is believed until somebody decides', async (t) => {
  const held = () => {
    const harness = RegistrationHarness.registered({ lifetime: 60 });
    harness.pass(5000);
    const before = harness.last;
    t.strictSame(harness.handle({ type: 'hold' }), []);
    t.equal(harness.registration.wakeAt(), 60_000, 'but for the end of the binding');
    t.strictSame(harness.pass(20_000), []);
    t.strictSame(harness.acknowledge({ status: 133 }, {}, before), []);
    t.match(harness.summary, { state: 'registered' });
    return harness;
  };
  const returned = held();
  returned.register();
  t.match(returned.acknowledge(), [{ type: 'bound' }]);
  t.ok(returned.registration.wakeAt(), 'as before');
  t.strictSame(held().handle({ type: 'release' }), [{ type: 'released' }]);
  t.match(held().handle({ type: 'deregister' }), [{ type: 'transmit' }]);

  for (const decision of ['register', 'release', 'deregister'] as const) {
    const moved = held();
    moved.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
    moved.handle({ type: 'reconfigure', homeAgents: listOf(HOME_AGENT), lifetime: 120 });
    t.strictSame(moved.pass(1000), [], 'not yet');
    const outputs = moved.handle({ type: decision });
    t.equal(ofType(outputs, 'transmit').length > 0, decision !== 'release');
    if (decision === 'register') t.equal(moved.last.signal.source, OTHER_CARE_OF);
    if (decision === 'deregister') continue;
    moved.pass(5000);
    moved.register();
    t.equal(moved.last.signal.source, OTHER_CARE_OF, `${decision}: from the new address`);
    t.equal(moved.latest.lifetime, 120);
  }

  const long = held();
  t.match(long.pass(HOUR), [{ type: 'unbound' }], 'it ran out meanwhile');
  t.match(long.register(), [{ type: 'transmit' }]);
});
