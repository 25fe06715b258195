import t from 'tap';
import { emitSignal } from '../../src/signaling/index.js';
import { probeRequest, readProbe } from '../../src/tunnel/index.js';
import type { Address, Icmpv6Message, Ipv6Packet } from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  alignOptions,
  PROTOCOL,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
} from '../../src/wire/index.js';
import { eventually, ipv6, tunnelled, udp } from '../datapath/world.js';
import {
  CORRESPONDENT,
  DaemonPair,
  guestFrame,
  icmpv6,
  OTHER_HOME,
  ROUTER,
} from '../support/daemon-pair.js';
import { UPDATE } from '../support/signals.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';

const SILENT = 'path_mtu_probing = false\n';
const JUMBO = 'uplink_mtu = 9000\n';

interface Test {
  testdir(): string;
  teardown(end: () => Promise<void>): void;
}

async function pair(
  t: Test,
  lines: { host?: string; agent?: string } = {},
  mtu = 1500,
  icmp = true,
): Promise<DaemonPair> {
  const made = new DaemonPair(t.testdir(), lines);
  t.teardown(() => made.close());
  Object.assign(made.path, { mtu, icmp });
  await made.registered();
  return made;
}

function inner(outer: Uint8Array): Ipv6Packet {
  return parsePacket(parsePacket(outer).payload);
}

function message(packet: Ipv6Packet): Icmpv6Message {
  return parseIcmpv6(packet.payload, pseudoHeader(packet));
}

const isError = (message: Icmpv6Message) => 'quoted' in message;

/** The tunnel packet that a guest's packet went in; whatever became of it. */
async function inTunnel(
  daemons: DaemonPair,
  packet: Uint8Array,
  overhead = 40,
): Promise<Uint8Array> {
  daemons.fromGuest(guestFrame(packet));
  const length = packet.length + overhead;
  const found = await eventually('the tunnel packet', () =>
    daemons.crossed.findLast(({ from, bytes }) => from === 'host' && bytes.length === length),
  );
  return found.bytes;
}

/** The same for a packet that the Home Agent's kernel sends to the guest. */
async function inTunnelBack(daemons: DaemonPair, packet: Uint8Array): Promise<Uint8Array> {
  daemons.inject('agent', packet);
  const length = packet.length + 40;
  const found = await eventually('the tunnel packet', () =>
    daemons.crossed.findLast(({ from, bytes }) => from === 'agent' && bytes.length === length),
  );
  return found.bytes;
}

t.test('RFC 8201 4: Packet Too Big tells both ends what their path carries', async (t) => {
  const daemons = await pair(t, {}, 1400);
  await daemons.settled(1400);
  t.match(daemons.guestStatus, {
    tunnel: { mtu: 1360, pathMtu: 1400 },
    bindings: [{ homeAddress: HOME_ADDRESS, tunnel: { mtu: 1360, pathMtu: 1400 } }],
  });
  t.match(daemons.binding?.tunnel, { mtu: 1360, pathMtu: 1400 });
});

t.test('RFC 4821: so do probes where ICMPv6 is filtered', async (t) => {
  for (const mtu of [1280, 1400, 1492, 1500]) {
    const daemons = await pair(t, {}, mtu, false);
    await daemons.settled(mtu, 8);
    await daemons.close();
  }
});

t.test('RFC 2473 7.1: over a path of 1280 the packets inside may still have 1280', async (t) => {
  const daemons = await pair(t, {}, 1280);
  await daemons.settled(1280);
  t.match(daemons.guestStatus.tunnel, { mtu: 1280, pathMtu: 1280 });
  t.match(daemons.binding?.tunnel, { mtu: 1280, pathMtu: 1280 });
});

t.test('RFC 8899 5.3: jumbo packets where both uplinks and the path take them', async (t) => {
  const daemons = await pair(t, { host: JUMBO, agent: JUMBO }, 9000);
  await daemons.settled(9000);
  t.match(daemons.guestStatus.tunnel, { mtu: 8960, pathMtu: 9000 });
});

