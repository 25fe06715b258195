import t from 'tap';
import { emitSignal } from '../../../src/signaling/index.js';
import { parsePacket } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../../support/registration-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const TWO = listOf(HOME_AGENT, SECOND_AGENT);

function atHome(config: ConstructorParameters<typeof RegistrationHarness>[0] = {}) {
  const harness = RegistrationHarness.registered(config);
  harness.pass(5000);
  harness.handle({ type: 'at-home' });
  return harness;
}

t.test(
  'RFC 6275 11.5.5: A and H set, lifetime 0, care-of address is the home address',
  async (t) => {
    const harness = atHome();
    t.match(harness.latest, { acknowledge: true, homeRegistration: true, lifetime: 0 });
    t.match(
      harness.latest.options.filter(({ kind }) => kind === 'alternate-care-of-address'),
      [{ address: HOME_ADDRESS }],
    );
  },
);

t.test(
  'RFC 6275 11.5.5: MUST use the home address as the source: without Home Address option',
  async (t) => {
    const { signal } = atHome().last;
    t.match(signal, { source: HOME_ADDRESS, destination: HOME_AGENT });
    t.equal(signal.homeAddressOption, undefined);
    t.same(parsePacket(emitSignal(signal)).extensions, []);
  },
);

t.test('RFC 6275 11.5.5: acknowledged: unbound, then announced on the home link', async (t) => {
  const harness = atHome();
  t.match(harness.acknowledge(), [{ type: 'unbound' }, { type: 'returned' }]);
  t.match(harness.summary, { state: 'at-home', reason: /at home/ });
  t.equal(harness.registration.wakeAt(), undefined);
});

t.test('RFC 6275 11.5.5: the tunnel stays until the acknowledgement', async (t) => {
  const harness = atHome();
  harness.pass(10_000);
  t.same(ofType(harness.outputs, 'unbound'), []);
  t.same(ofType(harness.outputs, 'returned'), []);
  t.match(harness.summary, { state: 'deregistering', reason: /let go of the home address/ });
});

t.test('RFC 6275 6.4: the acknowledgement at home has no routing header', async (t) => {
  const harness = atHome();
  t.same(harness.acknowledge({}, { routingHeader: HOME_ADDRESS }), []);
  t.equal(harness.dropped('not_the_home_address'), 1);
  t.same(harness.acknowledge({}, { destination: CARE_OF }), []);
  t.equal(harness.dropped('not_the_care_of_address'), 1);
});

t.test(
  'RFC 6275 11.8: it is retransmitted, with back-off, until the binding has run out',
  async (t) => {
    const harness = atHome();
    harness.pass(54_999);
    t.same(
      harness.sent.slice(1).map(([at]) => at),
      [5000, 6000, 8000, 12_000, 20_000, 36_000],
    );
    t.match(harness.pass(1), [{ type: 'unbound' }, { type: 'returned' }]);
  },
);

t.test(
  'RFC 6275 11.5.5: without a known binding the home agent is told all the same',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.handle({ type: 'at-home' });
    t.match(harness.latest, { lifetime: 0 });
    t.match(harness.acknowledge({ status: 133 }), [{ type: 'returned' }], '133: it has no binding');
  },
);

t.test(
  'RFC 6275 11.5.5: with several home agents and no known binding each is asked',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: TWO });
    harness.handle({ type: 'at-home' });
    t.match(harness.acknowledge({ status: 133 }), [{ signal: { destination: SECOND_AGENT } }]);
    t.match(harness.acknowledge({ status: 0 }), [{ type: 'returned' }]);
  },
);

t.test('RFC 6275 11.5.5: the home agent of a known binding is the one to tell', async (t) => {
  const harness = new RegistrationHarness({ homeAgents: TWO });
  harness.register();
  harness.acknowledge({ status: 130 });
  harness.acknowledge();
  harness.handle({ type: 'at-home' });
  harness.pass(30_000);
  t.ok(harness.sent.slice(2).every(([, homeAgent]) => homeAgent === SECOND_AGENT));
});

t.test('RFC 6275 11.7.3: at home too: status 135 resynchronises', async (t) => {
  const harness = atHome();
  harness.acknowledge({ status: 135, sequence: 700 });
  t.match(harness.latest, { sequence: 701, lifetime: 0 });
  t.match(ofType(harness.acknowledge(), 'returned'), [{}]);
});

t.test(
  'RFC 4285 6: at home too: status 144 is asked again, its clock being adjusted',
  async (t) => {
    const harness = atHome({ protection: 'auth-option' });
    t.equal(ofType(harness.acknowledge({ status: 144 }), 'transmit').length, 1);
  },
);

t.test('RFC 6275 6.1.8: a refusal is named and tried again later', async (t) => {
  const harness = atHome({ lifetime: 3600 });
  t.same(harness.acknowledge({ status: 130 }), []);
  t.match(harness.summary, { state: 'deregistering', reason: /no room.*status 130/ });
  const before = harness.updates.length;
  harness.pass(30_000);
  t.ok(harness.updates.length > before);
});

t.test('RFC 6275 11.7.3: what is not authentic does not end it', async (t) => {
  const harness = atHome({ protection: 'esp' });
  t.same(harness.acknowledge({}, { protection: 'none' }), []);
  t.same(harness.acknowledge({ sequence: 1 }), []);
  t.same(harness.acknowledge({}, { source: OTHER_CARE_OF }), []);
  t.match(harness.summary, { state: 'deregistering' });
  t.match(ofType(harness.acknowledge(), 'returned'), [{}]);
});

t.test(
  'RFC 6275 11.5.5: an answer to the registration before does not undo the return',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    const registration = harness.last;
    harness.handle({ type: 'at-home' });
    t.same(harness.acknowledge({}, {}, registration), []);
    t.match(harness.summary, { state: 'deregistering' });
  },
);

t.test('RFC 6275 11.5.3: away again: registered like the first time', async (t) => {
  const harness = atHome();
  harness.acknowledge();
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.register();
  t.match(harness.last.signal, { source: OTHER_CARE_OF, homeAddressOption: HOME_ADDRESS });
  t.match(harness.acknowledge(), [{ type: 'bound', careOfAddress: OTHER_CARE_OF }]);
});

t.test('RFC 6275 11.5.3: away again before the home agent has answered', async (t) => {
  const harness = atHome();
  const asked = harness.last;
  const outputs = harness.register();
  t.match(ofType(outputs, 'unbound'), [{ reason: /given up/ }]);
  t.same(harness.acknowledge({}, {}, asked), [], 'the answer to the de-registration is void');
  t.match(harness.acknowledge(), [{ type: 'bound' }]);
});

t.test('RFC 6275 11.5.5: at home for a second time says nothing twice', async (t) => {
  const harness = atHome();
  t.same(harness.handle({ type: 'at-home' }), []);
  harness.acknowledge();
  t.same(harness.handle({ type: 'at-home' }), []);
  t.same(harness.handle({ type: 'deregister' }), []);
  t.match(harness.summary, { state: 'at-home' });
});
