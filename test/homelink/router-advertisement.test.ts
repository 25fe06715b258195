import t from 'tap';
import { ALL_NODES, ALL_ROUTERS, parsePrefix, UNSPECIFIED } from '../../src/wire/index.js';
import { ADVERTISED, frames, GuestLinkHarness } from '../support/guest-link-harness.js';
import { icmpv6Frame, read } from '../support/link-frames.js';
import { seededRandom } from '../support/random.js';
import {
  GUEST_LINK_LOCAL,
  GUEST_MAC,
  HOME_PREFIX,
  HOME_ROUTER,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const DAY = 24 * 3_600_000;
const SOLICITATION = { kind: 'router-solicitation', options: [] } as const;
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

t.test('RFC 4861 4.2: the advertisement of the home router, without an MTU option', (t) => {
  const harness = new GuestLinkHarness({
    routerAdvertisement: { ...ADVERTISED, autonomous: true, managed: true, other: true },
  });
  const [answer] = harness.ask({ destination: ALL_ROUTERS, message: SOLICITATION });
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
      options: [
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
      ],
    },
  });
  t.end();
});

t.test('RFC 4861 6.2.6: a solicitation is answered at once, to the solicitor', (t) => {
  const harness = new GuestLinkHarness();
  const [answer] = harness.ask({ destination: ALL_ROUTERS, message: SOLICITATION });
  t.match(answer, { destination: GUEST_LINK_LOCAL, destinationMac: GUEST_MAC });
  t.end();
});

t.test('RFC 4861 6.2.6: the first from an unspecified source at once, to all nodes', (t) => {
  const harness = new GuestLinkHarness();
  t.match(frames(harness.frame(FROM_NOBODY)), [{ destination: ALL_NODES }]);
  t.end();
});

t.test('RFC 4861 6.2.6: MIN_DELAY_BETWEEN_RAS and MAX_RA_DELAY_TIME', (t) => {
  const harness = new GuestLinkHarness({ random: () => 0.999 });
  harness.frame(FROM_NOBODY);
  harness.now = 100;
  t.same(harness.frame(FROM_NOBODY), [], 'not within 3 s');
  const [next] = advertisements(harness.pass(10_000));
  t.ok(next !== undefined && next >= 3000 && next <= 3500, `${next} ms`);
  harness.frame(FROM_NOBODY);
  const [later] = advertisements(harness.pass(10_000));
  t.ok(later !== undefined && later >= 10_100 && later <= 10_600, `${later} ms`);
  t.end();
});

t.test('RFC 4861 6.2.6: a storm of solicitations for a minute', (t) => {
  const harness = new GuestLinkHarness({ random: seededRandom(1) });
  const bytes = icmpv6Frame({ destination: ALL_ROUTERS, message: SOLICITATION });
  let unicast = 0;
  const multicast: number[] = [];
  for (let i = 0; i < 6000; i += 1) {
    for (const { destination } of frames(harness.frame(i % 2 === 0 ? bytes : FROM_NOBODY))) {
      if (destination === ALL_NODES) multicast.push(harness.now);
      else unicast += 1;
    }
    multicast.push(...advertisements(harness.pass(10)));
  }
  t.ok(unicast <= 3 + 20, `${unicast} to the solicitor`);
  t.ok(multicast.length <= 20, `${multicast.length} to all nodes`);
  multicast.forEach((at, index) => {
    const next = multicast[index + 1];
    if (next !== undefined) t.ok(next - at >= 3000);
  });
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
  'neither the router nor the prefix ever runs out under the guest: a week, or 500 lifetimes',
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

t.test('RFC 6275 11.4.3: the guest hears of the prefixes that the home network told', (t) => {
  const harness = new GuestLinkHarness();
  const told = {
    prefix: parsePrefix('2001:db8:5000::/64'),
    onLink: true,
    autonomous: true,
    validLifetime: 1000,
    preferredLifetime: 0xffffffff,
  };
  harness.handle({ type: 'prefixes', prefixes: [told] });
  t.equal(harness.link.wakeAt(), undefined, 'nothing is sent before the guest is there');
  harness.handle({ type: 'arrived' });
  harness.pass(100_000);
  harness.handle({ type: 'prefixes', prefixes: [told] });
  const before = harness.now;
  const [sent] = harness.pass(5000).flatMap(({ at, output }) => {
    if (output.type !== 'frame') return [];
    const { message } = read(output.bytes);
    return message.kind === 'router-advertisement' ? [{ at, message }] : [];
  });
  const age = Math.floor(((sent?.at ?? 0) - before) / 1000);
  t.ok((sent?.at ?? Infinity) - before <= 3500, 'soon');
  t.match(sent?.message.options, [
    {},
    { kind: 'prefix-information', ...told, validLifetime: 1000 - age },
  ]);
  harness.handle({ type: 'prefixes', prefixes: [] });
  t.end();
});
