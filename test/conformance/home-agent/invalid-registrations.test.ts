import t from 'tap';
import { homeAgentsAnycast, parseAddress } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import type { UpdateFields } from '../../support/home-agent-harness.js';
import {
  AgentHarness,
  bindingUpdate,
  messages,
  onBothHomeLinks,
  served,
} from '../../support/home-agent-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const OUTSIDE = parseAddress('2001:db8:9::10');
const STRANGER = parseAddress('2001:db8:2000::99');
const SECOND = parseAddress('2001:db8:2000::11');

const REFUSED: readonly (readonly [title: string, fields: UpdateFields, status: number])[] = [
  ['RFC 6275 10.3.1: a home address outside the home prefix', { home: OUTSIDE }, 132],
  ['RFC 6275 10.3.1: a home address that is not listed', { home: STRANGER }, 129],
  ["RFC 6275 10.3.1: the home agent's own address", { home: HOME_AGENT }, 129],
  [
    'RFC 6275 10.3.1: no Home Address option',
    { home: null, source: HOME_ADDRESS, alternates: [CARE_OF] },
    133,
  ],
  ['RFC 3963 4.2: the R flag: no mobile router is served', { reserved: 0x400 }, 140],
  ['RFC 5213 5.3.1: the P flag: no proxy is served', { reserved: 0x200 }, 152],
];

for (const [title, fields, status] of REFUSED) {
  onBothHomeLinks(`${title}: status ${status}`, (t, config) => {
    const harness = new AgentHarness(config);
    const outputs = harness.update({ ...fields, sequence: 77 });
    t.equal(outputs.length, 1);
    t.match(messages(outputs), [{ status, sequence: 77, lifetime: 0 }]);
    t.same(harness.bindings, []);
  });
}

t.test(
  'RFC 6275 10.3.1: anycast addresses are nobody’s home address, even with allow = any',
  (t) => {
    const harness = new AgentHarness({ allow: 'any' });
    for (const home of [homeAgentsAnycast(HOME_PREFIX), HOME_PREFIX.address]) {
      t.match(messages(harness.update({ home })), [{ status: 129 }]);
    }
    t.end();
  },
);

t.test('RFC 6275 10.3.1: a prefix that is not valid any more, or not advertised: 132', (t) => {
  const common = { onLink: true, autonomous: true, preferredLifetime: 0 };
  for (const prefixes of [[], [{ prefix: HOME_PREFIX, validLifetime: 3, ...common }]]) {
    t.match(messages(new AgentHarness({ prefixes }).update()), [{ status: 132 }]);
  }
  t.end();
});

onBothHomeLinks('RFC 6275 10.3.1: status 130 when the cache is full', (t, config) => {
  const harness = AgentHarness.bound({ ...config, allow: 'any', maxBindings: 1 });
  t.match(messages(harness.update({ home: STRANGER })), [{ status: 130 }]);
  t.match(messages(harness.update({ sequence: 2 })), [{ status: 0 }], 'a refresh needs no room');
});

onBothHomeLinks('RFC 6275 9.5.1: status 139 when H is dropped; the binding stays', (t, config) => {
  const harness = AgentHarness.bound(config);
  t.match(messages(harness.update({ sequence: 2, homeRegistration: false })), [{ status: 139 }]);
  t.match(harness.bindings, [{ sequence: 1, state: 'bound' }]);
});

const DISCARDED: readonly (readonly [title: string, fields: UpdateFields, reason: string])[] = [
  ...['ff02::1', 'ff0e::1', 'fe80::5', '::', '::1'].map(
    (text) =>
      [
        `RFC 6275 6.1.7: care-of address ${text}`,
        { alternates: [parseAddress(text)] },
        'care_of_address_not_routable',
      ] as const,
  ),
  ...['ff0e::1', '::', 'fe80::5', '::1'].map(
    (text) =>
      [
        `RFC 6275 9.5.4: source ${text}`,
        { source: parseAddress(text) },
        'source_not_routable',
      ] as const,
  ),
  ...['ff0e::1', 'fe80::5', '::', '::1'].map(
    (text) =>
      [
        `RFC 6275 9.5.1: home address ${text}`,
        { home: parseAddress(text) },
        'home_address_not_routable',
      ] as const,
  ),
  [
    'RFC 6275 6.2.5: two Alternate Care-of Addresses',
    { alternates: [CARE_OF, OTHER_CARE_OF] },
    'two_care_of_addresses',
  ],
  [
    'RFC 6275 6.1.7: the home agent as care-of address',
    { alternates: [HOME_AGENT] },
    'circular_care_of_address',
  ],
  [
    'RFC 6275 9.5.1: Nonce Indices in a home registration',
    { options: [{ kind: 'nonce-indices', home: 1, careOf: 2 }] },
    'nonce_indices',
  ],
  [
    'RFC 6275 9.5.1: no H flag: correspondents are not served here',
    { homeRegistration: false },
    'not_a_home_registration',
  ],
];

for (const [title, fields, reason] of DISCARDED) {
  onBothHomeLinks(`${title}: discarded in silence`, (t, config) => {
    const harness = new AgentHarness(config);
    t.same(harness.update(fields), []);
    t.equal(harness.drops(reason), 1);
    t.same(harness.bindings, []);
  });
}

onBothHomeLinks('RFC 6275 6.1.7: care-of addresses that lead back home', (t, config) => {
  const mobileNodes = [served(), served({ homeAddress: SECOND })];
  const harness = new AgentHarness({ ...config, mobileNodes });
  harness.register({ home: SECOND, source: HOME_ADDRESS });
  t.same(harness.update({ source: SECOND }), []);
  t.equal(harness.drops('circular_care_of_address'), 1);
});

t.test('RFC 6275 9.5.1: a Binding Update to another address is not ours', (t) => {
  const harness = new AgentHarness();
  const signal = { ...bindingUpdate(), destination: HOST_A };
  t.same(harness.handle({ type: 'signal', signal }), []);
  t.equal(harness.drops('not_ours'), 1);
  t.end();
});

t.test('RFC 6275 9.5.4: a refusal has a routing header to the home address', (t) => {
  const [refused] = ofType(new AgentHarness().update({ home: STRANGER }), 'transmit');
  t.match(refused?.signal, { destination: CARE_OF, routingHeader: STRANGER });
  t.end();
});

t.test('RFC 6275 9.5.4: refusals to home addresses that are not served are limited', (t) => {
  const harness = AgentHarness.bound();
  let answers = 0;
  for (let i = 0; i < 5000; i += 1) {
    harness.now += 1;
    answers += harness.update({ home: STRANGER, lifetime: i % 2 === 0 ? 0 : 60 }).length;
  }
  t.ok(answers >= 50 && answers <= 60, `${answers} in 5 s`);
  t.equal(harness.drops('refusal_limited'), 5000 - answers);
  t.match(messages(harness.update({ sequence: 1 })), [{ status: 135 }], 'nobody else suffers');
  t.end();
});

t.test('RFC 6275 9.5.1: a refused update changes nothing', (t) => {
  const harness = AgentHarness.bound();
  const before = harness.bindings;
  for (const fields of [
    { sequence: 1 },
    { sequence: 2, reserved: 0x400 },
    { sequence: 2, home: null, source: HOME_ADDRESS, alternates: [CARE_OF] },
    { sequence: 2, alternates: [HOME_AGENT] },
    { sequence: 2, homeRegistration: false },
  ]) {
    harness.update(fields);
    t.same(harness.bindings, before);
  }
  t.end();
});
