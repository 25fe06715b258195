import fc from 'fast-check';
import t from 'tap';
import { emitSignal, type HomeAgentEvent } from '../../src/signaling/index.js';
import { type Address, parseAddress } from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import { AgentHarness, bindingUpdate, messages } from '../support/home-agent-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOST_A,
  OTHER_CARE_OF,
} from '../support/testbed-addresses.js';

const LINK_LOCAL = parseAddress('fe80::10');

t.test('RFC 6275 10.3.1: DAD comes before the first acknowledgement', (t) => {
  const harness = new AgentHarness();
  t.same(harness.update({ sequence: 14885 }), [{ type: 'probe', homeAddress: HOME_ADDRESS }]);
  t.match(harness.bindings, [{ homeAddress: HOME_ADDRESS, state: 'probing' }]);
  harness.now = 1000;
  const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  t.same(
    outputs.map(({ type }) => type),
    ['bind', 'store', 'defend', 'transmit'],
    'the tunnel stands before neighbours and the mobile node hear of it',
  );
  t.match(ofType(outputs, 'bind'), [{ homeAddress: HOME_ADDRESS, careOfAddress: CARE_OF }]);
  t.match(ofType(outputs, 'transmit')[0]?.signal, {
    source: HOME_AGENT,
    destination: CARE_OF,
    routingHeader: HOME_ADDRESS,
    message: {
      kind: 'binding-acknowledgement',
      status: 0,
      sequence: 14885,
      lifetime: 60,
      keyManagement: false,
    },
  });
  t.match(harness.bindings, [
    { careOfAddress: CARE_OF, sequence: 14885, lifetime: 60, expiresAt: 61_000, state: 'bound' },
  ]);
  t.end();
});

t.test(
  'RFC 6275 10.3.1: with the L flag the link-local address is proved and defended as well',
  (t) => {
    const harness = new AgentHarness();
    t.same(harness.update({ linkLocalCompatible: true }), [
      { type: 'probe', homeAddress: HOME_ADDRESS },
      { type: 'probe', homeAddress: LINK_LOCAL },
    ]);
    t.same(harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS }), []);
    t.same(ofType(harness.handle({ type: 'unique', homeAddress: LINK_LOCAL }), 'defend'), [
      { type: 'defend', homeAddress: HOME_ADDRESS },
      { type: 'defend', homeAddress: LINK_LOCAL },
    ]);
    harness.pass(1000);
    t.same(ofType(harness.update({ sequence: 2, lifetime: 0 }), 'release'), [
      { type: 'release', homeAddress: HOME_ADDRESS },
      { type: 'release', homeAddress: LINK_LOCAL },
    ]);
    t.end();
  },
);

t.test(
  'RFC 6275 10.3.1: status 134 when the home address, or its link-local one, is taken',
  (t) => {
    for (const taken of [HOME_ADDRESS, LINK_LOCAL]) {
      const harness = new AgentHarness();
      harness.update({ linkLocalCompatible: true });
      const outputs = harness.handle({ type: 'duplicate', homeAddress: taken });
      t.match(messages(outputs), [{ status: 134, lifetime: 0, sequence: 1 }]);
      t.equal(ofType(outputs, 'release').length, 2);
      t.equal(ofType(outputs, 'unbind').length, 0);
      t.same(harness.bindings, []);
      t.same(harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS }), [], 'too late');
    }
    t.end();
  },
);

t.test(
  'PROTOCOL.md: while DAD runs, retransmissions are ignored and the first number is acknowledged',
  (t) => {
    const harness = new AgentHarness();
    harness.update({ sequence: 7 });
    t.same(harness.update({ sequence: 7 }), []);
    t.same(harness.update({ sequence: 8 }), []);
    t.equal(harness.drops('probing'), 2);
    const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
    t.match(messages(outputs), [{ status: 0, sequence: 7 }]);
    t.end();
  },
);

