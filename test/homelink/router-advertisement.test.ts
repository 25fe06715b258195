import t from 'tap';
import type { Icmpv6Message } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  parseAddress,
  parsePrefix,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { ADVERTISED, frames, GuestLinkHarness } from '../support/guest-link-harness.js';
import { complaints, tshark } from '../support/judges.js';
import { icmpv6Frame, read, SLLA, solicitation } from '../support/link-frames.js';
import { seededRandom } from '../support/random.js';
import {
  GUEST_LINK_LOCAL,
  GUEST_MAC,
  HOME_PREFIX,
  HOME_ROUTER,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const ETHERNET = 1;
const DAY = 24 * 3_600_000;
const SOLICITATION = { kind: 'router-solicitation', options: [] } as const;
const FROM_GUEST = icmpv6Frame({ destination: ALL_ROUTERS, message: SOLICITATION });
const FROM_NOBODY = icmpv6Frame({
  source: UNSPECIFIED,
  destination: ALL_ROUTERS,
  message: SOLICITATION,
});

/** When Router Advertisements to all nodes leave. */
function advertisements(outputs: ReturnType<GuestLinkHarness['pass']>): number[] {
  return outputs
    .filter(({ output }) => {
      if (output.type !== 'frame') return false;
      const { message, destination } = read(output.bytes);
      return message.kind === 'router-advertisement' && destination === ALL_NODES;
    })
    .map(({ at }) => at);
}

t.test('RFC 4861 4.2, 6.2.3: the advertisement of the home router, without an MTU option', (t) => {
  const harness = new GuestLinkHarness({
    routerAdvertisement: { ...ADVERTISED, autonomous: true, managed: true, other: true },
  });
  const [answer] = harness.askRouter();
  t.match(answer, {
    source: HOME_ROUTER,
    sourceMac: ROUTER_MAC,
    hopLimit: 255,
    message: {
      kind: 'router-advertisement',
      hopLimit: 64,
      managed: true,
      other: true,
      homeAgent: false,
      preference: 'medium',
      routerLifetime: 1800,
      reachableTime: 0,
      retransTimer: 0,
    },
  });
  t.strictSame(answer?.message.kind === 'router-advertisement' && answer.message.options, [
    { kind: 'source-link-layer-address', mac: ROUTER_MAC },
    {
      kind: 'prefix-information',
      prefix: HOME_PREFIX,
      onLink: true,
      autonomous: true,
      routerAddress: false,
      validLifetime: 86_400,
      preferredLifetime: 14_400,
    },
  ]);
  t.end();
});

t.test('RFC 4861 4.6.4: an MTU option when it is asked for', (t) => {
  for (const mtu of [1280, 1460, 9216]) {
    const harness = new GuestLinkHarness({ routerAdvertisement: { ...ADVERTISED, mtu } });
    const sent = [...frames(harness.handle({ type: 'arrived' })), ...harness.askRouter()];
    const advertised = sent.flatMap(({ message }) =>
      message.kind === 'router-advertisement' ? [message.options] : [],
    );
    t.equal(advertised.length, 2, 'to all nodes and to the solicitor');
    for (const options of advertised) {
      t.match(options, [
        { kind: 'source-link-layer-address' },
        { kind: 'mtu', mtu },
        { kind: 'prefix-information' },
      ]);
    }
  }
  t.end();
});

t.test('tshark: the advertisement with all its options is sound', (t) => {
  const harness = new GuestLinkHarness({ routerAdvertisement: { ...ADVERTISED, mtu: 1400 } });
  const [answer] = harness.askRouter();
  const [seen] = tshark(ETHERNET, answer === undefined ? [] : [answer.bytes]);
  t.ok(seen);
  if (seen === undefined) return t.end();
  t.same(complaints(seen), []);
  const said = Object.fromEntries(
    ['type', 'nd.ra.router_lifetime', 'opt.mtu', 'opt.prefix.valid_lifetime'].map((field) => [
      field,
      seen.get(`icmpv6.${field}`)?.[0],
    ]),
  );
  t.same(said, {
    type: '134',
    'nd.ra.router_lifetime': '1800',
    'opt.mtu': '1400',
    'opt.prefix.valid_lifetime': '86400',
  });
  return t.end();
});

t.test('RFC 4861 6.2.6: the solicitor has its answer within MAX_RA_DELAY_TIME', (t) => {
  const delays = [0, 0.25, 0.999].map((random) => {
    const harness = new GuestLinkHarness({ random: () => random });
    const asked = harness.frame(FROM_GUEST).map((output) => ({ at: harness.now, output }));
    const answers = [...asked, ...harness.pass(1000)];
    t.match(frames(answers.map(({ output }) => output)), [
      { destination: GUEST_LINK_LOCAL, destinationMac: GUEST_MAC },
    ]);
    return answers[0]?.at;
  });
  t.same(delays, [0, 125, 499.5]);
  t.end();
});

t.test('RFC 4861 6.2.6: one answer to several questions, its delay that of the first', (t) => {
  let random = 0.5;
  const harness = new GuestLinkHarness({ random: () => random });
  harness.frame(FROM_GUEST);
  for (harness.now = 50; harness.now < 250; harness.now += 50) {
    random = 0.99;
    t.same(harness.frame(FROM_GUEST), []);
  }
  t.same(
    harness.pass(5000).map(({ at }) => at),
    [250],
  );
  t.end();
});

t.test('RFC 4861 6.2.6: what leaves for all nodes sooner is the answer', (t) => {
  const harness = new GuestLinkHarness({ random: () => 0.999 });
  harness.handle({ type: 'arrived' });
  const [first] = advertisements(harness.pass(16_000));
  t.equal(first, 16_000);
  const again = new GuestLinkHarness({ random: () => 0.999 });
  again.handle({ type: 'arrived' });
  again.pass(15_900);
  again.frame(FROM_GUEST);
  t.same(
    toldIn(again.pass(4000)).map(({ at }) => at),
    [16_000],
    'and nothing else',
  );
  t.end();
});

t.test('RFC 4861 6.2.6: who has no address yet is answered with the others', (t) => {
  const harness = new GuestLinkHarness();
  t.same(harness.frame(FROM_NOBODY), []);
  t.match(
    harness.pass(500).map(({ at, output }) => ({ at, sent: frames([output])[0] })),
    [{ at: 250, sent: { destination: ALL_NODES } }],
  );
  t.end();
});

t.test('RFC 4861 6.2.6: MIN_DELAY_BETWEEN_RAS and MAX_RA_DELAY_TIME', (t) => {
  const harness = new GuestLinkHarness({ random: () => 0.999 });
  harness.frame(FROM_NOBODY);
  t.same(advertisements(harness.pass(600)), [499.5]);
  t.same(harness.frame(FROM_NOBODY), []);
  const [next] = advertisements(harness.pass(10_000));
  t.equal(next, 499.5 + 3000 + 499.5, 'not within 3 s');
  harness.frame(FROM_NOBODY);
  const [later] = advertisements(harness.pass(1000));
  t.equal(later, 10_600 + 499.5);
  t.end();
});

t.test('RFC 4861 6.2.6: a storm of solicitations for a minute, from one and from many', (t) => {
  for (const many of [false, true]) {
    const harness = new GuestLinkHarness({ random: seededRandom(1) });
    let unicast = 0;
    const multicast: number[] = [];
    for (let i = 0; i < 6000; i += 1) {
      const source = parseAddress(`fe80::${many ? (i + 16).toString(16) : '5054'}`);
      const sent = { source, destination: ALL_ROUTERS, message: SOLICITATION };
      const bytes = i % 2 === 0 ? icmpv6Frame(sent) : FROM_NOBODY;
      const outputs = harness.frame(bytes).map((output) => ({ at: harness.now, output }));
      outputs.push(...harness.pass(10));
      const toAll = advertisements(outputs);
      multicast.push(...toAll);
      unicast += outputs.length - toAll.length;
    }
    t.ok(unicast <= 3 + 20, `${unicast} to solicitors`);
    t.ok(multicast.length >= 17 && multicast.length <= 20, `${multicast.length} to all nodes`);
    multicast.forEach((at, index) => {
      const next = multicast[index + 1];
      if (next !== undefined && next - at < 3000) t.fail(`${next - at} ms`);
    });
  }
  t.end();
});

t.test(
  'RFC 4861 6.2.4: three initial advertisements at most 16 s apart, then regular ones',
  (t) => {
    const harness = new GuestLinkHarness({ random: seededRandom(2) });
    harness.handle({ type: 'arrived' });
    const times = [0, ...advertisements(harness.pass(DAY))];
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    t.ok(gaps.slice(0, 2).every((gap) => gap >= 3000 && gap <= 16_000));
    t.ok(gaps.slice(2).every((gap) => gap >= 198_000 && gap <= 600_000));
    t.end();
  },
);

t.test(
  'RFC 4861 6.2.1: neither router nor prefix runs out under the guest: a week, or 500 lifetimes',
  (t) => {
    const cases = [
      ADVERTISED,
      { ...ADVERTISED, lifetime: 30 },
      { ...ADVERTISED, lifetime: 9000, preferredLifetime: 60, validLifetime: 120 },
      { ...ADVERTISED, lifetime: 0 },
    ];
    for (const routerAdvertisement of cases) {
      const harness = new GuestLinkHarness({ routerAdvertisement, random: seededRandom(3) });
      harness.handle({ type: 'arrived' });
      const { lifetime, validLifetime, preferredLifetime } = routerAdvertisement;
      const shortest = Math.min(
        ...[lifetime, validLifetime, preferredLifetime].filter((seconds) => seconds > 0),
      );
      const duration = Math.min(7 * DAY, 1000 * 500 * shortest);
      let last = 0;
      // Every second one is lost.
      advertisements(harness.pass(duration))
        .filter((_, index) => index % 2 === 1)
        .forEach((at) => {
          if (at - last >= 1000 * shortest) t.fail(`${at - last} ms without ${shortest} s`);
          last = at;
        });
      t.ok(last > 0.9 * duration);
    }
    t.end();
  },
);

t.test('nothing is sent before the guest is there', (t) => {
  const harness = new GuestLinkHarness();
  t.equal(harness.link.wakeAt(), undefined);
  t.same(harness.pass(10_000_000), []);
  t.end();
});

type Advertised = Extract<Icmpv6Message, { kind: 'router-advertisement' }>;

function toldIn(outputs: ReturnType<GuestLinkHarness['pass']>): { at: number; told: Advertised }[] {
  return outputs.flatMap(({ at, output }) => {
    if (output.type !== 'frame') return [];
    const { message } = read(output.bytes);
    return message.kind === 'router-advertisement' ? [{ at, told: message }] : [];
  });
}

const TOLD = {
  prefix: parsePrefix('2001:db8:5000::/64'),
  onLink: true,
  autonomous: true,
  validLifetime: 90_000,
  preferredLifetime: 0xffffffff,
} as const;

t.test('RFC 6275 11.4.3: the guest hears of the prefixes that the home network told', (t) => {
  const harness = new GuestLinkHarness();
  harness.handle({ type: 'prefixes', prefixes: [TOLD] });
  t.equal(harness.link.wakeAt(), undefined, 'nothing is sent before the guest is there');
  harness.handle({ type: 'arrived' });
  harness.pass(100_000);
  harness.handle({ type: 'prefixes', prefixes: [TOLD] });
  const before = harness.now;
  const [sent] = toldIn(harness.pass(5000));
  t.ok((sent?.at ?? Infinity) - before <= 3500, 'soon');
  const age = Math.floor(((sent?.at ?? 0) - before) / 1000);
  t.match(sent?.told.options, [
    {},
    { kind: 'prefix-information', ...TOLD, validLifetime: 90_000 - age },
  ]);
  harness.handle({ type: 'prefixes', prefixes: [] });
  const [back] = toldIn(harness.pass(5000));
  t.match(back?.told.options, [{}, { prefix: HOME_PREFIX, validLifetime: 86_400 }]);
  t.end();
});

t.test('RFC 4861 6.2.1: what was told runs down to the lifetimes of the configuration', (t) => {
  const cases = [
    // told, what is left after a week of silence
    [{ validLifetime: 2_592_000, preferredLifetime: 604_800 }, [1_987_200, 14_400]],
    [{ validLifetime: 100_000, preferredLifetime: 3600 }, [86_400, 3600]],
    [{ validLifetime: 7200, preferredLifetime: 0 }, [7200, 0]],
    [{ validLifetime: 0, preferredLifetime: 0 }, [0, 0]],
    [{ validLifetime: 0xffffffff, preferredLifetime: 0xffffffff }, [0xffffffff, 0xffffffff]],
  ] as const;
  for (const [lifetimes, [validLifetime, preferredLifetime]] of cases) {
    const harness = new GuestLinkHarness();
    harness.handle({ type: 'prefixes', prefixes: [{ ...TOLD, ...lifetimes }] });
    harness.now = 7 * DAY;
    const [answer] = harness.askRouter();
    t.match(answer?.message, { options: [{}, { preferredLifetime, validLifetime }] });
  }
  t.end();
});

t.test('RFC 4861 6.2.1: short lifetimes of the home network are told often enough', (t) => {
  const harness = new GuestLinkHarness({ random: seededRandom(5) });
  const short = { ...TOLD, validLifetime: 120, preferredLifetime: 60 };
  harness.handle({ type: 'prefixes', prefixes: [short] });
  harness.handle({ type: 'arrived' });
  const times = [0, ...advertisements(harness.pass(DAY))];
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  t.ok(Math.max(...gaps) <= 20_000);
  t.ok(Math.min(...gaps) >= 3000);
  t.end();
});

t.test('RFC 4861 4.6.2: a link-local prefix is not passed on', (t) => {
  const harness = new GuestLinkHarness();
  const linkLocal = { ...TOLD, prefix: parsePrefix('fe80::/64') };
  const prefixes = () =>
    harness
      .askRouter()
      .flatMap(({ message }) => (message.kind === 'router-advertisement' ? message.options : []))
      .flatMap((option) => (option.kind === 'prefix-information' ? [option.prefix] : []));
  harness.handle({ type: 'prefixes', prefixes: [linkLocal, TOLD] });
  t.same(prefixes(), [TOLD.prefix]);
  harness.handle({ type: 'prefixes', prefixes: [linkLocal] });
  t.same(prefixes(), [HOME_PREFIX], 'nothing else was told');
  t.end();
});

t.test(
  'RFC 4861 7.2.4: neighbours of every home prefix are answered for while one is valid',
  (t) => {
    const harness = new GuestLinkHarness();
    const neighbour = parseAddress('2001:db8:5000::7');
    const answered = () => {
      const destination = solicitedNode(neighbour);
      return harness.ask({ destination, message: solicitation(neighbour, [SLLA]) }).length;
    };
    t.equal(answered(), 0);
    harness.handle({ type: 'prefixes', prefixes: [TOLD] });
    t.equal(answered(), 1);
    harness.now = 10_000;
    harness.handle({ type: 'prefixes', prefixes: [] });
    t.equal(answered(), 1, 'the guest still has it');
    harness.now += 89_989_000;
    t.equal(answered(), 1);
    harness.now += 2000;
    t.equal(answered(), 0, 'run out');
    harness.handle({ type: 'prefixes', prefixes: [{ ...TOLD, onLink: false }] });
    t.equal(answered(), 0, 'not on the link');
    for (let i = 1; i < 1000; i += 1) {
      const prefix = parsePrefix(`2001:db8:${i.toString(16)}::/64`);
      harness.handle({ type: 'prefixes', prefixes: [{ ...TOLD, prefix }] });
    }
    t.equal(answered(), 0, 'what is remembered is bounded');
    t.end();
  },
);

t.test('the guest left: silence until somebody asks, or it comes back', (t) => {
  const harness = new GuestLinkHarness();
  harness.handle({ type: 'arrived' });
  harness.pass(60_000);
  harness.handle({ type: 'left' });
  t.same(harness.pass(3_600_000), []);
  for (const question of [FROM_GUEST, FROM_NOBODY]) {
    harness.frame(question);
    t.equal(harness.pass(4000).length, 1);
    t.same(harness.pass(3_600_000), [], 'the answer begins nothing');
  }
  harness.handle({ type: 'arrived' });
  t.ok(harness.pass(60_000).length > 3);
  t.end();
});
