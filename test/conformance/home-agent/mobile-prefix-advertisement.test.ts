import t from 'tap';
import type {
  AdvertisedPrefix,
  HomeAgentConfig,
  HomeAgentOutput,
} from '../../../src/signaling/index.js';
import type { Address } from '../../../src/wire/index.js';
import { parsePrefix } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import {
  AgentHarness,
  icmpv6Messages,
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

const HOME: AdvertisedPrefix = {
  prefix: HOME_PREFIX,
  validLifetime: 2_592_000,
  preferredLifetime: 604_800,
  onLink: true,
  autonomous: true,
};
const NEW: AdvertisedPrefix = { ...HOME, prefix: parsePrefix('2001:db8:2001::/64') };
const HOUR = 3_600_000;
const PROTECTED = {
  mobileNodes: [served({ protection: 'esp' })],
  maxLifetime: 262_140,
} as const;
const UPDATE = { protection: 'esp', alternates: [CARE_OF], lifetime: 262_140 } as const;

function bound(config: Partial<HomeAgentConfig> = {}): AgentHarness {
  return AgentHarness.bound({ ...PROTECTED, ...config }, UPDATE);
}

function solicit(
  harness: AgentHarness,
  fields: {
    source?: Address;
    destination?: Address;
    homeAddress?: Address;
    protection?: 'none' | 'esp';
  } = {},
): HomeAgentOutput[] {
  return harness.handle({
    type: 'icmpv6',
    source: CARE_OF,
    destination: HOME_AGENT,
    homeAddress: HOME_ADDRESS,
    protection: 'esp',
    message: { kind: 'mobile-prefix-solicitation', identifier: 0xcafe },
    ...fields,
  });
}

/** When unsolicited advertisements left. */
function unsolicited(harness: AgentHarness, milliseconds: number): number[] {
  const end = harness.now + milliseconds;
  const times: number[] = [];
  for (let at = harness.agent.wakeAt(); at !== undefined && at <= end; ) {
    harness.now = Math.max(harness.now, at);
    for (const _ of icmpv6Messages(harness.handle({ type: 'tick' }))) times.push(harness.now);
    at = harness.agent.wakeAt();
  }
  harness.now = end;
  return times;
}

onBothHomeLinks('RFC 6275 10.6.2: a solicitation is answered right away', (t, config) => {
  const outputs = solicit(bound({ ...config, prefixes: [HOME, NEW] }));
  t.match(outputs, [
    {
      type: 'transmit-icmpv6',
      source: HOME_AGENT,
      destination: CARE_OF,
      routingHeader: HOME_ADDRESS,
      message: { kind: 'mobile-prefix-advertisement', identifier: 0xcafe },
    },
  ]);
  t.equal(outputs.length, 1);
});

t.test(
  'RFC 6275 10.6.1, 7.2: every prefix with its lifetimes; in ours, our address with R',
  (t) => {
    const [message] = icmpv6Messages(solicit(bound({ prefixes: [HOME, NEW] })));
    t.match(message, {
      options: [
        {
          kind: 'prefix-information',
          prefix: { address: HOME_AGENT, length: 64 },
          routerAddress: true,
          validLifetime: 2_592_000,
          preferredLifetime: 604_800,
          onLink: true,
          autonomous: true,
        },
        { kind: 'prefix-information', prefix: NEW.prefix, routerAddress: false },
      ],
    });
    t.end();
  },
);

t.test('RFC 4862 5.5.3 c: nothing is told to be preferred longer than it is valid', (t) => {
  const prefixes = [{ ...HOME, validLifetime: 40 }, NEW];
  t.match(icmpv6Messages(solicit(bound({ prefixes }))), [
    { options: [{ validLifetime: 40, preferredLifetime: 40 }, { preferredLifetime: 604_800 }] },
  ]);
  t.end();
});

t.test('RFC 6275 10.6.2: after status 1 the mobile node gets what it asks for', (t) => {
  const prefixes = [{ ...HOME, preferredLifetime: 0 }];
  const harness = new AgentHarness({ ...PROTECTED, prefixes });
  t.match(messages(harness.register(UPDATE)), [{ status: 1 }]);
  t.match(icmpv6Messages(solicit(harness)), [{ options: [{ preferredLifetime: 0 }] }]);
  t.end();
});

t.test('RFC 6275 10.6.3: a solicitation without a binding: Binding Error 1', (t) => {
  t.match(messages(solicit(new AgentHarness(PROTECTED))), [{ kind: 'binding-error', status: 1 }]);
  t.match(messages(solicit(bound(), { source: OTHER_CARE_OF })), [{ kind: 'binding-error' }]);
  t.end();
});

t.test('RFC 6275 6.7: to another address, or without a Home Address option: silence', (t) => {
  const harness = bound();
  t.same(solicit(harness, { destination: HOST_A }), []);
  t.same(solicit(harness, { homeAddress: CARE_OF }), []);
  t.equal(harness.drops('not_ours'), 1);
  t.equal(harness.drops('solicitation_without_home_address'), 1);
  t.end();
});

t.test('RFC 6275 10.6.3, RFC 3776 3.3: what should be protected and is not is dropped', (t) => {
  const harness = bound();
  t.same(solicit(harness, { protection: 'none' }), []);
  t.equal(harness.drops('unprotected'), 1);
  const plain = AgentHarness.bound();
  t.same(solicit(plain), []);
  t.equal(plain.drops('unexpected_esp'), 1);
  t.end();
});

t.test('RFC 6275 10.6.2: unprotected, no more octets leave than came', (t) => {
  const harness = AgentHarness.bound({}, { lifetime: 3600 });
  let asked = 0;
  let told = 0;
  for (let i = 0; i < 50; i += 1) {
    asked += 40 + 24 + 8;
    told += (40 + 24 + 8 + 32) * solicit(harness, { protection: 'none' }).length;
    t.ok(told <= asked, `${told} for ${asked}`);
  }
  t.ok(told >= 0.5 * asked, 'the second one at the latest is answered');
  t.end();
});

t.test('RFC 6275 10.6.2: who has never been told will be: within MaxScheduleDelay', (t) => {
  for (const [random, after] of [
    [0, 600_000],
    [0.5, 600_000 + 0.5 * (86_400_000 - 600_000)],
    [0.999_999, 86_400_000],
  ] as const) {
    const [at = 0] = unsolicited(bound({ random: () => random }), 48 * HOUR);
    t.ok(Math.abs(at - 1000 - after) < 1000, `${at} ms`);
  }
  const prefixes = [{ ...HOME, preferredLifetime: 3600 }];
  const [at = 0] = unsolicited(bound({ prefixes, random: () => 0.999 }), 48 * HOUR);
  t.ok(at <= 3_601_000, 'the preferred lifetime caps it');
  t.end();
});

t.test(
  'RFC 6275 10.6.2: an unsolicited one is repeated after 3, 6, 12 s, and then no more',
  (t) => {
    const start = 601_000;
    const times = unsolicited(bound(), 48 * HOUR);
    t.same(times, [start, start + 3000, start + 9000, start + 21_000]);
    t.end();
  },
);

t.test('RFC 6275 10.6.2: a solicitation acknowledges it', (t) => {
  const harness = bound();
  t.equal(unsolicited(harness, 602_000).length, 1);
  solicit(harness);
  t.same(unsolicited(harness, 24 * HOUR), []);
  t.end();
});

t.test('RFC 6275 10.6.2: with the binding everything ends', (t) => {
  const harness = bound();
  t.equal(unsolicited(harness, 602_000).length, 1);
  harness.update({ ...UPDATE, sequence: 2, lifetime: 0 });
  t.same(unsolicited(harness, 96 * HOUR), []);
  t.equal(harness.agent.wakeAt(), undefined);
  t.end();
});

t.test('RFC 6275 10.6.2: a Binding Update later, who has not acknowledged is told again', (t) => {
  const harness = bound();
  t.equal(unsolicited(harness, 650_000).length, 4);
  harness.update({ ...UPDATE, sequence: 2 });
  t.same(unsolicited(harness, 60_000), [], 'not within MinMobPfxAdvInterval');
  harness.now += 600_000;
  harness.update({ ...UPDATE, sequence: 3 });
  t.equal(unsolicited(harness, 60_000).length, 3);
  t.end();
});

t.test(
  'RFC 6275 10.6.2: MaxMobPfxAdvInterval later, with the next refresh, it comes again',
  (t) => {
    const harness = bound();
    solicit(harness);
    harness.now += 12 * HOUR;
    harness.update({ ...UPDATE, sequence: 2 });
    t.same(unsolicited(harness, 2 * HOUR), []);
    harness.now += 12 * HOUR;
    harness.update({ ...UPDATE, sequence: 3 });
    t.equal(unsolicited(harness, 2 * HOUR).length, 4);
    t.end();
  },
);

t.test('RFC 6275 10.6.2: changed prefixes are told to everybody who is bound', (t) => {
  const harness = bound({ prefixes: [HOME] });
  solicit(harness);
  harness.handle({ type: 'prefixes-changed', prefixes: [HOME, NEW] });
  const outputs = harness.pass(600_000);
  t.match(ofType(outputs, 'transmit-icmpv6'), [
    {
      destination: CARE_OF,
      routingHeader: HOME_ADDRESS,
      message: { identifier: 0, options: [{}, { prefix: NEW.prefix }] },
    },
  ]);
  t.end();
});

t.test('RFC 6275 10.6.2: by reconfiguration too; equal prefixes tell nothing', (t) => {
  const harness = bound({ prefixes: [HOME] });
  solicit(harness);
  const config: HomeAgentConfig = {
    address: HOME_AGENT,
    homePrefix: HOME_PREFIX,
    allow: 'listed',
    maxBindings: 10,
    ...PROTECTED,
  };
  harness.agent.reconfigure({ ...config, prefixes: [{ ...HOME }] });
  t.same(unsolicited(harness, HOUR), []);
  harness.agent.reconfigure({ ...config, prefixes: [{ ...HOME, preferredLifetime: 0 }] });
  harness.handle({ type: 'tick' });
  t.equal(unsolicited(harness, HOUR).length, 4);
  t.end();
});

t.test('RFC 6275 10.6.2: what is scheduled already stays, with the new prefixes', (t) => {
  const harness = bound({ prefixes: [HOME] });
  harness.pass(300_000);
  harness.handle({ type: 'prefixes-changed', prefixes: [HOME, NEW] });
  const outputs = ofType(harness.pass(300_000), 'transmit-icmpv6');
  t.match(outputs, [{ message: { options: [{}, {}] } }]);
  t.equal(outputs.length, 1);
  t.end();
});
