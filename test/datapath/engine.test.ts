import t from 'tap';
import { Engine } from '../../src/datapath/index.js';
import { parseEthernet, parsePacket } from '../../src/wire/index.js';
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
  ROUTER_MAC,
  tcp,
  tcpTrain,
  tunnelled,
  udp,
} from './world.js';

const PROTOCOL_IPV6 = 41;

t.test(
  'the mobile node puts an outer header before what its guest sends (RFC 2473 6)',
  async (t) => {
    const host = new Host();
    t.teardown(() => host.engine.close());
    const inner = udp(HOME, FAR);
    host.guest.inject(frame(inner));
    const outer = parsePacket(await eventually('outer packet', () => host.network.take()));
    t.match(outer, { source: CARE_OF, destination: AGENT, protocol: PROTOCOL_IPV6, hopLimit: 64 });
    t.same(Buffer.from(outer.payload), Buffer.from(inner), 'the inner hop limit is not touched');
    t.match(host.engine.tunnelCounters(1), {
      toHome: { packets: 1, bytes: inner.length },
      toGuest: { packets: 0, bytes: 0 },
      drops: {},
    });
  },
);

t.test('the guest gets what comes out of the tunnel in a frame of its own', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const inner = udp(FAR, HOME);
  host.network.inject(tunnelled(AGENT, CARE_OF, inner));
  const got = parseEthernet(await eventually('frame', () => host.guest.take()));
  t.match(got, { destination: GUEST_MAC, source: ROUTER_MAC, etherType: 0x86dd });
  t.same(Buffer.from(got.payload), Buffer.from(inner));
  t.match(host.engine.tunnelCounters(1).toGuest, { packets: 1, bytes: inner.length });
});

t.test('a type 2 routing header from the home agent is taken off (RFC 6275 6.4)', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const plain = udp(AGENT, HOME);
  const routed = ipv6(AGENT, CARE_OF, 17, plain.subarray(40), {
    extensions: [{ kind: 'routing-type-2', segmentsLeft: 1, homeAddress: HOME }],
  });
  host.network.inject(routed);
  const got = parseEthernet(await eventually('frame', () => host.guest.take()));
  t.same(Buffer.from(got.payload), Buffer.from(plain));
});

t.test("the guest's MAC is learnt from what it sends", async (t) => {
  const engine = new Engine();
  t.teardown(() => engine.close());
  const guest = engine.openMemoryPort({ localMac: ROUTER_MAC });
  const network = engine.openMemoryUplink();
  const tunnel = { slot: 0, side: 'mobile-node', local: CARE_OF, remote: AGENT, mtu: MTU } as const;
  engine.publish({
    tunnels: [{ ...tunnel, homeAddresses: [HOME], port: guest.port }],
    locals: [{ address: CARE_OF, side: 'mobile-node' }],
  });
  guest.inject(frame(udp(HOME, FAR)));
  await eventually('outer packet', () => network.take());
  network.inject(tunnelled(AGENT, CARE_OF, udp(FAR, HOME)));
  const got = parseEthernet(await eventually('frame', () => guest.take()));
  t.equal(got.destination, GUEST_MAC);
});

t.test('the home agent opens what its mobile node sends and gives it to the kernel', async (t) => {
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  const inner = udp(HOME, FAR);
  agent.network.inject(tunnelled(CARE_OF, AGENT, inner));
  const got = await eventually('inner packet', () => agent.network.take());
  t.same(Buffer.from(got), Buffer.from(inner), 'its hop limit is for the kernel to count down');
  t.match(agent.engine.tunnelCounters(1).toHome, { packets: 1, bytes: inner.length });
});

