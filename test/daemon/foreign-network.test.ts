import pino from 'pino';
import t, { type Test } from 'tap';
import type { GuestConfig } from '../../src/daemon/config/schema.js';
import { ForeignNetwork, stationMac } from '../../src/daemon/foreign-network.js';
import { MemoryStore } from '../../src/daemon/store/index.js';
import {
  type Address,
  parseAddress,
  parseMac,
  parsePrefix,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { eventually } from '../datapath/world.js';
import {
  neighborAdvertisement,
  prefixOption,
  ROUTER,
  ROUTER_STATION,
  routerAdvertisement,
  sourceOption,
} from '../support/foreign-link-harness.js';
import { icmpv6Frame, read, solicitation } from '../support/link-frames.js';
import { isMldReport } from '../support/mld.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const MAC = parseMac('02:00:00:00:00:01');
const LINK = { up: true, carrier: true, changes: 2 };

/** What a network looks at of a guest. */
function guest(name: string, careOfAddress: Address | 'auto' | undefined): GuestConfig {
  return { name, careOfAddress, homeAddresses: [HOME_ADDRESS] } as unknown as GuestConfig;
}

/** A network on a link whose other nodes the test plays. */
function network(t: Pick<Test, 'teardown'>, store = new MemoryStore(), router?: Address) {
  const frames: Uint8Array[] = [];
  let changes = 0;
  let room = true;
  const device = {
    kind: 'packet' as const,
    device: 'eth0',
    mac: MAC,
    router,
    frames: 64,
    queueBytes: 65_536,
    bypassQdisc: false,
  };
  const made = new ForeignNetwork(
    device,
    { port: 7, mac: MAC, link: LINK },
    {
      engine: {
        transmit: (_, bytes) => {
          if (room) frames.push(bytes.slice());
          return room;
        },
      },
      store,
      log: pino({ level: 'silent' }),
      uplinkMtu: 1500,
      changed: () => {
        changes += 1;
      },
    },
  );
  t.teardown(() => made.stop());
  const hear = (sent: Parameters<typeof icmpv6Frame>[0]) =>
    made.onFrame(icmpv6Frame({ source: ROUTER, sourceMac: ROUTER_STATION, ...sent }));
  const all = parseAddress('ff02::1');
  return {
    network: made,
    changes: () => changes,
    /** Whether the ring to the engine has room. */
    letThrough: (has: boolean) => {
      room = has;
    },
    sent: () => frames.filter((bytes) => !isMldReport(bytes)).map((bytes) => read(bytes)),
    hear,
    advertise: () =>
      hear({
        destination: all,
        message: routerAdvertisement({ options: [sourceOption(ROUTER_STATION), prefixOption()] }),
      }),
    claim: (address: Address) =>
      hear({
        destination: all,
        message: neighborAdvertisement(address, ROUTER_STATION, { solicited: false }),
      }),
  };
}

t.test('the link-layer address of a host: locally administered, one station, its own', (t) => {
  const secret = new Uint8Array(16).fill(7);
  const card = parseMac('52:54:00:00:00:01');
  const mac = stationMac(secret, card);
  t.equal(stationMac(secret, card), mac, 'stable');
  t.equal(Number.parseInt(mac.slice(0, 2), 16) & 3, 2);
  t.not(stationMac(new Uint8Array(16), card), mac);
  t.not(stationMac(secret, parseMac('52:54:00:00:00:02')), mac, 'a copied host has another card');
  t.end();
});

t.test('a configured address waits for its proof, then for a router', async (t) => {
  const link = network(t);
  const one = guest('vm1', CARE_OF);
  t.match(link.network.careOf(one), { kind: 'none', reason: /another node has it is being asked/ });
  await eventually('the proof', () =>
    /no router has spoken on eth0/.test(JSON.stringify(link.network.careOf(one)))
      ? true
      : undefined,
  );
  t.match(link.network.trouble, /write uplink = .*router = "fe80::1"/);
  const before = link.changes();
  link.advertise();
  t.ok(link.changes() > before, 'the daemon is told');
  t.same(link.network.careOf(one), { kind: 'address', address: CARE_OF });
  t.match(link.network.hops, { router: ROUTER_STATION });
  t.equal(link.network.trouble, undefined);
  const probes = link.sent().filter(({ source, destination }) => {
    return source === UNSPECIFIED && destination === solicitedNode(CARE_OF);
  });
  t.equal(probes.length, 1);

  link.network.follow([one], [CARE_OF], [HOME_AGENT]);
  t.match(link.network.status, { addresses: [{}, { address: CARE_OF, state: 'usable' }] });
  link.network.follow([], [], []);
  const { status } = link.network;
  t.equal(status.kind === 'packet' && status.addresses.length, 1, 'what nobody wants is given up');
});

const isProbe = ({ source, message }: ReturnType<typeof read>): boolean =>
  source === UNSPECIFIED && message.kind === 'neighbor-solicitation' && message.target === CARE_OF;

t.test(
  'what the ring to the engine had no room for is sent again, and proves nothing',
  async (t) => {
    const link = network(t, undefined, ROUTER);
    const one = guest('vm1', CARE_OF);
    link.letThrough(false);
    link.network.careOf(one);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    t.match(link.network.careOf(one), {
      kind: 'none',
      reason: /another node has it is being asked/,
    });
    link.letThrough(true);
    await eventually('a probe that leaves', () => link.sent().find(isProbe));
    const probedAt = performance.now();
    await eventually('the proof', () =>
      /being asked/.test(JSON.stringify(link.network.careOf(one))) ? undefined : true,
    );
    t.ok(performance.now() - probedAt > 900, 'a second later');
  },
);

t.test(
  'without a carrier there is no proof and no way out; with it everything is asked anew',
  async (t) => {
    const link = network(t);
    const one = guest('vm1', CARE_OF);
    link.network.onLink({ ...LINK, carrier: false, changes: 3 });
    t.match(link.network.careOf(one), { kind: 'none', reason: /eth0 has no carrier/ });
    t.match(link.network.status, { reason: /^eth0 has no carrier/ });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    t.same(link.sent(), []);
    const before = link.changes();
    link.network.onLink({ ...LINK, changes: 4 });
    t.ok(link.changes() > before, 'the daemon is told');
    link.advertise();
    await eventually('the proof', () =>
      link.network.careOf(one).kind === 'address' ? true : undefined,
    );
    t.equal(link.sent().filter(isProbe).length, 1);
    link.network.onLink({ ...LINK, changes: 4 });
    // What was proven less than a second before would not count.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    link.network.onLink({ ...LINK, changes: 6 });
    await eventually('another probe: it was away in between', () =>
      link.sent().filter(isProbe).length === 2 ? true : undefined,
    );
    t.same(link.network.careOf(one), { kind: 'address', address: CARE_OF }, 'used all the while');
    link.network.onLink({ up: false, carrier: false, changes: 7 });
    t.match(link.network.trouble, /^eth0 is down; run: ip link set eth0 up$/);
  },
);

t.test('prefixes that somebody invents by the hundred: a few looks', async (t) => {
  const link = network(t);
  link.advertise();
  const before = link.changes();
  const end = performance.now() + 1000;
  for (let i = 0; performance.now() < end; i++) {
    const prefix = parsePrefix(`2001:db8:${(0x5000 + (i % 0x1000)).toString(16)}::/64`);
    const source = parseAddress(`fe80::bad:${(i % 0x1000).toString(16)}`);
    const message = routerAdvertisement({ routerLifetime: 0, options: [prefixOption({ prefix })] });
    link.hear({ source, destination: parseAddress('ff02::1'), message });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const looks = link.changes() - before;
  t.ok(looks >= 2 && looks <= 8, `${looks} looks`);
});

t.test('an address of "auto": another one where somebody has the first, four in all', async (t) => {
  const link = network(t);
  const one = guest('vm1', 'auto');
  t.match(link.network.careOf(one), { kind: 'none', reason: /has told a \/64/ });
  link.advertise();
  const tried = new Set<Address>();
  for (let i = 0; i < 4; i++) {
    link.network.careOf(one);
    const { status } = link.network;
    const addresses = status.kind === 'packet' ? status.addresses : [];
    const probed = addresses.find(
      ({ address, state }) => address.startsWith('2001:db8:3000') && state === 'checked',
    );
    if (probed === undefined) throw new Error('nothing is probed');
    tried.add(probed.address);
    link.claim(probed.address);
    t.ok(link.network.isDuplicate(probed.address));
  }
  t.equal(tried.size, 4);
  t.match(link.network.careOf(one), { kind: 'none', reason: /^4 addresses were in use by others/ });
});

t.test('RFC 4429 1.2: what a process before this one had registered is used at once', async (t) => {
  const store = new MemoryStore();
  store.putRegistration({
    homeAddress: HOME_ADDRESS,
    homeAgent: HOME_AGENT,
    careOfAddress: CARE_OF,
    lifetime: 60,
    expiresAt: Date.now() + 30_000,
  });
  const used = { kind: 'address', address: CARE_OF };
  for (const careOf of [CARE_OF, 'auto'] as const) {
    const link = network(t, store);
    const one = guest('vm1', careOf);
    t.same(link.network.careOf(one), used, `${careOf}`);
    link.claim(CARE_OF);
    t.equal(link.network.careOf(one).kind, 'none', 'until another node says that it has it');
  }
  const other = network(t, store);
  t.equal(other.network.careOf(guest('vm2', parseAddress('2001:db8:3000::99'))).kind, 'none');
});

t.test('a link-local address that is taken is made anew, and given up in the end', async (t) => {
  const link = network(t);
  const local = () => {
    const { status } = link.network;
    const addresses = status.kind === 'packet' ? status.addresses : [];
    return addresses.find(({ address }) => address.startsWith('fe80'))?.address;
  };
  const tried = new Set<Address>();
  for (let address = local(); address !== undefined; address = local()) {
    tried.add(address);
    const group = solicitedNode(address);
    link.hear({ source: UNSPECIFIED, destination: group, message: solicitation(address) });
    if (tried.size > 9) throw new Error('it never ends');
  }
  t.equal(tried.size, 4);
});

t.test('a guest at home needs nothing of the network', async (t) => {
  const link = network(t);
  t.same(link.network.careOf(guest('vm1', undefined)), { kind: 'address', address: HOME_ADDRESS });
});
