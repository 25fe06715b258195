import t from 'tap';
import { Engine, type SignalerSpec } from '../../src/datapath/index.js';
import { emitIcmpv6, PROTOCOL, parseAddress } from '../../src/wire/index.js';
import {
  acknowledgement,
  esp,
  espAcknowledgement,
  espUpdate,
  homeAddressOptions,
  mobility,
  type2Routing,
  update,
} from './signaling.js';
import {
  AGENT,
  CARE_OF,
  eventually,
  FAR,
  HOME,
  ipv6,
  MTU,
  OTHER_CARE_OF,
  OTHER_HOME,
  ROUTER_MAC,
  received,
  tunnelled,
  udp,
} from './world.js';

const ANYCAST = parseAddress('2001:db8:2000::fdff:ffff:ffff:fffe');
const SIGNALERS: readonly SignalerSpec[] = [
  { index: 0, side: 'home-agent', local: AGENT, homeAddress: HOME, protection: 'plain' },
  {
    index: 1,
    side: 'home-agent',
    local: AGENT,
    homeAddress: OTHER_HOME,
    protection: 'esp',
    spi: 1000,
  },
  {
    index: 2,
    side: 'mobile-node',
    local: CARE_OF,
    homeAddress: HOME,
    protection: 'esp',
    spi: 1001,
  },
  { index: 3, side: 'mobile-node', local: CARE_OF, homeAddress: OTHER_HOME, protection: 'plain' },
];

/** A mobile node with two home addresses behind one care-of address, and a home agent, in one engine. */
class Both {
  readonly engine = new Engine({ maxPorts: 4, maxTunnels: 4, maxSignalers: 4 });
  readonly guest = this.engine.openMemoryPort({ localMac: ROUTER_MAC });
  readonly network = this.engine.openMemoryUplink();

  constructor(signaling = false) {
    const mobileNode = { side: 'mobile-node', local: CARE_OF, remote: AGENT, mtu: MTU } as const;
    const homeAgent = { side: 'home-agent', local: AGENT, mtu: MTU } as const;
    this.engine.publish({
      tunnels: [
        {
          ...mobileNode,
          slot: 0,
          homeAddresses: [HOME, OTHER_HOME],
          port: this.guest.port,
          signaling,
        },
        { ...homeAgent, slot: 1, remote: CARE_OF, homeAddresses: [HOME] },
      ],
      locals: [
        { address: CARE_OF, side: 'mobile-node' },
        { address: AGENT, side: 'home-agent' },
        { address: ANYCAST, side: 'home-agent' },
      ],
      signalers: SIGNALERS,
    });
    for (const { index } of SIGNALERS) this.engine.expectSequence(index, 100);
  }

  async inject(packet: Uint8Array): Promise<void> {
    await eventually('room', () => this.network.inject(packet) || undefined);
  }

  policed(): number {
    const slots = [0, 1].map((slot) => this.engine.tunnelCounters(slot).drops);
    return [this.engine.drops(), ...slots]
      .map((drops) => drops.policed ?? 0)
      .reduce((sum, count) => sum + count);
  }

  /** Whether it comes to JavaScript, which takes all that waits first. */
  async passes(packet: Uint8Array): Promise<boolean> {
    for (let next = this.engine.receive(); next; next = this.engine.receive()) next.release();
    const before = this.policed();
    await this.inject(packet);
    return await eventually('a verdict', () => {
      const got = this.engine.receive();
      got?.release();
      return got ? true : this.policed() > before ? false : undefined;
    });
  }
}

t.test('every order of headers of RFC 6275 and RFC 3776 comes to us whole', async (t) => {
  const both = new Both();
  t.teardown(() => both.engine.close());
  const hao = [homeAddressOptions(HOME)];
  const rh2 = [type2Routing(HOME)];
  const both2 = [type2Routing(HOME), homeAddressOptions(FAR)];
  const request = emitIcmpv6(
    { kind: 'echo-request', identifier: 1, sequence: 1, data: new Uint8Array(0) },
    { source: FAR, destination: ANYCAST },
  );
  const packets = [
    update(CARE_OF, HOME, 101),
    espUpdate(CARE_OF, OTHER_HOME, 1000, 101),
    ipv6(HOME, AGENT, PROTOCOL.mobility, mobility(5, 101)),
    ipv6(HOME, AGENT, PROTOCOL.esp, esp(1000, 101)),
    ipv6(CARE_OF, AGENT, PROTOCOL.noNext, new Uint8Array(0), { extensions: hao }),
    ipv6(FAR, ANYCAST, PROTOCOL.icmpv6, request),
    ipv6(FAR, ANYCAST, PROTOCOL.mobility, mobility(5, 1)),
    acknowledgement(OTHER_HOME, 100),
    espAcknowledgement(HOME, 1001, 101),
    ipv6(AGENT, CARE_OF, PROTOCOL.mobility, mobility(6, 100), { extensions: both2 }),
    ipv6(AGENT, CARE_OF, PROTOCOL.icmpv6, request, { extensions: hao }),
    ipv6(AGENT, CARE_OF, PROTOCOL.mobility, mobility(0, 0), { extensions: rh2 }),
    ipv6(AGENT, CARE_OF, PROTOCOL.icmpv6, Uint8Array.of(147, 0, 0, 0, 0, 0, 0, 0), {
      extensions: rh2,
    }),
    ipv6(AGENT, CARE_OF, PROTOCOL.mobility, mobility(7, 0)),
  ];
  for (const packet of packets) {
    await both.inject(packet);
    const got = await received(both.engine);
    t.equal(got.kind, 'control');
    t.same(Buffer.from(got.bytes), Buffer.from(packet));
  }
});

