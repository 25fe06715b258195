import { spawnSync } from 'node:child_process';
import t from 'tap';
import {
  type Address,
  alignOptions,
  emitIcmpv6,
  type Icmpv6Message,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
} from '../../src/wire/index.js';
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
  LINK_LOCAL,
  MTU,
  received,
  tunnelled,
  udp,
} from './world.js';

const ROUTERS = parseAddress('ff02::2');
const MLD_ROUTERS = parseAddress('ff02::16');

function icmp(
  source: Address,
  destination: Address,
  message: Icmpv6Message,
  more = {},
): Uint8Array {
  const payload = emitIcmpv6(message, { source, destination });
  return ipv6(source, destination, PROTOCOL.icmpv6, payload, more);
}

const ECHO = { identifier: 1, sequence: 2, data: new Uint8Array(8) };
const SOLICITATION: Icmpv6Message = { kind: 'router-solicitation', options: [] };

t.test('what the guest says on its link comes whole, with its Ethernet header', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const target = parseAddress('2001:db8:2000::1');
  const report: Icmpv6Message = { kind: 'unknown', type: 143, code: 0, body: new Uint8Array(4) };
  const behindHopByHop = {
    extensions: [
      { kind: 'hop-by-hop', options: alignOptions([{ kind: 'router-alert', value: 0 }]) },
    ],
  };
  const packets = [
    icmp(LINK_LOCAL, ROUTERS, SOLICITATION),
    icmp(HOME, AGENT, { kind: 'neighbor-solicitation', target, options: [] }),
    icmp(LINK_LOCAL, MLD_ROUTERS, report, behindHopByHop),
    icmp(LINK_LOCAL, parseAddress('fe80::1'), { kind: 'echo-request', ...ECHO }),
    icmp(parseAddress('::'), ROUTERS, SOLICITATION),
  ];
  for (const packet of packets) {
    host.guest.inject(frame(packet));
    const got = await received(host.engine);
    t.match(got, { kind: 'control', port: host.guest.port, originalLength: packet.length + 14 });
    t.equal(got.tunnelSlot, undefined);
    t.same(Buffer.from(got.bytes), Buffer.from(frame(packet)));
  }
  t.same(host.engine.portDrops(host.guest.port), {});
});

t.test('ordinary ICMPv6 of the guest goes through the tunnel', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  host.guest.inject(frame(icmp(HOME, FAR, { kind: 'echo-request', ...ECHO })));
  t.ok(await eventually('outer packet', () => host.network.take()));
});

t.test(
  'a checksum that the kernel left out is there when JavaScript sees the packet',
  async (t) => {
    const host = new Host();
    t.teardown(() => host.engine.close());
    const whole = icmp(LINK_LOCAL, ROUTERS, SOLICITATION);
    const pseudo = { source: LINK_LOCAL, destination: ROUTERS };
    const partial = whole.slice();
    // The pseudo-header's sum: of the sum of all, what the message itself (type 133, zeros) does not add.
    const field =
      ((~((whole[42] ?? 0) * 256 + (whole[43] ?? 0)) & 0xffff) - 0x8500 + 0xffff) % 0xffff;
    partial.set([field >> 8, field & 0xff], 42);
    host.guest.inject(frame(partial), { flags: 1, checksumStart: 54, checksumOffset: 2 });
    const got = await received(host.engine);
    const packet = parsePacket(parseEthernet(got.bytes).payload);
    t.equal(parseIcmpv6(packet.payload, pseudo).kind, 'router-solicitation');
  },
);

t.test('a packet that is too big for the tunnel comes cut off, with the MTU', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const packet = udp(HOME, FAR, 3000);
  host.guest.inject(frame(packet));
  const got = await received(host.engine);
  t.match(got, { kind: 'too-big', port: host.guest.port, tunnelSlot: 1, mtu: MTU });
  t.equal(got.originalLength, packet.length + 14);
  t.same(Buffer.from(got.bytes), Buffer.from(frame(packet).subarray(0, 14 + 1280)));
  t.same(host.engine.portDrops(host.guest.port), { too_big: 1 });

  host.guest.inject(frame(udp(HOME, FAR, MTU - 48)));
  t.ok(await eventually('outer packet', () => host.network.take()), 'the MTU itself fits');
});

