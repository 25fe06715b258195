import type { Engine, PortId, SlowPathPacket, TunnelSpec } from '../datapath/index.js';
import { KagemushaError } from '../errors.js';
import { GuestLink, type GuestLinkOutput, isSignOfGuest } from '../homelink/index.js';
import { ReservedCounter } from '../reserved-counter.js';
import { emitSignal, MobileNode, type MobileNodeOutput, type Signal } from '../signaling/index.js';
import {
  type Address,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitPacket,
  type Icmpv6Message,
  type Ipv6Packet,
  type Mac,
  parseMac,
} from '../wire/index.js';
import type { GuestConfig } from './config/schema.js';
import { Driver, monotonicNow } from './driver.js';
import { sumDrops } from './drop-counts.js';
import type { Logger } from './log.js';
import type { BindingStatus, GuestStatus } from './status.js';
import type { TunnelEnds } from './tunnel-ping.js';

/**
 * The link-layer address that the guest sees for its router and every neighbour: locally administered, the same on every
 * host, so that a guest's neighbour cache stays right when it moves on.
 */
export const ROUTER_MAC: Mac = parseMac('02:6b:67:00:00:01');

/** Binding Updates without an answer after which the log says so. */
const UNANSWERED_TO_WARN = 3;

/** Between two looks at what a port says that was no sign of the guest: a chatty port costs little. */
const WATCH_AGAIN_MS = 5;

/** What a guest needs of its daemon. */
export interface GuestServices {
  readonly engine: Engine;
  readonly log: Logger;
  /** MTU inside the tunnel. */
  readonly tunnelMtu: number;
  /** The tunnel of this guest opened, closed or changed. */
  changed(): void;
}

/** One home address of a guest and the binding that is kept for it. */
interface Home {
  readonly address: Address;
  readonly node: MobileNode;
  readonly driver: Driver<Parameters<MobileNode['handle']>[1], MobileNodeOutput>;
  bound: boolean;
  /** Binding Updates since the last answer. */
  unanswered: number;
}

/** One guest: its home link, its bindings, its port and its tunnel. */
export class Guest {
  readonly config: GuestConfig;
  readonly port: PortId;
  readonly slot: number;
  readonly #services: GuestServices;
  readonly #log: Logger;
  readonly #homes: readonly Home[];
  readonly #link: GuestLink;
  readonly #linkDriver: Driver<Parameters<GuestLink['handle']>[1], GuestLinkOutput>;
  #mac: Mac | undefined;
  #watching: NodeJS.Timeout | undefined;

