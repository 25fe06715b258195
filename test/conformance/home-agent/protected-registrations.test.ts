import t from 'tap';
import { parseAddress } from '../../../src/wire/index.js';
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
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const ESP = { mobileNodes: [served({ protection: 'esp' })] } as const;
const OPTION = { mobileNodes: [served({ protection: 'auth-option' })] } as const;
const protection = 'esp';
/** The outer source of a packet that somebody has redirected. */
const ELSEWHERE = parseAddress('2001:db8:6666::66');

onBothHomeLinks('RFC 3776 3.1: with ESP the Alternate Care-of Address alone binds', (t, config) => {
  const harness = new AgentHarness({ ...config, ...ESP });
  const fields = { protection, source: ELSEWHERE, alternates: [CARE_OF] } as const;
  const outputs = harness.register(fields);
  t.match(ofType(outputs, 'bind'), [{ careOfAddress: CARE_OF }]);
  t.match(ofType(outputs, 'transmit'), [
    { signal: { destination: CARE_OF, routingHeader: HOME_ADDRESS } },
  ]);
});

onBothHomeLinks('RFC 6275 11.7.1: without it no answer, counted', (t, config) => {
  const harness = new AgentHarness({ ...config, ...ESP });
  t.same(harness.update({ protection }), []);
  t.equal(harness.drops('alternate_care_of_address_missing'), 1);
  const bound = AgentHarness.bound({ ...config, ...ESP }, { protection, alternates: [CARE_OF] });
  t.same(bound.update({ protection, sequence: 2, source: OTHER_CARE_OF }), []);
  t.same(bound.update({ protection, sequence: 2, lifetime: 0 }), []);
  t.match(bound.bindings, [{ sequence: 1, careOfAddress: CARE_OF }]);
});

t.test('RFC 3776 3.1: with ESP refusals too go to the Alternate Care-of Address', (t) => {
  const harness = AgentHarness.bound(ESP, { protection, alternates: [CARE_OF], sequence: 9 });
  const fields = { protection, source: ELSEWHERE, alternates: [OTHER_CARE_OF] } as const;
  for (const [update, status] of [
    [{ sequence: 9 }, 135],
    [{ sequence: 10, reserved: 0x400 }, 140],
    [{ sequence: 10, homeRegistration: false }, 139],
  ] as const) {
    t.match(ofType(harness.update({ ...fields, ...update }), 'transmit'), [
      { signal: { destination: OTHER_CARE_OF, message: { status } } },
    ]);
  }
  t.end();
});

t.test('RFC 3776 3.1: with ESP a de-registration is answered where the mobile node is', (t) => {
  for (const [alternate, destination] of [
    [OTHER_CARE_OF, OTHER_CARE_OF],
    [HOME_ADDRESS, CARE_OF],
  ] as const) {
    const harness = AgentHarness.bound(ESP, { protection, alternates: [CARE_OF] });
    const fields = { protection, source: ELSEWHERE, alternates: [alternate] } as const;
    const outputs = harness.update({ ...fields, sequence: 2, lifetime: 0 });
    t.match(ofType(outputs, 'transmit'), [{ signal: { destination, message: { status: 0 } } }]);
    t.same(harness.bindings, []);
  }
  t.end();
});

const UNFIT: readonly (readonly [string, UpdateFields, 'none' | 'esp' | 'auth-option', string])[] =
  [
    ['plain where ESP is demanded', { alternates: [CARE_OF] }, 'esp', 'unprotected'],
    [
      'the authentication option where ESP is demanded',
      { protection: 'auth-option', authentication: 'ok', alternates: [CARE_OF] },
      'esp',
      'unprotected',
    ],
    ['ESP where none is known', { protection, alternates: [CARE_OF] }, 'none', 'unexpected_esp'],
    [
      'ESP where the authentication option is demanded',
      { protection, alternates: [CARE_OF] },
      'auth-option',
      'unexpected_esp',
    ],
  ];

