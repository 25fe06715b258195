import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Engine, type TunnelSpec } from '../../src/datapath/index.js';
import { type Address, PROTOCOL, parseEthernet, parsePacket } from '../../src/wire/index.js';
import { complaints, scapy, tshark } from '../support/judges.js';
import { LINKTYPE } from '../support/pcap.js';
import {
  AGENT,
  Agent,
  CARE_OF,
  eventually,
  FAR,
  frame,
  GUEST_MAC,
  HOME,
  Host,
  ipv6,
  MTU,
  OTHER_CARE_OF,
  OTHER_HOME,
  received,
  tcp,
  tcpTrain,
  tunnelled,
  udp,
} from './world.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

type Header = Pick<TunnelSpec, 'hopLimit' | 'dscp' | 'encapsulationLimit'>;

function hostWith(header: Header, mtu = MTU): Host {
  const host = new Host();
  const tunnel = { slot: 1, side: 'mobile-node', local: CARE_OF, remote: AGENT, mtu } as const;
  host.engine.publish({
    tunnels: [{ ...tunnel, homeAddresses: [HOME], port: host.guest.port, ...header }],
    locals: [{ address: CARE_OF, side: 'mobile-node' }],
  });
  host.engine.setPeerMac(host.guest.port, GUEST_MAC);
  return host;
}

/** @param careOf of the two home addresses */
function agentWith(
  header: Header,
  careOf: readonly [Address, Address] = [CARE_OF, OTHER_CARE_OF],
): Agent {
  const agent = new Agent();
  const tunnel = { side: 'home-agent', local: AGENT, mtu: MTU, ...header } as const;
  agent.engine.publish({
    tunnels: [
      { ...tunnel, slot: 1, remote: careOf[0], homeAddresses: [HOME] },
      { ...tunnel, slot: 2, remote: careOf[1], homeAddresses: [OTHER_HOME] },
    ],
    locals: [{ address: AGENT, side: 'home-agent' }],
  });
  return agent;
}

/** A packet whose traffic class is this. */
function marked(packet: Uint8Array, trafficClass: number): Uint8Array {
  const copy = packet.slice();
  copy[0] = 0x60 | (trafficClass >> 4);
  copy[1] = (trafficClass << 4) & 0xff;
  return copy;
}

/** A tunnel packet that may enter `limit` further tunnels (RFC 2473 4.1.1), with a UDP packet in it. */
function limited(source: Address, destination: Address, limit: number, size = 32): Uint8Array {
  const options = Uint8Array.of(PROTOCOL.ipv6, 0, 4, 1, limit, 1, 1, 0);
  const payload = Uint8Array.of(...options, ...udp(FAR, FAR, size));
  return ipv6(source, destination, PROTOCOL.destination, payload);
}

t.test('RFC 2473 4.1.1, 6; RFC 6438 3: scapy builds the same outer headers', async (t) => {
  const inner = marked(udp(HOME, FAR), 0x2a);
  const cases: [header: Header, inner: Uint8Array, expected: object][] = [
    [{}, inner, { trafficClass: 0x2a, hopLimit: 64 }],
    [{ hopLimit: 1 }, inner, { trafficClass: 0x2a, hopLimit: 1 }],
    [{ hopLimit: 255, dscp: 46 }, inner, { trafficClass: 0xba, hopLimit: 255 }],
    [{ dscp: 0 }, inner, { trafficClass: 0x02, hopLimit: 64 }],
    [{ encapsulationLimit: 4 }, inner, { trafficClass: 0x2a, hopLimit: 64, limit: 4 }],
    [{ encapsulationLimit: 0 }, inner, { trafficClass: 0x2a, hopLimit: 64, limit: 0 }],
    [
      { encapsulationLimit: 255, dscp: 63 },
      inner,
      { trafficClass: 0xfe, hopLimit: 64, limit: 255 },
    ],
    [{}, limited(HOME, FAR, 3), { trafficClass: 0, hopLimit: 64, limit: 2 }],
    [{ encapsulationLimit: 9 }, limited(HOME, FAR, 1), { trafficClass: 0, hopLimit: 64, limit: 0 }],
  ];
  const sent: Uint8Array[] = [];
  const questions: object[] = [];
  for (const [header, packet, expected] of cases) {
    const host = hostWith(header);
    t.teardown(() => host.engine.close());
    host.guest.inject(frame(packet));
    sent.push(await eventually('outer packet', () => host.network.take()));
    const flowLabel = host.engine.flowLabel(packet);
    const ends = { source: CARE_OF, destination: AGENT };
    questions.push({ inner: hex(packet), ...ends, flowLabel, ...expected });
  }
  const script = fileURLToPath(new URL('scapy-outer.py', import.meta.url));
  t.same(sent.map(hex), scapy(script, questions));

  for (const [index, seen] of tshark(LINKTYPE.raw, sent).entries()) {
    t.same(complaints(seen), []);
    const { limit, flowLabel } = questions[index] as { limit?: number; flowLabel: number };
    t.equal(Number(seen.get('ipv6.flow')?.[0]), flowLabel);
    const limits = (seen.get('ipv6.opt.tel') ?? []).map(Number);
    t.equal(limits[0], limit, 'Tunnel Encapsulation Limit');
  }
});