  constructor(config: GuestConfig, port: PortId, slot: number, services: GuestServices) {
    this.config = config;
    this.port = port;
    this.slot = slot;
    this.#services = services;
    this.#log = services.log.child({ guest: config.name });
    this.#homes = config.homeAddresses.map((address) => this.#home(address));
    const { routerLifetime, ...advertised } = config.routerAdvertisement;
    this.#link = new GuestLink({
      homeAddresses: [...config.homeAddresses],
      homePrefix: config.homePrefix,
      homeRouter: config.homeRouter,
      routerMac: ROUTER_MAC,
      routerAdvertisement: { lifetime: routerLifetime, ...advertised },
      random: Math.random,
    });
    this.#linkDriver = new Driver(this.#link, (output) => this.#onLink(output));
  }

  get homeAgent(): Address {
    const { homeAgents } = this.config;
    if (homeAgents.kind === 'list') return homeAgents.addresses[0];
    throw new KagemushaError('CONFIG_INVALID', 'home_agent = "auto" is not wired yet');
  }

  get careOfAddress(): Address {
    const { careOfAddress } = this.config;
    if (careOfAddress !== undefined && careOfAddress !== 'auto') return careOfAddress;
    throw new KagemushaError('CONFIG_INVALID', 'care_of_address = "auto" is not wired yet');
  }

  /** Does what the configuration's `register` asks for at start. */
  start(): void {
    if (this.config.register === 'traffic') this.#watch();
    else this.#linkDriver.send({ type: 'arrived' });
    if (this.config.register === 'start') this.bind();
  }

  /** Registers every home address now. */
  bind(): void {
    for (const { driver } of this.#homes) driver.send({ type: 'register' });
  }

  /** De-registers every home address. */
  unbind(): void {
    for (const { driver } of this.#homes) driver.send({ type: 'deregister' });
  }

  /** Ends the timers; says nothing to the Home Agent (the guest lives on). */
  stop(): void {
    clearTimeout(this.#watching);
    this.#linkDriver.stop();
    for (const { driver } of this.#homes) driver.stop();
  }

  /** The tunnel of the home addresses that are bound; undefined when none is. */
  tunnel(): TunnelSpec | undefined {
    const bound = this.#homes.filter((home) => home.bound).map((home) => home.address);
    if (bound.length === 0) return undefined;
    return {
      slot: this.slot,
      side: 'mobile-node',
      local: this.careOfAddress,
      remote: this.homeAgent,
      homeAddresses: bound,
      port: this.port,
      mtu: this.#services.tunnelMtu,
    };
  }

  /** The ends of the tunnel while the first home address is bound. */
  ends(): TunnelEnds | undefined {
    const [home] = this.#homes.filter(({ bound }) => bound);
    if (home === undefined) return undefined;
    const { careOfAddress, homeAgent } = this;
    return { homeAddress: home.address, careOfAddress, homeAgent };
  }

  /** A frame of the guest that the engine did not carry itself. */
  onFrame(packet: SlowPathPacket): void {
    if (packet.kind === 'first-frame') {
      this.#onFirstFrame(packet.bytes);
    } else if (packet.kind === 'too-big') {
      const mtu = packet.mtu ?? this.#services.tunnelMtu;
      this.#linkDriver.send({ type: 'too-big', bytes: packet.bytes, mtu });
    } else {
      this.#linkDriver.send({ type: 'frame', bytes: packet.bytes });
    }
  }

  /** A mobility message for this guest; the state machine checks every address in it. */
  onSignal(signal: Signal): void {
    for (const home of this.#homes) {
      if (signal.routingHeader !== undefined && signal.routingHeader !== home.address) continue;
      const { state } = home.node;
      home.driver.send({ type: 'signal', signal });
      // What the machine ignored, a forgery say, changes nothing and is not worth a line.
      if (home.node.state === state) continue;
      home.unanswered = 0;
      if (home.node.state.kind === 'rejected') this.#warn(home, 'refused');
    }
  }

  /** An ICMPv6 error about a packet from this guest's care-of address. */
  onPathError(error: Icmpv6Message): void {
    for (const { driver } of this.#homes) driver.send({ type: 'path-error', error });
  }

  /** Hands the guest a packet that came outside the fast path, its routing header done with. */
  deliver(packet: Ipv6Packet, homeAddress: Address): boolean {
    if (this.#mac === undefined) return false;
    const frame = emitEthernet({
      destination: this.#mac,
      source: ROUTER_MAC,
      etherType: ETHERTYPE_IPV6,
      payload: emitPacket({ ...packet, destination: homeAddress, extensions: [] }),
    });
    return this.#services.engine.transmit(this.port, frame);
  }

  status(now: number): GuestStatus {
    const { engine } = this.#services;
    const { drops, ...traffic } = engine.tunnelCounters(this.slot);
    return {
      name: this.config.name,
      homeAddresses: [...this.config.homeAddresses],
      careOfAddress: this.careOfAddress,
      homeAgent: this.homeAgent,
      binding: this.#binding(now),
      traffic,
      drops: sumDrops(
        drops,
        engine.portDrops(this.port),
        this.#link.drops,
        ...this.#homes.map(({ node }) => node.drops),
      ),
    };
  }

  /** The binding of the home address that needs attention most: the first that is not registered, else the first. */
  #binding(now: number): BindingStatus {
    const summaries = this.#homes.map(({ node }) => node.summary(now));
    const shown = summaries.find(({ state }) => state !== 'registered') ?? summaries[0];
    return shown ?? { state: 'idle' };
  }

  /** With `register = "traffic"`: the guest is here, or something else spoke and we go on listening. */
  #onFirstFrame(bytes: Uint8Array): void {
    if (isSignOfGuest(bytes, this.config.homeAddresses)) {
      this.#log.info('the guest is here');
      this.#linkDriver.send({ type: 'arrived' });
      this.bind();
    } else {
      this.#watching = setTimeout(() => this.#watch(), WATCH_AGAIN_MS);
    }
  }

  #watch(): void {
    this.#services.engine.watchFirstFrame(this.port);
  }

  #home(address: Address): Home {
    const { homeAgent, careOfAddress } = this;
    const { lifetime } = this.config;
    const node = new MobileNode({
      homeAddress: address,
      homeAgent,
      careOfAddress,
      lifetime,
      // A Home Agent that still knows an older number answers with it (status 135) and is followed.
      sequence: new ReservedCounter({
        next: Math.floor(Math.random() * 0x10000),
        last: 0xffff,
        wraps: true,
        block: 64,
        reserve: () => {},
      }),
      random: Math.random,
    });
    const driver = new Driver(node, (output: MobileNodeOutput) => this.#onNode(home, output));
    const home: Home = { address, node, driver, bound: false, unanswered: 0 };
    return home;
  }

  /** Tells the log what `status` tells, once for each thing that goes wrong. */
  #warn(home: Home, what: string): void {
    const { status, reason } = home.node.summary(monotonicNow());
    const { homeAgent } = this;
    this.#log.warn({ homeAddress: home.address, homeAgent, status, reason }, what);
  }

  #onNode(home: Home, output: MobileNodeOutput): void {
    switch (output.type) {
      case 'transmit':
        this.#services.engine.transmit('uplink', emitSignal(output.signal));
        home.unanswered += 1;
        if (home.unanswered === UNANSWERED_TO_WARN) this.#warn(home, 'no answer');
        break;
      case 'bound':
        if (!home.bound)
          this.#log.info({ homeAddress: home.address, lifetime: output.lifetime }, 'registered');
        home.bound = true;
        this.#services.changed();
        break;
      case 'unbound':
        this.#log.warn({ homeAddress: home.address, reason: output.reason }, 'not registered');
        home.bound = false;
        this.#services.changed();
        break;
    }
  }

  #onLink(output: GuestLinkOutput): void {
    if (output.type === 'frame') {
      this.#services.engine.transmit(this.port, output.bytes);
    } else {
      this.#mac = output.mac;
      this.#services.engine.setPeerMac(this.port, output.mac);
    }
  }
}
