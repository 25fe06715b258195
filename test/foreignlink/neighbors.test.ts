import t from 'tap';
import { parseAddress, solicitedNode } from '../../src/wire/index.js';
import {
  asked,
  FAR,
  ForeignLinkHarness,
  NEIGHBOR,
  NEIGHBOR_STATION,
  neighborAdvertisement,
  ROUTER,
  ROUTER_STATION,
  routerAdvertisement,
  SECOND_ROUTER,
  SECOND_STATION,
  sourceOption,
} from '../support/foreign-link-harness.js';
import { solicitation } from '../support/link-frames.js';
import { CARE_OF } from '../support/testbed-addresses.js';

const LINK_LOCAL = parseAddress('fe80::1234');
const answer = { source: NEIGHBOR, sourceMac: NEIGHBOR_STATION };
const fromSecond = { source: SECOND_ROUTER, sourceMac: SECOND_STATION };

/** On the link, with a router and packets to a neighbour and to somebody far away. */
function inUse(): ForeignLinkHarness {
  const harness = new ForeignLinkHarness();
  harness.settle();
  harness.handle({ type: 'start' });
  harness.advertise();
  harness.handle({ type: 'destinations', addresses: [FAR] });
  return harness;
}

t.test(
  'RFC 4861 7.2.2: a neighbour is asked for three times, a second apart, by its group',
  (t) => {
    const harness = inUse();
    const first = harness.handle({ type: 'destinations', addresses: [FAR, NEIGHBOR] });
    const now = harness.now;
    const questions = [
      ...asked(first.map((output) => ({ at: now, output }))),
      ...asked(harness.pass(2999)),
    ].filter(({ target }) => target === NEIGHBOR);
    t.same(
      questions.map(({ at }) => at - now),
      [0, 1000, 2000],
    );
    for (const { destination, source } of questions) {
      t.equal(destination, solicitedNode(NEIGHBOR));
      t.equal(source, CARE_OF);
    }
    t.end();
  },
);

t.test('RFC 4861 5.2: on-link packets go to the neighbour, all others to the router', (t) => {
  const harness = inUse();
  harness.handle({ type: 'destinations', addresses: [FAR, NEIGHBOR] });
  t.same(harness.link.hops, { router: ROUTER_STATION, nextHops: [] }, 'until it is found');
  harness.hear(neighborAdvertisement(NEIGHBOR, NEIGHBOR_STATION), answer);
  t.same(harness.link.hops, {
    router: ROUTER_STATION,
    nextHops: [{ address: NEIGHBOR, mac: NEIGHBOR_STATION }],
  });
  harness.handle({ type: 'destinations', addresses: [FAR] });
  t.same(harness.link.hops, { router: ROUTER_STATION, nextHops: [] });
  t.end();
});

t.test('RFC 4861 7.2.5: an advertisement without a link-layer address finds nobody', (t) => {
  const harness = inUse();
  harness.handle({ type: 'destinations', addresses: [NEIGHBOR] });
  harness.hear(neighborAdvertisement(NEIGHBOR, undefined), answer);
  t.same(harness.link.hops.nextHops, []);
  t.end();
});

t.test('RFC 4861 7.2.5: without Override another link-layer address only raises doubt', (t) => {
  const harness = inUse();
  harness.handle({ type: 'destinations', addresses: [NEIGHBOR] });
  harness.hear(neighborAdvertisement(NEIGHBOR, NEIGHBOR_STATION), answer);
  const before = harness.link.hops;
  harness.hear(neighborAdvertisement(NEIGHBOR, SECOND_STATION, { override: false }), answer);
  t.same(harness.link.hops, before);
  const [question] = asked(harness.pass(6000)).filter(({ target }) => target === NEIGHBOR);
  t.match(question, { destination: NEIGHBOR }, 'it is asked at the address that is known');
  t.end();
});

t.test('RFC 4861 7.2.5: with Override packets go there at once', (t) => {
  const harness = inUse();
  harness.handle({ type: 'destinations', addresses: [NEIGHBOR] });
  harness.hear(neighborAdvertisement(NEIGHBOR, NEIGHBOR_STATION), answer);
  const moved = { solicited: false, override: true };
  harness.hear(neighborAdvertisement(NEIGHBOR, SECOND_STATION, moved), answer);
  t.match(harness.link.hops.nextHops, [{ mac: SECOND_STATION }]);
  t.end();
});

t.test(
  'RFC 4861 7.2.3, 7.3.3: the question of a neighbour gives its new link-layer address',
  (t) => {
    const harness = inUse();
    harness.hear(solicitation(CARE_OF, [sourceOption(SECOND_STATION)]), {
      source: ROUTER,
      destination: solicitedNode(CARE_OF),
    });
    t.equal(harness.link.hops.router, SECOND_STATION);
    t.end();
  },
);

