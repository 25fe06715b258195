import t from 'tap';
import { Engine } from '../../src/datapath/index.js';
import { type Address, PROTOCOL, parseAddress } from '../../src/wire/index.js';
import { type2Routing } from './signaling.js';
import {
  AGENT,
  Agent,
  CARE_OF,
  eventually,
  FAR,
  frame,
  GROUP,
  HOME,
  Host,
  ipv6,
  LINK_LOCAL,
  MTU,
  OTHER_HOME,
  ROUTER_MAC,
  tcp,
  tcpTrain,
  tunnelled,
  udp,
} from './world.js';

const UNSPECIFIED = parseAddress('::');

async function counted(t: Tap, reason: string, read: () => Record<string, number>): Promise<void> {
  await eventually(reason, () => ((read()[reason] ?? 0) > 0 ? true : undefined));
  t.same(read(), { [reason]: 1 }, 'and nothing else');
}
type Tap = Pick<typeof t, 'same'>;

function patched(bytes: Uint8Array, offset: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, offset);
  return copy;
}

t.test("a guest's frame is dropped with its reason, at its port", async (t) => {
  const cases: [reason: string, frame: Uint8Array, offload?: object][] = [
    ['not_ipv6', frame(udp(HOME, FAR), 0x0800)],
    ['malformed', frame(udp(HOME, FAR)).subarray(0, 10)],
    ['malformed', frame(udp(HOME, FAR)).subarray(0, 60)],
    ['malformed', frame(patched(udp(HOME, FAR), 0, 0x45))],
    ['link_local', frame(udp(LINK_LOCAL, FAR))],
    ['link_local', frame(udp(HOME, LINK_LOCAL))],
    ['multicast', frame(udp(HOME, GROUP))],
    ['multicast', frame(udp(GROUP, FAR))],
    ['source_not_home', frame(udp(OTHER_HOME, FAR))],
    ['source_not_home', frame(udp(UNSPECIFIED, FAR))],
    ['too_big', frame(udp(HOME, FAR, MTU))],
    ['bad_offload', frame(udp(HOME, FAR)), tcpTrain(54, 1000)],
    ['bad_offload', frame(tcp(HOME, FAR, 1, new Uint8Array(3000))), tcpTrain(54, 0)],
  ];
  for (const [reason, bytes, offload] of cases) {
    await t.test(reason, async (t) => {
      const host = new Host();
      t.teardown(() => host.engine.close());
      host.guest.inject(bytes, offload);
      await counted(t, reason, () => host.engine.portDrops(host.guest.port));
      t.equal(host.network.take(), undefined);
    });
  }
});

t.test('a guest without a tunnel', async (t) => {
  const host = new Host(false);
  t.teardown(() => host.engine.close());
  host.guest.inject(frame(udp(HOME, FAR)));
  await counted(t, 'no_tunnel', () => host.engine.portDrops(host.guest.port));
});

t.test("a guest may not use another guest's home address", async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  const other = host.engine.openMemoryPort({ localMac: ROUTER_MAC });
  other.inject(frame(udp(HOME, FAR)));
  await counted(t, 'no_tunnel', () => host.engine.portDrops(other.port));
});

t.test('an uplink that takes no more', async (t) => {
  const host = new Host();
  t.teardown(() => host.engine.close());
  for (let count = 0; count < 257; count++) {
    await eventually('room', () => (host.guest.inject(frame(udp(HOME, FAR))) ? true : undefined));
  }
  await counted(t, 'uplink_full', () => host.engine.portDrops(host.guest.port));
});

/** A packet with a type 2 routing header for `home` and `protocol` behind it. */
function routed(source: Address, home: Address, protocol: number): Uint8Array {
  const extensions = [type2Routing(home)];
  return ipv6(source, CARE_OF, protocol, new Uint8Array(40), { extensions });
}

