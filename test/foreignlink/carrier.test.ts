import t from 'tap';
import { parseAddress, solicitedNode, UNSPECIFIED } from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import {
  asked,
  FAR,
  ForeignLinkHarness,
  NEIGHBOR_STATION,
  neighborAdvertisement,
  ROUTER,
  ROUTER_STATION,
  routerAdvertisement,
  SECOND_ROUTER,
  SECOND_STATION,
  sent,
  sourceOption,
} from '../support/foreign-link-harness.js';
import { mldReport } from '../support/mld.js';
import { CARE_OF } from '../support/testbed-addresses.js';

const LINK_LOCAL = parseAddress('fe80::1234');

/** Two proven addresses, a router that answers. */
function attached(): ForeignLinkHarness {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'start' });
  harness.settle(LINK_LOCAL);
  harness.settle();
  harness.handle({ type: 'destinations', addresses: [FAR] });
  harness.advertise();
  harness.hear(neighborAdvertisement(ROUTER, ROUTER_STATION, { router: true }));
  harness.reports.length = 0;
  return harness;
}

t.test('RFC 4862 5.4: without a carrier nothing is sent, and nothing proven', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'carrier', on: false });
  t.same(harness.handle({ type: 'start' }), []);
  t.same(harness.handle({ type: 'add', address: CARE_OF }), []);
  t.same(harness.pass(100_000), []);
  t.same(harness.reports, []);
  harness.handle({ type: 'carrier', on: true });
  const outputs = harness.pass(4000);
  const probe = outputs.findIndex(({ output }) => sent([output])[0]?.source === UNSPECIFIED);
  t.ok(probe >= 0);
  t.match(
    ofType(
      outputs.map(({ output }) => output),
      'usable',
    ),
    [{ address: CARE_OF }],
  );
  t.ok(sent(outputs).some(({ message }) => message.kind === 'router-solicitation'));
  t.end();
});

t.test('a carrier that is lost during the second of silence: it proved nothing', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'add', address: CARE_OF });
  t.equal(asked(harness.pass(1000)).length, 1);
  harness.handle({ type: 'carrier', on: false });
  t.same(harness.pass(10_000), []);
  harness.handle({ type: 'carrier', on: true });
  const outputs = harness.pass(1999);
  const probes = asked(outputs);
  t.match(probes, [{ target: CARE_OF, source: UNSPECIFIED }]);
  const [usable] = outputs.filter(({ output }) => output.type === 'usable');
  t.equal(usable?.at, (probes[0]?.at ?? 0) + 1000);
  t.end();
});

t.test('a carrier whose loss is told late: what was proven meanwhile is not', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'add', address: CARE_OF });
  while (!harness.pass(100).some(({ output }) => output.type === 'usable'));
  harness.pass(700);
  t.same(harness.handle({ type: 'carrier', on: false }), [{ type: 'unproven', address: CARE_OF }]);
  t.same(harness.pass(10_000), []);
  harness.handle({ type: 'carrier', on: true });
  const outputs = harness.pass(2000);
  const [usable] = outputs.filter(({ output }) => output.type === 'usable');
  t.equal(usable?.at, (asked(outputs)[0]?.at ?? 0) + 1000);
  harness.pass(2000);
  t.same(harness.handle({ type: 'carrier', on: false }), [], 'what was proven before that stays');
  t.end();
});

t.test('RFC 4862 5.4, RFC 4861 6.3.7: back on the link it asks as when it began', (t) => {
  const harness = attached();
  harness.handle({ type: 'carrier', on: false });
  t.same(harness.pass(1000), []);
  t.equal(harness.link.hops.router, ROUTER_STATION, 'it may be back in a moment');
  t.notOk(harness.handle({ type: 'carrier', on: true }).some(({ type }) => type === 'duplicate'));
  t.match(
    harness.reports.map(({ bytes }) => mldReport(bytes)),
    [
      {
        source: UNSPECIFIED,
        records: [{ group: solicitedNode(LINK_LOCAL) }, { group: solicitedNode(CARE_OF) }],
      },
    ],
    'RFC 3810: the switches of this link know of no group yet',
  );
  const outputs = harness.pass(3500);
  const questions = asked(outputs);
  for (const target of [LINK_LOCAL, CARE_OF]) {
    t.match(
      questions.filter((one) => one.target === target),
      [{ source: UNSPECIFIED, destination: solicitedNode(target) }],
      `${target} is probed, once`,
    );
    const announced = sent(outputs).filter(
      ({ message }) => message.kind === 'neighbor-advertisement' && message.target === target,
    );
    t.ok(announced.length >= 2, 'and announced: caches may have another node’s link-layer address');
  }
  t.ok(
    questions.some(({ target, destination }) => target === ROUTER && destination === ROUTER),
    'RFC 4861 7.3: whether the router is there',
  );
  t.ok(sent(outputs).some(({ message }) => message.kind === 'router-solicitation'));
  t.same(
    ofType(
      outputs.map(({ output }) => output),
      'usable',
    ),
    [],
    'in use all the while (RFC 4429)',
  );
  t.end();
});

t.test(
  'another link: its router has the packets as soon as it has spoken, or the old one is silent',
  (t) => {
    const harness = attached();
    harness.handle({ type: 'carrier', on: false });
    harness.handle({ type: 'carrier', on: true });
    harness.pass(2500);
    const options = [sourceOption(SECOND_STATION)];
    harness.hear(routerAdvertisement({ options }), {
      source: SECOND_ROUTER,
      sourceMac: SECOND_STATION,
    });
    harness.pass(5000);
    t.equal(harness.link.hops.router, SECOND_STATION);
    t.end();
  },
);

t.test('RFC 4429 3.3: somebody on the new link has the address: it is given up', (t) => {
  const harness = attached();
  harness.handle({ type: 'carrier', on: false });
  harness.handle({ type: 'carrier', on: true });
  harness.pass(1200);
  t.match(harness.hear(neighborAdvertisement(CARE_OF, NEIGHBOR_STATION, { solicited: false })), [
    { type: 'duplicate', address: CARE_OF },
  ]);
  t.end();
});

t.test('a duplicate of the link before is tried at once', (t) => {
  const harness = new ForeignLinkHarness();
  harness.handle({ type: 'add', address: CARE_OF });
  harness.pass(1000);
  harness.hear(neighborAdvertisement(CARE_OF, NEIGHBOR_STATION));
  harness.handle({ type: 'carrier', on: false });
  harness.handle({ type: 'carrier', on: true });
  t.match(
    ofType(
      harness.pass(2000).map(({ output }) => output),
      'usable',
    ),
    [{ address: CARE_OF }],
  );
  t.end();
});

t.test('a question that did not leave is no question that was not answered', (t) => {
  const harness = attached();
  const until = harness.now + 60_000;
  let refused = 0;
  while (harness.now < until) {
    const next = harness.link.wakeAt() ?? until;
    harness.now = Math.min(Math.max(next, harness.now), until);
    for (const output of harness.handle({ type: 'tick' })) {
      if (output.type !== 'frame') continue;
      refused += 1;
      harness.handle({ type: 'unsent', bytes: output.bytes });
    }
  }
  t.ok(refused > 10 && refused < 700, `${refused} questions in vain`);
  t.equal(harness.link.router?.state, 'reachable');
  const [question] = asked(harness.pass(1000));
  t.match(question, { target: ROUTER });
  t.end();
});
