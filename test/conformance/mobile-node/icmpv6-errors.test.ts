import t from 'tap';
import type { Address, Icmpv6Message } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { unreachable } from '../../support/mobile-node-harness.js';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../../support/registration-harness.js';
import { CARE_OF, HOME_AGENT, HOST_A, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

function quoting(source: Address, destination: Address): Uint8Array {
  const error = unreachable(source, destination);
  if (error.kind !== 'destination-unreachable') throw new Error(error.kind);
  return error.quoted;
}

const quoted = quoting(CARE_OF, HOME_AGENT);

const ERRORS: readonly (readonly [name: string, error: Icmpv6Message, words: RegExp])[] = [
  ...[0, 1, 2, 3, 4, 5, 6].map(
    (code) =>
      [
        `RFC 4443 3.1: destination unreachable, code ${code}`,
        { kind: 'destination-unreachable', code, quoted } as const,
        /the path says/,
      ] as const,
  ),
  [
    'RFC 4443 3.3: hop limit exceeded',
    { kind: 'time-exceeded', code: 0, quoted },
    /hop limit exceeded/,
  ],
  ...[0, 1, 2].map(
    (code) =>
      [
        `RFC 6275 11.3.5: Parameter Problem, code ${code}`,
        { kind: 'parameter-problem', code, pointer: 40, quoted } as const,
        /is this a home agent/,
      ] as const,
  ),
];

for (const [name, error, words] of ERRORS) {
  t.test(`${name}: asks at once, drops nothing, is named`, async (t) => {
    const harness = RegistrationHarness.registered();
    harness.pass(5000);
    const outputs = harness.handle({ type: 'path-error', error });
    t.match(outputs, [{ type: 'transmit', signal: { destination: HOME_AGENT } }]);
    t.match(harness.summary, { state: 'registered', reason: words });
    t.same(ofType(harness.outputs, 'unbound'), []);
    harness.acknowledge();
    t.notMatch(harness.summary.reason, words, 'an answer ends the complaint');
  });
}

t.test(
  'RFC 6275 11.3.5: an error MUST NOT create an entry in the Binding Update List',
  async (t) => {
    const harness = new RegistrationHarness();
    t.same(harness.handle({ type: 'path-error', error: unreachable() }), []);
    t.match(harness.summary, { state: 'idle' });
    t.equal(harness.registration.wakeAt(), undefined);
  },
);

t.test('RFC 4443 2.4: an error that does not quote a packet of ours is ignored', async (t) => {
  const harness = RegistrationHarness.registered();
  const others: Icmpv6Message[] = [
    unreachable(OTHER_CARE_OF, HOME_AGENT),
    unreachable(CARE_OF, HOST_A),
    { kind: 'destination-unreachable', code: 0, quoted: new Uint8Array(39) },
    { kind: 'parameter-problem', code: 1, pointer: 0, quoted: new Uint8Array() },
    { kind: 'packet-too-big', mtu: 1280, quoted },
  ];
  for (const error of others) t.same(harness.handle({ type: 'path-error', error }), []);
  t.equal(harness.dropped('path_error_unusable'), others.length);
});

t.test(
  'RFC 6275 11.3.5: a flood of errors: one question a second, and the binding stays',
  async (t) => {
    const harness = RegistrationHarness.registered();
    for (let i = 0; i < 6000; i += 1) {
      if (
        ofType(harness.handle({ type: 'path-error', error: unreachable() }), 'transmit').length > 0
      )
        harness.acknowledge();
      harness.pass(10);
    }
    t.ok(harness.updates.length <= 64, `${harness.updates.length} in 60 s`);
    t.same(ofType(harness.outputs, 'unbound'), []);
    t.match(harness.summary, { state: 'registered' });
  },
);

t.test(
  'RFC 6275 11.3.5: without a binding an error does not hasten the retransmissions',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    for (let i = 0; i < 10; i += 1) harness.handle({ type: 'path-error', error: unreachable() });
    harness.pass(1499);
    t.equal(harness.updates.length, 1);
    t.match(harness.summary, { state: 'registering', reason: /the path says/ });
  },
);

t.test(
  'RFC 6275 11.3.5: an error does not make us turn to another home agent by itself',
  async (t) => {
    const homeAgents = listOf(HOME_AGENT, SECOND_AGENT);
    const harness = RegistrationHarness.registered({ homeAgents });
    harness.handle({ type: 'path-error', error: unreachable() });
    t.match(harness.acknowledge(), [{ type: 'bound', homeAgent: HOME_AGENT }]);
    harness.pass(20_000);
    t.ok(harness.sent.every(([, homeAgent]) => homeAgent === HOME_AGENT));
  },
);
