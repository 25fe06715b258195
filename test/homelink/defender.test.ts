import t from 'tap';
import type { HomeLinkDefenderEvent, HomeLinkDefenderOutput } from '../../src/homelink/index.js';
import { HomeLinkDefender } from '../../src/homelink/index.js';
import type { Address, Icmpv6Message, NdpOption } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  parseAddress,
  parseMac,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { drain, ofType } from '../support/drain.js';
import { icmpv6Frame, read, solicitation } from '../support/link-frames.js';
import { isMldReport, mldQuery, mldReport } from '../support/mld.js';
import { seededRandom } from '../support/random.js';
import { HOME_ADDRESS, HOME_AGENT, HOME_PREFIX, HOST_A } from '../support/testbed-addresses.js';

const OUR_MAC = parseMac('02:00:00:00:00:01');
const HOST_MAC = parseMac('02:00:00:00:00:02');
const HOST_SLLA: NdpOption = { kind: 'source-link-layer-address', mac: HOST_MAC };
const LINK_LOCAL = parseAddress('fe80::10');

/** Its Multicast Listener reports go to `reports`, everything else comes back. */
class Harness {
  now = 0;
  readonly reports: { at: number; bytes: Uint8Array }[] = [];
  readonly defender = new HomeLinkDefender({
    mac: OUR_MAC,
    address: HOME_AGENT,
    homePrefix: HOME_PREFIX,
    random: seededRandom(1),
  });

  handle(event: HomeLinkDefenderEvent): HomeLinkDefenderOutput[] {
    this.defender.handle(this.now, event);
    return drain(this.defender).filter((output) => {
      if (output.type !== 'frame' || !isMldReport(output.bytes)) return true;
      this.reports.push({ at: this.now, bytes: output.bytes });
      return false;
    });
  }

  pass(milliseconds: number): { at: number; output: HomeLinkDefenderOutput }[] {
    const end = this.now + milliseconds;
    const outputs: { at: number; output: HomeLinkDefenderOutput }[] = [];
    const next = () => this.defender.wakeAt();
    for (let at = next(); at !== undefined && at <= end; at = next()) {
      this.now = at;
      for (const output of this.handle({ type: 'tick' })) outputs.push({ at, output });
    }
    this.now = end;
    return outputs;
  }

  hear(message: Icmpv6Message, destination: Address, source = HOST_A, sourceMac = HOST_MAC) {
    const bytes = icmpv6Frame({ message, destination, source, sourceMac });
    return this.handle({ type: 'frame', bytes });
  }
}

function advertisement(target: Address): Icmpv6Message {
  return {
    kind: 'neighbor-advertisement',
    router: false,
    solicited: false,
    override: true,
    target,
    options: [{ kind: 'target-link-layer-address', mac: HOST_MAC }],
  };
}

function frames(outputs: readonly HomeLinkDefenderOutput[]) {
  return ofType(outputs, 'frame').map(({ bytes }) => read(bytes));
}

t.test('RFC 4862 5.4.2: DAD is one solicitation from nobody, then RetransTimer of silence', (t) => {
  const harness = new Harness();
  const [probe, ...rest] = frames(harness.handle({ type: 'probe', address: HOME_ADDRESS }));
  t.same(rest, []);
  t.match(probe, {
    sourceMac: OUR_MAC,
    destinationMac: parseMac('33:33:ff:00:00:10'),
    source: UNSPECIFIED,
    destination: solicitedNode(HOME_ADDRESS),
    hopLimit: 255,
    message: { kind: 'neighbor-solicitation', target: HOME_ADDRESS },
  });
  t.same(harness.handle({ type: 'probe', address: HOME_ADDRESS }), [], 'one at a time');
  t.same(harness.pass(999), []);
  t.same(harness.pass(1), [{ at: 1000, output: { type: 'unique', address: HOME_ADDRESS } }]);
  harness.pass(1000);
  t.equal(harness.defender.wakeAt(), undefined);
  t.end();
});

