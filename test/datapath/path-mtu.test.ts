import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Engine, type MemoryUplink, type TunnelSpec } from '../../src/datapath/index.js';
import { type Address, emitIcmpv6, PROTOCOL } from '../../src/wire/index.js';
import { complaints, scapy, tshark } from '../support/judges.js';
import { LINKTYPE } from '../support/pcap.js';
import {
  AGENT,
  Agent,
  CARE_OF,
  eventually,
  FAR,
  frame,
  HOME,
  Host,
  ipv6,
  OTHER_CARE_OF,
  OTHER_HOME,
  received,
  tcp,
  tcpTrain,
  tunnelled,
  udp,
} from './world.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
/** UDP data such that the inner packet has `length` octets. */
const ofLength = (source: Address, destination: Address, length: number) =>
  udp(source, destination, length - 48);

/** A host whose tunnel's path takes `pathMtu`. */
function hostOver(pathMtu: number, more: Partial<TunnelSpec> = {}): Host {
  const host = new Host();
  const tunnel: TunnelSpec = {
    slot: 1,
    side: 'mobile-node',
    local: CARE_OF,
    remote: AGENT,
    homeAddresses: [HOME],
    port: host.guest.port,
    mtu: Math.max(1280, pathMtu - 40),
    pathMtu,
    ...more,
  };
  host.engine.publish({
    tunnels: [tunnel],
    locals: [{ address: CARE_OF, side: 'mobile-node' }],
  });
  return host;
}

/** A home agent whose paths to both mobile nodes take `pathMtu`. */
function agentOver(pathMtu: number, more: Partial<TunnelSpec> = {}): Agent {
  const agent = new Agent();
  const tunnel = {
    side: 'home-agent',
    local: AGENT,
    mtu: Math.max(1280, pathMtu - 40),
    pathMtu,
    ...more,
  } as const;
  agent.engine.publish({
    tunnels: [
      { ...tunnel, slot: 1, remote: CARE_OF, homeAddresses: [HOME] },
      { ...tunnel, slot: 2, remote: OTHER_CARE_OF, homeAddresses: [OTHER_HOME] },
    ],
    locals: [{ address: AGENT, side: 'home-agent' }],
  });
  return agent;
}

/** What becomes of one packet on the uplink: `sent` is true when the engine has done with it. */
async function written(network: MemoryUplink, sent: () => boolean): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  await eventually('the packet to be sent', () => sent() || undefined);
  for (let packet = network.take(); packet; packet = network.take()) packets.push(packet);
  return packets;
}

interface Judgement {
  whole: string[];
  syns: { toHome: boolean; before: string; after: string }[];
}
const judge = (question: { mss: number; fragments: string[][] }) =>
  scapy(fileURLToPath(new URL('scapy-path-mtu.py', import.meta.url)), question) as Judgement;

t.test('RFC 2473 7.1: scapy and tshark put together what the tunnel has fragmented', async (t) => {
  const inner: Uint8Array[] = [];
  const cut: Uint8Array[][] = [];
  for (const pathMtu of [1280, 1281, 1300, 1319]) {
    const host = hostOver(pathMtu);
    t.teardown(() => host.engine.close());
    let carried = 0;
    for (const length of [1241, 1247, 1248, 1260, 1279, 1280].filter((l) => l > pathMtu - 40)) {
      const packet = ofLength(HOME, FAR, length);
      host.guest.inject(frame(packet));
      carried++;
      const packets = await written(
        host.network,
        () => host.engine.tunnelCounters(1).toHome.packets === carried,
      );
      t.equal(packets.length, 2);
      t.ok(packets.every((part) => part.length <= pathMtu));
      inner.push(packet);
      cut.push(packets);
    }
    t.equal(host.engine.tunnelCounters(1).fragmentsSent, 2 * carried);
    t.same(host.engine.portDrops(host.guest.port), {});
  }

  const labels = new Engine();
  t.teardown(() => labels.close());
  const { whole } = judge({ mss: 1220, fragments: cut.map((parts) => parts.map(hex)) });
  t.same(
    whole,
    inner.map((packet) => hex(tunnelled(CARE_OF, AGENT, packet, labels.flowLabel(packet)))),
  );

  const seen = tshark(LINKTYPE.raw, cut.flat());
  for (const [index, packet] of inner.entries()) {
    const [first, second] = [seen[2 * index], seen[2 * index + 1]];
    if (!first || !second) throw new Error('tshark saw fewer packets');
    t.match(first.get('ipv6.fraghdr.more'), [/^(1|True)$/]);
    t.match(second.get('ipv6.fraghdr.more'), [/^(0|False)$/]);
    t.same(second.get('ipv6.reassembled.length'), [`${packet.length}`]);
    t.same(second.get('udp.length'), [`${packet.length - 40}`]);
    t.same(complaints(second), []);
  }
  const identifications = new Set(seen.flatMap((one) => one.get('ipv6.fraghdr.ident') ?? []));
  t.equal(identifications.size, inner.length, 'RFC 8200 4.5: another one for each packet');
});

