import t from 'tap';
import type { Signal } from '../../../src/signaling/index.js';
import { ofType } from '../../support/drain.js';
import { RegistrationHarness } from '../../support/registration-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOST_A } from '../../support/testbed-addresses.js';

function bindingError(status: number, fields: Partial<Signal> = {}): Signal {
  return {
    source: HOME_AGENT,
    destination: CARE_OF,
    message: { kind: 'binding-error', status, homeAddress: HOME_ADDRESS, options: [] },
    ...fields,
  };
}

t.test(
  'RFC 6275 11.3.6: status 1 of the home agent: a Binding Update SHOULD be sent',
  async (t) => {
    const harness = RegistrationHarness.registered();
    harness.pass(5000);
    const outputs = harness.signal(bindingError(1));
    t.match(outputs, [{ type: 'transmit', signal: { destination: HOME_AGENT } }]);
    t.match(harness.latest, { lifetime: 60 });
  },
);

t.test('RFC 6275 11.3.6: from a node without an entry in the list: MUST be ignored', async (t) => {
  const harness = RegistrationHarness.registered();
  t.same(harness.signal(bindingError(1, { source: HOST_A })), []);
  t.equal(harness.dropped('not_the_home_agent'), 1);
  t.match(harness.summary, { state: 'registered' });
});

t.test(
  'RFC 6275 11.3.6: status 2: ceases extensions, of which none was used: ignored',
  async (t) => {
    const harness = RegistrationHarness.registered();
    t.same(harness.signal(bindingError(2)), []);
    t.equal(harness.dropped('binding_error_unusable'), 1);
  },
);

t.test('RFC 6275 6.1.9: another status is not known and ignored', async (t) => {
  const harness = RegistrationHarness.registered();
  for (const status of [0, 3, 255]) t.same(harness.signal(bindingError(status)), []);
  t.equal(harness.dropped('binding_error_unusable'), 3);
});

t.test('RFC 6275 6.1.9: of another home address: ignored', async (t) => {
  const harness = RegistrationHarness.registered();
  const message = { kind: 'binding-error', status: 1, homeAddress: HOST_A, options: [] } as const;
  t.same(harness.signal(bindingError(1, { message })), []);
  t.equal(harness.dropped('not_the_home_address'), 1);
});

t.test('RFC 6275 11.3.6: it never drops a binding, not even thousands of them', async (t) => {
  for (const protection of ['none', 'esp', 'auth-option'] as const) {
    const harness = RegistrationHarness.registered({ protection });
    for (let i = 0; i < 2000; i += 1) {
      harness.signal(bindingError(1));
      harness.pass(10);
      if (i % 50 === 0) harness.acknowledge();
    }
    t.same(ofType(harness.outputs, 'unbound'), []);
    const { updates } = harness;
    t.ok(updates.length <= 2 + harness.now / 1000 + 1, `${updates.length} in ${harness.now} ms`);
  }
});

t.test('RFC 6275 11.3.6: a home agent that is heard again is asked at once', async (t) => {
  const harness = RegistrationHarness.registered({ lifetime: 600 });
  harness.pass(520_000);
  t.match(harness.summary, { state: 'lost' });
  const before = harness.updates.length;
  t.equal(ofType(harness.signal(bindingError(1)), 'transmit').length, 1);
  t.equal(harness.updates.length, before + 1);
});