t.test('RFC 4862 5.4.4: an advertisement for the address: duplicate', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'probe', address: HOME_ADDRESS });
  t.same(harness.hear(advertisement(HOME_ADDRESS), ALL_NODES), [
    { type: 'duplicate', address: HOME_ADDRESS },
  ]);
  t.same(harness.pass(5000), []);
  t.end();
});

t.test('RFC 4862 5.4.3: another node probes the address too: duplicate', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'probe', address: HOME_ADDRESS });
  const group = solicitedNode(HOME_ADDRESS);
  t.same(harness.hear(solicitation(HOME_ADDRESS), group, UNSPECIFIED), [
    { type: 'duplicate', address: HOME_ADDRESS },
  ]);
  t.end();
});

t.test('RFC 4862 5.4.3: a question for the address while it is probed is ignored', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'probe', address: HOME_ADDRESS });
  const group = solicitedNode(HOME_ADDRESS);
  t.same(harness.hear(solicitation(HOME_ADDRESS, [HOST_SLLA]), group), []);
  t.same(harness.hear(advertisement(HOST_A), ALL_NODES), [], 'as is what others advertise');
  t.match(harness.pass(1000), [{ output: { type: 'unique' } }]);
  t.end();
});

t.test('RFC 7527 4.2: our own solicitation that comes back is no duplicate', (t) => {
  const harness = new Harness();
  const [output] = ofType(harness.handle({ type: 'probe', address: HOME_ADDRESS }), 'frame');
  if (output === undefined) throw new Error('no probe');
  t.same(harness.handle({ type: 'frame', bytes: output.bytes }), []);
  const rewritten = output.bytes.slice();
  rewritten.set([2, 0, 0, 0, 0, 0x77], 6);
  t.same(harness.handle({ type: 'frame', bytes: rewritten }), [], 'not even through another MAC');
  t.match(harness.pass(1000), [{ output: { type: 'unique' } }]);
  t.end();
});

t.test('our own address, what is defended already, what is not of this link: not probed', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'start' });
  t.same(harness.handle({ type: 'probe', address: HOME_AGENT }), [
    { type: 'duplicate', address: HOME_AGENT },
  ]);
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  t.same(harness.handle({ type: 'probe', address: HOME_ADDRESS }), [
    { type: 'unique', address: HOME_ADDRESS },
  ]);
  t.same(harness.handle({ type: 'probe', address: parseAddress('2001:db8:9::1') }), []);
  t.equal(harness.defender.drops.get('probe_off_link'), 1);
  t.match(frames(harness.handle({ type: 'probe', address: LINK_LOCAL })), [{}]);
  t.end();
});

t.test('RFC 6275 10.4.1: three unsolicited advertisements with Override, not a router', (t) => {
  const harness = new Harness();
  const first = frames(harness.handle({ type: 'defend', address: HOME_ADDRESS }));
  t.equal(first.length, 1);
  t.match(first[0], {
    sourceMac: OUR_MAC,
    destinationMac: parseMac('33:33:00:00:00:01'),
    source: HOME_AGENT,
    destination: ALL_NODES,
    hopLimit: 255,
    message: {
      kind: 'neighbor-advertisement',
      router: false,
      solicited: false,
      override: true,
      target: HOME_ADDRESS,
      options: [{ kind: 'target-link-layer-address', mac: OUR_MAC }],
    },
  });
  t.same(
    harness.pass(60_000).map(({ at }) => at),
    [1000, 2000],
  );
  t.equal(harness.defender.wakeAt(), undefined);
  t.end();
});

t.test('RFC 6275 10.4.1: solicitations for a defended address are answered, NUD too', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  for (const destination of [solicitedNode(HOME_ADDRESS), HOME_ADDRESS]) {
    for (const options of [[HOST_SLLA], []]) {
      const [answer] = frames(harness.hear(solicitation(HOME_ADDRESS, options), destination));
      t.match(answer, {
        destinationMac: HOST_MAC,
        destination: HOST_A,
        message: { solicited: true, override: true, router: false, target: HOME_ADDRESS },
      });
    }
  }
  t.end();
});

