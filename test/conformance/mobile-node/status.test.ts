import t from 'tap';
import { rejectionOf } from '../../../src/signaling/rejection.js';
import { ofType } from '../../support/drain.js';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../../support/registration-harness.js';
import { sequenceFrom } from '../../support/sequence.js';
import { CARE_OF, HOME_AGENT } from '../../support/testbed-addresses.js';

const TWO = listOf(HOME_AGENT, SECOND_AGENT);

/** Status, words of the sentence, what follows: later again, or the next home agent. */
const TABLE = [
  [128, /without saying why/, 'next'],
  [129, /does not allow this home address, list it there/, 'next'],
  [130, /no room/, 'next'],
  [131, /not a home agent, check home_agent/, 'next'],
  [132, /does not serve the prefix.*just restarted/, 'next'],
  [133, /no binding for this home address/, 'next'],
  [134, /another node on the home link uses this home address/, 'later'],
  [136, /return routability/, 'next'],
  [137, /return routability/, 'next'],
  [138, /return routability/, 'next'],
  [139, /another type/, 'later'],
  [140, /mobile routers/, 'next'],
  [141, /mobile network prefix/, 'next'],
  [142, /not authorised/, 'next'],
  [143, /forwarding/, 'next'],
  [147, /RFC 4866/, 'next'],
  [151, /does not authorise/, 'next'],
  [152, /Proxy Mobile IPv6/, 'next'],
  [164, /several care-of addresses/, 'next'],
  [170, /IPv4/, 'next'],
  [174, /care-of address/, 'later'],
  [255, /status 255/, 'next'],
] as const;

for (const [status, words, action] of TABLE) {
  t.test(`RFC 6275 6.1.8: status ${status}: a sentence, then ${action}`, async (t) => {
    const harness = new RegistrationHarness({ homeAgents: TWO });
    harness.register();
    const outputs = harness.acknowledge({ status, lifetime: 0 });
    if (action === 'next') {
      t.match(outputs, [{ type: 'transmit', signal: { destination: SECOND_AGENT } }]);
      harness.acknowledge({ status, lifetime: 0 });
    } else {
      t.same(outputs, []);
    }
    t.match(harness.summary, { state: 'rejected', status, reason: words });
    t.match(harness.summary.reason, /next attempt in \d+ s/);
    t.match(harness.summary.homeAgent, HOME_AGENT, 'the first again');
    const before = harness.updates.length;
    harness.pass(3_600_000);
    t.ok(harness.updates.length > before, 'it is tried again');
  });
}

t.test(
  'RFC 6275 6.1.8: status 0 to 255: each is accepted, refused or mended, and has a sentence',
  async (t) => {
    for (let status = 0; status < 256; status += 1) {
      const harness = new RegistrationHarness();
      harness.register();
      harness.acknowledge({ status, sequence: status === 135 ? 7000 : 100 });
      const { state, reason } = harness.summary;
      const expected = status < 128 ? 'registered' : 'rejected';
      t.equal(state, status === 135 || status === 144 ? 'registering' : expected, `${status}`);
      t.ok((reason ?? '').length > 20, `${status}: ${reason}`);
      if (status >= 128) t.ok(rejectionOf(status).meaning.length > 10);
    }
  },
);

t.test(
  'RFC 6275 11.7.3: a refused update MUST NOT be repeated faster than 11.8 allows',
  async (t) => {
    for (let status = 128; status < 256; status += 1) {
      const harness = new RegistrationHarness({ homeAgents: TWO });
      harness.register();
      for (let i = 0; i < 40; i += 1) {
        harness.acknowledge({ status, sequence: harness.latest.sequence });
        harness.pass(50);
      }
      t.ok(harness.updates.length <= 9, `${status}: ${harness.updates.length} in 2 s`);
    }
  },
);

t.test('RFC 6275 11.7.3: a refusal leaves the binding that stands', async (t) => {
  for (let status = 128; status < 256; status += 1) {
    const harness = RegistrationHarness.registered();
    harness.pass(30_000);
    harness.acknowledge({ status });
    harness.pass(29_999);
    t.same(ofType(harness.outputs, 'unbound'), [], `${status}`);
    t.equal(ofType(harness.pass(1), 'unbound').length, 1);
  }
});

