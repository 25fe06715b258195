import t from 'tap';
import type { Address } from '../../../src/wire/index.js';
import { parseAddress } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import {
  HOME_AGENTS_ANYCAST,
  listOf,
  RegistrationHarness,
  SECOND_AGENT,
  THIRD_AGENT,
} from '../../support/registration-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const AUTO = { homeAgents: { kind: 'auto' } } as const;

function discovering(config = {}): RegistrationHarness {
  const harness = new RegistrationHarness({ ...AUTO, ...config });
  harness.register();
  return harness;
}

const requests = (harness: RegistrationHarness) =>
  harness.icmpv6.filter(({ message }) => message.kind === 'home-agent-discovery-request');

t.test('RFC 6275 11.4.1: the request goes to the Home-Agents anycast address', async (t) => {
  const harness = discovering();
  t.match(harness.lastIcmpv6, {
    source: CARE_OF,
    destination: HOME_AGENTS_ANYCAST,
    message: { kind: 'home-agent-discovery-request' },
  });
  t.equal(harness.lastIcmpv6.homeAddressOption, undefined, '6.5: a care-of address is the source');
  t.same(harness.updates, []);
  t.match(harness.summary, { state: 'discovering', reason: /looking for a home agent at/ });
});

t.test(
  'RFC 6275 11.4.1: INITIAL_DHAAD_TIMEOUT, doubled, DHAAD_RETRIES times, the same request',
  async (t) => {
    const harness = discovering({ random: () => 0.5 });
    harness.pass(93_000);
    t.same(
      requests(harness).map(({ at }) => at),
      [0, 3000, 9000, 21_000, 45_000],
    );
    t.equal(new Set(harness.icmpv6.map(({ message }) => JSON.stringify(message))).size, 1);
  },
);

t.test('RFC 6275 11.4.1: after requests in vain it rests, says so, and begins anew', async (t) => {
  const harness = discovering();
  harness.pass(93_000);
  t.match(harness.summary, { state: 'discovering', reason: /asking again in 60 s/ });
  harness.pass(60_000);
  t.equal(requests(harness).at(-1)?.at, 153_000);
});

t.test('RFC 6275 11.4.1: the home agents of the reply are tried in its order', async (t) => {
  const harness = discovering();
  const outputs = harness.discover([SECOND_AGENT, HOME_AGENT, THIRD_AGENT]);
  t.match(outputs, [{ type: 'transmit', signal: { destination: SECOND_AGENT } }]);
  harness.pass(9000);
  t.same(
    [...new Set(harness.sent.map(([, homeAgent]) => homeAgent))],
    [SECOND_AGENT, HOME_AGENT, THIRD_AGENT],
  );
  t.match(harness.acknowledge(), [{ type: 'bound', homeAgent: THIRD_AGENT }]);
});

t.test(
  'RFC 6275 11.4.1: MUST wait InitialBindackTimeoutFirstReg before the next home agent',
  async (t) => {
    const harness = discovering();
    harness.discover([SECOND_AGENT, HOME_AGENT]);
    harness.pass(1500);
    t.ok(harness.sent.every(([, homeAgent]) => homeAgent === SECOND_AGENT));
  },
);

t.test('RFC 6275 11.4.1: a refusal: the next one of the reply', async (t) => {
  const harness = discovering();
  harness.discover([SECOND_AGENT, HOME_AGENT]);
  t.match(harness.acknowledge({ status: 131 }), [{ signal: { destination: HOME_AGENT } }]);
});

t.test(
  'RFC 6275 11.4.1: the list is kept for when the home agent becomes unavailable',
  async (t) => {
    const harness = discovering();
    harness.discover([SECOND_AGENT, HOME_AGENT]);
    harness.acknowledge();
    harness.pass(34_000);
    t.same(harness.sent.at(-1), [33_800, HOME_AGENT]);
    t.equal(requests(harness).length, 1, 'without another discovery');
  },
);

t.test(
  'RFC 6275 11.4.1: no other home agent is known: discovery, while the binding stands',
  async (t) => {
    const harness = discovering({ lifetime: 600 });
    harness.discover([HOME_AGENT]);
    harness.acknowledge();
    harness.pass(484_000);
    t.equal(requests(harness).length, 2);
    t.match(harness.summary, { state: 'lost', reason: /looking for a home agent/ });
    const outputs = harness.discover([HOME_AGENT, THIRD_AGENT]);
    t.match(ofType(outputs, 'transmit'), [{ signal: { destination: THIRD_AGENT } }]);
    t.same(ofType(harness.outputs, 'unbound'), []);
    t.match(harness.acknowledge(), [{ type: 'bound', homeAgent: THIRD_AGENT }]);
  },
);