t.test(
  'RFC 6275 10.4.1: DAD by another node for a defended address is answered to all nodes',
  (t) => {
    const harness = new Harness();
    harness.handle({ type: 'defend', address: HOME_ADDRESS });
    const group = solicitedNode(HOME_ADDRESS);
    const [answer] = frames(harness.hear(solicitation(HOME_ADDRESS), group, UNSPECIFIED));
    t.match(answer, {
      destination: ALL_NODES,
      message: { solicited: false, override: true, target: HOME_ADDRESS },
    });
    t.end();
  },
);

t.test("the home agent's own address is defended from the start and for ever", (t) => {
  const harness = new Harness();
  t.match(frames(harness.handle({ type: 'start' })), [
    { message: { target: HOME_AGENT, router: true, override: true } },
  ]);
  harness.handle({ type: 'release', address: HOME_AGENT });
  const [answer] = frames(
    harness.hear(solicitation(HOME_AGENT, [HOST_SLLA]), solicitedNode(HOME_AGENT)),
  );
  t.match(answer, { message: { solicited: true, target: HOME_AGENT } });
  t.end();
});

t.test('a released address is answered for no more, a probe of it is forgotten', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  harness.handle({ type: 'release', address: HOME_ADDRESS });
  t.same(harness.hear(solicitation(HOME_ADDRESS, [HOST_SLLA]), HOME_ADDRESS), []);
  t.same(harness.pass(10_000), []);
  harness.handle({ type: 'probe', address: HOME_ADDRESS });
  harness.handle({ type: 'release', address: HOME_ADDRESS });
  t.same(harness.pass(10_000), []);
  t.end();
});

t.test('traffic between others is none of our business', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  const other = parseAddress('2001:db8:2000::77');
  t.same(harness.hear(solicitation(other, [HOST_SLLA]), solicitedNode(other)), []);
  t.same(harness.hear(advertisement(other), ALL_NODES), []);
  t.equal(harness.defender.drops.size, 0);
  t.same(harness.hear(advertisement(HOME_ADDRESS), ALL_NODES), []);
  t.same(Object.fromEntries(harness.defender.drops), { address_conflict: 1 });
  t.end();
});

t.test('RFC 4861 7.1: invalid frames have no effect', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  const message = solicitation(HOME_ADDRESS);
  const frame = (packet: { hopLimit: number }) =>
    harness.handle({
      type: 'frame',
      bytes: icmpv6Frame({ message, destination: HOME_ADDRESS, sourceMac: HOST_MAC, packet }),
    });
  t.same(frame({ hopLimit: 64 }), []);
  t.same(harness.hear(message, HOME_ADDRESS, HOST_A, OUR_MAC), []);
  t.same(harness.handle({ type: 'frame', bytes: new Uint8Array(10) }), []);
  t.same(Object.fromEntries(harness.defender.drops), {
    ndp_hop_limit: 1,
    own_source: 1,
    malformed: 1,
  });
  t.end();
});

t.test('RFC 4861 7.2.1, RFC 3810 6.1: from the probe to the release its group is joined', (t) => {
  const harness = new Harness();
  const group = solicitedNode(HOME_ADDRESS);
  const reports = () => harness.reports.splice(0).map(({ bytes }) => mldReport(bytes));
  harness.handle({ type: 'probe', address: HOME_ADDRESS });
  t.match(
    reports(),
    [
      {
        source: UNSPECIFIED,
        destination: parseAddress('ff02::16'),
        hopLimit: 1,
        routerAlert: true,
        version: 2,
        records: [{ type: 4, group }],
      },
    ],
    'before the solicitation',
  );
  harness.pass(1000);
  t.match(reports(), [{ records: [{ type: 2, group }] }], 'RFC 3810 6.1: once more');
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  harness.handle({ type: 'defend', address: LINK_LOCAL });
  harness.handle({ type: 'release', address: LINK_LOCAL });
  t.same(reports(), [], 'the same group for the link-local address');
  harness.handle({ type: 'release', address: HOME_ADDRESS });
  t.match(reports(), [{ records: [{ type: 3, group }] }]);
  harness.handle({ type: 'release', address: HOME_ADDRESS });
  t.same(reports(), []);
  t.end();
});

