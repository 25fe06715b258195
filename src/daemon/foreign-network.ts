import { createHash } from 'node:crypto';
import type { Engine, PortId, Table } from '../datapath/index.js';
import {
  ForeignLink,
  type ForeignLinkEvent,
  type ForeignLinkOutput,
} from '../foreignlink/index.js';
import { type Address, isLinkLocal, type Mac, parsePrefix, readMac } from '../wire/index.js';
import type { CareOfChoice } from './care-of-addresses.js';
import { makeCareOf, preferredPrefix } from './care-of-auto.js';
import type { GuestConfig, PacketUplinkConfig } from './config/schema.js';
import { Driver } from './driver.js';
import { Gathered } from './gathered.js';
import type { LinkState } from './link-monitor.js';
import type { Logger } from './log.js';
import type { Sending, UplinkStatus } from './status.js';
import { CARE_OF_SECRET, type Store } from './store/index.js';

const LINK_LOCAL = parsePrefix('fe80::/64');

/** RFC 7217 6: so many addresses are tried after another node had the first one. */
const IDGEN_RETRIES = 3;
/** And then again after so long, milliseconds: whoever answered for all of them may be gone. */
const CONFLICTS_PAUSE = 60_000;
/** Between two looks at prefixes that changed, milliseconds. */
const PREFIXES_PAUSE = 250;
/** The name, none of a guest's, under which conflicts of the link-local address are counted. */
const LINK = '';

/**
 * The link-layer address of this host's care-of addresses, unless the configuration has one: always the same one, another one on every
 * host, also where a host is a copy of another, and locally administered.
 *
 * @param secret 16 octets that this host keeps (Store.secret) @param device that of the interface itself
 */
export function stationMac(secret: Uint8Array, device: Mac): Mac {
  const hash = createHash('sha256').update('station').update(device).update(secret).digest();
  const octets = Uint8Array.from(hash.subarray(0, 6));
  octets[0] = ((octets[0] ?? 0) & 0xfc) | 0x02;
  return readMac(octets, 0);
}

/** Where Neighbor Discovery of a packet uplink comes from and goes to. */
export interface NetworkPort {
  readonly port: PortId;
  /** That of the care-of addresses. */
  readonly mac: Mac;
  /** The interface when it was opened. */
  readonly link: LinkState;
  /** With `bypass_qdisc`: why packets are not sent by AF_XDP. */
  readonly withoutXdp?: string;
}

/** What the network needs of its daemon. */
export interface NetworkServices {
  readonly engine: Pick<Engine, 'transmit'>;
  readonly store: Pick<Store, 'secret' | 'registrations'>;
  readonly log: Logger;
  /** Of the configuration; octets. */
  readonly uplinkMtu: number;
  /** Which care-of addresses may be used has changed, or where packets go. */
  changed(): void;
}

type Use = 'checked' | 'usable' | 'duplicate';

/** The network that a packet uplink is on: the care-of addresses of the guests as its hosts, and where their packets go. */
export class ForeignNetwork {
  readonly port: PortId;
  readonly #mac: Mac;
  readonly #sending: Sending;
  readonly #config: PacketUplinkConfig;
  readonly #services: NetworkServices;
  readonly #link: ForeignLink;
  readonly #driver: Driver<ForeignLinkEvent, ForeignLinkOutput>;
  /** care-of addresses, and the link-local one */
  readonly #addresses = new Map<Address, Use>();
  #interface: LinkState;
  /** Anybody on the link may invent prefixes without end; each of all guests is asked what it means for it. */
  readonly #prefixes: Gathered;
  /** of guests with `auto`, by name */
  readonly #chosen = new Map<string, Address>();
  /** RFC 7217 5: DAD_Counter, by guest; the link-local address has none's */
  readonly #conflicts = new Map<string, number>();
  /** a new table is on its way anyway */
  #following = false;
  /** A process before this one had them a moment ago, by home address: what was registered with them stands. */
  readonly #before: ReadonlyMap<Address, Address>;
  /** those of them that nobody else has, as far as is known */
  readonly #ours: Set<Address>;
  /** the one that the log knows */
  #router: Address | undefined;
  /** when those that met too many conflicts try again */
  readonly #retries = new Map<string, NodeJS.Timeout>();