for (const [title, fields, demanded, reason] of UNFIT) {
  onBothHomeLinks(`RFC 4301 5.2: ${title}: no answer, no state`, (t, config) => {
    const mobileNodes = [served({ protection: demanded })];
    const harness = new AgentHarness({ ...config, mobileNodes });
    t.same(harness.update(fields), []);
    t.same(harness.update({ ...fields, lifetime: 0 }), []);
    t.equal(harness.drops(reason), 2);
    t.same(harness.bindings, []);
  });
}

t.test('RFC 4301 5.2: an unprotected de-registration from home ends nothing', (t) => {
  const harness = AgentHarness.bound(ESP, { protection, alternates: [CARE_OF] });
  t.same(harness.update({ sequence: 2, lifetime: 0, source: HOME_ADDRESS, home: null }), []);
  t.equal(harness.bindings.length, 1);
  t.end();
});

t.test('RFC 4301 4.4.1: with allow = any, who is listed keeps the policy', (t) => {
  const harness = new AgentHarness({ ...ESP, allow: 'any' });
  t.same(harness.update({ alternates: [CARE_OF] }), []);
  const home = parseAddress('2001:db8:2000::99');
  t.match(messages(harness.register({ home })), [{ status: 0 }]);
  t.end();
});

for (const [authentication, status] of [
  ['missing', 145],
  ['failed', 146],
  ['replayed', 144],
] as const) {
  onBothHomeLinks(`RFC 4285 5, 6: authentication ${authentication}: ${status}`, (t, config) => {
    const harness = new AgentHarness({ ...config, ...OPTION });
    for (const lifetime of [60, 0]) {
      t.match(messages(harness.update({ authentication, lifetime, sequence: 4 })), [
        { status, sequence: 4, lifetime: 0 },
      ]);
    }
    t.same(harness.bindings, []);
    const bound = AgentHarness.bound({ ...config, ...OPTION }, { authentication: 'ok' });
    bound.update({ authentication, sequence: 2, source: OTHER_CARE_OF });
    bound.update({ authentication, sequence: 2, lifetime: 0 });
    t.match(bound.bindings, [{ sequence: 1, careOfAddress: CARE_OF }], 'no state is changed');
  });
}

onBothHomeLinks('RFC 4285 5: authentic: registered', (t, config) => {
  const harness = new AgentHarness({ ...config, ...OPTION });
  t.match(messages(harness.register({ authentication: 'ok' })), [{ status: 0 }]);
});

t.test('RFC 4285 5: a signal of which nothing is said is not authentic', (t) => {
  for (const fields of [{}, { protection: 'auth-option' }] as const) {
    t.match(messages(new AgentHarness(OPTION).update(fields)), [{ status: 146 }]);
  }
  t.end();
});

t.test('RFC 4285 5: refusals of what is not authentic are limited', (t) => {
  const harness = new AgentHarness(OPTION);
  let answers = 0;
  for (let i = 0; i < 5000; i += 1) {
    harness.now += 1;
    answers += harness.update({ authentication: 'failed' }).length;
  }
  t.ok(answers >= 50 && answers <= 60, `${answers} in 5 s`);
  t.equal(harness.drops('authentication_refusal_limited'), 5000 - answers);
  t.end();
});

t.test('RFC 4301 4.4.1: a binding ends when its policy becomes another one', (t) => {
  const harness = AgentHarness.bound();
  harness.agent.reconfigure({
    address: HOME_AGENT,
    homePrefix: HOME_PREFIX,
    maxLifetime: 3600,
    allow: 'listed',
    maxBindings: 10,
    ...ESP,
  });
  const outputs = harness.handle({ type: 'signal', signal: bindingUpdate({ sequence: 2 }) });
  t.match(ofType(outputs, 'unbind'), [{ reason: 'protection changed' }]);
  t.same(messages(outputs), []);
  t.same(harness.bindings, []);
  t.end();
});