t.test(
  'RFC 4861 6.3.2, 7.3.3: one that answered is asked again after 15 to 45 s, at its own address',
  (t) => {
    const harness = inUse();
    const first = asked(harness.pass(6000)).filter(({ target }) => target === ROUTER);
    t.match(first, [{ destination: ROUTER }], 'what it advertised says nothing of the way there');
    harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
    const from = harness.now;
    const [next] = asked(harness.pass(60_000)).filter(({ target }) => target === ROUTER);
    t.ok(next !== undefined && next.at - from >= 20_000 && next.at - from <= 50_000);
    t.equal(next?.destination, ROUTER);
    t.end();
  },
);

t.test('RFC 4861 6.3.4: the timers that a router tells are kept', (t) => {
  const harness = inUse();
  harness.advertise({ reachableTime: 1000, retransTimer: 200 });
  harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
  const from = harness.now;
  const times = asked(harness.pass(8000))
    .filter(({ target, destination }) => target === ROUTER && destination === ROUTER)
    .map(({ at }) => at - from);
  const [first = 0] = times;
  t.ok(first >= 5500 && first <= 6500, 'ReachableTime, then DELAY_FIRST_PROBE_TIME');
  t.same(
    times.slice(1).map((at) => Math.round(at - first)),
    [200, 400],
  );
  t.end();
});

t.test('RFC 4861 6.3.6, RFC 4191 3.2: a router that is silent is left for another', (t) => {
  const harness = inUse();
  const options = [sourceOption(SECOND_STATION)];
  harness.hear(routerAdvertisement({ options, preference: 'low' }), fromSecond);
  const found = () =>
    harness.hear(
      neighborAdvertisement(SECOND_ROUTER, SECOND_STATION, { router: true }),
      fromSecond,
    );
  found();
  t.equal(harness.link.hops.router, ROUTER_STATION);
  harness.pass(9000);
  t.equal(harness.link.hops.router, SECOND_STATION);
  t.match(harness.link.router, { address: SECOND_ROUTER, state: 'reachable' });
  harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
  t.equal(harness.link.hops.router, ROUTER_STATION, 'back to the better one when it speaks');
  t.end();
});

t.test(
  'RFC 7048 3: an only router keeps the packets while it is asked for, ever less often',
  (t) => {
    const harness = inUse();
    const outputs = harness.pass(200_000);
    const groups = asked(outputs)
      .filter(({ target, destination }) => target === ROUTER && destination !== ROUTER)
      .map(({ at }) => at);
    const gaps = groups.slice(1).map((at, index) => at - (groups[index] ?? 0));
    t.same(gaps.slice(0, 5), [3000, 9000, 27_000, 60_000, 60_000]);
    t.equal(harness.link.hops.router, ROUTER_STATION);
    t.equal(harness.link.router?.state, 'unreachable');
    const solicited = outputs.filter(
      ({ output }) => output.type === 'frame' && output.bytes[54] === 133,
    );
    t.ok(solicited.length > 0, 'and routers are solicited: the link may be another one');
    harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
    t.equal(harness.link.router?.state, 'reachable');
    t.end();
  },
);

t.test('RFC 4429 3.3: nobody is asked before an address is proven', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.hear(routerAdvertisement());
  t.same(asked(harness.pass(60_000)), []);
  harness.handle({ type: 'add', address: CARE_OF, optimistic: true });
  const questions = asked(harness.pass(3000)).filter(({ target }) => target === ROUTER);
  t.match(questions[0], { source: CARE_OF, destination: solicitedNode(ROUTER) });
  harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
  t.equal(harness.link.hops.router, ROUTER_STATION);
  t.end();
});

t.test('RFC 4861 7.2.2: a link-local neighbour is asked from a link-local address', (t) => {
  const harness = new ForeignLinkHarness();
  harness.settle(CARE_OF);
  harness.settle(LINK_LOCAL);
  harness.handle({ type: 'start' });
  harness.hear(routerAdvertisement());
  const [question] = asked(harness.pass(3000));
  t.match(question, { target: ROUTER, source: LINK_LOCAL });
  t.end();
});

t.test('RFC 4861 8.1, 8.3: the router sends a destination elsewhere, nobody else does', (t) => {
  const harness = inUse();
  const redirect = (target = SECOND_ROUTER, destination = FAR) =>
    ({ kind: 'redirect', target, destination, options: [] }) as const;
  const toUs = { destination: CARE_OF };
  harness.hear(redirect(), { ...toUs, ...fromSecond });
  t.equal(harness.link.drops.get('redirect_source'), 1);
  harness.hear(redirect(NEIGHBOR), toUs);
  t.equal(harness.link.drops.get('redirect_target'), 1);
  harness.hear(redirect(SECOND_ROUTER, NEIGHBOR), toUs);
  t.equal(harness.link.drops.get('redirect_destination'), 1);
  t.same(harness.link.hops.nextHops, []);

  harness.hear(redirect(), toUs);
  harness.hear(neighborAdvertisement(SECOND_ROUTER, SECOND_STATION, { router: true }), fromSecond);
  t.same(harness.link.hops, {
    router: ROUTER_STATION,
    nextHops: [{ address: FAR, mac: SECOND_STATION }],
  });
  harness.pass(100_000);
  t.same(harness.link.hops.nextHops, [], 'RFC 4861 7.3.3: back to the router when it is silent');
  t.end();
});
