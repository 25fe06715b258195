import t from 'tap';
import type { HomeAgentAdvertisement, HomeAgentOutput } from '../../../src/signaling/index.js';
import type { Address } from '../../../src/wire/index.js';
import { emitIcmpv6, homeAgentsAnycast, parseAddress } from '../../../src/wire/index.js';
import { AgentHarness, icmpv6Messages, onBothHomeLinks } from '../../support/home-agent-harness.js';
import { seededRandom } from '../../support/random.js';
import { CARE_OF, HOME_AGENT, HOME_PREFIX, HOST_A } from '../../support/testbed-addresses.js';

const ANYCAST = homeAgentsAnycast(HOME_PREFIX);

function ask(harness: AgentHarness, source = CARE_OF, destination = ANYCAST): HomeAgentOutput[] {
  const message = { kind: 'home-agent-discovery-request', identifier: 0xbeef } as const;
  return harness.handle({ type: 'icmpv6', source, destination, message, protection: 'none' });
}

function list(harness: AgentHarness): readonly Address[] {
  const [reply] = icmpv6Messages(ask(harness));
  if (reply?.kind !== 'home-agent-discovery-reply') throw new Error('no reply');
  return reply.homeAgents;
}

/** A router of the home link; `number` makes its addresses. */
function advertise(
  harness: AgentHarness,
  number: number,
  fields: Partial<HomeAgentAdvertisement> = {},
): Address {
  const address = parseAddress(`2001:db8:2000::a:${number.toString(16)}`);
  harness.handle({
    type: 'router-advertisement',
    source: parseAddress(`fe80::a:${number.toString(16)}`),
    homeAgent: true,
    preference: 0,
    lifetime: 60,
    addresses: [address],
    ...fields,
  });
  return address;
}

onBothHomeLinks('RFC 6275 10.5: a request to the anycast address is answered', (t, config) => {
  const outputs = ask(new AgentHarness(config));
  t.match(outputs, [
    {
      type: 'transmit-icmpv6',
      source: HOME_AGENT,
      destination: CARE_OF,
      message: {
        kind: 'home-agent-discovery-reply',
        identifier: 0xbeef,
        homeAgents: [HOME_AGENT],
      },
    },
  ]);
  t.equal(outputs.length, 1);
});

t.test('RFC 6275 10.5.1: home agents are learnt from Router Advertisements', (t) => {
  const harness = new AgentHarness();
  const other = advertise(harness, 1);
  t.same(new Set(list(harness)), new Set([HOME_AGENT, other]));
  t.end();
});

t.test('RFC 6275 10.5: in order of decreasing preference, ours among them', (t) => {
  const harness = new AgentHarness({ preference: 5 });
  const low = advertise(harness, 1, { preference: -7 });
  const high = advertise(harness, 2, { preference: 9 });
  const middle = advertise(harness, 3);
  t.same(list(harness), [high, HOME_AGENT, middle, low]);
  t.end();
});

t.test('RFC 6275 10.5: equals, and the addresses of one, come in random order', (t) => {
  const harness = new AgentHarness({ random: seededRandom(3) });
  const addresses = [1, 2].map((n) => parseAddress(`2001:db8:2000::b:${n}`));
  advertise(harness, 1, { addresses });
  const seen = new Set<string>();
  for (let i = 0; i < 100; i += 1) {
    harness.now += 100;
    advertise(harness, 1, { addresses });
    seen.add(list(harness).join(' '));
  }
  t.equal(seen.size, 4, 'two home agents, one of them with two addresses');
  t.end();
});

t.test('RFC 6275 10.5.1: a lifetime of 0, or no H flag, ends an entry', (t) => {
  for (const fields of [{ lifetime: 0 }, { homeAgent: false }]) {
    const harness = new AgentHarness();
    advertise(harness, 1);
    advertise(harness, 1, fields);
    t.same(list(harness), [HOME_AGENT]);
    advertise(harness, 2, fields);
    t.same(list(harness), [HOME_AGENT], 'and begins none');
  }
  t.end();
});

t.test('RFC 6275 10.5.1: an entry is gone when its lifetime is over; news renew it', (t) => {
  const harness = new AgentHarness();
  const other = advertise(harness, 1);
  harness.pass(59_999);
  t.ok(list(harness).includes(other));
  advertise(harness, 1, { preference: 3, addresses: [] });
  harness.pass(59_999);
  t.same(list(harness), [other, HOME_AGENT], 'with its new preference and its known address');
  harness.pass(1);
  t.same(list(harness), [HOME_AGENT]);
  t.end();
});

t.test('RFC 6275 10.5: the reply fits into the minimum MTU, the list is bounded', (t) => {
  const harness = new AgentHarness();
  for (let number = 0; number < 1000; number += 1) {
    const addresses = Array.from({ length: 20 }, (_, i) =>
      parseAddress(`2001:db8:2000::${(number + 1).toString(16)}:${i.toString(16)}`),
    );
    advertise(harness, number, { addresses, preference: number });
  }
  t.ok(harness.agent.memory.homeAgents <= 16);
  t.equal(harness.drops('home_agents_list_full'), 1000 - 16);
  const [reply] = icmpv6Messages(ask(harness));
  if (reply === undefined) throw new Error('no reply');
  const size = 40 + emitIcmpv6(reply, { source: HOME_AGENT, destination: CARE_OF }).length;
  t.ok(size <= 1280, `${size} octets`);
  t.ok(list(harness).includes(HOME_AGENT));
  t.end();
});

t.test('RFC 6275 10.5.1: what is no unicast routable address is not listed', (t) => {
  const harness = new AgentHarness();
  advertise(harness, 1, { addresses: ['ff02::1', 'fe80::9', '::', '::1'].map(parseAddress) });
  t.same(list(harness), [HOME_AGENT]);
  advertise(harness, 2, { addresses: [HOME_AGENT] });
  t.same(list(harness), [HOME_AGENT], 'ours is listed once');
  t.end();
});

t.test('RFC 6275 10.5: a request to another address, or from no unicast one: silence', (t) => {
  const harness = new AgentHarness();
  t.same(ask(harness, CARE_OF, HOME_AGENT), []);
  t.same(ask(harness, CARE_OF, HOST_A), []);
  for (const source of ['::', 'ff02::1', 'fe80::1', '::1']) {
    t.same(ask(harness, parseAddress(source)), []);
  }
  t.end();
});

t.test('RFC 6275 10.5: anybody may ask, and not many are answered', (t) => {
  const harness = new AgentHarness();
  let answers = 0;
  for (let i = 0; i < 5000; i += 1) {
    harness.now += 1;
    answers += ask(harness).length;
  }
  t.ok(answers >= 50 && answers <= 60, `${answers} in 5 s`);
  t.equal(harness.drops('discovery_limited'), 5000 - answers);
  t.end();
});

t.test(
  'RFC 6275 6.6, 6.8: replies and advertisements of others are none of a home agent’s',
  (t) => {
    const harness = new AgentHarness();
    const message = {
      kind: 'home-agent-discovery-reply',
      identifier: 1,
      homeAgents: [HOST_A],
    } as const;
    const from = { source: HOST_A, destination: HOME_AGENT, protection: 'none' } as const;
    t.same(harness.handle({ type: 'icmpv6', message, ...from }), []);
    t.equal(harness.drops('unexpected_icmpv6'), 1);
    t.end();
  },
);