t.test('probes are answered at both ends, through the tunnel', async (t) => {
  const daemons = await pair(t);
  await daemons.settled(1500);
  for (const [from, source, destination] of [
    ['host', HOME_ADDRESS, HOME_AGENT],
    ['agent', HOME_AGENT, HOME_ADDRESS],
  ] as const) {
    const sent = daemons.crossed.filter((crossing) => crossing.from === from);
    const probes = sent
      .filter(({ bytes }) => parsePacket(bytes).protocol === PROTOCOL.ipv6)
      .flatMap(({ bytes }) => readProbe(inner(bytes)) ?? []);
    const asked = probes.find(({ kind }) => kind === 'request');
    t.match(asked, { source, destination }, `${from} asks`);
    const answered = probes.find(({ kind }) => kind === 'reply');
    t.match(answered, { source, destination }, `${from} answers`);
  }
  const [outer] = daemons.crossed.filter(({ bytes }) => bytes.length === 1500);
  t.not(parsePacket(outer?.bytes ?? new Uint8Array()).flowLabel, 0, 'with the label of its flow');
  t.strictSame(daemons.guestStatus.drops, {}, 'and nobody is surprised');
});

t.test('the home agent answers other echo requests as ever: RFC 6275 10.4.2', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  const echo = { identifier: 7, sequence: 1, data: new Uint8Array(8) };
  daemons.fromGuest(
    guestFrame(icmpv6(HOME_ADDRESS, HOME_AGENT, { kind: 'echo-request', ...echo })),
  );
  const reply = await daemons.toGuest(({ kind }) => kind === 'echo-reply');
  t.match(reply, { source: HOME_AGENT, message: echo });
  const last = daemons.crossed.findLast(({ from }) => from === 'agent');
  t.match(parsePacket(last?.bytes ?? new Uint8Array()), {
    extensions: [{ kind: 'routing-type-2', homeAddress: HOME_ADDRESS }],
  });
});

t.test('without probing nothing is asked, and Packet Too Big rules', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT }, 1400);
  const sent = udp(HOME_ADDRESS, CORRESPONDENT, 1300);
  daemons.path.mtu = 1340;
  await inTunnel(daemons, sent);
  await eventually('the estimate', () =>
    daemons.guestStatus.tunnel?.pathMtu === 1340 ? true : undefined,
  );
  t.match(daemons.guestStatus.tunnel, { mtu: 1300, state: 'unconfirmed' });
  t.notOk(
    daemons.crossed.some(({ bytes }) => {
      const packet = parsePacket(bytes);
      return packet.protocol === PROTOCOL.ipv6 && readProbe(parsePacket(packet.payload));
    }),
  );
});

t.test('RFC 2473 8.2: the guest hears of a Packet Too Big from inside the tunnel', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT }, 1400);
  const sent = udp(HOME_ADDRESS, CORRESPONDENT, 1352);
  t.equal(sent.length, 1400);
  await inTunnel(daemons, sent);
  const heard = await daemons.toGuest(isError);
  t.equal(heard.source, 'fe80::1', 'never from its own address');
  t.equal(heard.destination, HOME_ADDRESS);
  t.match(heard.message, { kind: 'packet-too-big', mtu: 1360 });
  const quoted = 'quoted' in heard.message ? heard.message.quoted : new Uint8Array();
  t.equal(40 + 8 + quoted.length <= 1280, true, 'RFC 4443 2.4(c)');
  t.same(quoted, sent.subarray(0, quoted.length), 'it quotes what the guest sent');
  t.match(daemons.guestStatus.tunnel, { mtu: 1360, pathMtu: 1400 });
});

t.test('RFC 2473 8.2: what else happens inside the tunnel is "address unreachable"', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  for (const [number, error] of [
    { kind: 'destination-unreachable', code: 0 },
    { kind: 'time-exceeded', code: 0 },
  ].entries()) {
    const sent = udp(HOME_ADDRESS, CORRESPONDENT, 100 + number);
    const quoted = await inTunnel(daemons, sent);
    daemons.inject('host', icmpv6(ROUTER, CARE_OF, { ...error, quoted } as Icmpv6Message));
    const heard = await daemons.toGuest(isError);
    t.match(heard, { source: 'fe80::1', destination: HOME_ADDRESS });
    t.match(heard.message, { kind: 'destination-unreachable', code: 3 }, error.kind);
    t.same('quoted' in heard.message ? heard.message.quoted : undefined, sent);
  }
});