t.test('the home agent tunnels what the kernel routes to a home address', async (t) => {
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  const inner = udp(FAR, HOME);
  agent.network.inject(inner);
  const outer = parsePacket(await eventually('outer packet', () => agent.network.take()));
  t.match(outer, { source: AGENT, destination: CARE_OF, protocol: PROTOCOL_IPV6 });
  t.same(Buffer.from(outer.payload), Buffer.from(inner));
  t.match(agent.engine.tunnelCounters(1).toGuest, { packets: 1, bytes: inner.length });
});

t.test('the home agent is the router between two mobile nodes', async (t) => {
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  const inner = udp(HOME, OTHER_HOME);
  agent.network.inject(tunnelled(CARE_OF, AGENT, inner));
  const outer = parsePacket(await eventually('outer packet', () => agent.network.take()));
  t.match(outer, { source: AGENT, destination: OTHER_CARE_OF });
  t.equal(parsePacket(outer.payload).hopLimit, 63);
  t.equal(agent.engine.tunnelCounters(1).toHome.packets, 1);
  t.equal(agent.engine.tunnelCounters(2).toGuest.packets, 1);
});

t.test('a train goes through host and home agent and comes out as it went in', async (t) => {
  const host = new Host();
  const agent = new Agent();
  t.teardown(() => {
    host.engine.close();
    agent.engine.close();
  });
  const data = Uint8Array.from({ length: 20_000 }, (_, index) => index * 7);
  host.guest.inject(frame(tcp(HOME, FAR, 1000, data, true)), tcpTrain(14 + 40, 1428));
  const segments = Math.ceil(data.length / (MTU - 60));
  for (let count = 0; count < segments; count++) {
    const packet = await eventually('segment', () => host.network.takeWithOffload());
    t.ok(packet.bytes.length <= 1500, 'fits the wire');
    t.match(packet.offload, { flags: 1, gsoType: 0, checksumStart: 80, checksumOffset: 16 });
    agent.network.inject(packet.bytes, packet.offload);
  }
  t.match(host.engine.tunnelCounters(1).toHome, {
    packets: segments,
    bytes: data.length + 60 * segments,
  });

  // How many segments make one train depends on how many were there at once.
  let together = new Uint8Array();
  while (together.length < data.length) {
    const train = await eventually('train', () => agent.network.takeWithOffload());
    const inner = parsePacket(train.bytes);
    t.match(inner, { source: HOME, destination: FAR });
    together = new Uint8Array([...together, ...inner.payload.subarray(20)]);
  }
  t.same(Buffer.from(together), Buffer.from(data));
  t.match(agent.engine.tunnelCounters(1).toHome, {
    packets: segments,
    bytes: data.length + 60 * segments,
  });
});

t.test('a train that the kernel gives the home agent is cut to the tunnel', async (t) => {
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  const data = new Uint8Array(5000).fill(1);
  agent.network.inject(tcp(FAR, HOME, 1, data, true), tcpTrain(40, 1440));
  let got = 0;
  while (got < data.length) {
    const outer = parsePacket(await eventually('segment', () => agent.network.take()));
    t.match(outer, { source: AGENT, destination: CARE_OF });
    t.ok(outer.payload.length <= MTU);
    got += outer.payload.length - 60;
  }
  t.equal(got, data.length);
});

t.test('a whole table replaces the other while packets flow', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const seen = new Set<string>();
  let lost = 0;
  let sent = 0;
  for (let round = 0; round < 300; round++) {
    for (let count = 0; count < 20; count++) if (host.guest.inject(frame(udp(HOME, FAR)))) sent++;
    host.bind(round % 2 ? CARE_OF : OTHER_CARE_OF);
    for (let packet = host.network.take(); packet; packet = host.network.take()) {
      seen.add(parsePacket(packet).source);
    }
  }
  await eventually('the rest', () => {
    while (host.network.take());
    const { packets } = host.engine.tunnelCounters(1).toHome;
    lost = host.engine.portDrops(host.guest.port).uplink_full ?? 0;
    return packets + lost === sent ? true : undefined;
  });
  t.same([...seen].sort(), [CARE_OF, OTHER_CARE_OF].sort());
  t.same(
    Object.keys(host.engine.portDrops(host.guest.port)).filter(
      (reason) => reason !== 'uplink_full',
    ),
    [],
  );
});