t.test('while DAD runs, a mobile node that moved on is followed', (t) => {
  const harness = new AgentHarness();
  harness.update({ sequence: 7 });
  t.same(harness.update({ sequence: 8, source: OTHER_CARE_OF }), []);
  t.same(harness.update({ sequence: 6 }), [], 'an older one is not');
  const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  t.match(ofType(outputs, 'bind'), [{ careOfAddress: OTHER_CARE_OF }]);
  t.match(ofType(outputs, 'transmit')[0]?.signal, {
    destination: OTHER_CARE_OF,
    message: { sequence: 8 },
  });
  t.end();
});

t.test('while DAD runs, a de-registration ends it', (t) => {
  const harness = new AgentHarness();
  harness.update({ sequence: 7 });
  const outputs = harness.update({ sequence: 8, lifetime: 0 });
  t.match(outputs, [
    { type: 'release', homeAddress: HOME_ADDRESS },
    { type: 'transmit', signal: { message: { status: 133, sequence: 8 } } },
  ]);
  t.same(harness.bindings, []);
  t.end();
});

t.test('a probe that is never answered does not stay', (t) => {
  const harness = new AgentHarness();
  harness.update();
  t.match(messages(harness.pass(5000)), [{ status: 128 }]);
  t.same(harness.bindings, []);
  t.equal(harness.agent.wakeAt(), undefined);
  t.end();
});

t.test(
  'RFC 6275 10.3.1: a refresh is acknowledged at once, without DAD and without a new tunnel',
  (t) => {
    const harness = AgentHarness.bound();
    harness.pass(30_000);
    const outputs = harness.update({ sequence: 2 });
    t.match(outputs, [
      { type: 'store', binding: { sequence: 2 } },
      { type: 'transmit', signal: { message: { status: 0, sequence: 2 } } },
    ]);
    t.equal(outputs.length, 2);
    t.match(harness.bindings, [{ expiresAt: 91_000, sequence: 2 }]);
    t.end();
  },
);

t.test('RFC 6275 10.3.1: a move is acknowledged at once and moves the tunnel', (t) => {
  const harness = AgentHarness.bound();
  const outputs = harness.update({ sequence: 2, source: OTHER_CARE_OF });
  t.match(outputs, [
    { type: 'bind', homeAddress: HOME_ADDRESS, careOfAddress: OTHER_CARE_OF },
    { type: 'store', binding: { careOfAddress: OTHER_CARE_OF } },
    { type: 'transmit', signal: { destination: OTHER_CARE_OF } },
  ]);
  t.match(harness.bindings, [{ careOfAddress: OTHER_CARE_OF }]);
  t.end();
});

t.test(
  'RFC 6275 9.5.1: the Alternate Care-of Address binds; 9.5.4: the source is answered',
  (t) => {
    const harness = new AgentHarness();
    harness.update({ alternates: [OTHER_CARE_OF] });
    const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
    t.match(ofType(outputs, 'bind'), [{ careOfAddress: OTHER_CARE_OF }]);
    t.match(ofType(outputs, 'transmit'), [{ signal: { destination: CARE_OF } }]);
    t.end();
  },
);

t.test('RFC 6275 10.3.1, 10.3.2: the home agent answers whatever the A flag says', (t) => {
  const harness = new AgentHarness();
  harness.update({ acknowledge: false });
  const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  t.match(messages(outputs), [{ status: 0 }]);
  t.match(messages(harness.update({ acknowledge: false, sequence: 2 })), [{ status: 0 }]);
  t.match(messages(harness.update({ acknowledge: false, sequence: 2 })), [{ status: 135 }]);
  const removed = harness.update({ acknowledge: false, sequence: 3, lifetime: 0 });
  t.match(messages(removed), [{ status: 0, lifetime: 0 }]);
  t.equal(ofType(removed, 'unbind').length, 1);
  t.end();
});

