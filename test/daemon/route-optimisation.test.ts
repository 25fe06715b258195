import pino from 'pino';
import t from 'tap';
import { fairShare } from '../../src/daemon/fair-share.js';
import { RouteOptimisation } from '../../src/daemon/route-optimisation.js';
import { drainSlowPath } from '../../src/daemon/slow-path.js';
import type { MemoryPort, MemoryUplink, SlowPathPacket } from '../../src/datapath/index.js';
import { Engine } from '../../src/datapath/index.js';
import type { Address, Ipv6Packet } from '../../src/wire/index.js';
import {
  emitIcmpv6,
  homeAddressOption,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
  type2HomeAddress,
} from '../../src/wire/index.js';
import {
  eventually,
  FAR,
  frame,
  GUEST_MAC,
  ipv6,
  MTU,
  ROUTER_MAC,
  tunnelled,
  udp,
} from '../datapath/world.js';

const FIRST = {
  homeAddress: parseAddress('2001:db8:2000::10'),
  homeAgent: parseAddress('2001:db8:2000::1'),
  careOfAddress: parseAddress('2001:db8:3000::33'),
};
const SECOND = {
  homeAddress: parseAddress('2001:db8:6000::20'),
  homeAgent: parseAddress('2001:db8:6000::1'),
  careOfAddress: parseAddress('2001:db8:7000::77'),
};
const ELSEWHERE = parseAddress('2001:db8:4000::44');

/** A host with one guest, its engine driven as the daemon drives it. */
class Host {
  readonly engine = new Engine({ maxPorts: 8, maxTunnels: 8 });
  readonly guest: MemoryPort = this.engine.openMemoryPort({ localMac: ROUTER_MAC });
  readonly uplink: MemoryUplink = this.engine.openMemoryUplink();
  readonly routes: RouteOptimisation;
  readonly homeAddress: Address;
  readonly homeAgent: Address;
  careOfAddress: Address;
  /** the engine takes no table */
  broken = false;
  readonly log: string[] = [];

  constructor(where: typeof FIRST) {
    this.homeAddress = where.homeAddress;
    this.homeAgent = where.homeAgent;
    this.careOfAddress = where.careOfAddress;
    this.routes = new RouteOptimisation([this.homeAddress], {
      log: pino({ level: 'error' }, { write: (line) => this.log.push(line) }),
      transmit: (packet) => this.engine.transmit('uplink', packet),
      changed: () => this.#publish(),
    });
    this.engine.setPeerMac(this.guest.port, GUEST_MAC);
    this.engine.onReadable(() => this.#drain());
    this.bind(this.careOfAddress);
  }

  bind(careOfAddress: Address): void {
    this.careOfAddress = careOfAddress;
    this.#publish();
    this.routes.bound(this.homeAddress, this);
  }

  close(): void {
    this.routes.stop();
    this.engine.close();
  }

  #publish(): void {
    if (this.broken) throw new Error('a tunnel has more than 1024 routes');
    this.engine.publish({
      tunnels: [
        {
          slot: 0,
          side: 'mobile-node',
          local: this.careOfAddress,
          remote: this.homeAgent,
          homeAddresses: [this.homeAddress],
          port: this.guest.port,
          mtu: MTU,
          signaling: true,
          optimise: true,
          routes: this.routes.routes([this.homeAddress]),
        },
      ],
      locals: [{ address: this.careOfAddress, side: 'mobile-node' }],
    });
  }

  #drain(): void {
    drainSlowPath(
      this.engine,
      (packet) => this.#dispatch(packet),
      (error) => {
        throw error;
      },
    );
  }

  #dispatch(packet: SlowPathPacket): void {
    if (this.routes.onSlowPath(packet) || packet.port !== undefined) return;
    const parsed = parsePacket(packet.bytes);
    if (this.routes.onPacket(parsed) || parsed.protocol !== PROTOCOL.icmpv6) return;
    this.routes.onPathError(parseIcmpv6(parsed.payload, pseudoHeader(parsed)));
  }

  get straight(): boolean {
    return this.routes.summary().some(({ state }) => state === 'optimised');
  }
}