/** Whether most of many updates with this number are, however slowly they come. */
async function mostArePoliced(both: Both, sequence: number): Promise<boolean> {
  const before = both.policed();
  const read = both.engine.counters().uplinkPacketsRead ?? 0;
  for (let count = 0; count < 200; count++) await both.inject(update(CARE_OF, HOME, sequence));
  await eventually(
    'all read',
    () => both.engine.counters().uplinkPacketsRead === read + 200 || undefined,
  );
  return both.policed() - before > 100;
}

t.test(
  'a flood in the name of one home address: its valid messages pass, others too',
  async (t) => {
    const both = new Both();
    const { engine } = both;
    t.teardown(() => engine.close());
    for (let count = 0; count < 600; count++) {
      await both.inject(update(FAR, HOME, 20_000 + count));
      await both.inject(espAcknowledgement(HOME, 1002, 101));
    }
    await eventually('all read', () => engine.counters().uplinkPacketsRead === 1200 || undefined);
    t.ok(both.policed() > 1100, `${both.policed()} policed`);
    t.same(Object.keys(engine.drops()), [], 'counted at the tunnels');
    t.ok(await mostArePoliced(both, 30_000), 'far from what is expected');
    t.ok(await both.passes(update(CARE_OF, HOME, 101)), 'the next Binding Update');
    t.ok(await both.passes(espAcknowledgement(HOME, 1001, 101)), 'the next of the association');
    t.ok(await both.passes(espUpdate(OTHER_CARE_OF, OTHER_HOME, 5, 5)), "another's");
    t.ok(await both.passes(acknowledgement(OTHER_HOME, 5)), "another's, of the same local");

    engine.expectSequence(0, 29_999);
    t.ok(await both.passes(update(CARE_OF, HOME, 30_000)), 'told of with no call');
    engine.expectSequence(0, undefined);
    t.ok(await mostArePoliced(both, 30_001), 'nothing is expected');
    t.throws(() => engine.expectSequence(4, 0), RangeError);
  },
);

t.test('a tunnel packet that no binding allows is told of, cut to 1280, and dropped', async (t) => {
  const both = new Both();
  t.teardown(() => both.engine.close());
  const packet = tunnelled(OTHER_CARE_OF, AGENT, udp(OTHER_HOME, FAR, 1350));
  await both.inject(packet);
  const got = await received(both.engine);
  t.equal(got.kind, 'unbound');
  t.equal(got.tunnelSlot, undefined);
  t.same(Buffer.from(got.bytes), Buffer.from(packet.subarray(0, 1280)));
  t.same(both.engine.drops(), { no_tunnel: 1 });
});

t.test(
  'RFC 6275 11.6: a Home Test in the tunnel is ours only when the tunnel says so',
  async (t) => {
    const homeTest = ipv6(FAR, HOME, PROTOCOL.mobility, mobility(3, 0));
    for (const signaling of [false, true]) {
      const both = new Both(signaling);
      t.teardown(() => both.engine.close());
      both.engine.setPeerMac(both.guest.port, ROUTER_MAC);
      await both.inject(tunnelled(AGENT, CARE_OF, homeTest));
      if (signaling) {
        const got = await received(both.engine);
        t.match(got, { kind: 'inner', tunnelSlot: 0 });
        t.same(Buffer.from(got.bytes), Buffer.from(homeTest));
        t.equal(both.guest.take(), undefined);
      } else {
        t.ok(await eventually('a frame', () => both.guest.take()));
      }
    }
  },
);

t.test('a table with signalers that cannot be is refused', (t) => {
  const engine = new Engine({ maxSignalers: 2 });
  t.teardown(() => engine.close());
  const [plain, protectedOne] = SIGNALERS;
  const publish = (...signalers: unknown[]) =>
    engine.publish({ tunnels: [], locals: [], signalers: signalers as SignalerSpec[] });
  publish(plain, protectedOne);
  t.throws(() => publish({ ...plain, index: 2 }), { code: 'TABLE_INVALID' });
  t.throws(() => publish(plain, { ...protectedOne, index: 0 }), { code: 'TABLE_INVALID' });
  t.throws(() => publish(plain, { ...plain, index: 1 }), { code: 'TABLE_INVALID' });
  t.throws(() => publish({ ...protectedOne, spi: undefined }), TypeError);
  t.throws(() => new Engine({ maxSignalers: 0 }), { code: 'ENGINE_OPTIONS' });
  t.end();
});