t.test('RFC 6275 10.3.1: lifetimes are capped, in units of 4 s', (t) => {
  for (const [asked, max, granted] of [
    [600, 3600, 600],
    [600, 60, 60],
    [600, 63, 60],
    [600, 2, 4],
    [4, 3600, 4],
    [262_140, 999_999, 262_140],
  ] as const) {
    const harness = AgentHarness.bound({ maxLifetime: max }, { lifetime: asked });
    t.match(harness.bindings, [{ lifetime: granted, expiresAt: 1000 + 1000 * granted }]);
  }
  t.end();
});

const OUTSIDE = parseAddress('2001:db8:9::10');
const STRANGER = parseAddress('2001:db8:2000::99');

/** Refusals of a first registration: name, Binding Update, status. */
const REFUSED = [
  ['10.3.1: home address outside the home prefix', { home: OUTSIDE }, 132],
  ['not listed', { home: STRANGER }, 129],
  ["the home agent's own address", { home: HOME_AGENT }, 129],
  [
    '10.3.1: no Home Address option',
    { home: null, source: HOME_ADDRESS, alternates: [CARE_OF] },
    133,
  ],
  ['10.3.2: de-registration of what is not bound', { lifetime: 0 }, 133],
  ['10.3.2: the same by care-of address', { alternates: [HOME_ADDRESS] }, 133],
] as const;

for (const [name, fields, status] of REFUSED) {
  t.test(`RFC 6275 ${name}: status ${status}`, (t) => {
    const harness = new AgentHarness();
    const outputs = harness.update({ ...fields, sequence: 77 });
    t.equal(outputs.length, 1);
    t.match(messages(outputs), [
      { kind: 'binding-acknowledgement', status, sequence: 77, lifetime: 0 },
    ]);
    t.same(harness.bindings, []);
    const [answer] = ofType(outputs, 'transmit');
    t.equal(
      answer?.signal.routingHeader,
      'home' in fields && fields.home === null
        ? undefined
        : 'home' in fields
          ? fields.home
          : HOME_ADDRESS,
    );
    t.end();
  });
}

/** Binding Updates that are discarded in silence: name, Binding Update, reason. */
const DISCARDED = [
  [
    '6.1.7: multicast care-of address',
    { alternates: [parseAddress('ff02::1')] },
    'care_of_address_not_routable',
  ],
  [
    '6.1.7: link-local care-of address',
    { alternates: [parseAddress('fe80::5')] },
    'care_of_address_not_routable',
  ],
  [
    '6.1.7: unspecified care-of address',
    { alternates: [parseAddress('::')] },
    'care_of_address_not_routable',
  ],
  [
    '6.1.7: loopback care-of address',
    { alternates: [parseAddress('::1')] },
    'care_of_address_not_routable',
  ],
  [
    'two Alternate Care-of Address options',
    { alternates: [CARE_OF, OTHER_CARE_OF] },
    'two_care_of_addresses',
  ],
  ['9.5.4: multicast source', { source: parseAddress('ff0e::1') }, 'source_not_routable'],
  ['9.5.4: unspecified source', { source: parseAddress('::') }, 'source_not_routable'],
  ['9.5.4: link-local source', { source: parseAddress('fe80::5') }, 'source_not_routable'],
  ['6.3: multicast home address', { home: parseAddress('ff0e::1') }, 'home_address_not_routable'],
  ['6.3: link-local home address', { home: parseAddress('fe80::5') }, 'home_address_not_routable'],
  ['6.3: unspecified home address', { home: parseAddress('::') }, 'home_address_not_routable'],
  [
    '6.1.7: the care-of address is the home agent',
    { alternates: [HOME_AGENT] },
    'circular_care_of_address',
  ],
  ['9.5.1: not a home registration', { homeRegistration: false }, 'not_a_home_registration'],
] as const;