/** The network between two hosts, their home agents, and a node that knows nothing of mobility. */
class Network {
  readonly hosts = [new Host(FIRST), new Host(SECOND)] as const;
  /** what crossed the network outside of tunnels, latest last */
  readonly crossed: Ipv6Packet[] = [];

  close(): void {
    for (const host of this.hosts) host.close();
  }

  /** Carries what the hosts have sent. */
  carry(): void {
    for (const host of this.hosts) {
      for (let bytes = host.uplink.take(); bytes !== undefined; bytes = host.uplink.take()) {
        this.#forward(bytes);
      }
    }
  }

  #forward(bytes: Uint8Array): void {
    const packet = parsePacket(bytes);
    if (this.hosts.some(({ homeAgent }) => homeAgent === packet.destination)) {
      this.#forward(packet.payload);
      return;
    }
    if (packet.protocol !== PROTOCOL.ipv6) this.crossed.push(packet);
    if (packet.destination === FAR) this.#refuse(packet, bytes);
    for (const host of this.hosts) {
      if (packet.destination === host.careOfAddress) host.uplink.inject(bytes);
      if (packet.destination !== host.homeAddress) continue;
      host.uplink.inject(tunnelled(host.homeAgent, host.careOfAddress, bytes));
    }
  }

  /** RFC 4443 3.4: an unrecognized next header. */
  #refuse(packet: Ipv6Packet, quoted: Uint8Array): void {
    if (packet.protocol !== PROTOCOL.mobility) return;
    const ends = { source: FAR, destination: packet.source };
    const error = { kind: 'parameter-problem', code: 1, pointer: 6, quoted } as const;
    this.#forward(ipv6(FAR, packet.source, PROTOCOL.icmpv6, emitIcmpv6(error, ends)));
  }

  /** Guests speak until `condition` holds. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const [first, second] = this.hosts;
    await eventually(what, () => {
      first.guest.inject(frame(udp(first.homeAddress, second.homeAddress)));
      second.guest.inject(frame(udp(second.homeAddress, first.homeAddress)));
      this.carry();
      for (const { guest } of this.hosts) while (guest.take() !== undefined);
      return condition() ? true : undefined;
    });
  }

  get optimised(): boolean {
    const routes = this.hosts.flatMap(({ routes, homeAddress }) => routes.routes([homeAddress]));
    return (
      routes.length === 2 &&
      routes.every(
        ({ straight, accepted, careOfAddress }) =>
          straight && accepted && careOfAddress !== undefined,
      )
    );
  }

  /** One packet of the first guest reaches the second; gives how it crossed the network. */
  async one(size: number): Promise<Ipv6Packet | undefined> {
    const [first, second] = this.hosts;
    this.carry();
    while (second.guest.take() !== undefined);
    const sent = udp(first.homeAddress, second.homeAddress, size);
    first.guest.inject(frame(sent));
    const got = await eventually('the packet', () => {
      this.carry();
      const bytes = second.guest.take();
      return bytes && bytes.length === 14 + sent.length ? bytes : undefined;
    });
    t.same(Buffer.from(parseEthernet(got).payload), Buffer.from(sent));
    return this.crossed.findLast(
      ({ protocol, source }) => protocol === PROTOCOL.udp && source === first.careOfAddress,
    );
  }
}

t.test(
  'two guests whose hosts optimise: straight, both headers, restored at the end',
  async (t) => {
    const network = new Network();
    t.teardown(() => network.close());
    await network.until('both ways straight', () => network.optimised);
    const crossed = await network.one(777);
    if (crossed === undefined) throw new Error('nothing crossed');
    t.match(crossed, { source: FIRST.careOfAddress, destination: SECOND.careOfAddress });
    t.equal(type2HomeAddress(crossed), SECOND.homeAddress);
    t.equal(homeAddressOption(crossed), FIRST.homeAddress);
    t.ok(network.hosts.every(({ engine }) => engine.tunnelCounters(0).straight.to > 0));
  },
);