t.test('a Packet Too Big of the outer path is believed only where it can be true', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  const outer = await inTunnel(daemons, udp(HOME_ADDRESS, CORRESPONDENT, 1352));
  const label = parsePacket(outer).flowLabel;
  const relabelled = outer.slice();
  new DataView(relabelled.buffer).setUint32(0, 0x6000_0000 + ((label + 1) & 0xfffff));
  const another = outer.slice();
  another[39] = 0x99;
  const tooBig = (quoted: Uint8Array, mtu: number) =>
    daemons.inject('host', icmpv6(ROUTER, CARE_OF, { kind: 'packet-too-big', mtu, quoted }));
  const quote = outer.subarray(0, 1232);
  const cases: [string, string, () => void][] = [
    ['below 1280 (RFC 8201 4)', 'too_big_below_minimum', () => tooBig(quote, 1279)],
    ['0', 'too_big_below_minimum', () => tooBig(quote, 0)],
    ['as large as the packet', 'too_big_quote_fits', () => tooBig(quote, outer.length)],
    ['another flow label', 'quote_flow_label', () => tooBig(relabelled.subarray(0, 1232), 1300)],
    ['another destination', 'quote_not_ours', () => tooBig(another.subarray(0, 1232), 1300)],
    ['no packet', 'quote_not_ours', () => tooBig(quote.subarray(0, 39), 1300)],
    ['its inner packet missing', 'quote_truncated', () => tooBig(quote.subarray(0, 79), 1300)],
    [
      'no tunnel packet',
      'quote_not_tunnel',
      () => tooBig(tunnelHeaderOf(outer, PROTOCOL.udp), 1300),
    ],
  ];
  for (const [what, reason, forge] of cases) {
    const before = daemons.guestStatus.drops[reason] ?? 0;
    forge();
    await eventually(`${reason}: ${what}`, () =>
      (daemons.guestStatus.drops[reason] ?? 0) > before ? true : undefined,
    );
    t.match(daemons.guestStatus.tunnel, { mtu: 1460, pathMtu: 1500 }, what);
  }
  tooBig(quote, 1400);
  await eventually('the estimate', () =>
    daemons.guestStatus.tunnel?.pathMtu === 1400 ? true : undefined,
  );
  const { message } = await daemons.toGuest(isError);
  t.match(message, { kind: 'packet-too-big', mtu: 1360 }, 'the guest heard of the true one alone');
});

t.test('and the same at the home agent', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  const sent = udp(CORRESPONDENT, HOME_ADDRESS, 1352);
  const outer = await inTunnelBack(daemons, sent);
  const quote = outer.subarray(0, 1232);
  const relabelled = quote.slice();
  new DataView(relabelled.buffer).setUint32(0, 0x6000_0000);
  const tooBig = (quoted: Uint8Array, mtu: number) =>
    daemons.inject('agent', icmpv6(ROUTER, HOME_AGENT, { kind: 'packet-too-big', mtu, quoted }));
  for (const [reason, quoted, mtu] of [
    ['too_big_below_minimum', quote, 1279],
    ['too_big_quote_fits', quote, outer.length],
    ['quote_flow_label', relabelled, 1300],
    ['quote_truncated', quote.subarray(0, 79), 1300],
    ['quote_not_tunnel', tunnelHeaderOf(outer, PROTOCOL.udp), 1300],
    ['quote_not_ours', tunnelled(CARE_OF, HOME_AGENT, sent).subarray(0, 1232), 1300],
  ] as const) {
    tooBig(quoted, mtu);
    await eventually(reason, () => daemons.agent.status().drops[reason]);
    t.match(daemons.binding?.tunnel, { mtu: 1460, pathMtu: 1500 }, reason);
  }
  t.strictSame(daemons.world, [], 'nobody was told anything');
  tooBig(quote, 1400);
  const told = await daemons.toWorld();
  t.match(told, { source: HOME_AGENT, destination: CORRESPONDENT });
  const error = message(told);
  t.match(error, { kind: 'packet-too-big', mtu: 1360 });
  const quoted = 'quoted' in error ? error.quoted : new Uint8Array();
  t.same(quoted, sent.subarray(0, quoted.length));
  t.match(daemons.binding?.tunnel, { mtu: 1360, pathMtu: 1400 });
});

t.test(
  'RFC 2473 8.2: sources beyond the home agent hear of errors inside the tunnel',
  async (t) => {
    const daemons = await pair(t, { host: SILENT, agent: SILENT });
    const sent = udp(CORRESPONDENT, HOME_ADDRESS, 100);
    const quoted = await inTunnelBack(daemons, sent);
    daemons.inject(
      'agent',
      icmpv6(ROUTER, HOME_AGENT, { kind: 'destination-unreachable', code: 0, quoted }),
    );
    const told = await daemons.toWorld();
    t.match(told, { source: HOME_AGENT, destination: CORRESPONDENT });
    t.match(message(told), { kind: 'destination-unreachable', code: 3, quoted: sent });
  },
);