for (const [name, fields, reason] of DISCARDED) {
  t.test(`RFC 6275 ${name}: no answer, counted`, (t) => {
    const harness = new AgentHarness();
    t.same(harness.update(fields), []);
    t.equal(harness.drops(reason), 1);
    t.same(harness.bindings, []);
    t.end();
  });
}

t.test('a Binding Update to another address is not ours', (t) => {
  const harness = new AgentHarness();
  const signal = { ...bindingUpdate(), destination: HOST_A };
  t.same(harness.handle({ type: 'signal', signal }), []);
  t.equal(harness.drops('not_ours'), 1);
  t.end();
});

t.test('RFC 6275 6.1.7: care-of addresses that lead back to the home address', (t) => {
  const second = parseAddress('2001:db8:2000::11');
  const harness = new AgentHarness({ allow: 'any' });
  harness.update();
  harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  harness.update({ home: second, source: HOME_ADDRESS });
  harness.handle({ type: 'unique', homeAddress: second });
  t.equal(harness.bindings.length, 2, 'a care-of address that is a home address is fine');
  t.same(harness.update({ sequence: 2, source: second }), [], 'a circle is not');
  t.equal(harness.drops('circular_care_of_address'), 1);
  t.end();
});

t.test('allow = any serves every address of the prefix', (t) => {
  const harness = AgentHarness.bound({ allow: 'any' }, { home: STRANGER });
  t.match(harness.bindings, [{ homeAddress: STRANGER, state: 'bound' }]);
  t.end();
});

t.test('RFC 6275 9.5.1: status 135 with the last number accepted', (t) => {
  const harness = AgentHarness.bound({}, { sequence: 1000 });
  for (const sequence of [1000, 999, 0, (1000 + 32_768) & 0xffff]) {
    const outputs = harness.update({ sequence, source: OTHER_CARE_OF });
    t.match(messages(outputs), [{ status: 135, sequence: 1000, lifetime: 0 }]);
    t.equal(outputs.length, 1);
  }
  t.match(messages(harness.update({ sequence: 1000, lifetime: 0 })), [{ status: 135 }]);
  t.match(harness.bindings, [{ sequence: 1000, careOfAddress: CARE_OF }], 'nothing has changed');
  t.match(messages(harness.update({ sequence: 1000 + 32_767 })), [{ status: 0 }]);
  t.match(messages(harness.update({ sequence: 65_535 })), [{ status: 0 }]);
  t.match(messages(harness.update({ sequence: 3 })), [{ status: 0 }], 'it wraps');
  t.end();
});

t.test('RFC 6275 9.5.1: status 139 when the H flag is dropped from a home registration', (t) => {
  const harness = AgentHarness.bound();
  t.match(messages(harness.update({ sequence: 2, homeRegistration: false })), [{ status: 139 }]);
  t.match(harness.bindings, [{ sequence: 1 }]);
  t.end();
});

t.test('status 130 when the cache is full; refreshes still pass', (t) => {
  const harness = AgentHarness.bound({ allow: 'any', maxBindings: 1 });
  t.match(messages(harness.update({ home: STRANGER })), [{ status: 130 }]);
  t.match(messages(harness.update({ sequence: 2 })), [{ status: 0 }]);
  t.end();
});

t.test('RFC 6275 10.3.2: de-registration', (t) => {
  for (const fields of [{ lifetime: 0 }, { alternates: [HOME_ADDRESS] }]) {
    const harness = AgentHarness.bound();
    const outputs = harness.update({ sequence: 2, ...fields });
    t.match(ofType(outputs, 'unbind'), [{ homeAddress: HOME_ADDRESS, reason: 'de-registered' }]);
    t.match(ofType(outputs, 'release'), [{ homeAddress: HOME_ADDRESS }]);
    t.match(ofType(outputs, 'transmit')[0]?.signal, {
      destination: CARE_OF,
      routingHeader: HOME_ADDRESS,
      message: { status: 0, sequence: 2, lifetime: 0 },
    });
    t.same(harness.bindings, []);
  }
  t.end();
});

