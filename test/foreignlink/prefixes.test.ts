import t from 'tap';
import { preferredPrefix } from '../../src/daemon/care-of-auto.js';
import type { Prefix } from '../../src/wire/index.js';
import { parseAddress, parsePrefix } from '../../src/wire/index.js';
import {
  FOREIGN_PREFIX,
  ForeignLinkHarness,
  neighborAdvertisement,
  prefixOption,
  ROUTER,
  ROUTER_STATION,
  routerAdvertisement,
  SECOND_ROUTER,
  SECOND_STATION,
  sourceOption,
} from '../support/foreign-link-harness.js';
import { CARE_OF } from '../support/testbed-addresses.js';

const LINK_LOCAL = parseAddress('fe80::1234');
const SECOND_PREFIX = parsePrefix('2001:db8:4000::/64');
/** A destination on the link of the first prefix. */
const NEAR = parseAddress('2001:db8:3000::99');
const second = { source: SECOND_ROUTER, sourceMac: SECOND_STATION };

/** An address of ours in the first prefix, whose router answers. */
function settled(): ForeignLinkHarness {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.settle(LINK_LOCAL);
  harness.settle();
  harness.advertise();
  harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
  return harness;
}

const secondSpeaks = (harness: ForeignLinkHarness, prefix = SECOND_PREFIX) =>
  harness.hear(
    routerAdvertisement({ options: [sourceOption(SECOND_STATION), prefixOption({ prefix })] }),
    second,
  );

/** Answers what the second router is asked, and nothing else. */
function passWithSecond(harness: ForeignLinkHarness, milliseconds: number): boolean {
  let told = false;
  for (let left = milliseconds; left > 0; left -= 500) {
    told = harness.pass(500).some(({ output }) => output.type === 'prefixes') || told;
    harness.hear(neighborAdvertisement(SECOND_ROUTER, SECOND_STATION, { router: true }), second);
  }
  return told;
}

const chosen = (harness: ForeignLinkHarness): Prefix | undefined =>
  preferredPrefix(harness.link.prefixes, CARE_OF);

t.test(
  'RFC 8028 3, RFC 4861 7.3: a prefix whose only router does not answer any more is gone',
  (t) => {
    const harness = settled();
    secondSpeaks(harness);
    t.same(chosen(harness), FOREIGN_PREFIX, 'while both are there the present one stays');
    t.ok(passWithSecond(harness, 60_000), 'the change is told');
    t.equal(harness.link.hops.router, SECOND_STATION);
    t.match(harness.link.prefixes, [
      { prefix: FOREIGN_PREFIX, gone: true, deprecated: false },
      { prefix: SECOND_PREFIX, gone: false },
    ]);
    t.same(chosen(harness), SECOND_PREFIX);
    harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
    t.match(harness.link.prefixes, [{ gone: false }, { gone: false }], 'until it answers again');
    t.end();
  },
);

t.test('a prefix of two routers is there while one of them is', (t) => {
  const harness = settled();
  secondSpeaks(harness, FOREIGN_PREFIX);
  passWithSecond(harness, 60_000);
  t.equal(harness.link.hops.router, SECOND_STATION);
  t.match(harness.link.prefixes, [{ prefix: FOREIGN_PREFIX, gone: false }]);
  t.end();
});

t.test('where no router answers nothing moves', (t) => {
  const harness = settled();
  secondSpeaks(harness);
  harness.pass(120_000);
  t.match(harness.link.prefixes, [{ gone: true }, { gone: true }]);
  t.same(chosen(harness), FOREIGN_PREFIX);
  t.end();
});

t.test('RFC 4861 6.3.5: a router that resigns, and one whose lifetime ends', (t) => {
  for (const end of ['lifetime 0', 'no router', 'silence'] as const) {
    const harness = settled();
    secondSpeaks(harness);
    const options = [sourceOption(ROUTER_STATION), prefixOption()];
    if (end === 'lifetime 0') harness.hear(routerAdvertisement({ routerLifetime: 0 }));
    else if (end === 'no router') harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION));
    else {
      harness.hear(routerAdvertisement({ routerLifetime: 5, options }));
      passWithSecond(harness, 6000);
    }
    t.same(chosen(harness), SECOND_PREFIX, end);
  }
  t.end();
});