t.test('a packet from the network is dropped at the mobile node with its reason', async (t) => {
  type Where = 'engine' | 'tunnel';
  const truncated = udp(FAR, HOME).subarray(0, 45);
  const cases: [reason: string, where: Where, packet: Uint8Array][] = [
    ['malformed', 'engine', new Uint8Array(20)],
    ['not_ours', 'engine', udp(FAR, HOME)],
    ['link_local', 'engine', udp(LINK_LOCAL, GROUP)],
    ['link_local', 'engine', udp(FAR, LINK_LOCAL)],
    ['multicast', 'engine', udp(FAR, GROUP)],
    ['unexpected_protocol', 'engine', udp(FAR, CARE_OF)],
    ['unexpected_protocol', 'engine', tcp(FAR, CARE_OF, 1, new Uint8Array(10))],
    ['outer_source', 'engine', tunnelled(FAR, CARE_OF, udp(FAR, HOME))],
    ['malformed', 'tunnel', tunnelled(AGENT, CARE_OF, truncated)],
    ['inner_destination', 'tunnel', tunnelled(AGENT, CARE_OF, udp(FAR, OTHER_HOME))],
    ['inner_destination', 'tunnel', tunnelled(AGENT, CARE_OF, udp(FAR, GROUP))],
    ['inner_source', 'tunnel', tunnelled(AGENT, CARE_OF, udp(LINK_LOCAL, HOME))],
    ['inner_source', 'tunnel', tunnelled(AGENT, CARE_OF, udp(GROUP, HOME))],
    ['routing_header', 'engine', routed(FAR, HOME, PROTOCOL.udp)],
    // RFC 6275 6.4: one segment must be left.
    ['routing_header', 'engine', patched(routed(AGENT, HOME, PROTOCOL.esp), 43, 0)],
    ['routing_header', 'engine', patched(routed(AGENT, HOME, PROTOCOL.mobility), 43, 2)],
    ['malformed', 'engine', ipv6(FAR, CARE_OF, PROTOCOL.routing, Uint8Array.of(50, 9, 2, 1))],
    ['routing_header', 'tunnel', routed(AGENT, OTHER_HOME, PROTOCOL.udp)],
    ['slow_path_too_big', 'engine', ipv6(FAR, CARE_OF, PROTOCOL.esp, new Uint8Array(9280))],
  ];
  for (const [reason, where, packet] of cases) {
    await t.test(`${reason} (${where})`, async (t) => {
      const host = new Host();
      t.teardown(() => host.engine.close());
      host.network.inject(packet);
      const { engine } = host;
      const read = { engine: () => engine.drops(), tunnel: () => engine.tunnelCounters(1).drops };
      await counted(t, reason, read[where]);
      t.equal(host.guest.take(), undefined);
      t.equal(engine.receive(), undefined);
    });
  }
});

t.test(
  'a guest that was never seen, one whose port is closed, one that does not read',
  async (t) => {
    const packet = tunnelled(AGENT, CARE_OF, udp(FAR, HOME));
    const host = new Host();
    t.teardown(() => host.engine.close());
    for (let count = 0; count < 257; count++) {
      await eventually('room', () => (host.network.inject(packet) ? true : undefined));
    }
    await counted(t, 'port_full', () => host.engine.tunnelCounters(1).drops);

    host.engine.resetTunnelCounters(1);
    host.engine.closePort(host.guest.port);
    host.network.inject(packet);
    await counted(t, 'no_port', () => host.engine.tunnelCounters(1).drops);

    const fresh = host.engine.openMemoryPort({ localMac: ROUTER_MAC });
    const tunnel = {
      slot: 2,
      side: 'mobile-node',
      local: CARE_OF,
      remote: AGENT,
      mtu: MTU,
    } as const;
    host.engine.publish({
      tunnels: [{ ...tunnel, homeAddresses: [HOME], port: fresh.port }],
      locals: [{ address: CARE_OF, side: 'mobile-node' }],
    });
    host.network.inject(packet);
    await counted(t, 'guest_mac_unknown', () => host.engine.tunnelCounters(2).drops);
  },
);

t.test('a packet is dropped at the home agent with its reason', async (t) => {
  type Where = 'engine' | 1 | 2;
  const hopless = patched(udp(HOME, OTHER_HOME), 7, 1);
  const cases: [reason: string, where: Where, packet: Uint8Array][] = [
    ['malformed', 'engine', tunnelled(CARE_OF, AGENT, udp(HOME, FAR).subarray(0, 44))],
    ['no_tunnel', 'engine', tunnelled(CARE_OF, AGENT, udp(FAR, HOME))],
    // RFC 6275 10.4.5: the outer source must be the care-of address bound to the inner source.
    ['outer_source', 1, tunnelled(FAR, AGENT, udp(HOME, FAR))],
    ['link_local', 1, tunnelled(CARE_OF, AGENT, udp(HOME, LINK_LOCAL))],
    ['multicast', 1, tunnelled(CARE_OF, AGENT, udp(HOME, GROUP))],
    ['hop_limit', 1, tunnelled(CARE_OF, AGENT, hopless)],
    ['too_big', 2, tunnelled(CARE_OF, AGENT, udp(HOME, OTHER_HOME, MTU))],
    ['too_big', 1, udp(FAR, HOME, MTU)],
    ['not_ours', 'engine', udp(FAR, FAR)],
    ['unexpected_protocol', 'engine', udp(FAR, AGENT)],
    [
      'routing_header',
      'engine',
      ipv6(FAR, AGENT, PROTOCOL.mobility, new Uint8Array(8), { extensions: [type2Routing(HOME)] }),
    ],
  ];
  for (const [reason, where, packet] of cases) {
    await t.test(`${reason} (${where})`, async (t) => {
      const { engine, network } = new Agent();
      t.teardown(() => engine.close());
      network.inject(packet);
      await counted(t, reason, () =>
        where === 'engine' ? engine.drops() : engine.tunnelCounters(where).drops,
      );
      t.equal(network.take(), undefined);
    });
  }
});

t.test('packets of ours that have nowhere to go', async (t) => {
  const engine = new Engine();
  t.teardown(() => engine.close());
  engine.transmit('uplink', new Uint8Array(40));
  await counted(t, 'no_uplink', () => engine.drops());
  engine.transmit(5, new Uint8Array(40));
  await eventually('no_port', () => (engine.drops().no_port === 1 ? true : undefined));
  t.equal(engine.transmit('uplink', new Uint8Array(9281)), false);
  t.equal(engine.counters().transmitTooLong, 1);
});