t.test(
  'RFC 6275 10.3.2: at home, without a Home Address option and without a routing header',
  (t) => {
    const harness = AgentHarness.bound();
    const outputs = harness.update({ sequence: 2, lifetime: 0, source: HOME_ADDRESS, home: null });
    t.equal(outputs.at(-1)?.type, 'transmit', 'the address is let go first');
    const [answer] = ofType(outputs, 'transmit');
    t.equal(answer?.signal.destination, HOME_ADDRESS);
    t.equal(answer?.signal.routingHeader, undefined);
    t.end();
  },
);

t.test('RFC 6275 10.3.1: a binding ends with its lifetime', (t) => {
  const harness = AgentHarness.bound();
  t.equal(harness.agent.wakeAt(), 5000, 'not later than the end, at most earlier');
  t.match(messages(harness.pass(59_999)), [
    { kind: 'binding-refresh-request' },
    { kind: 'binding-refresh-request' },
  ]);
  t.match(harness.pass(1), [
    { type: 'release', homeAddress: HOME_ADDRESS },
    { type: 'unbind', homeAddress: HOME_ADDRESS, reason: 'expired' },
    { type: 'forget', homeAddress: HOME_ADDRESS },
  ]);
  t.same(harness.bindings, []);
  t.equal(harness.agent.wakeAt(), undefined);
  t.end();
});

t.test('RFC 6275 9.3.1: a Home Address option without a binding: Binding Error 1', (t) => {
  const harness = AgentHarness.bound();
  const event = { type: 'home-address-option', homeAddress: HOME_ADDRESS } as const;
  t.same(harness.handle({ ...event, source: CARE_OF }), [], 'the binding is there');
  const outputs = harness.handle({ ...event, source: OTHER_CARE_OF });
  t.match(outputs, [
    {
      type: 'transmit',
      signal: {
        source: HOME_AGENT,
        destination: OTHER_CARE_OF,
        message: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS },
      },
    },
  ]);
  t.equal(ofType(outputs, 'transmit')[0]?.signal.routingHeader, undefined, 'RFC 6275 9.3.3');
  const unready = new AgentHarness();
  unready.update();
  t.match(messages(unready.handle({ ...event, source: CARE_OF })), [{ status: 1 }], 'not in DAD');
  t.end();
});

function unknownMobility(source: Address, homeAddressOption?: Address): HomeAgentEvent {
  const message = { kind: 'unknown', type: 77, data: new Uint8Array(18) } as const;
  const option = homeAddressOption === undefined ? {} : { homeAddressOption };
  return { type: 'signal', signal: { source, destination: HOME_AGENT, ...option, message } };
}

t.test('RFC 6275 9.2: an unknown Mobility Header type: Binding Error 2', (t) => {
  const harness = new AgentHarness();
  t.match(messages(harness.handle(unknownMobility(CARE_OF, HOME_ADDRESS))), [
    { status: 2, homeAddress: HOME_ADDRESS },
  ]);
  t.match(messages(harness.handle(unknownMobility(CARE_OF))), [{ status: 2, homeAddress: '::' }]);
  t.end();
});

t.test('RFC 6275 9.3.3: Binding Errors never go to a group, and not many go at all', (t) => {
  const harness = new AgentHarness();
  for (const source of ['ff02::1', '::', 'fe80::1', '::1']) {
    t.same(harness.handle(unknownMobility(parseAddress(source))), []);
  }
  let answers = 0;
  for (let i = 0; i < 10_000; i += 1) {
    harness.now += 1;
    answers += harness.handle(unknownMobility(CARE_OF)).length;
  }
  t.ok(answers <= 10 + 100 && answers >= 100, `${answers} in 10 s`);
  t.equal(harness.drops('binding_error_limited'), 10_000 - answers);
  t.end();
});