t.test('RFC 3810 6.2: queries are answered within their maximum response time', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'start' });
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  harness.pass(10_000);
  const reports = () => harness.reports.splice(0).map(({ bytes }) => mldReport(bytes));
  reports();
  t.same(harness.handle({ type: 'frame', bytes: mldQuery({ version: 2 }) }), []);
  t.same(reports(), [], 'not at once');
  harness.pass(10_000);
  const told = reports().flatMap(({ records }) => records.map(({ group }) => group));
  t.same(told.sort(), [solicitedNode(HOME_ADDRESS), solicitedNode(HOME_AGENT)].sort());
  harness.handle({ type: 'frame', bytes: mldQuery({ version: 2, group: solicitedNode(HOST_A) }) });
  harness.pass(10_000);
  t.same(reports(), [], 'for a group that is not ours');
  const group = solicitedNode(HOME_ADDRESS);
  harness.handle({ type: 'frame', bytes: mldQuery({ version: 1, group }) });
  harness.pass(10_000);
  t.match(reports(), [{ version: 1, destination: group, records: [{ group }] }], 'RFC 2710 4');
  harness.handle({ type: 'release', address: HOME_ADDRESS });
  t.match(reports(), [{ version: 1, destination: ALL_ROUTERS, records: [{ type: 132, group }] }]);
  harness.pass(260_000);
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  t.match(reports(), [{ version: 2 }], 'RFC 3810 9.12: the old querier is forgotten');
  t.end();
});

t.test('RFC 3810 5.1.14: queries from afar, or without Router Alert, are not heard', (t) => {
  const harness = new Harness();
  harness.handle({ type: 'defend', address: HOME_ADDRESS });
  harness.pass(10_000);
  harness.reports.length = 0;
  for (const forged of [{ hopLimit: 64 }, { source: HOST_A }, { routerAlert: false }]) {
    harness.handle({ type: 'frame', bytes: mldQuery({ version: 2, ...forged }) });
  }
  harness.pass(10_000);
  t.same(harness.reports, []);
  t.equal(harness.defender.drops.get('mld_query'), 3);
  t.end();
});

t.test('RFC 6275 10.5.1: what routers of the home link say of themselves as home agents', (t) => {
  const harness = new Harness();
  const source = parseAddress('fe80::2');
  const address = parseAddress('2001:db8:2000::3');
  const say = (homeAgent: boolean, options: readonly NdpOption[], from = source) =>
    harness.hear(
      {
        kind: 'router-advertisement',
        hopLimit: 64,
        managed: false,
        other: false,
        homeAgent,
        preference: 'medium',
        routerLifetime: 1800,
        reachableTime: 0,
        retransTimer: 0,
        options,
      },
      ALL_NODES,
      from,
    );
  const information = { kind: 'home-agent-information', preference: -3, lifetime: 60 } as const;
  const prefix = {
    kind: 'prefix-information',
    prefix: { address, length: 64 },
    onLink: true,
    autonomous: true,
    routerAddress: true,
    validLifetime: 100,
    preferredLifetime: 100,
  } as const;
  const type = 'router-advertisement';
  t.same(say(true, [information, prefix, { ...prefix, routerAddress: false }]), [
    { type, source, homeAgent: true, preference: -3, lifetime: 60, addresses: [address] },
  ]);
  t.match(say(true, []), [{ preference: 0, lifetime: 1800, addresses: [] }], 'defaults');
  t.match(say(true, [{ ...information, lifetime: 0 }]), [{ lifetime: 1800 }], '7.4');
  t.match(say(false, [information]), [{ homeAgent: false, preference: 0 }], '7.4: no H flag');
  t.same(say(true, [information], HOST_A), [], 'RFC 4861 6.1.2: not from a global address');
  t.equal(harness.defender.drops.get('ndp_source'), 1);
  t.end();
});