t.test('the first frame is told of once, tunnel or not', async (t) => {
  const host = new Host(false);
  t.teardown(() => host.engine.close());
  host.engine.watchFirstFrame(host.guest.port);
  host.guest.inject(frame(udp(HOME, FAR)));
  t.match(await received(host.engine), { kind: 'first-frame', port: host.guest.port });
  host.guest.inject(frame(udp(HOME, FAR)));
  await eventually('drop', () =>
    host.engine.portDrops(host.guest.port).no_tunnel === 2 ? true : undefined,
  );
  t.equal(host.engine.receive(), undefined);
});

t.test('signalling to a local address comes as it is', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const routing = [{ kind: 'routing-type-2', segmentsLeft: 1, homeAddress: HOME }] as const;
  const bytes = new Uint8Array(24);
  const packets: [Uint8Array, number | undefined][] = [
    [ipv6(FAR, CARE_OF, PROTOCOL.mobility, bytes), undefined],
    [ipv6(FAR, CARE_OF, PROTOCOL.esp, bytes), undefined],
    [ipv6(FAR, CARE_OF, PROTOCOL.noNext, bytes), undefined],
    [icmp(FAR, CARE_OF, { kind: 'echo-request', ...ECHO }), undefined],
    [ipv6(AGENT, CARE_OF, PROTOCOL.mobility, bytes, { extensions: routing }), 1],
    [ipv6(AGENT, CARE_OF, PROTOCOL.esp, bytes, { extensions: routing }), 1],
    [ipv6(FAR, CARE_OF, PROTOCOL.mobility, bytes, { extensions: routing }), undefined],
  ];
  for (const [packet, slot] of packets) {
    host.network.inject(packet);
    const got = await received(host.engine);
    t.equal(got.kind, 'control');
    t.equal(got.port, undefined);
    t.equal(got.tunnelSlot, slot);
    t.same(Buffer.from(got.bytes), Buffer.from(packet));
  }
});

t.test("the home agent's echo replies come to us, everyone else's to the guest", async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const reply = icmp(AGENT, HOME, { kind: 'echo-reply', ...ECHO });
  host.network.inject(tunnelled(AGENT, CARE_OF, reply));
  const inside = await received(host.engine);
  t.match(inside, { kind: 'control', tunnelSlot: 1 });
  t.same(Buffer.from(inside.bytes), Buffer.from(reply), 'without its outer header');

  const routed = ipv6(AGENT, CARE_OF, PROTOCOL.icmpv6, reply.subarray(40), {
    extensions: [{ kind: 'routing-type-2', segmentsLeft: 1, homeAddress: HOME }],
  });
  host.network.inject(routed);
  const outside = await received(host.engine);
  t.match(outside, { kind: 'control', tunnelSlot: 1 });
  t.same(Buffer.from(outside.bytes), Buffer.from(routed), 'as received');
  const packet = parsePacket(outside.bytes);
  t.equal(parseIcmpv6(packet.payload, pseudoHeader(packet)).kind, 'echo-reply');

  host.network.inject(tunnelled(AGENT, CARE_OF, icmp(FAR, HOME, { kind: 'echo-reply', ...ECHO })));
  t.ok(await eventually('frame', () => host.guest.take()));
  const large = { ...ECHO, data: new Uint8Array(9280) };
  host.network.inject(
    tunnelled(AGENT, CARE_OF, icmp(AGENT, HOME, { kind: 'echo-reply', ...large })),
  );
  t.ok(await eventually('frame', () => host.guest.take()), 'one that fits no slot is not ours');
});

t.test('what a mobile node sends the home agent itself comes out of the tunnel', async (t) => {
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  const request = icmp(HOME, AGENT, { kind: 'echo-request', ...ECHO });
  agent.network.inject(tunnelled(CARE_OF, AGENT, request));
  const got = await received(agent.engine);
  t.match(got, { kind: 'inner', tunnelSlot: 1 });
  t.same(Buffer.from(got.bytes), Buffer.from(request));
});

t.test('we send frames to the guest and packets to the network', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);
  t.ok(host.engine.transmit(host.guest.port, bytes));
  t.same(Buffer.from(await eventually('frame', () => host.guest.take())), Buffer.from(bytes));
  t.ok(host.engine.transmit('uplink', bytes));
  t.same(Buffer.from(await eventually('packet', () => host.network.take())), Buffer.from(bytes));
  t.equal(host.engine.counters().transmitted, 2);
  t.equal(host.engine.portCounters(host.guest.port).bytesWritten, 100);
});