t.test('other Mobility Header messages have no answer', (t) => {
  const harness = new AgentHarness();
  const from = { source: CARE_OF, destination: HOME_AGENT };
  const request = { kind: 'binding-refresh-request', options: [] } as const;
  t.same(harness.handle({ type: 'signal', signal: { ...from, message: request } }), []);
  const error = {
    kind: 'binding-error',
    status: 1,
    homeAddress: HOME_ADDRESS,
    options: [],
  } as const;
  const signal = { ...from, homeAddressOption: HOME_ADDRESS, message: error };
  t.same(harness.handle({ type: 'signal', signal }), [], 'least of all an error');
  t.equal(harness.drops('unexpected_message'), 2);
  t.end();
});

t.test('reconfigure ends what is no longer allowed and leaves the rest alone', (t) => {
  const harness = new AgentHarness({
    mobileNodes: [HOME_ADDRESS, STRANGER].map((a) => ({ homeAddress: a, protection: 'none' })),
  });
  for (const home of [HOME_ADDRESS, STRANGER]) {
    harness.update({ home });
    harness.handle({ type: 'unique', homeAddress: home });
  }
  harness.agent.reconfigure({
    address: HOME_AGENT,
    homePrefix: { address: parseAddress('2001:db8:2000::'), length: 64 },
    maxLifetime: 20,
    allow: 'listed',
    mobileNodes: [{ homeAddress: HOME_ADDRESS, protection: 'none' }],
    maxBindings: 10,
  });
  t.match(ofType(harness.handle({ type: 'tick' }), 'unbind'), [{ homeAddress: STRANGER }]);
  t.match(harness.bindings, [{ homeAddress: HOME_ADDRESS, lifetime: 60 }]);
  t.match(messages(harness.update({ sequence: 2 })), [{ lifetime: 20 }]);
  t.end();
});

t.test(
  'property: an answer is never larger than its Binding Update, and there is at most one',
  (t) => {
    const addresses = [HOME_ADDRESS, STRANGER, OUTSIDE, HOME_AGENT, CARE_OF, OTHER_CARE_OF].concat(
      ['::', 'ff02::1', 'fe80::1'].map(parseAddress),
    );
    const address = fc.constantFrom(...addresses);
    const update = fc.record({
      source: address,
      home: fc.option(address),
      alternates: fc.array(address, { maxLength: 2 }),
      sequence: fc.nat(0xffff),
      lifetime: fc.constantFrom(0, 4, 60, 262_140),
      acknowledge: fc.boolean(),
      homeRegistration: fc.boolean(),
      linkLocalCompatible: fc.boolean(),
    });
    const verdict = fc.constantFrom('unique', 'duplicate', 'wait', 'nothing');
    fc.assert(
      fc.property(fc.array(fc.tuple(update, verdict), { maxLength: 30 }), (story) => {
        const harness = new AgentHarness({ allow: 'any', maxBindings: 2 });
        for (const [fields, next] of story) {
          const signal = bindingUpdate(fields);
          const size = emitSignal(signal).length;
          const answers = ofType(harness.handle({ type: 'signal', signal }), 'transmit');
          if (answers.length > 1) throw new Error('more than one answer');
          for (const answer of answers) {
            if (emitSignal(answer.signal).length > size) throw new Error('amplified');
            if (answer.signal.destination !== fields.source) throw new Error('reflected');
          }
          if (harness.bindings.length > 2) throw new Error('too many bindings');
          if (next === 'wait') harness.pass(3000);
          else if (next !== 'nothing') {
            for (const { homeAddress } of harness.bindings)
              harness.handle({ type: next, homeAddress });
          }
        }
        harness.pass(300_000_000);
        if (harness.bindings.length > 0) throw new Error('a binding outlived its lifetime');
      }),
      { numRuns: 300 },
    );
    t.end();
  },
);
