import t from 'tap';
import { emitSignal, HomeRegistration, UpdateRate } from '../../../src/signaling/index.js';
import { alignMobilityOptions, PROTOCOL, parsePacket } from '../../../src/wire/index.js';
import { drain, ofType } from '../../support/drain.js';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../../support/registration-harness.js';
import { sequenceFrom } from '../../support/sequence.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

t.test('RFC 6275 11.7.1: the H bit MUST be set in a home registration', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  t.equal(harness.latest.homeRegistration, true);
});

t.test('RFC 6275 11.7.1: the A bit MUST be set in a home registration', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  t.equal(harness.latest.acknowledge, true);
});

t.test('RFC 6275 11.7.1: the packet MUST contain a Home Address option', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  t.equal(harness.last.signal.homeAddressOption, HOME_ADDRESS);
  t.equal(harness.last.signal.routingHeader, undefined, '6.1: and no routing header');
});

t.test('RFC 6275 11.7.1: the care-of address is the source of the packet', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  t.match(harness.last.signal, { source: CARE_OF, destination: HOME_AGENT });
});

t.test(
  'RFC 6275 11.7.1: an Alternate Care-of Address option MUST be in every home registration',
  async (t) => {
    const harness = RegistrationHarness.registered();
    harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
    harness.acknowledge();
    harness.pass(30_000);
    harness.acknowledge();
    harness.handle({ type: 'deregister' });
    t.ok(harness.updates.length >= 4, 'first, move, refresh, de-registration');
    for (const { signal, update } of harness.updates) {
      const alternates = update.options.filter(({ kind }) => kind === 'alternate-care-of-address');
      t.match(alternates, [{ address: signal.source }]);
    }
  },
);

t.test(
  'RFC 6275 11.7.1: the L bit SHOULD be set for a guest whose link-local goes with it',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    t.equal(harness.latest.linkLocalCompatible, true);
  },
);

t.test('RFC 6275 11.7.1: without dynamic keys the K bit MUST be clear', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  t.equal(harness.latest.keyManagement, false);
});

t.test('RFC 6275 6.1.7: reserved bits are sent as 0', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  t.equal(harness.latest.reserved, 0);
  t.equal(harness.latest.headerReserved ?? 0, 0);
});

t.test('RFC 6275 6.1.7: the lifetime is in whole units of 4 s and MUST NOT be zero', async (t) => {
  for (const [asked, sent] of [
    [0, 4],
    [1, 4],
    [7, 4],
    [63, 60],
    [600, 600],
    [1_000_000, 262_140],
  ] as const) {
    const harness = new RegistrationHarness({ lifetime: asked });
    harness.register();
    t.equal(harness.latest.lifetime, sent, `${asked} s`);
  }
});

t.test('RFC 6275 6.1.7: every Binding Update is a packet with a Mobility Header', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.pass(40_000);
  for (const { signal } of harness.updates) {
    const packet = parsePacket(emitSignal(signal));
    t.equal(packet.protocol, PROTOCOL.mobility);
    t.equal(packet.payload[0], PROTOCOL.noNext, '6.1.1: payload protocol 59');
  }
});

t.test('RFC 6275 11.7.1: the sequence number may start at any value', async (t) => {
  for (const first of [0, 1, 32_768, 65_535]) {
    const harness = new RegistrationHarness({ sequence: sequenceFrom(first) });
    harness.register();
    t.equal(harness.latest.sequence, first);
    t.match(harness.acknowledge(), [{ type: 'bound' }]);
  }
});

t.test(
  'RFC 6275 11.7.3: status below 128: the update is acknowledged and not sent again',
  async (t) => {
    for (const status of [0, 1, 2, 7, 127]) {
      const harness = new RegistrationHarness();
      harness.register();
      t.match(ofType(harness.acknowledge({ status }), 'bound'), [
        { homeAgent: HOME_AGENT, careOfAddress: CARE_OF, lifetime: 60, expiresAt: 60_000 },
      ]);
      harness.pass(29_999);
      t.equal(harness.updates.length, 1, `status ${status}`);
      t.match(harness.summary, { state: 'registered', status });
    }
  },
);

