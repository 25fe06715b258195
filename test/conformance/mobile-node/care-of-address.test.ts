import t from 'tap';
import { ofType } from '../../support/drain.js';
import { unreachable } from '../../support/mobile-node-harness.js';
import { RegistrationHarness } from '../../support/registration-harness.js';
import { CARE_OF, HOME_AGENT, HOST_A, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

t.test('RFC 6275 11.5.3: a new care-of address MUST be registered: at once', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.pass(5000);
  const outputs = harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  t.match(outputs, [{ type: 'transmit', signal: { source: OTHER_CARE_OF } }]);
  t.match(
    harness.latest.options.filter(({ kind }) => kind === 'alternate-care-of-address'),
    [{ address: OTHER_CARE_OF }],
  );
});

t.test('RFC 6275 11.7.3: the old tunnel stays until the new binding is confirmed', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.pass(5000);
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.pass(3000);
  t.same(ofType(harness.outputs, 'unbound'), []);
  t.match(harness.acknowledge(), [
    { type: 'bound', homeAgent: HOME_AGENT, careOfAddress: OTHER_CARE_OF },
  ]);
});

t.test('RFC 6275 11.8: a move waits INITIAL_BINDACK_TIMEOUT, there being a binding', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.pass(5000);
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.pass(3000);
  t.same(
    harness.sent.slice(1).map(([at]) => at),
    [5000, 6000, 8000],
  );
});

t.test('RFC 6275 11.7.3: an acknowledgement confirms what its own update carried', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  const first = harness.last;
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  t.match(harness.acknowledge({}, {}, first), [{ type: 'bound', careOfAddress: CARE_OF }]);
  harness.pass(2000);
  t.match(harness.acknowledge(), [{ type: 'bound', careOfAddress: OTHER_CARE_OF }]);
});

t.test(
  'RFC 6275 11.7.3: an acknowledgement that comes too late does not turn time back',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    const first = harness.last;
    harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
    harness.acknowledge();
    t.same(harness.acknowledge({}, {}, first), []);
    t.equal(harness.dropped('no_such_update'), 1);
  },
);

t.test(
  'RFC 6275 11.7.3: an acknowledgement at the wrong care-of address is not ours',
  async (t) => {
    const harness = RegistrationHarness.registered();
    harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
    t.same(harness.acknowledge({}, { destination: CARE_OF }), []);
    t.equal(harness.dropped('not_the_care_of_address'), 1);
  },
);

t.test('RFC 6275 11.5.3: there and back again: bound where we are', async (t) => {
  const harness = RegistrationHarness.registered();
  for (const careOfAddress of [OTHER_CARE_OF, CARE_OF, HOST_A, OTHER_CARE_OF]) {
    harness.handle({ type: 'move', careOfAddress });
    harness.pass(2000);
    t.match(harness.acknowledge(), [{ type: 'bound', careOfAddress }]);
  }
});

t.test('RFC 6275 11.5.3: the same care-of address is no move', async (t) => {
  const harness = RegistrationHarness.registered();
  t.same(harness.handle({ type: 'move', careOfAddress: CARE_OF }), []);
});

t.test('RFC 6275 11.7.1: moves faster than MAX_UPDATE_RATE: the last one counts', async (t) => {
  const harness = RegistrationHarness.registered();
  for (const careOfAddress of [OTHER_CARE_OF, HOST_A, OTHER_CARE_OF, HOST_A, OTHER_CARE_OF]) {
    harness.handle({ type: 'move', careOfAddress });
  }
  harness.pass(1000);
  t.equal(harness.last.signal.source, OTHER_CARE_OF);
  t.match(harness.acknowledge(), [{ careOfAddress: OTHER_CARE_OF }]);
});

t.test('a refusal at the old place is no reason to wait at the new one', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  harness.acknowledge({ status: 174 });
  const outputs = harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  t.equal(ofType(outputs, 'transmit').length, 1);
});

t.test('an error about the old care-of address is not about the new one', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.acknowledge();
  t.same(harness.handle({ type: 'path-error', error: unreachable(CARE_OF) }), []);
  t.equal(harness.dropped('path_error_unusable'), 1);
});

t.test('a move of what is not registered sends nothing', async (t) => {
  const harness = new RegistrationHarness();
  t.same(harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF }), []);
});