t.test('ports come and go while others work, over several workers', async (t) => {
  const engine = new Engine({ workers: 3, maxPorts: 4 });
  t.teardown(() => engine.close());
  const network = engine.openMemoryUplink();
  for (let round = 0; round < 50; round++) {
    const ports = [0, 1, 2, 3].map(() => engine.openMemoryPort({ localMac: ROUTER_MAC }));
    t.throws(() => engine.openMemoryPort({ localMac: ROUTER_MAC }), { code: 'TOO_MANY_PORTS' });
    const port = ports[round % 4];
    if (!port) throw new Error('no port');
    const tunnel = {
      slot: 0,
      side: 'mobile-node',
      local: CARE_OF,
      remote: AGENT,
      mtu: MTU,
    } as const;
    engine.publish({
      tunnels: [{ ...tunnel, homeAddresses: [HOME], port: port.port }],
      locals: [],
    });
    port.inject(frame(udp(HOME, FAR)));
    await eventually('outer packet', () => network.take());
    t.equal(
      engine.portCounters(port.port).framesRead,
      1,
      'the number was used before, its counters begin anew',
    );
    for (const each of ports) engine.closePort(each.port);
  }
});

t.test('what the control side gets wrong is refused, and the table stays', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const tunnel = { slot: 0, side: 'mobile-node', local: CARE_OF, remote: AGENT, mtu: MTU } as const;
  const both = [
    { ...tunnel, homeAddresses: [HOME] },
    { ...tunnel, slot: 1, local: OTHER_CARE_OF, homeAddresses: [HOME] },
  ];
  t.throws(() => host.engine.publish({ tunnels: both, locals: [] }), { code: 'TABLE_INVALID' });
  t.throws(
    () => host.engine.publish({ tunnels: [{ ...tunnel, homeAddresses: [], port: 7 }], locals: [] }),
    {
      code: 'NO_PORT',
    },
  );
  t.throws(() => host.engine.closePort(5), { code: 'NO_PORT' });
  t.throws(() => host.engine.openMemoryUplink(), { code: 'UPLINK_OPEN' });
  t.throws(() => new Engine({ workers: 0 }), { code: 'ENGINE_OPTIONS' });
  t.throws(() => host.engine.portCounters(99), RangeError);
  host.guest.inject(frame(udp(HOME, FAR)));
  t.ok(await eventually('outer packet', () => host.network.take()));
});

t.test('a closed engine keeps its counters and does nothing else', async (t) => {
  const host = new Host();
  host.guest.inject(frame(udp(HOME, FAR)));
  await eventually('outer packet', () => host.network.take());
  host.engine.close();
  host.engine.close();
  t.equal(host.engine.tunnelCounters(1).toHome.packets, 1);
  t.throws(() => host.engine.openMemoryPort({ localMac: ROUTER_MAC }), { code: 'ENGINE_CLOSED' });
});

t.test('an idle engine sleeps', async (t) => {
  const engine = new Engine({ workers: 2 });
  t.teardown(() => engine.close());
  engine.openMemoryPort({ localMac: ROUTER_MAC });
  engine.openMemoryUplink();
  const before = engine.counters().wakeups;
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal(engine.counters().wakeups, before);
});

t.test('the number of a closed port is used again as late as can be', (t) => {
  const engine = new Engine({ maxPorts: 3 });
  t.teardown(() => engine.close());
  const open = () => engine.openMemoryPort({ localMac: ROUTER_MAC }).port;
  const first = open();
  open();
  engine.closePort(first);
  const third = open();
  t.not(third, first, 'packets for the first one may still wait in a ring');
  t.equal(open(), first, 'when there is no other');
  t.end();
});