t.test('RFC 6691 2: a clamped SYN is the one that scapy builds', async (t) => {
  const { syns } = judge({ mss: 1340, fragments: [] });
  t.equal(syns.length, 48);
  const host = hostOver(1440, { mssClamp: true });
  const agent = agentOver(1440, { mssClamp: true });
  t.teardown(() => host.engine.close());
  t.teardown(() => agent.engine.close());
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
  for (const { toHome, before, after } of syns) {
    if (toHome) {
      host.guest.inject(frame(bytes(before)));
      const sent = await eventually('outer packet', () => host.network.take());
      const label = host.engine.flowLabel(bytes(after));
      t.equal(hex(sent), hex(tunnelled(CARE_OF, AGENT, bytes(after), label)));
      agent.network.inject(tunnelled(CARE_OF, AGENT, bytes(before)));
      t.equal(hex(await eventually('packet', () => agent.network.take())), after);
    } else {
      host.network.inject(tunnelled(AGENT, CARE_OF, bytes(before)));
      const got = await eventually('frame', () => host.guest.take());
      t.equal(hex(got.subarray(14)), after);
      agent.network.inject(bytes(before));
      const sent = await eventually('outer packet', () => agent.network.take());
      const label = agent.engine.flowLabel(bytes(after));
      t.equal(hex(sent), hex(tunnelled(AGENT, CARE_OF, bytes(after), label)));
    }
  }
  t.equal(host.engine.tunnelCounters(1).mssClamped, 48);
  t.equal(agent.engine.tunnelCounters(1).mssClamped, 48);
});

t.test('RFC 8201 4: a train is cut to the path, not fragmented', async (t) => {
  const host = hostOver(1280);
  t.teardown(() => host.engine.close());
  host.guest.inject(frame(tcp(HOME, FAR, 1, new Uint8Array(4000), true)), tcpTrain(54, 1440));
  const packets = await written(
    host.network,
    () => host.engine.tunnelCounters(1).toHome.packets === 4,
  );
  t.same(
    packets.map((packet) => packet.length),
    [1280, 1280, 1280, 40 + 60 + 4000 - 3 * 1180],
  );
  t.equal(host.engine.tunnelCounters(1).fragmentsSent, 0);
});

t.test('RFC 8200 5: a path MTU below 1280 is refused', (t) => {
  t.throws(() => hostOver(1279), { code: 'TABLE_INVALID' });
  t.end();
});

