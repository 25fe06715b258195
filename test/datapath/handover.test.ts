import t from 'tap';
import { Engine } from '../../src/datapath/index.js';
import { parseEthernet, parsePacket } from '../../src/wire/index.js';
import {
  AGENT,
  CARE_OF,
  eventually,
  FAR,
  frame,
  GUEST_MAC,
  HOME,
  Host,
  MTU,
  OTHER_CARE_OF,
  ROUTER_MAC,
  received,
  tcp,
  tcpTrain,
  tunnelled,
  udp,
} from './world.js';

const TUNNEL = { homeAddresses: [HOME], mtu: MTU } as const;
const PLACE = {
  ...TUNNEL,
  slot: 2,
  side: 'home-agent',
  local: CARE_OF,
  remote: OTHER_CARE_OF,
} as const;

/** The host that the guest left: what still comes from the home agent goes to where the guest is now. */
function oldHost(known = true) {
  const host = new Host(false);
  host.engine.publish({
    tunnels: [
      {
        ...TUNNEL,
        slot: 1,
        side: 'mobile-node',
        local: CARE_OF,
        remote: AGENT,
        port: host.guest.port,
        onward: true,
      },
      ...(known ? [PLACE] : []),
    ],
    locals: [{ address: CARE_OF, side: 'mobile-node' }],
  });
  host.engine.setPeerMac(host.guest.port, GUEST_MAC);
  return host;
}

/** The host that the guest came to: registered with its home agent, and open to the old host. */
function newHost() {
  const host = new Host(false);
  const tunnel = {
    ...TUNNEL,
    side: 'mobile-node',
    local: OTHER_CARE_OF,
    port: host.guest.port,
  } as const;
  host.engine.publish({
    tunnels: [
      { ...tunnel, slot: 1, remote: AGENT },
      { ...tunnel, slot: 2, remote: CARE_OF, inbound: true },
    ],
    locals: [{ address: OTHER_CARE_OF, side: 'mobile-node' }],
  });
  host.engine.setPeerMac(host.guest.port, GUEST_MAC);
  return host;
}

t.test('stragglers go after the guest, from engine to engine', async (t) => {
  const [before, after] = [oldHost(), newHost()];
  t.teardown(() => {
    for (const { engine } of [before, after]) engine.close();
  });
  const packet = udp(FAR, HOME);
  before.network.inject(tunnelled(AGENT, CARE_OF, packet));
  const outer = await eventually('outer packet', () => before.network.take());
  t.match(parsePacket(outer), { source: CARE_OF, destination: OTHER_CARE_OF });
  after.network.inject(outer);
  const got = parseEthernet(await eventually('frame', () => after.guest.take()));
  const hopped = packet.slice();
  hopped.set([63], 7);
  t.same(Buffer.from(got.payload), Buffer.from(hopped));
  for (const { engine } of [before, after]) {
    const traffic = await eventually('traffic', () => {
      const { toGuest } = engine.tunnelCounters(2);
      return toGuest.bytes > 0 ? toGuest : undefined;
    });
    t.match(traffic, { packets: 1, bytes: packet.length });
  }
  t.equal(before.guest.take(), undefined);

  const data = Uint8Array.from({ length: 5000 }, (_, index) => index);
  const train = tunnelled(AGENT, CARE_OF, tcp(FAR, HOME, 1, data, true));
  before.network.inject(train, tcpTrain(80, 1400));
  const carried: Uint8Array[] = [];
  for (let length = 0; length < data.length; ) {
    const { bytes, offload } = await eventually('segment', () => before.network.takeWithOffload());
    after.network.inject(bytes, offload);
    length += bytes.length - 100;
  }
  while (Buffer.concat(carried).length < data.length) {
    carried.push((await eventually('frame', () => after.guest.take())).subarray(74));
  }
  t.same(Buffer.concat(carried), Buffer.from(data));

  after.guest.inject(frame(udp(HOME, FAR)));
  const sent = parsePacket(await eventually('outer packet', () => after.network.take()));
  t.match(sent, { source: OTHER_CARE_OF, destination: AGENT });
  t.same(
    [before, after].map(({ engine }) => engine.drops()),
    [{}, {}],
  );
});

t.test('where nobody said where the guest is, and when its hops are used up', async (t) => {
  const nowhere = oldHost(false);
  t.teardown(() => nowhere.engine.close());
  nowhere.network.inject(tunnelled(AGENT, CARE_OF, udp(FAR, HOME)));
  await eventually('drop', () => nowhere.engine.tunnelCounters(1).drops.guest_left);
  t.same(nowhere.engine.tunnelCounters(1).drops, { guest_left: 1 });
  t.equal(nowhere.guest.take(), undefined);

  const before = oldHost();
  t.teardown(() => before.engine.close());
  const spent = udp(FAR, HOME);
  spent.set([1], 7);
  before.network.inject(tunnelled(AGENT, CARE_OF, spent));
  const told = await received(before.engine);
  t.match(told, { kind: 'hop-limit', tunnelSlot: 1 });
  t.equal(told.port, undefined);
  t.same(Buffer.from(told.bytes), Buffer.from(spent));
  await eventually('drop', () => before.engine.tunnelCounters(1).drops.hop_limit);
  t.same(before.engine.tunnelCounters(1).drops, { hop_limit: 1 });
  t.equal(before.network.take(), undefined);
});

t.test('a first delivery is told of once, whatever else is waited for', async (t) => {
  const { engine, guest, network } = newHost();
  t.teardown(() => engine.close());
  engine.watchFirstDelivery(guest.port);
  engine.watchFirstFrame(guest.port);
  t.ok(engine.transmit(guest.port, frame(udp(FAR, HOME))));
  await eventually('frame', () => guest.take());
  t.equal(engine.receive(), undefined, 'what we send ourselves is no delivery');

  for (let round = 0; round < 2; round++) {
    network.inject(tunnelled(CARE_OF, OTHER_CARE_OF, udp(FAR, HOME, 100)));
    const delivered = await eventually('frame', () => guest.take());
    if (round > 0) continue;
    const told = await received(engine);
    t.match(told, { kind: 'first-delivery', port: guest.port, tunnelSlot: 2 });
    t.same(Buffer.from(told.bytes), Buffer.from(delivered.subarray(0, 14 + 40)));
    t.equal(told.originalLength, delivered.length);
  }
  guest.inject(frame(udp(HOME, FAR)));
  t.match(await received(engine), { kind: 'first-frame', port: guest.port });
  await eventually('outer packet', () => network.take());
  t.equal(engine.receive(), undefined);
  t.throws(() => engine.watchFirstDelivery(7), { code: 'NO_PORT' });
});

t.test('a tunnel has one end of a hand-over at most, at the mobile node', (t) => {
  const engine = new Engine();
  t.teardown(() => engine.close());
  const { port } = engine.openMemoryPort({ localMac: ROUTER_MAC });
  const tunnel = { ...TUNNEL, slot: 1, local: CARE_OF, remote: AGENT, port } as const;
  for (const wrong of [
    { ...tunnel, side: 'home-agent', onward: true },
    { ...tunnel, side: 'home-agent', inbound: true },
    { ...tunnel, side: 'mobile-node', onward: true, inbound: true },
  ] as const) {
    t.throws(() => engine.publish({ tunnels: [wrong], locals: [] }), { code: 'TABLE_INVALID' });
  }
  t.end();
});