t.test(
  'RFC 6275 11.7.3: a lifetime granted that is shorter counts, from the time of the update on',
  async (t) => {
    const harness = new RegistrationHarness({ lifetime: 600 });
    harness.register();
    harness.pass(1200);
    t.match(ofType(harness.acknowledge({ lifetime: 40 }), 'bound'), [
      { lifetime: 40, expiresAt: 40_000 },
    ]);
    harness.pass(300_000);
    t.match(ofType(harness.outputs, 'unbound'), [{ reason: /ran out/ }]);
  },
);

t.test('RFC 6275 11.7.3: a lifetime granted that is longer than asked is not used', async (t) => {
  const harness = new RegistrationHarness({ lifetime: 60 });
  harness.register();
  t.match(ofType(harness.acknowledge({ lifetime: 3600 }), 'bound'), [{ lifetime: 60 }]);
});

t.test(
  'RFC 6275 11.7.3: remaining lifetime is not below 0: granted and over is not bound',
  async (t) => {
    const harness = new RegistrationHarness({ lifetime: 60 });
    harness.register();
    const first = harness.last;
    harness.pass(10_000);
    t.same(ofType(harness.acknowledge({ lifetime: 8 }, {}, first), 'bound'), []);
    t.equal(harness.dropped('acknowledged_too_late'), 1);
  },
);

t.test(
  'RFC 6275 11.7.3: an acknowledgement that is not authentic MUST be silently ignored',
  async (t) => {
    for (const protection of ['esp', 'auth-option'] as const) {
      for (const status of [0, 1, 128, 133, 135, 144, 146]) {
        const harness = new RegistrationHarness({ protection });
        harness.register();
        t.same(harness.acknowledge({ status }, { protection: 'none' }), []);
        t.equal(harness.dropped('unprotected'), 1);
        t.match(harness.summary, { state: 'registering' });
        t.equal(harness.registration.sequence, 101, 'its number is not believed either');
        t.match(harness.acknowledge(), [{ type: 'bound' }], 'the authentic one still counts');
      }
    }
  },
);

t.test('RFC 6275 11.7.3: a sequence number that is not outstanding MUST be ignored', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  for (const sequence of [99, 101, 0, 65_535]) t.same(harness.acknowledge({ sequence }), []);
  t.equal(harness.dropped('no_such_update'), 4);
  t.match(harness.summary, { state: 'registering' });
});

t.test('RFC 6275 11.7.3: an acknowledgement counts once', async (t) => {
  const harness = RegistrationHarness.registered();
  t.same(harness.acknowledge(), []);
  t.same(harness.acknowledge({ status: 128 }), []);
  t.equal(harness.dropped('no_such_update'), 2);
});

t.test('RFC 6275 11.7.3: from somebody else, to somebody else, of somebody else', async (t) => {
  for (const [reason, addresses] of [
    ['not_the_home_agent', { source: HOST_A }],
    ['not_the_care_of_address', { destination: OTHER_CARE_OF }],
    ['not_the_home_address', { routingHeader: HOST_A }],
  ] as const) {
    const harness = new RegistrationHarness();
    harness.register();
    t.same(harness.acknowledge({}, addresses), []);
    t.equal(harness.dropped(reason), 1, reason);
  }
});

t.test(
  'RFC 6275 6.4: an acknowledgement without routing header is not for the home address',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    const { signal, update } = harness.last;
    harness.signal({
      source: signal.destination,
      destination: signal.source,
      message: {
        kind: 'binding-acknowledgement',
        status: 0,
        keyManagement: false,
        reserved: 0,
        lifetime: 60,
        sequence: update.sequence,
        options: [],
      },
    });
    t.equal(harness.dropped('not_the_home_address'), 1);
    t.match(harness.summary, { state: 'registering' });
  },
);