t.test('RFC 4443 3.2: the home agent hears of what is too big, with the tunnel', async (t) => {
  const agent = agentOver(1400);
  t.teardown(() => agent.engine.close());
  const down = ofLength(FAR, HOME, 3000);
  agent.network.inject(down);
  const got = await received(agent.engine);
  t.match(got, { kind: 'too-big', tunnelSlot: 1, mtu: 1360, originalLength: 3000 });
  t.equal(got.port, undefined);
  t.equal(hex(got.bytes), hex(down.subarray(0, 1280)));

  const between = ofLength(HOME, OTHER_HOME, 1361);
  agent.network.inject(tunnelled(CARE_OF, AGENT, between));
  const other = await received(agent.engine);
  t.match(other, { kind: 'too-big', tunnelSlot: 2, mtu: 1360, originalLength: 1361 });
  t.equal(hex(other.bytes), hex(between.subarray(0, 1280)));
});

t.test('RFC 4443 3.3: the home agent hears of a hop limit that ran out', async (t) => {
  const agent = agentOver(1400);
  t.teardown(() => agent.engine.close());
  const dying = ofLength(HOME, OTHER_HOME, 100);
  dying[7] = 1;
  agent.network.inject(tunnelled(CARE_OF, AGENT, dying));
  const got = await received(agent.engine);
  t.match(got, { kind: 'hop-limit', tunnelSlot: 1 });
  t.equal(hex(got.bytes), hex(dying));
  t.same(agent.engine.tunnelCounters(1).drops, { hop_limit: 1 });
});

function probe(source: Address, destination: Address, length: number, text = 'kagemush') {
  const data = new Uint8Array(length - 48);
  data.set(Buffer.from(text));
  const echo = { kind: 'echo-request', identifier: 1, sequence: 2, data } as const;
  const message = emitIcmpv6(echo, { source, destination });
  return ipv6(source, destination, PROTOCOL.icmpv6, message);
}

t.test("the other end's probes of the path come to us, as long as a jumbo frame", async (t) => {
  const host = hostOver(9000);
  t.teardown(() => host.engine.close());
  for (const length of [56, 1240, 8960]) {
    const request = probe(AGENT, HOME, length);
    host.network.inject(tunnelled(AGENT, CARE_OF, request));
    const got = await received(host.engine);
    t.match(got, { kind: 'inner', tunnelSlot: 1 });
    t.equal(hex(got.bytes), hex(request));
  }
  for (const request of [probe(AGENT, HOME, 100, 'another!'), probe(FAR, HOME, 100)]) {
    host.network.inject(tunnelled(AGENT, CARE_OF, request));
    const got = await eventually('frame', () => host.guest.take());
    t.equal(hex(got.subarray(14)), hex(request), 'any other echo request is the guest’s');
  }
  t.equal(host.engine.receive(), undefined);
});

t.test('we send probes as long as a jumbo frame', async (t) => {
  const host = hostOver(9000);
  t.teardown(() => host.engine.close());
  const outer = tunnelled(CARE_OF, AGENT, probe(HOME, AGENT, 8960));
  t.ok(host.engine.transmit('uplink', outer));
  t.equal(hex(await eventually('packet', () => host.network.take())), hex(outer));
});

t.test("a flood of what is too big leaves the home agent's signaling its room", async (t) => {
  const agent = agentOver(1400);
  const { engine, network }: { engine: Engine; network: MemoryUplink } = agent;
  t.teardown(() => engine.close());
  const flood = [ofLength(FAR, HOME, 1361), ofLength(FAR, OTHER_HOME, 1361)];
  for (let count = 0; count < 1000; count++) {
    for (const packet of flood) await eventually('room', () => network.inject(packet) || undefined);
  }
  const dropped = (slot: number) => engine.tunnelCounters(slot).drops.too_big ?? 0;
  await eventually('all read', () => dropped(1) + dropped(2) === 2000 || undefined);
  // Nobody has read the ring meanwhile.
  t.ok((engine.counters().slowPathPackets ?? 0) < 100);
  network.inject(ipv6(FAR, AGENT, PROTOCOL.mobility, new Uint8Array(16)));
  const kinds = new Set<string>();
  await eventually('signaling', () => {
    const packet = engine.receive();
    if (packet) kinds.add(packet.kind);
    packet?.release();
    return packet?.kind === 'control' || undefined;
  });
  t.same([...kinds], ['too-big', 'control']);
});