  constructor(
    config: PacketUplinkConfig,
    { port, mac, link, withoutXdp }: NetworkPort,
    services: NetworkServices,
  ) {
    this.port = port;
    this.#mac = mac;
    this.#sending = config.bypassQdisc ? (withoutXdp === undefined ? 'xdp' : 'direct') : 'queued';
    if (this.#sending === 'direct') {
      const what = `uplink ${config.device}: bypass_qdisc without AF_XDP (${withoutXdp})`;
      services.log.warn(`${what}: a packet socket is used`);
    }
    this.#interface = link;
    this.#prefixes = new Gathered(() => services.changed(), PREFIXES_PAUSE);
    this.#config = config;
    this.#services = services;
    const { router } = config;
    const registered = services.store
      .registrations()
      .filter(({ expiresAt }) => expiresAt > Date.now());
    this.#before = new Map(registered.map((known) => [known.homeAddress, known.careOfAddress]));
    this.#ours = new Set(this.#before.values());
    this.#link = new ForeignLink({
      mac,
      random: Math.random,
      ...(router === undefined ? {} : { router }),
    });
    this.#driver = new Driver(this.#link, (output) => this.#on(output));
    if (!link.carrier) this.#driver.send({ type: 'carrier', on: false });
    this.#driver.send({ type: 'start', again: this.#ours.size > 0 });
    this.#addLinkLocal();
  }

  onFrame(bytes: Uint8Array): void {
    this.#driver.send({ type: 'frame', bytes });
  }

  /** The interface, now: with another carrier it may be on another network. */
  onLink(now: LinkState): void {
    const { changes, carrier } = this.#interface;
    this.#interface = now;
    if (now.changes === changes && now.carrier === carrier) return;
    // Also where it was lost and came back before anybody looked.
    this.#driver.send({ type: 'carrier', on: false });
    if (now.carrier) this.#driver.send({ type: 'carrier', on: true });
    const { device } = this.#config;
    this.#services.log.info({ device }, now.carrier ? 'carrier' : 'no carrier');
    this.#services.changed();
  }

  /** The care-of address that a guest may use now; asking for one begins its duplicate address detection. */
  careOf(guest: GuestConfig): CareOfChoice {
    const { careOfAddress } = guest;
    if (careOfAddress === undefined) return { kind: 'address', address: guest.homeAddresses[0] };
    const address = careOfAddress === 'auto' ? this.#choose(guest) : careOfAddress;
    if (address === undefined) return { kind: 'none', reason: this.#noPrefix(guest.name) };
    return this.#use(address);
  }

  /** Whether another node has it. */
  isDuplicate(address: Address): boolean {
    return this.#addresses.get(address) === 'duplicate';
  }

  /**
   * What the daemon needs of the link from now on.
   *
   * @param guests of the configuration @param inUse care-of addresses of tunnels @param destinations of outer packets
   */
  follow(
    guests: readonly GuestConfig[],
    inUse: Iterable<Address>,
    destinations: Iterable<Address>,
  ): void {
    const names = new Set(guests.map(({ name }) => name));
    for (const name of this.#chosen.keys()) if (!names.has(name)) this.#chosen.delete(name);
    for (const name of this.#conflicts.keys()) {
      if (name !== LINK && !names.has(name)) this.#forgetConflicts(name);
    }
    const kept = new Set(inUse);
    for (const { name, careOfAddress } of guests) {
      const address = careOfAddress === 'auto' ? this.#chosen.get(name) : careOfAddress;
      if (address !== undefined) kept.add(address);
    }
    this.#following = true;
    try {
      for (const address of [...this.#addresses.keys()]) {
        if (kept.has(address) || isLinkLocal(address)) continue;
        this.#addresses.delete(address);
        this.#ours.delete(address);
        this.#driver.send({ type: 'remove', address });
      }
      this.#driver.send({ type: 'destinations', addresses: destinations });
    } finally {
      this.#following = false;
    }
  }

  /** The network's part of the engine's table. */
  get hops(): Pick<Table, 'nextHops' | 'router'> {
    return this.#link.hops;
  }

  get drops(): ReadonlyMap<string, number> {
    return this.#link.drops;
  }

  /** Why no packet can leave, in one sentence. */
  get trouble(): string | undefined {
    const { device } = this.#config;
    if (!this.#interface.up) return `${device} is down; run: ip link set ${device} up`;
    if (!this.#interface.carrier) {
      return `${device} has no carrier: its cable is out, or what is at the other end is off`;
    }
    const router = this.#link.router;
    if (router?.state === 'unreachable') {
      return `router ${router.address} on ${device} does not answer`;
    }
    if (this.#isConnected) return undefined;
    if (router !== undefined) return `router ${router.address} on ${device} has not answered yet`;
    return `no router has spoken on ${device}; where none does, write uplink = { …, router = "fe80::1" }`;
  }

  get status(): UplinkStatus {
    const router = this.#link.router;
    const reason = this.trouble;
    return {
      kind: 'packet',
      device: this.#config.device,
      mac: this.#mac,
      sending: this.#sending,
      ...(router === undefined ? {} : { router }),
      addresses: [...this.#addresses].map(([address, state]) => ({ address, state })),
      ...(reason === undefined ? {} : { reason }),
    };
  }

  stop(): void {
    this.#prefixes.stop();
    for (const retry of this.#retries.values()) clearTimeout(retry);
    this.#driver.stop();
  }

  /** Packets have a way out: a router, or on a link without one at least its own prefixes. */
  get #isConnected(): boolean {
    if (!this.#interface.carrier) return false;
    const { router, nextHops } = this.#link.hops;
    if (router !== undefined || nextHops.length > 0) return true;
    return this.#link.router === undefined && this.#link.hasPrefix;
  }

  #use(address: Address): CareOfChoice {
    const { device } = this.#config;
    if (!this.#addresses.has(address)) {
      this.#addresses.set(address, 'checked');
      this.#driver.send({ type: 'add', address, optimistic: this.#ours.has(address) });
    }
    switch (this.#addresses.get(address)) {
      case 'usable':
        if (this.#isConnected || this.#ours.has(address)) return { kind: 'address', address };
        return { kind: 'none', reason: this.trouble ?? `there is no way out of ${device}` };
      case 'duplicate': {
        const what = `care-of address ${address} is in use by another node on ${device}`;
        return {
          kind: 'none',
          reason: `${what}; give the guest another one, or take it from there`,
        };
      }
      default: {
        const { carrier } = this.#interface;
        const asking = 'whether another node has it is being asked';
        const why = carrier ? asking : (this.trouble ?? asking);
        return { kind: 'none', reason: `care-of address ${address} on ${device}: ${why}` };
      }
    }
  }

  /** From a prefix of the link, the same one as long as that is good (RFC 7217). */
  #choose({ name: guest, homeAddresses }: GuestConfig): Address | undefined {
    const conflicts = this.#conflicts.get(guest) ?? 0;
    if (conflicts > IDGEN_RETRIES) return undefined;
    const current = this.#chosen.get(guest);
    const prefix = preferredPrefix(this.#link.prefixes, current);
    if (prefix === undefined) {
      // Routers will tell whether it is still good.
      const before = current ?? this.#before.get(homeAddresses[0]);
      if (before === undefined || !this.#ours.has(before)) return undefined;
      this.#chosen.set(guest, before);
      return before;
    }
    const others = [...this.#chosen].flatMap(([name, address]) =>
      name === guest ? [] : [address],
    );
    const address = makeCareOf(prefix, {
      guest,
      secret: this.#services.store.secret(CARE_OF_SECRET),
      taken: new Set(others),
      conflicts,
    });
    if (address !== undefined) this.#chosen.set(guest, address);
    return address;
  }

  #noPrefix(guest: string): string {
    const { device } = this.#config;
    const mend = 'write care_of_address = "an address"';
    if ((this.#conflicts.get(guest) ?? 0) > IDGEN_RETRIES) {
      return `${IDGEN_RETRIES + 1} addresses were in use by others on ${device}; ${mend}`;
    }
    return `no router on ${device} has told a /64 to make addresses from (yet); else ${mend}`;
  }

  #addLinkLocal(): void {
    const { device } = this.#config;
    const conflicts = this.#conflicts.get(LINK) ?? 0;
    // Without one the link is asked from care-of addresses.
    if (conflicts > IDGEN_RETRIES) return;
    const address = makeCareOf(LINK_LOCAL, {
      guest: device,
      secret: this.#services.store.secret(CARE_OF_SECRET),
      taken: new Set(),
      conflicts,
    });
    if (address === undefined) return;
    this.#addresses.set(address, 'checked');
    this.#driver.send({ type: 'add', address });
  }

  #on(output: ForeignLinkOutput): void {
    const { engine, log, changed, uplinkMtu } = this.#services;
    const { device } = this.#config;
    switch (output.type) {
      case 'frame':
        if (engine.transmit(this.port, output.bytes)) break;
        this.#driver.send({ type: 'unsent', bytes: output.bytes });
        break;
      case 'usable':
        if (!this.#addresses.has(output.address)) break;
        this.#addresses.set(output.address, 'usable');
        changed();
        break;
      case 'unproven':
        if (!this.#addresses.has(output.address)) break;
        this.#addresses.set(output.address, 'checked');
        changed();
        break;
      case 'duplicate':
        this.#onDuplicate(output.address);
        break;
      case 'hops':
        this.#tellRouter();
        if (!this.#following) changed();
        break;
      case 'prefixes':
        this.#prefixes.soon();
        break;
      case 'mtu':
        if (output.mtu >= uplinkMtu) break;
        log.warn(
          { device, mtu: output.mtu, uplinkMtu },
          `routers on ${device} tell a smaller MTU than uplink_mtu; write uplink_mtu = ${output.mtu}`,
        );
        break;
    }
  }

  #tellRouter(): void {
    const { device } = this.#config;
    const { router } = this.#link;
    if (router?.address === this.#router) return;
    this.#router = router?.address;
    this.#services.log.info({ device, router: router?.address, mac: router?.mac }, 'router');
  }

  #onDuplicate(address: Address): void {
    const { log, changed } = this.#services;
    const { device } = this.#config;
    const known = this.#addresses.get(address);
    if (known === undefined) return;
    if (known !== 'duplicate') log.warn({ address, device }, 'another node has this address');
    this.#addresses.set(address, 'duplicate');
    this.#ours.delete(address);
    const count = (name: string): void => {
      const conflicts = (this.#conflicts.get(name) ?? 0) + 1;
      this.#conflicts.set(name, conflicts);
      if (conflicts > IDGEN_RETRIES) this.#tryAgain(name);
    };
    if (isLinkLocal(address)) {
      this.#addresses.delete(address);
      this.#driver.send({ type: 'remove', address });
      count(LINK);
      this.#addLinkLocal();
      return;
    }
    for (const [name, chosen] of [...this.#chosen]) {
      if (chosen !== address) continue;
      this.#chosen.delete(name);
      count(name);
    }
    changed();
  }

  /** Whoever has them all may go away, or be stopped. */
  #tryAgain(name: string): void {
    const retry = setTimeout(() => {
      this.#forgetConflicts(name);
      if (name === LINK) this.#addLinkLocal();
      this.#services.changed();
    }, CONFLICTS_PAUSE);
    this.#retries.set(name, retry);
  }

  #forgetConflicts(name: string): void {
    clearTimeout(this.#retries.get(name));
    this.#retries.delete(name);
    this.#conflicts.delete(name);
  }
}