t.test('a configured router carries every prefix, as long as it answers', (t) => {
  const router = parseAddress('fe80::cccc');
  const harness = new ForeignLinkHarness({ router });
  harness.handle({ type: 'start' });
  harness.settle(LINK_LOCAL);
  harness.hear(neighborAdvertisement(router, SECOND_STATION, { router: true }));
  const options = [prefixOption()];
  harness.hear(routerAdvertisement({ routerLifetime: 0, options }));
  t.match(harness.link.prefixes, [{ gone: false }]);
  harness.pass(120_000);
  t.equal(harness.link.router?.state, 'unreachable');
  t.match(harness.link.prefixes, [{ gone: true }]);
  t.end();
});

t.test('what was on the link that was left goes to the router', (t) => {
  const harness = settled();
  harness.handle({ type: 'destinations', addresses: [NEAR] });
  harness.hear(neighborAdvertisement(NEAR, SECOND_STATION));
  t.match(harness.link.hops.nextHops, [{ address: NEAR }]);
  secondSpeaks(harness);
  passWithSecond(harness, 60_000);
  t.same(harness.link.hops, { router: SECOND_STATION, nextHops: [] });
  t.end();
});

t.test('RFC 4861 6.3.4: what a router tells that is no default router stays on the link', (t) => {
  const harness = settled();
  harness.hear(routerAdvertisement({ routerLifetime: 0, options: [prefixOption()] }));
  secondSpeaks(harness);
  harness.handle({ type: 'destinations', addresses: [NEAR] });
  harness.hear(neighborAdvertisement(NEAR, SECOND_STATION));
  t.match(harness.link.hops.nextHops, [{ address: NEAR }]);
  t.end();
});

t.test('routers that say the same thing again change nothing', (t) => {
  const harness = settled();
  secondSpeaks(harness);
  for (let i = 0; i < 3; i++) {
    t.notOk(harness.advertise().some(({ type }) => type === 'prefixes'));
    t.notOk(secondSpeaks(harness).some(({ type }) => type === 'prefixes'));
  }
  t.end();
});

t.test('prefixes that somebody invents: a new one gets in, the one in use stays', (t) => {
  const harness = settled();
  const forged = (from: string, count: number) => {
    for (let i = 0; i < count; i++) {
      const prefix = parsePrefix(`2001:db8:${(0x5000 + i).toString(16)}::/64`);
      const source = parseAddress(from === 'many' ? `fe80::bad:${i.toString(16)}` : from);
      harness.hear(routerAdvertisement({ options: [prefixOption({ prefix })] }), { source });
    }
  };
  const has = (prefix: Prefix) =>
    harness.link.prefixes.some((known) => known.prefix.address === prefix.address);
  forged('many', 200);
  t.equal(harness.link.prefixes.length, 64);
  t.ok(has(FOREIGN_PREFIX), 'an address of ours is from it');
  secondSpeaks(harness);
  harness.hear(neighborAdvertisement(SECOND_ROUTER, SECOND_STATION, { router: true }), second);
  t.ok(has(SECOND_PREFIX), 'the true one gets in');
  forged('many', 200);
  t.ok(has(FOREIGN_PREFIX));
  t.ok(has(SECOND_PREFIX), 'its router answers: others give way first');
  t.ok((harness.link.drops.get('prefix_evicted') ?? 0) > 300, 'and it is counted');
  t.ok(harness.link.router?.state === 'reachable');
  t.end();
});

t.test('one router has room for sixteen prefixes', (t) => {
  const harness = settled();
  for (let i = 0; i < 100; i++) {
    const prefix = parsePrefix(`2001:db8:${(0x5000 + i).toString(16)}::/64`);
    harness.hear(routerAdvertisement({ options: [prefixOption({ prefix })] }));
  }
  t.equal(harness.link.prefixes.length, 16);
  const kept = harness.link.prefixes.map(({ prefix }) => prefix.address);
  t.ok(kept.includes(FOREIGN_PREFIX.address), 'the one in use among them');
  t.ok(kept.includes(parseAddress('2001:db8:5063::')), 'and the newest');
  t.end();
});