t.test(
  'RFC 6275 11.7.3: status 135: the next number is the one after the last accepted, at once',
  async (t) => {
    for (const [last, next] of [
      [5000, 5001],
      [65_535, 0],
      [0, 1],
    ] as const) {
      const harness = new RegistrationHarness({ sequence: sequenceFrom((last + 0xffec) & 0xffff) });
      harness.register();
      const outputs = harness.acknowledge({ status: 135, sequence: last });
      t.equal(ofType(outputs, 'transmit').length, 1);
      t.equal(harness.latest.sequence, next);
      t.match(harness.acknowledge(), [{ type: 'bound' }]);
    }
  },
);

t.test('RFC 6275 11.7.3: status 135 that is not authentic MUST be silently ignored', async (t) => {
  const harness = new RegistrationHarness({ protection: 'esp' });
  harness.register();
  t.same(harness.acknowledge({ status: 135, sequence: 9 }, { protection: 'none' }), []);
  t.equal(harness.registration.sequence, 101);
});

t.test('RFC 6275 11.7.3: status 135 to a de-registration', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.handle({ type: 'deregister' });
  harness.acknowledge({ status: 135, sequence: 300 });
  t.match(harness.latest, { sequence: 301, lifetime: 0 });
  t.match(harness.acknowledge(), [{ type: 'unbound' }]);
});

t.test(
  'RFC 6275 6.1.8: status 133 to a de-registration: there was no binding, as was wanted',
  async (t) => {
    const harness = RegistrationHarness.registered();
    harness.handle({ type: 'deregister' });
    t.match(harness.acknowledge({ status: 133 }), [{ type: 'unbound', reason: 'de-registered' }]);
  },
);

t.test('RFC 6275 11.7.3: status 1: accepted, and the home prefixes are asked for', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  const outputs = harness.acknowledge({ status: 1 });
  t.match(outputs, [
    { type: 'bound' },
    {
      type: 'transmit-icmpv6',
      source: CARE_OF,
      destination: HOME_AGENT,
      message: { kind: 'mobile-prefix-solicitation' },
    },
  ]);
});

t.test(
  'RFC 6275 11.7.3: status 134: retried patiently, the home address being that of the guest',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: TWO });
    harness.register();
    harness.acknowledge({ status: 134 });
    harness.pass(29_999);
    t.equal(harness.updates.length, 1);
    harness.pass(1);
    t.equal(harness.updates.length, 2);
  },
);

t.test(
  'RFC 4285 6: status 144: the clock was adjusted by the answer, asked again at once',
  async (t) => {
    const harness = new RegistrationHarness({ protection: 'auth-option' });
    harness.register();
    t.equal(ofType(harness.acknowledge({ status: 144 }), 'transmit').length, 1);
    t.match(harness.acknowledge(), [{ type: 'bound' }]);
  },
);

t.test('RFC 4285 6: status 144 without end: three times at once, then patiently', async (t) => {
  const harness = new RegistrationHarness({ protection: 'auth-option' });
  harness.register();
  for (let i = 0; i < 10; i += 1) {
    harness.acknowledge({ status: 144 });
    harness.pass(400);
  }
  t.equal(harness.updates.length, 4);
  t.match(harness.summary, { state: 'rejected', reason: /clocks/ });
});

t.test('RFC 4285 6: status 145: the sentence names what to configure', async (t) => {
  const harness = new RegistrationHarness({ protection: 'auth-option' });
  harness.register();
  harness.acknowledge({ status: 145 });
  t.match(harness.summary, { state: 'rejected', reason: /"auth-option" and key_file/ });
});

t.test('RFC 4285 6: status 146: the sentence names the key', async (t) => {
  const harness = new RegistrationHarness({ protection: 'auth-option' });
  harness.register();
  harness.acknowledge({ status: 146 });
  t.match(harness.summary, { state: 'rejected', reason: /spi and key_file/ });
});

t.test(
  'RFC 4285 6: status 146 without protection is a hint to the reader and nothing else',
  async (t) => {
    const harness = new RegistrationHarness({ protection: 'auth-option' });
    harness.register();
    t.same(harness.acknowledge({ status: 146 }, { protection: 'none' }), []);
    t.match(harness.summary, { state: 'registering', reason: /without protection.*key_file/ });
    t.match(harness.acknowledge(), [{ type: 'bound' }]);
  },
);

t.test(
  'RFC 6275 11.4.1: after every home agent has refused, the first is asked later',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: TWO });
    harness.register();
    harness.acknowledge({ status: 129 });
    harness.acknowledge({ status: 129 });
    harness.pass(299_999);
    t.same(harness.sent, [
      [0, HOME_AGENT],
      [0, SECOND_AGENT],
    ]);
    harness.pass(1);
    t.same(harness.sent.at(-1), [300_000, HOME_AGENT]);
  },
);
