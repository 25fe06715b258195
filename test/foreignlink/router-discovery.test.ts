import t from 'tap';
import { ALL_ROUTERS, parseAddress, parsePrefix, UNSPECIFIED } from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import {
  FAR,
  FOREIGN_PREFIX,
  ForeignLinkHarness,
  NEIGHBOR,
  neighborAdvertisement,
  OUR_MAC,
  prefixOption,
  ROUTER,
  ROUTER_STATION,
  routerAdvertisement,
  SECOND_ROUTER,
  SECOND_STATION,
  sent,
  sourceOption,
  type Timed,
} from '../support/foreign-link-harness.js';

const LINK_LOCAL = parseAddress('fe80::1234');
const DAY = 86_400_000;

const solicitations = (outputs: readonly Timed[]): number[] =>
  outputs.flatMap((timed) =>
    sent([timed]).some(({ message }) => message.kind === 'router-solicitation') ? [timed.at] : [],
  );

/** A second router speaks. */
const second = { source: SECOND_ROUTER, sourceMac: SECOND_STATION };

t.test(
  'RFC 7559 2.1, RFC 4861 6.3.7: routers are solicited until one speaks, ever less often',
  (t) => {
    const harness = new ForeignLinkHarness();
    harness.handle({ type: 'start' });
    const times = solicitations(harness.pass(DAY));
    t.ok((times[0] ?? 1e9) <= 1000, 'the first within MAX_RTR_SOLICITATION_DELAY');
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    t.ok((gaps[0] ?? 0) >= 3600 && (gaps[0] ?? 0) <= 4400, 'then 4 s, a tenth more or less');
    for (const [index, gap] of gaps.slice(1).entries()) {
      const last = gaps[index] ?? 0;
      const doubled = gap >= 1.9 * last && gap <= 2.1 * last;
      t.ok(doubled || (gap >= 3_240_000 && gap <= 3_960_000), `${last} then ${gap}`);
    }
    t.ok(times.length > 30, 'for ever');
    t.end();
  },
);

t.test('RFC 4861 6.3.7: where the interface was in use a moment ago, without a delay', (t) => {
  const harness = new ForeignLinkHarness();
  const outputs = sent(harness.handle({ type: 'start', again: true }));
  t.match(outputs, [{ message: { kind: 'router-solicitation' } }]);
  t.match(sent(harness.handle({ type: 'add', address: NEIGHBOR })), [{ source: UNSPECIFIED }]);
  t.end();
});

t.test('RFC 4861 4.1: from nobody without a link-layer address, from a proven one with it', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.handle({ type: 'add', address: LINK_LOCAL });
  const outputs = harness.pass(8000);
  const both = sent(outputs).filter(({ message }) => message.kind === 'router-solicitation');
  t.match(both, [
    { source: UNSPECIFIED, destination: ALL_ROUTERS, message: { options: [] } },
    { source: LINK_LOCAL, message: { options: [sourceOption(OUR_MAC)] } },
  ]);
  t.end();
});

t.test(
  'RFC 4861 6.3.4: an advertisement gives the default router and ends the solicitations',
  (t) => {
    const harness = new ForeignLinkHarness();
    harness.handle({ type: 'start' });
    harness.pass(2000);
    const outputs = harness.advertise();
    t.equal(ofType(outputs, 'hops').length > 0, true);
    t.equal(harness.link.hops.router, ROUTER_STATION);
    t.match(harness.link.router, { address: ROUTER, mac: ROUTER_STATION, state: 'reachable' });
    t.same(solicitations(harness.pass(1_000_000)), []);
    t.end();
  },
);

t.test('RFC 4861 6.3.5: a router whose lifetime ends is left, and others are sought', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.pass(2000);
  harness.advertise({ routerLifetime: 60 });
  const outputs = harness.pass(62_000);
  t.ok(outputs.some(({ output }) => output.type === 'hops'));
  t.equal(harness.link.hops.router, undefined);
  t.equal(harness.link.router, undefined);
  t.ok(solicitations(outputs).length >= 1);
  t.end();
});

t.test('RFC 4861 6.3.4: lifetime 0: no default router any more; its prefixes stay', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.advertise();
  harness.hear(routerAdvertisement({ routerLifetime: 0 }));
  t.equal(harness.link.hops.router, undefined);
  t.same(harness.link.prefixes, [{ prefix: FOREIGN_PREFIX, deprecated: false, gone: true }]);
  t.end();
});

t.test('RFC 4861 6.1.2: from a link-local address with hop limit 255, or it is none', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.hear(routerAdvertisement(), { source: FAR });
  harness.hear(routerAdvertisement(), { packet: { hopLimit: 64 } });
  t.equal(harness.link.router, undefined);
  t.same(
    [...harness.link.drops],
    [
      ['ndp_source', 1],
      ['ndp_hop_limit', 1],
    ],
  );
  t.end();
});

t.test(
  'RFC 4191 2.1, 3.2: the preferred router has the packets; of equals the first one keeps them',
  (t) => {
    const harness = new ForeignLinkHarness();
    harness.handle({ type: 'start' });
    harness.advertise();
    const options = [sourceOption(SECOND_STATION)];
    harness.hear(routerAdvertisement({ options }), second);
    t.equal(harness.link.hops.router, ROUTER_STATION);
    harness.hear(routerAdvertisement({ options, preference: 'high' }), second);
    t.equal(harness.link.hops.router, SECOND_STATION);
    harness.hear(routerAdvertisement({ options, preference: 'low' }), second);
    t.equal(harness.link.hops.router, ROUTER_STATION);
    t.end();
  },
);

