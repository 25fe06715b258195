import t from 'tap';
import {
  ALL_NODES,
  parseAddress,
  parseMac,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import {
  ForeignLinkHarness,
  NEIGHBOR,
  NEIGHBOR_STATION,
  neighborAdvertisement,
  OUR_MAC,
  sent,
  sourceOption,
} from '../support/foreign-link-harness.js';
import { solicitation } from '../support/link-frames.js';
import { mldReport } from '../support/mld.js';
import { CARE_OF } from '../support/testbed-addresses.js';

const GROUP = solicitedNode(CARE_OF);
const LINK_LOCAL = parseAddress('fe80::1234');

/** A harness whose address is being probed, and the probe. */
function probing(optimistic = false) {
  const harness = new ForeignLinkHarness();
  const first = harness.handle({ type: 'add', address: CARE_OF, optimistic });
  const outputs = harness.pass(1000);
  const [probe] = ofType(
    outputs.map(({ output }) => output),
    'frame',
  );
  if (probe === undefined) throw new Error('no probe');
  return { harness, first, probe, outputs };
}

t.test('RFC 4862 5.4.2: the first probe has a random delay, comes from nobody and is one', (t) => {
  const { outputs, harness } = probing();
  const [at] = outputs.map((timed) => timed.at);
  t.ok(at !== undefined && at > 0 && at < 1000, 'within MAX_RTR_SOLICITATION_DELAY');
  t.match(sent(outputs), [
    {
      sourceMac: OUR_MAC,
      destinationMac: parseMac('33:33:ff:00:00:33'),
      source: UNSPECIFIED,
      destination: GROUP,
      hopLimit: 255,
      message: { kind: 'neighbor-solicitation', target: CARE_OF },
    },
  ]);
  t.match(
    harness.reports.slice(0, 1).map(({ bytes }) => mldReport(bytes)),
    [{ source: UNSPECIFIED, records: [{ type: 4, group: GROUP }] }],
  );
  t.ok((harness.reports[0]?.at ?? 1e9) <= (at ?? 0), 'its group is joined before');
  const usable = harness.pass(1000).filter(({ output }) => output.type === 'usable');
  t.match(usable, [{ at: (at ?? 0) + 1000, output: { address: CARE_OF } }], 'then RetransTimer');
  t.end();
});

t.test('RFC 4862 5.4.2: only the first message of an interface is delayed', (t) => {
  const { harness } = probing();
  const outputs = harness.handle({ type: 'add', address: NEIGHBOR });
  t.match(sent(outputs), [{ message: { target: NEIGHBOR } }]);
  t.end();
});

t.test('RFC 4862 5.4.4, 5.4.5: an advertisement for the address: never used', (t) => {
  const { harness } = probing();
  t.same(harness.hear(neighborAdvertisement(CARE_OF, NEIGHBOR_STATION, { solicited: false })), [
    { type: 'duplicate', address: CARE_OF },
  ]);
  t.same(harness.pass(30_000), []);
  const question = solicitation(CARE_OF, [sourceOption(NEIGHBOR_STATION)]);
  t.same(harness.hear(question, { destination: GROUP, source: NEIGHBOR }), [], 'nor answered for');
  t.end();
});

t.test('RFC 4862 5.4.3: another node probes the address too: neither has it', (t) => {
  const { harness } = probing();
  t.same(harness.hear(solicitation(CARE_OF), { destination: GROUP, source: UNSPECIFIED }), [
    { type: 'duplicate', address: CARE_OF },
  ]);
  t.end();
});

t.test(
  'RFC 4862 5.4.3: what others ask about the address while it is probed is not answered',
  (t) => {
    const { harness } = probing();
    const question = solicitation(CARE_OF, [sourceOption(NEIGHBOR_STATION)]);
    t.same(harness.hear(question, { destination: GROUP, source: NEIGHBOR }), []);
    t.match(harness.pass(1000), [{ output: { type: 'frame' } }, { output: { type: 'usable' } }]);
    t.end();
  },
);

t.test('RFC 7527 4.2: our own probe that comes back is no duplicate', (t) => {
  const { harness, probe } = probing();
  t.same(harness.handle({ type: 'frame', bytes: probe.bytes }), []);
  const rewritten = probe.bytes.slice();
  rewritten.set([2, 0, 0, 0, 0, 0x77], 6);
  t.same(harness.handle({ type: 'frame', bytes: rewritten }), [], 'not even through another MAC');
  t.equal(harness.link.drops.get('own_source'), 2);
  t.end();
});

t.test('a duplicate is tried again: who had it may have left', (t) => {
  const { harness } = probing();
  harness.hear(neighborAdvertisement(CARE_OF, NEIGHBOR_STATION));
  const later = harness.pass(62_000);
  t.match(sent(later).slice(0, 1), [{ source: UNSPECIFIED, message: { target: CARE_OF } }]);
  t.equal(later.filter(({ output }) => output.type === 'usable').length, 1);
  t.end();
});

t.test('RFC 4861 7.2.6: a proven address is announced three times, with Override', (t) => {
  const { harness } = probing();
  const outputs = harness.pass(10_000).filter(({ output }) => output.type === 'frame');
  const [first = 0, ...others] = outputs.map(({ at }) => at);
  t.same(others, [first + 1000, first + 2000]);
  for (const { message, source, destination } of sent(outputs)) {
    t.match(
      { message, source, destination },
      {
        source: CARE_OF,
        destination: ALL_NODES,
        message: {
          kind: 'neighbor-advertisement',
          target: CARE_OF,
          router: false,
          solicited: false,
          override: true,
          options: [{ kind: 'target-link-layer-address', mac: OUR_MAC }],
        },
      },
    );
  }
  t.end();
});

t.test('RFC 4861 7.2.4: who asks gets a solicited advertisement at its own address', (t) => {
  const harness = new ForeignLinkHarness();
  harness.settle();
  const question = solicitation(CARE_OF, [sourceOption(NEIGHBOR_STATION)]);
  const toGroup = harness.hear(question, { destination: GROUP, source: NEIGHBOR });
  const expected = {
    sourceMac: OUR_MAC,
    destinationMac: NEIGHBOR_STATION,
    source: CARE_OF,
    destination: NEIGHBOR,
    hopLimit: 255,
    message: { solicited: true, override: true, target: CARE_OF },
  };
  t.match(sent(toGroup), [expected]);
  // A unicast question of reachability need not have the option (RFC 4861 4.3).
  const straight = harness.hear(solicitation(CARE_OF), {
    destination: CARE_OF,
    source: NEIGHBOR,
    sourceMac: NEIGHBOR_STATION,
  });
  t.match(sent(straight), [expected]);
  const probe = harness.hear(solicitation(CARE_OF), { destination: GROUP, source: UNSPECIFIED });
  t.match(
    sent(probe),
    [{ destination: ALL_NODES, message: { solicited: false } }],
    'RFC 4862 5.4.3',
  );
  t.same(harness.hear(solicitation(NEIGHBOR), { source: CARE_OF }), [], 'others are not ours');
  t.end();
});

t.test('RFC 4861 7.1.1: what came through a router is no Neighbor Discovery', (t) => {
  const harness = new ForeignLinkHarness();
  harness.settle();
  const packet = { hopLimit: 254 };
  t.same(
    harness.hear(solicitation(CARE_OF), { destination: CARE_OF, source: NEIGHBOR, packet }),
    [],
  );
  t.equal(harness.link.drops.get('ndp_hop_limit'), 1);
  t.end();
});

t.test('an advertisement of others for an address in use is counted and changes nothing', (t) => {
  const harness = new ForeignLinkHarness();
  harness.settle();
  t.same(harness.hear(neighborAdvertisement(CARE_OF, NEIGHBOR_STATION)), []);
  t.equal(harness.link.drops.get('address_conflict'), 1);
  t.end();
});

t.test(
  'RFC 4429 3.3: an address that was ours is used while it is proven, without Override',
  (t) => {
    const { harness, first } = probing(true);
    t.match(first, [{ type: 'usable', address: CARE_OF }], 'at once');
    const question = solicitation(CARE_OF, [sourceOption(NEIGHBOR_STATION)]);
    const answer = harness.hear(question, { destination: GROUP, source: NEIGHBOR });
    t.match(sent(answer), [{ message: { solicited: true, override: false, target: CARE_OF } }]);
    t.notOk(
      harness.pass(9000).some(({ output }) => output.type === 'usable'),
      'that was told already',
    );
    const after = harness.hear(question, { destination: GROUP, source: NEIGHBOR });
    t.match(sent(after), [{ message: { override: true } }], 'with Override once it is proven');
    t.end();
  },
);

t.test('RFC 4429 3.3: it is given up when another has it after all', (t) => {
  const { harness } = probing(true);
  t.same(harness.hear(neighborAdvertisement(CARE_OF, NEIGHBOR_STATION)), [
    { type: 'duplicate', address: CARE_OF },
  ]);
  t.end();
});

t.test('RFC 3590 4: groups are joined from the link-local address once it is proven', (t) => {
  const harness = new ForeignLinkHarness();
  harness.settle(LINK_LOCAL);
  harness.reports.length = 0;
  harness.handle({ type: 'add', address: CARE_OF });
  t.match(
    harness.reports.map(({ bytes }) => mldReport(bytes)),
    [{ source: LINK_LOCAL, records: [{ type: 4, group: GROUP }] }],
  );
  t.end();
});

t.test('what is taken away is not answered for, and its group is left', (t) => {
  const harness = new ForeignLinkHarness();
  harness.settle();
  harness.reports.length = 0;
  harness.handle({ type: 'remove', address: CARE_OF });
  t.match(
    harness.reports.map(({ bytes }) => mldReport(bytes)),
    [{ records: [{ type: 3, group: GROUP }] }],
  );
  t.same(harness.hear(solicitation(CARE_OF), { destination: CARE_OF, source: NEIGHBOR }), []);
  t.same(harness.pass(100_000), []);
  t.end();
});