t.test('RFC 6438 3: one flow, one label, as packets and as a train, at both ends', async (t) => {
  const host = hostWith({});
  const agent = agentWith({});
  t.teardown(() => {
    host.engine.close();
    agent.engine.close();
  });
  const labelOf = async (network: Host['network']) =>
    parsePacket(await eventually('outer packet', () => network.take())).flowLabel;
  const whole = tcp(HOME, FAR, 1, new Uint8Array(100));
  const label = host.engine.flowLabel(whole);
  t.ok(label > 0 && label < 2 ** 20);
  host.guest.inject(frame(whole));
  t.equal(await labelOf(host.network), label);
  host.guest.inject(frame(tcp(HOME, FAR, 101, new Uint8Array(4000), true)), tcpTrain(54, 1400));
  for (let part = 0; part < 3; part++) t.equal(await labelOf(host.network), label);
  t.equal(host.engine.flowLabel(whole.subarray(0, 44)), label, 'an error may quote no more');
  t.not(host.engine.flowLabel(tcp(FAR, HOME, 1, new Uint8Array(100))), label);

  const down = tcp(FAR, HOME, 1, new Uint8Array(100));
  agent.network.inject(down);
  t.equal(await labelOf(agent.network), agent.engine.flowLabel(down));
  const between = tcp(HOME, OTHER_HOME, 1, new Uint8Array(100));
  agent.network.inject(tunnelled(CARE_OF, AGENT, between));
  t.equal(await labelOf(agent.network), agent.engine.flowLabel(between));
  t.ok(agent.engine.flowLabel(new Uint8Array()) > 0, 'what is no packet has no label to guess');
});

t.test('RFC 2473 4.1.1: a limit of 0 comes to the slow path, and where it stands', async (t) => {
  const host = hostWith({ encapsulationLimit: 4 });
  const agent = agentWith({});
  t.teardown(() => {
    host.engine.close();
    agent.engine.close();
  });
  const { port } = host.guest;
  const up = frame(limited(HOME, FAR, 0, 1300));
  host.guest.inject(up);
  const got = await received(host.engine);
  t.match(got, { kind: 'encapsulation-limit', port, tunnelSlot: 1, mtu: 44 });
  t.equal(hex(got.bytes), hex(up.subarray(0, 14 + 1280)));
  t.same(host.engine.portDrops(port), { encapsulation_limit: 1 });
  t.equal(host.network.take(), undefined);

  const down = limited(FAR, HOME, 0);
  agent.network.inject(down);
  const other = await received(agent.engine);
  t.match(other, { kind: 'encapsulation-limit', tunnelSlot: 1, mtu: 44 });
  t.equal(other.port, undefined);
  t.equal(hex(other.bytes), hex(down));
  t.same(agent.engine.tunnelCounters(1).drops, { encapsulation_limit: 1 });

  const between = limited(HOME, OTHER_HOME, 0);
  agent.network.inject(tunnelled(CARE_OF, AGENT, between));
  const third = await received(agent.engine);
  t.match(third, { kind: 'encapsulation-limit', tunnelSlot: 2, mtu: 44 });
  t.equal(hex(third.bytes), hex(between));
  t.equal(agent.network.take(), undefined);
});

t.test(
  'RFC 6040 4.2: congestion on the way reaches the guest, or is a drop; alarms are counted',
  async (t) => {
    const host = hostWith({});
    t.teardown(() => host.engine.close());
    /** Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3; the DSCP outside is another one. */
    const arriving = (inside: number, outside: number) =>
      marked(tunnelled(AGENT, CARE_OF, marked(udp(FAR, HOME), 0x28 | inside)), 0x10 | outside);
    const delivered = async () =>
      parsePacket(parseEthernet(await eventually('frame', () => host.guest.take())).payload)
        .trafficClass;
    const counters = () => host.engine.tunnelCounters(1);

    host.network.inject(arriving(2, 3));
    t.equal(await delivered(), 0x2b, 'CE');
    host.network.inject(arriving(2, 1));
    t.equal(await delivered(), 0x29, 'ECT(1)');
    t.match(counters(), { ecnAlarms: 0, drops: {} });
    host.network.inject(arriving(3, 1));
    t.equal(await delivered(), 0x2b, 'CE (!!!)');
    host.network.inject(arriving(1, 2));
    t.equal(await delivered(), 0x29, 'ECT(1) (!)');
    t.equal(counters().ecnAlarms, 2);
    host.network.inject(arriving(0, 3));
    await eventually('drop', () => counters().drops.ecn_congestion);
    t.same(counters().drops, { ecn_congestion: 1 });
    t.equal(counters().ecnAlarms, 3);
    t.equal(host.guest.take(), undefined);
  },
);

t.test('RFC 2473 4.1.2: two nodes that name each other make no loop', async (t) => {
  const agent = agentWith({}, [OTHER_HOME, HOME]);
  t.teardown(() => agent.engine.close());
  agent.network.inject(udp(FAR, HOME));
  const outer = await eventually('outer packet', () => agent.network.take());
  t.match(parsePacket(outer), { source: AGENT, destination: OTHER_HOME });
  // As the kernel routes it.
  agent.network.inject(outer);
  const drops = () => agent.engine.tunnelCounters(2).drops;
  await eventually('drop', () => drops().recursive_encapsulation);
  t.same(drops(), { recursive_encapsulation: 1 });
  t.equal(agent.network.take(), undefined);
});

t.test('headers that cannot be are refused', (t) => {
  const refuses = (header: Header) => t.throws(() => hostWith(header), { code: 'TABLE_INVALID' });
  refuses({ hopLimit: 0 });
  refuses({ dscp: 64 });
  t.throws(() => hostWith({ hopLimit: 256 }), /hopLimit must be a whole number from 0 to 255/);
  t.throws(() => hostWith({ encapsulationLimit: -1 }), /encapsulationLimit must be/);
  t.end();
});

t.test('the key of the labels is the process’s', (t) => {
  const [one, other] = [new Engine(), new Engine()];
  t.teardown(() => {
    one.close();
    other.close();
  });
  t.equal(one.flowLabel(udp(HOME, FAR)), other.flowLabel(udp(HOME, FAR)));
  t.end();
});