t.test('a thousand packets of ours arrive in order', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  let sent = 0;
  let got = 0;
  while (got < 1000) {
    while (
      sent < 1000 &&
      sent - got < 200 &&
      host.engine.transmit('uplink', Uint8Array.of(sent >> 8, sent))
    )
      sent++;
    const packet = await eventually('packet', () => host.network.take());
    if (packet[0] !== got >> 8 || packet[1] !== (got & 255)) t.fail(`packet ${got} out of order`);
    got++;
  }
  t.pass('in order');
});

t.test('a flood wakes JavaScript seldom, and what does not fit the ring is counted', async (t) => {
  const host = new Host();
  const { engine, guest } = host;
  t.teardown(() => engine.close());
  let calls = 0;
  engine.onReadable(() => calls++);
  const long = { ...ECHO, data: new Uint8Array(2000) };
  const packet = frame(
    icmp(LINK_LOCAL, parseAddress('fe80::1'), { kind: 'echo-request', ...long }),
  );
  // The ring has 512 KiB, in cells of 64 octets; one of them is the entry's record.
  const share = Math.ceil(2048 / Math.ceil(1 + packet.length / 64));
  for (let sent = 0; sent < 300; sent++) {
    await eventually('room', () => guest.inject(packet) || undefined);
  }
  await eventually(
    'all read',
    () => engine.portCounters(guest.port).framesRead === 300 || undefined,
  );
  t.equal(engine.counters().slowPathPackets, share, 'a port may have a quarter of the ring');
  t.same(engine.portDrops(guest.port), { slow_path_full: 300 - share });
  await eventually('a call', () => (calls > 0 ? true : undefined));
  t.ok(calls < 64, `${calls} calls`);

  const held = engine.receive();
  t.ok(held);
  t.equal(engine.receive(), undefined, 'one at a time');
  held?.release();
  held?.release();
  let rest = 0;
  for (let next = engine.receive(); next; next = engine.receive()) {
    rest++;
    next.release();
  }
  t.equal(rest, share - 1);
  const before = calls;
  guest.inject(packet);
  await eventually('another call', () => (calls > before ? true : undefined));
});

t.test('a flood does not keep the event loop from its turn', async (t) => {
  const host = new Host();
  const { engine } = host;
  t.teardown(() => engine.close());
  const storm = frame(icmp(LINK_LOCAL, ROUTERS, SOLICITATION));
  // A reader that never finds the ring empty: the next packet is there before it looks.
  let got = 0;
  for (; got < 1000; got++) {
    host.guest.inject(storm);
    const end = Date.now() + 5000;
    while (engine.counters().slowPathPackets === got && Date.now() < end);
    const packet = engine.receive();
    if (!packet) break;
    packet.release();
  }
  t.equal(got, 256);
  t.ok(await eventually('the rest', () => engine.receive()));
});

t.test('what is left when receive() pauses is told of again', async (t) => {
  const host = new Host();
  const { engine } = host;
  t.teardown(() => engine.close());
  const storm = frame(icmp(LINK_LOCAL, ROUTERS, SOLICITATION));
  let got = 0;
  engine.onReadable(() => {
    for (let packet = engine.receive(); packet; packet = engine.receive()) {
      got++;
      packet.release();
    }
  });
  let sent = 0;
  for (let round = 0; round < 200; round++) {
    for (let count = 0; count < 60; count++) if (host.guest.inject(storm)) sent++;
    await eventually('all', () =>
      got + (engine.portDrops(host.guest.port).slow_path_full ?? 0) === sent ? true : undefined,
    );
  }
  t.ok(got > 2000, `${got} packets`);
});

t.test('a wake-up that waits while the process ends does no harm', (t) => {
  const script = `
    const { NativeEngine } = require('./build/Release/kagemusha_native.node');
    const engine = new NativeEngine({ workers: 1, maxPorts: 1, maxTunnels: 1 }, () => {});
    const network = engine.openMemoryUplink();
    engine.publish({ tunnels: [], locals: [{ address: '::60', side: 'mobile-node' }] });
    process.on('exit', () => {
      network.inject(Buffer.from('${Buffer.from(ipv6(FAR, parseAddress('::60'), PROTOCOL.noNext, new Uint8Array(1))).toString('hex')}', 'hex'));
      const slowPathPackets = engine.layout().engineCounters / 8 + 3;
      const counters = new BigUint64Array(engine.region());
      while (Atomics.load(counters, slowPathPackets) === 0n);
    });`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.end();
});