t.test('RFC 6275 11.4.1: an answer of the home agent ends the discovery', async (t) => {
  const harness = discovering({ lifetime: 600 });
  harness.discover([HOME_AGENT]);
  harness.acknowledge();
  harness.pass(484_000);
  harness.acknowledge();
  harness.discover([THIRD_AGENT]);
  t.equal(harness.dropped('no_such_discovery'), 1);
  t.match(harness.summary, { state: 'registered', homeAgent: HOME_AGENT });
});

t.test('RFC 6275 6.6: a reply with another identifier is not ours', async (t) => {
  const harness = discovering({ random: () => 0.25 });
  t.same(harness.discover([HOME_AGENT], 1), []);
  t.equal(harness.dropped('no_such_discovery'), 1);
  t.match(harness.summary, { state: 'discovering' });
});

t.test('RFC 6275 6.6: a reply to another address is not ours', async (t) => {
  const harness = discovering();
  const message = {
    kind: 'home-agent-discovery-reply',
    identifier: harness.identifier,
    homeAgents: [HOME_AGENT],
  } as const;
  t.same(harness.receive(message, { destination: OTHER_CARE_OF }), []);
  t.equal(harness.dropped('not_the_care_of_address'), 1);
});

t.test('RFC 6275 6.6: a reply that nobody asked for', async (t) => {
  const harness = RegistrationHarness.registered();
  t.same(harness.discover([THIRD_AGENT], 0), []);
  t.equal(harness.dropped('no_such_discovery'), 1);
});

t.test('RFC 6275 6.6: only addresses of the home prefix are believed', async (t) => {
  const harness = discovering();
  const foreign = [CARE_OF, parseAddress('ff02::1'), parseAddress('::'), HOME_ADDRESS];
  t.same(harness.discover(foreign), []);
  t.same(harness.discover([]), []);
  t.equal(harness.dropped('discovery_reply_unusable'), 2);
  harness.discover([...foreign, HOME_AGENT]);
  t.same(harness.sent, [[0, HOME_AGENT]]);
});

t.test('RFC 6275 6.6: of a long reply a bounded number is kept, each once', async (t) => {
  const harness = discovering();
  const many: Address[] = [];
  for (let i = 0; i < 70; i += 1) {
    const address = parseAddress(`2001:db8:2000::1:${i.toString(16)}`);
    many.push(address, address);
  }
  harness.discover(many);
  for (let i = 0; i < 100; i += 1) {
    harness.acknowledge({ status: 131 });
    harness.pass(400);
  }
  t.equal(new Set(harness.sent.map(([, homeAgent]) => homeAgent)).size, 16);
});

t.test('RFC 6275 11.4.1: all refuse: discovery anew, but at most once a minute', async (t) => {
  const harness = discovering();
  for (let i = 0; i < 600; i += 1) {
    if (harness.icmpv6.at(-1)?.at === harness.now) harness.discover([HOME_AGENT, SECOND_AGENT]);
    if (harness.updates.at(-1)?.at === harness.now) harness.acknowledge({ status: 131 });
    harness.pass(1000);
  }
  t.ok(requests(harness).length <= 11, `${requests(harness).length} requests in 10 min`);
  t.ok(harness.updates.length <= 24, `${harness.updates.length} updates`);
});

t.test(
  'RFC 6275 11.4.1: a move during discovery: the reply has to come to the new address',
  async (t) => {
    const harness = discovering();
    harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
    t.match(harness.lastIcmpv6, { source: OTHER_CARE_OF });
  },
);

t.test(
  'RFC 6275 11.4.1: after a restart the home agent of the binding is asked first',
  async (t) => {
    const binding = {
      homeAgent: SECOND_AGENT,
      careOfAddress: CARE_OF,
      lifetime: 60,
      expiresAt: 30_000,
    };
    const harness = new RegistrationHarness({ ...AUTO, binding });
    harness.register();
    t.same(harness.sent, [[0, SECOND_AGENT]]);
    t.same(requests(harness), []);
  },
);

t.test('RFC 6275 11.4.1: de-registering ends the search', async (t) => {
  const harness = discovering();
  harness.handle({ type: 'deregister' });
  t.match(harness.summary, { state: 'idle' });
  t.equal(harness.registration.wakeAt(), undefined);
});

t.test(
  'RFC 6275 11.5.5: at home without a known home agent: found, then de-registered',
  async (t) => {
    const harness = new RegistrationHarness(AUTO);
    harness.handle({ type: 'at-home' });
    t.equal(requests(harness).length, 1);
    harness.handle({ type: 'deregister' });
    t.match(harness.summary, { state: 'discovering' }, 'which is what is wanted anyway');
    harness.discover([HOME_AGENT]);
    t.match(harness.last.signal, { source: HOME_ADDRESS, destination: HOME_AGENT });
  },
);

t.test('a configuration that names home agents ends the search', async (t) => {
  const harness = discovering();
  harness.handle({ type: 'reconfigure', homeAgents: listOf(SECOND_AGENT), lifetime: 60 });
  t.same(harness.sent, [[0, SECOND_AGENT]]);
});