t.test('RFC 4443 2.4(f): relayed errors are limited', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  const quoted = await inTunnelBack(daemons, udp(CORRESPONDENT, HOME_ADDRESS, 100));
  const error = icmpv6(ROUTER, HOME_AGENT, { kind: 'time-exceeded', code: 0, quoted });
  const began = performance.now();
  for (let count = 0; count < 60; count++) daemons.inject('agent', error);
  const limited = () => daemons.agent.status().drops.icmpv6_error_limited ?? 0;
  const policed = () => daemons.agent.status().drops.policed ?? 0;
  await eventually('all of them', () =>
    daemons.world.length + limited() + policed() >= 60 ? true : undefined,
  );
  const allowed = 11 + (10 * (performance.now() - began)) / 1000;
  t.ok(daemons.world.length >= 10);
  t.ok(daemons.world.length <= allowed, `${daemons.world.length} of 60`);
});

t.test('RFC 2473 4.1.1: a limit of 0 is a Parameter Problem, at the limit', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  const packet = (source: Address, destination: Address) =>
    ipv6(source, destination, PROTOCOL.udp, new Uint8Array(8), {
      extensions: [
        {
          kind: 'destination',
          options: alignOptions([{ kind: 'tunnel-encapsulation-limit', limit: 0 }]),
        },
      ],
    });
  const fromGuest = packet(HOME_ADDRESS, CORRESPONDENT);
  const pointer = 44;
  t.same(fromGuest.subarray(42, 45), [4, 1, 0], 'type, length, limit');
  daemons.fromGuest(guestFrame(fromGuest));
  const heard = await daemons.toGuest(isError);
  t.match(heard, { source: 'fe80::1', destination: HOME_ADDRESS });
  t.match(heard.message, { kind: 'parameter-problem', code: 0, pointer, quoted: fromGuest });
  const toGuest = packet(CORRESPONDENT, HOME_ADDRESS);
  daemons.inject('agent', toGuest);
  const told = await daemons.toWorld();
  t.match(told, { source: HOME_AGENT, destination: CORRESPONDENT });
  t.match(message(told), { kind: 'parameter-problem', code: 0, pointer, quoted: toGuest });
});

/** Two mobile nodes of one Home Agent; the second one is known by its binding alone. */
async function withSecondNode(t: Test, lines: { agent: string }, mtu: number): Promise<DaemonPair> {
  const daemons = await pair(t, { host: SILENT, ...lines }, mtu);
  daemons.inject(
    'agent',
    emitSignal({
      ...UPDATE,
      source: OTHER_CARE_OF,
      homeAddressOption: OTHER_HOME,
      message: { ...UPDATE.message, options: alignMobilityOptions([]) },
    }),
  );
  await eventually('the other binding', () =>
    daemons.agent
      .status()
      .bindings.find(({ homeAddress, tunnel }) => homeAddress === OTHER_HOME && tunnel),
  );
  return daemons;
}

t.test('RFC 2473 7.1: a mobile node hears of a narrow tunnel through its own', async (t) => {
  const daemons = await withSecondNode(t, { agent: SILENT }, 1400);
  // Guest to guest: the Home Agent encapsulates it anew, and the path to the first one does not take it.
  const sent = udp(OTHER_HOME, HOME_ADDRESS, 1352);
  daemons.inject('agent', tunnelled(OTHER_CARE_OF, HOME_AGENT, sent));
  const outer = await daemons.toWorld(PROTOCOL.ipv6);
  t.match(outer, { source: HOME_AGENT, destination: OTHER_CARE_OF });
  t.not(outer.flowLabel, 0);
  const told = parsePacket(outer.payload);
  t.match(told, { source: HOME_AGENT, destination: OTHER_HOME });
  t.match(message(told), { kind: 'packet-too-big', mtu: 1360 });
  // From now on the engine knows.
  t.match(daemons.binding?.tunnel, { pathMtu: 1400 });
  await eventually('the table', () => {
    daemons.world.length = 0;
    daemons.inject('agent', tunnelled(OTHER_CARE_OF, HOME_AGENT, sent));
    return (
      daemons.agent.status().bindings.some(({ drops }) => (drops.too_big ?? 0) > 0) || undefined
    );
  });
});

t.test('RFC 2473 7.2: an error that goes through a narrow tunnel fits it', async (t) => {
  const daemons = await withSecondNode(t, { agent: `${SILENT}uplink_mtu = 1280\n` }, 1500);
  const sent = udp(OTHER_HOME, HOME_ADDRESS, 1352);
  daemons.inject('agent', tunnelled(OTHER_CARE_OF, HOME_AGENT, sent));
  const outer = await daemons.toWorld(PROTOCOL.ipv6);
  t.equal(40 + outer.payload.length, 1280);
  t.match(message(parsePacket(outer.payload)), { kind: 'packet-too-big', mtu: 1280 });
});