t.test(
  'RFC 6275 11.7.3: Binding Authorization Data that is not the last option: silently ignored',
  async (t) => {
    const authorization = {
      kind: 'binding-authorization-data',
      authenticator: new Uint8Array(12),
    } as const;
    const harness = new RegistrationHarness();
    harness.register();
    harness.acknowledge({ options: [authorization, { kind: 'pad1' }] });
    t.equal(harness.dropped('authorization_data_not_last'), 1);
    t.match(harness.acknowledge({ options: [authorization] }), [{ type: 'bound' }]);
  },
);

t.test(
  'RFC 6275 6.1.8: unknown options and reserved bits of an acknowledgement are skipped',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    const options = alignMobilityOptions(
      [{ kind: 'unknown', type: 99, data: new Uint8Array(6) }],
      'binding-acknowledgement',
    );
    t.match(harness.acknowledge({ options, reserved: 0x7f, keyManagement: true }), [
      { type: 'bound' },
    ]);
  },
);

t.test('RFC 6275 11.7.1: each further home address has a Binding Update of its own', async (t) => {
  const rate = new UpdateRate();
  const registrations = [HOME_ADDRESS, HOST_A].map(
    (homeAddress) =>
      new HomeRegistration({
        homeAddress,
        homePrefix: HOME_PREFIX,
        homeAgents: listOf(HOME_AGENT),
        careOfAddress: CARE_OF,
        lifetime: 60,
        sequence: sequenceFrom(0),
        random: () => 0,
        protection: 'none',
        livenessInterval: 0,
        rate,
      }),
  );
  for (const registration of registrations) registration.handle(0, { type: 'register' });
  t.same(
    registrations.flatMap((registration) =>
      ofType(drain(registration), 'transmit').map(({ signal }) => signal.homeAddressOption),
    ),
    [HOME_ADDRESS, HOST_A],
  );
});

t.test('RFC 6275 11.7.1: de-registration: lifetime 0, acknowledged, nothing is left', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.handle({ type: 'deregister' });
  t.match(harness.latest, { lifetime: 0, acknowledge: true, homeRegistration: true });
  t.match(harness.acknowledge(), [{ type: 'unbound', reason: 'de-registered' }]);
  t.match(harness.summary, { state: 'idle' });
  t.equal(harness.registration.wakeAt(), undefined);
});

t.test(
  'RFC 6275 11.7.1: a binding known from before a restart is announced and refreshed at once',
  async (t) => {
    const binding = {
      homeAgent: SECOND_AGENT,
      careOfAddress: OTHER_CARE_OF,
      lifetime: 60,
      expiresAt: 20_000,
    };
    const homeAgents = listOf(HOME_AGENT, SECOND_AGENT);
    const harness = new RegistrationHarness({ homeAgents, binding });
    const outputs = harness.handle({ type: 'tick' });
    t.match(outputs, [
      { type: 'bound', ...binding },
      { type: 'transmit', signal: { source: CARE_OF, destination: SECOND_AGENT } },
    ]);
    t.match(harness.acknowledge(), [
      { type: 'bound', homeAgent: SECOND_AGENT, careOfAddress: CARE_OF, expiresAt: 60_000 },
    ]);
  },
);

t.test(
  'RFC 6275 11.7.1: a binding that ran out during a restart is registered afresh',
  async (t) => {
    const binding = {
      homeAgent: HOME_AGENT,
      careOfAddress: CARE_OF,
      lifetime: 60,
      expiresAt: 20_000,
    };
    const harness = new RegistrationHarness({ binding });
    harness.now = 30_000;
    const outputs = harness.handle({ type: 'tick' });
    t.same(ofType(outputs, 'bound'), []);
    t.match(ofType(outputs, 'unbound'), [{ reason: /ran out/ }]);
    t.equal(harness.updates.length, 1);
  },
);
