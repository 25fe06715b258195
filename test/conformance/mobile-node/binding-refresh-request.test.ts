import t from 'tap';
import type { Signal } from '../../../src/signaling/index.js';
import { ofType } from '../../support/drain.js';
import { RegistrationHarness } from '../../support/registration-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOST_A } from '../../support/testbed-addresses.js';

const request = (fields: Partial<Signal> = {}): Signal => ({
  source: HOME_AGENT,
  destination: CARE_OF,
  routingHeader: HOME_ADDRESS,
  message: { kind: 'binding-refresh-request', options: [] },
  ...fields,
});

t.test('RFC 6275 11.7.4: a Binding Refresh Request: the binding is refreshed', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.pass(5000);
  t.equal(ofType(harness.signal(request()), 'transmit').length, 1);
  t.match(harness.latest, { sequence: 101, lifetime: 60 });
  t.match(harness.acknowledge(), [{ type: 'bound', expiresAt: 65_000 }]);
});

t.test('RFC 6275 11.7.4: without a binding there is nothing to refresh', async (t) => {
  const harness = new RegistrationHarness();
  t.same(harness.signal(request()), []);
  t.same(harness.updates, []);
});

t.test('RFC 6275 6.1.2: from another node, or for another home address: ignored', async (t) => {
  const harness = RegistrationHarness.registered();
  t.same(harness.signal(request({ source: HOST_A })), []);
  t.same(harness.signal(request({ routingHeader: HOST_A })), []);
  t.equal(harness.dropped('not_the_home_agent'), 1);
  t.equal(harness.dropped('not_the_home_address'), 1);
});

t.test('RFC 6275 11.7.4: many requests: at most one Binding Update a second', async (t) => {
  const harness = RegistrationHarness.registered();
  for (let i = 0; i < 1000; i += 1) {
    if (ofType(harness.signal(request()), 'transmit').length > 0) harness.acknowledge();
    harness.pass(10);
  }
  t.ok(harness.updates.length <= 12, `${harness.updates.length} in 10 s`);
});

t.test('RFC 6275 11.2: a message type that nobody knows changes nothing', async (t) => {
  const harness = RegistrationHarness.registered();
  const message = { kind: 'unknown', type: 99, data: new Uint8Array(2) } as const;
  t.same(harness.signal(request({ message })), []);
  t.equal(harness.dropped('unexpected_message'), 1);
});