t.test(
  'RFC 2473 3.1: between two mobile nodes the home agent is a router: Time Exceeded',
  async (t) => {
    const daemons = await withSecondNode(t, { agent: SILENT }, 1500);
    const sent = ipv6(OTHER_HOME, HOME_ADDRESS, PROTOCOL.udp, new Uint8Array(8), { hopLimit: 1 });
    daemons.inject('agent', tunnelled(OTHER_CARE_OF, HOME_AGENT, sent));
    const told = parsePacket((await daemons.toWorld(PROTOCOL.ipv6)).payload);
    t.match(told, { source: HOME_AGENT, destination: OTHER_HOME });
    t.match(message(told), { kind: 'time-exceeded', code: 0, quoted: sent });
  },
);

t.test(
  'RFC 2473 7.1: correspondents hear what a tunnel takes that is narrower than the others',
  async (t) => {
    const daemons = await pair(t, { host: SILENT, agent: SILENT }, 1400);
    const sent = udp(CORRESPONDENT, HOME_ADDRESS, 1352);
    await inTunnelBack(daemons, sent);
    await eventually('the estimate', () => daemons.binding?.tunnel?.pathMtu === 1400 || undefined);
    daemons.world.length = 0;
    const told = await eventually('an error by the engine', () => {
      daemons.inject('agent', sent);
      return (daemons.binding?.drops.too_big ?? 0) > 0 ? daemons.toWorld() : undefined;
    });
    t.match(await told, { source: HOME_AGENT, destination: CORRESPONDENT });
    t.match(message(await told), { kind: 'packet-too-big', mtu: 1360 });
  },
);

t.test(
  'RFC 2473 6.6: with an encapsulation limit of their own tunnels carry 8 octets less',
  async (t) => {
    const limit = 'tunnel_encapsulation_limit = 4\ntunnel_hop_limit = 20\n';
    const daemons = await pair(t, { host: limit, agent: limit }, 1400);
    await daemons.settled(1400);
    t.match(daemons.guestStatus.tunnel, { mtu: 1352, pathMtu: 1400 });
    t.match(daemons.binding?.tunnel, { mtu: 1352, pathMtu: 1400 });
    const probe = daemons.crossed.find(({ bytes, arrived }) => arrived && bytes.length === 1400);
    t.match(parsePacket(probe?.bytes ?? new Uint8Array()), {
      hopLimit: 20,
      extensions: [
        { kind: 'destination', options: [{ kind: 'tunnel-encapsulation-limit', limit: 4 }] },
      ],
    });
    const outer = parsePacket(await inTunnel(daemons, udp(HOME_ADDRESS, CORRESPONDENT, 100), 48));
    t.equal(outer.hopLimit, 20);
  },
);

t.test('what both held before a restart is probed again', async (t) => {
  const first = await pair(t);
  await first.settled(1500);
  await first.close();
  const second = new DaemonPair(t.testdir(), {}, first.stores);
  t.teardown(() => second.close());
  second.path.mtu = 1400;
  await second.settled(1400);
});

t.test(
  'a tunnel that closes is probed no more; one that opens elsewhere begins anew',
  async (t) => {
    const daemons = await pair(t, {}, 1400);
    await daemons.settled(1400);
    daemons.host.unbind('vm1');
    await eventually('no tunnel', () =>
      daemons.binding === undefined && daemons.guestStatus.tunnel === undefined ? true : undefined,
    );
    daemons.path.mtu = 1500;
    await daemons.host.bind('vm1');
    await daemons.registered();
    await daemons.settled(1500);
  },
);

t.test('only who has the tunnel may probe through it', async (t) => {
  const daemons = await pair(t, { host: SILENT, agent: SILENT });
  const way = { source: CORRESPONDENT, destination: HOME_ADDRESS };
  const request = probeRequest({ ...way, size: 200, overhead: 40, token: 1 });
  daemons.inject('agent', request);
  const heard = await daemons.toGuest(({ kind }) => kind === 'echo-request');
  t.equal(heard.source, CORRESPONDENT, 'from elsewhere it is the guest that is asked');
});

/** A packet of our addresses with another next header. */
function tunnelHeaderOf(outer: Uint8Array, nextHeader: number): Uint8Array {
  const other = outer.slice(0, 1232);
  other[6] = nextHeader;
  return other;
}