t.test('RFC 4861 7.2.5: a neighbour that says it is no router is none any more', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.advertise();
  harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { solicited: false }));
  t.equal(harness.link.router, undefined);
  t.end();
});

t.test('a configured router needs no advertisement and comes before those that advertise', (t) => {
  const router = parseAddress('2001:db8:3000::1');
  const harness = new ForeignLinkHarness({ router });
  harness.handle({ type: 'start' });
  harness.settle();
  t.equal(harness.link.router?.state, 'unreachable', 'it was asked for, in vain');
  harness.advertise();
  t.equal(harness.link.hops.router, ROUTER_STATION, 'one that answers is better than none');
  harness.hear(neighborAdvertisement(router, SECOND_STATION, { router: true }), {
    source: router,
    sourceMac: SECOND_STATION,
  });
  t.equal(harness.link.hops.router, SECOND_STATION);
  t.end();
});

t.test(
  'RFC 4862 5.5.3 a, 5.5.3 b, 5.5.3 c, 5.5.3 d: of which prefixes addresses may be made',
  (t) => {
    const harness = new ForeignLinkHarness();
    const odd = [
      prefixOption({ autonomous: false, prefix: parsePrefix('2001:db8:1::/64') }),
      prefixOption({ prefix: parsePrefix('fe80::/64') }),
      prefixOption({ prefix: parsePrefix('2001:db8:3::/64'), preferredLifetime: 90_000 }),
      prefixOption({ prefix: parsePrefix('2001:db8:4::/60') }),
      prefixOption({
        prefix: parsePrefix('2001:db8:5::/64'),
        validLifetime: 0,
        preferredLifetime: 0,
      }),
    ];
    harness.hear(routerAdvertisement({ options: [...odd, prefixOption()] }));
    t.same(harness.link.prefixes, [{ prefix: FOREIGN_PREFIX, deprecated: false, gone: false }]);
    t.end();
  },
);

t.test('RFC 4862 5.5.4: a prefix is deprecated, then it ends', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  const options = [prefixOption({ validLifetime: 100, preferredLifetime: 40 })];
  harness.advertise({ options });
  harness.pass(39_000);
  t.same(harness.link.prefixes, [{ prefix: FOREIGN_PREFIX, deprecated: false, gone: false }]);
  const outputs = harness.pass(2000);
  t.ok(outputs.some(({ output }) => output.type === 'prefixes'));
  t.same(harness.link.prefixes, [{ prefix: FOREIGN_PREFIX, deprecated: true, gone: false }]);
  harness.pass(60_000);
  t.same(harness.link.prefixes, []);
  t.end();
});

t.test('RFC 4862 5.5.3 e: nobody ends a prefix sooner than in two hours', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.advertise();
  harness.hear(
    routerAdvertisement({ options: [prefixOption({ validLifetime: 10, preferredLifetime: 0 })] }),
  );
  t.match(harness.link.prefixes, [{ deprecated: true }], 'the preferred lifetime is believed');
  harness.pass(7_199_000);
  t.equal(harness.link.prefixes.length, 1);
  harness.pass(2000);
  t.equal(harness.link.prefixes.length, 0);
  t.end();
});

t.test(
  'RFC 6275 7.2: a prefix that is told as the router’s own address is the same prefix',
  (t) => {
    const harness = new ForeignLinkHarness();
    const prefix = { address: NEIGHBOR, length: 64 };
    harness.hear(routerAdvertisement({ options: [prefixOption({ prefix, routerAddress: true })] }));
    t.same(harness.link.prefixes, [{ prefix: FOREIGN_PREFIX, deprecated: false, gone: false }]);
    t.end();
  },
);

t.test('RFC 4861 4.6.4: the MTU of the link is told once; less than 1280 is none', (t) => {
  const harness = new ForeignLinkHarness();
  const of = (mtu: number) => ({ options: [{ kind: 'mtu' as const, mtu }] });
  t.match(ofType(harness.hear(routerAdvertisement(of(1400))), 'mtu'), [{ mtu: 1400 }]);
  t.same(ofType(harness.hear(routerAdvertisement(of(1400))), 'mtu'), []);
  t.same(ofType(harness.hear(routerAdvertisement(of(1279))), 'mtu'), []);
  t.same(ofType(harness.hear(routerAdvertisement(of(1500))), 'mtu'), [], 'nor is a larger one');
  t.match(ofType(harness.hear(routerAdvertisement(of(1300))), 'mtu'), [{ mtu: 1300 }]);
  t.end();
});

t.test(
  'routers that are not heard any more give way to one that is, but never the chosen one',
  (t) => {
    const harness = new ForeignLinkHarness();
    const router = parseAddress('fe80::aa');
    harness.hear(routerAdvertisement({}), { source: router });
    t.equal(harness.link.router?.address, router);
    const heard = (i: number) =>
      harness.hear(routerAdvertisement({}), { source: parseAddress(`fe80::${i}`) });
    for (let i = 1; i <= 100; i++) heard(i);
    t.equal(harness.link.router?.address, router);
    harness.hear(routerAdvertisement({ routerLifetime: 0 }), { source: router });
    t.match(harness.link.router?.address, /^fe80::/);
    t.notOk(harness.link.drops.get('routers_full'));
    t.end();
  },
);

t.test('what nobody proved does not fill the memory', (t) => {
  const harness = new ForeignLinkHarness();
  for (let i = 1; i <= 100; i++) {
    const options = [prefixOption({ prefix: parsePrefix(`2001:db8:${i}::/64`) })];
    const source = parseAddress(`fe80::${i}`);
    harness.hear(routerAdvertisement({ options }), { source });
  }
  t.equal(harness.link.prefixes.length, 64);
  t.equal(harness.link.drops.get('prefix_evicted'), 36);
  t.end();
});