t.test(
  'RFC 6275 11.6.1: after a move the tunnel, then straight from the new address',
  async (t) => {
    const network = new Network();
    t.teardown(() => network.close());
    const [first] = network.hosts;
    await network.until('both ways straight', () => network.optimised);
    first.bind(ELSEWHERE);
    t.notOk(first.straight);
    await network.until('straight again', () => network.optimised);
    const crossed = await network.one(321);
    t.match(crossed, { source: ELSEWHERE, destination: SECOND.careOfAddress });
  },
);

t.test('RFC 6275 11.7.2: when one is de-registered the other one uses the tunnel', async (t) => {
  const network = new Network();
  t.teardown(() => network.close());
  const [first, second] = network.hosts;
  await network.until('both ways straight', () => network.optimised);
  first.routes.unbound(FIRST.homeAddress, 'de-registered');
  await eventually('no binding left', () => {
    network.carry();
    const [route] = second.routes.routes([SECOND.homeAddress]);
    return route?.careOfAddress === undefined ? true : undefined;
  });
});

t.test('RFC 6275 9.3.1, 11.3.6: a binding that is lost is told of and made anew', async (t) => {
  const network = new Network();
  t.teardown(() => network.close());
  const [first, second] = network.hosts;
  await network.until('both ways straight', () => network.optimised);
  // As if the second host had been started again.
  second.routes.unbound(SECOND.homeAddress, 'forgotten');
  second.routes.bound(SECOND.homeAddress, SECOND);
  t.same(second.routes.routes([SECOND.homeAddress]), []);
  await network.until('bound again', () => {
    const [route] = second.routes.routes([SECOND.homeAddress]);
    return route?.careOfAddress === FIRST.careOfAddress;
  });
  await eventually('straight again', () => {
    network.carry();
    return first.straight ? true : undefined;
  });
  t.match(await network.one(99), { source: FIRST.careOfAddress, destination: SECOND.homeAddress });
});

t.test('what a tunnel has room for is shared out fairly', (t) => {
  const list = (name: string, length: number) => Array.from({ length }, (_, i) => `${name}${i}`);
  const many = fairShare([list('a', 512), list('b', 512), list('c', 512)], 1024);
  t.equal(many.length, 1024);
  for (const name of ['a', 'b', 'c']) {
    t.ok(many.filter((item) => item.startsWith(name)).length >= 341);
    t.ok(many.includes(`${name}0`), 'the first of each');
  }
  const few = fairShare([list('a', 600), list('b', 2), list('c', 500)], 1000);
  t.equal(few.length, 1000);
  t.equal(few.filter((item) => item.startsWith('b')).length, 2, 'who wants little gets it all');
  t.equal(few.filter((item) => item.startsWith('c')).length, 499);
  t.same(fairShare([list('a', 3), []], 1024), ['a0', 'a1', 'a2']);
  t.same(fairShare([], 1024), []);
  t.end();
});

t.test('routes that the engine does not take end nothing: it is logged', async (t) => {
  const network = new Network();
  t.teardown(() => network.close());
  const [first] = network.hosts;
  first.broken = true;
  await network.until('routes', () => first.routes.routes([FIRST.homeAddress]).length > 0);
  await eventually('the log', () => (first.log.length > 0 ? true : undefined));
  t.match(first.log[0], /more than 1024 routes/);
});

t.test('RFC 6275 11.3.5: a correspondent without support: the tunnel, remembered', async (t) => {
  const network = new Network();
  t.teardown(() => network.close());
  const [first] = network.hosts;
  first.guest.inject(frame(udp(first.homeAddress, FAR)));
  await eventually('the refusal', () => {
    network.carry();
    const [summary] = first.routes.summary();
    return summary?.state === 'tunnel' ? true : undefined;
  });
  t.match(first.routes.summary(), [{ correspondent: FAR, reason: /does not support/ }]);
  t.same(first.routes.routes([first.homeAddress]), []);
});
