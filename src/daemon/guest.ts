import type {
  Engine,
  PortId,
  SignalerSpec,
  SlowPathPacket,
  TunnelSpec,
} from '../datapath/index.js';
import { Drops } from '../drops.js';
import { KagemushaError } from '../errors.js';
import { GuestLink, type GuestLinkOutput, isSignOfGuest } from '../homelink/index.js';
import { GUEST_STATE_VERSION, type GuestState, LONGEST_STOP } from '../migration/index.js';
import {
  type Envelope,
  type HomeRegistrationEvent,
  type LearntPrefix,
  SecurityPolicies,
  UpdateRate,
} from '../signaling/index.js';
import type { Millis } from '../time.js';
import type { TokenBucket } from '../token-bucket.js';
import { parameterProblem, readProbe } from '../tunnel/index.js';
import {
  type Address,
  attempt,
  contains,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitPacket,
  type Icmpv6Error,
  type Icmpv6Message,
  type Ipv6Packet,
  type Mac,
  PROTOCOL,
  parseEthernet,
  parseMac,
  parsePacket,
  type2HomeAddress,
  WireError,
} from '../wire/index.js';
import { ArrivalWatch } from './arrival-watch.js';
import { portName } from './config/port-name.js';
import type { GuestConfig } from './config/schema.js';
import { Driver } from './driver.js';
import { sumDrops } from './drop-counts.js';
import { ErrorBudget } from './error-budget.js';
import { GuestAtHome } from './guest-at-home.js';
import { GuestHome, type TunnelBetween } from './guest-home.js';
import { GuestTunnels } from './guest-tunnels.js';
import type { Logger } from './log.js';
import { RouteOptimisation } from './route-optimisation.js';
import type { BindingStatus, GuestStatus } from './status.js';
import type { Store } from './store/index.js';
import { type SlotPool, Stragglers } from './stragglers.js';
import { tunnelEvents } from './tunnel-events.js';
import type { QuotingMessage, TunnelServices } from './tunnel-path.js';
import type { TunnelEnds } from './tunnel-ping.js';
import { wallClock } from './wall-clock.js';

/**
 * The link-layer address that the guest sees for its router and every neighbour: locally administered, the same on every
 * host, so that a guest's neighbour cache stays right when it moves on.
 */
export const ROUTER_MAC: Mac = parseMac('02:6b:67:00:00:01');

/** Between two looks at what a port says that was no sign of the guest: a chatty port costs little. */
const WATCH_AGAIN_MS = 5;

/** An ICMPv6 error is about a packet that no tunnel carried: whose it is then says whether it means anything. */
const NO_TUNNEL_PACKET: ReadonlySet<string> = new Set(['quote_not_ours', 'quote_not_tunnel']);

/** What a guest needs of its daemon. */
export interface GuestServices {
  readonly engine: Engine;
  readonly log: Logger;
  readonly store: Store;
  /** MTU inside the tunnel, as far as the link allows. */
  readonly tunnelMtu: number;
  readonly tunnels: TunnelServices;
  /** ICMPv6 errors to all guests. */
  readonly errors: TokenBucket;
  /** Blocks of tunnel counters, besides those of its home addresses. */
  readonly slots: SlotPool;
  /** A tunnel or an address of this guest opened, closed or changed. */
  changed(): void;
  /** It is here, and was not. */
  here(): void;
  /** Somebody tells what its machine does. */
  monitored(): boolean;
}

/** What a guest has in the engine's table. */
export interface GuestTable {
  readonly tunnels: readonly TunnelSpec[];
  readonly signalers: readonly SignalerSpec[];
}

/** One guest: its home link, its home addresses, its port and its tunnels. */
export class Guest {
  readonly port: PortId;
  /** Blocks of tunnel counters, one for each home address. */
  readonly slots: readonly number[];
  #config: GuestConfig;
  readonly #services: GuestServices;
  readonly #log: Logger;
  readonly #drops = new Drops();
  readonly #homes: readonly GuestHome[];
  readonly #policies: SecurityPolicies;
  readonly #link: GuestLink;
  readonly #linkDriver: Driver<Parameters<GuestLink['handle']>[1], GuestLinkOutput>;
  readonly #tunnels: GuestTunnels;
  /** to the guest, from behind its link */
  readonly #errors: ErrorBudget;
  readonly #atHome: GuestAtHome | undefined;
  /** none unless the configuration asks for it */
  readonly #routes: RouteOptimisation | undefined;
  #careOfAddress: Address;
  readonly #unsettled: HomeRegistrationEvent[] = [];
  /** What was registered before had another care-of address: it is registered anew once the guest shows itself. */
  #wasElsewhere = false;
  /** The guest is on its port, as far as we know: it was told of its router. */
  #arrived = false;
  /** Since when it is this host's to register, milliseconds since 1970. */
  #since: Millis | undefined;
  /** When a process before this one was last told that it is, milliseconds since 1970. */
  #confirmedAt: Millis | undefined;
  /** Why it is not, though somebody thought so. */
  #conflict: string | undefined;
  #mac: Mac | undefined;
  readonly #arrival: ArrivalWatch;
  /** It is registered already while its machine stands still on the way here. */
  #early = false;
  /** Its machine stands still, on the way to another host. */
  #leaving = false;
  readonly #stragglers: Stragglers;
  #watching: NodeJS.Timeout | undefined;
  #coming: NodeJS.Timeout | undefined;

  /**
   * @param careOfAddress the configured one, or the one that was chosen for it; at home: the first home address
   * @throws KagemushaError of the engine when the home link cannot be opened
   */
  constructor(
    config: GuestConfig,
    port: PortId,
    slots: readonly number[],
    careOfAddress: Address,
    services: GuestServices,
  ) {
    this.#config = config;
    this.port = port;
    this.slots = slots;
    this.#careOfAddress = careOfAddress;
    this.#services = services;
    this.#log = services.log.child({ guest: config.name });
    this.#arrival = new ArrivalWatch(this.#log);
    this.#tunnels = new GuestTunnels(services.tunnels);
    this.#stragglers = new Stragglers(services.slots, () => services.changed());
    this.#errors = new ErrorBudget(services.errors);
    this.#routes = config.routeOptimisation ? this.#optimise() : undefined;
    this.#homes = this.#makeHomes();
    this.#policies = new SecurityPolicies(
      'mobile-node',
      this.#homes.map(({ address, protection }) => ({ homeAddress: address, protection })),
      Date.now,
    );
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
    if (config.homeLink !== undefined) {
      this.#atHome = new GuestAtHome(
        services.engine,
        config.homeLink,
        config.homeAddresses,
        (packet) => this.onPacket(packet),
      );
    }
  }

  get config(): GuestConfig {
    return this.#config;
  }

  /** Does what the configuration's `register` asks for at start. */
  start(): void {
    const { register } = this.#config;
    if (this.#atHome !== undefined) {
      if (register === 'start') this.#begin();
      return;
    }
    // What a process before this one had registered is open again, but the guest may have left meanwhile (with a host that was
    // started anew, say): its answer is the sign that it is here, or its machine's monitor says so.
    const resumed = register !== 'start' && (this.#isOpen || this.#wasElsewhere);
    const awaited = register === 'traffic' || register === 'qmp';
    if (register === 'traffic' || (register === 'command' && resumed)) this.#watch();
    if (!awaited || resumed) this.#arrive();
    if (register === 'start') this.#begin();
    // Until its machine's monitor says that it is: nothing is taken from a host that it may have gone to meanwhile.
    if (register === 'qmp' && resumed) this.hold();
    else if (resumed) this.#isHere(undefined);
  }

  /** Nobody tells any more what its machine does: if it is not here, its first frame will. */
  onMonitorLost(): void {
    if (this.#early) this.release();
    if (this.#since === undefined && this.#atHome === undefined) this.#watch();
  }

  /** The port has another end again: whoever is there now is told of its router, and asked for its address. */
  onPortConnected(): void {
    if (this.#arrived) this.#arrive();
  }

  /** The guest is to come, and is elsewhere until then; told again while it comes. */
  expect(): void {
    if (this.#early) return;
    if (this.isHeld) this.release();
    this.#conflict = undefined;
    for (const home of this.#homes) home.prepare();
  }

  get since(): Millis | undefined {
    return this.#since;
  }

  /** There is something of it to let go of. */
  get isHeld(): boolean {
    return this.#since !== undefined || this.#early || this.#leaving || this.#isOpen;
  }

  /** Another host may have registered it, which is not to have it. */
  reassert(): void {
    if (this.#since !== undefined) this.#register();
  }

  /** What the next host of the guest needs to know. */
  get state(): GuestState {
    const { mac = this.#config.homeLink?.mac, linkLocals, neighbours = [] } = this.#link.known;
    const homes = this.#homes.map((home) => {
      const pathMtu = this.#tunnels.narrowed(home.address);
      return { ...home.state, ...(pathMtu === undefined ? {} : { pathMtu }) };
    });
    const known = mac === undefined ? {} : { mac };
    return { version: GUEST_STATE_VERSION, homes, linkLocals, neighbours, ...known };
  }

  /** What the guest's host before this one knew. What cannot be kept of it is lost: the home agent tells it again. */
  take({ homes, mac, linkLocals = [], neighbours = [], stoppedAt }: GuestState): void {
    let isBehind = false;
    for (const home of this.#homes) {
      const state = homes.find(({ homeAddress }) => homeAddress === home.address);
      if (state === undefined) continue;
      try {
        if (home.take(state)) isBehind = true;
      } catch (error) {
        if (!(error instanceof KagemushaError)) throw error;
        this.#log.warn({ code: error.code }, `not kept: ${error.message}`);
      }
      if (state.pathMtu !== undefined) this.#tunnels.told(home.address, state.pathMtu);
    }
    // What was sent under numbers that were used before is a replay to the home agent: nobody will answer it.
    if (isBehind && this.#since !== undefined) this.#register();
    this.#atHome?.expectNeighbours(neighbours);
    const guest = { linkLocals, neighbours, ...(mac === undefined ? {} : { mac }) };
    if (!this.#arrived) this.#linkDriver.send({ type: 'told', guest });
    if (stoppedAt !== undefined) this.#arrival.stopped(stoppedAt);
  }

  /** What goes to its care-of address on another host is sent on to here. */
  expectStragglers(from: Address): void {
    if (this.#atHome === undefined) this.#stragglers.expectFrom(from);
  }

  /** What still comes here for it goes on to its care-of address on another host. */
  sendStragglers(to: Address): void {
    if (this.#atHome === undefined) this.#stragglers.sendOnward(this.#table(), to);
  }

  /**
   * Its machine stands still, and is about to run here: whatever the Home Agent takes its time for (RFC 6275 10.3.1: duplicate address
   * detection for a first registration), it does meanwhile. False: it is registered already, or need not be.
   */
  registerEarly(): boolean {
    if (this.isHeld || this.#atHome !== undefined) return false;
    this.#early = true;
    this.#register();
    clearTimeout(this.#coming);
    this.#coming = setTimeout(() => {
      if (this.#early) this.release();
    }, LONGEST_STOP);
    this.#log.info('registered early, while its machine stands still');
    return true;
  }

  /**
   * The guest is on this host from now on: it is registered, first of all, and told of its router.
   *
   * @param at since when, milliseconds since 1970; undefined: since some time ago
   */
  adopt(at: Millis | undefined): void {
    if (at === undefined) this.#arrival.forget();
    else this.#arrival.here(at);
    if (!this.#early || this.#homes.some((home) => !home.isAsked)) this.#register();
    this.#early = this.#leaving = false;
    this.#conflict = undefined;
    this.#stragglers.arrived();
    if (this.#atHome === undefined) this.#arrive();
    if (at !== undefined && this.#atHome === undefined) {
      this.#services.engine.watchFirstDelivery(this.port);
    }
    this.#isHere(at);
    this.#log.info('the guest is here');
  }

  /** The guest stands still to go to another host: no Binding Update of ours may overtake that host's. */
  hold(): void {
    this.#leaving = true;
    this.#since = undefined;
    this.#atHome?.left();
    for (const home of this.#homes) home.send({ type: 'hold' });
  }

  /**
   * The guest is on another host: its binding is that host's, and nothing is said of it, nor to it.
   *
   * @param why where that is strange, one line for people
   * @param listenAfter milliseconds until its first frame counts again: a machine that should have stopped may not have
   */
  release(why?: string, listenAfter: Millis = 0): void {
    this.#log.info('the guest has left');
    this.#arrived = this.#early = this.#leaving = this.#wasElsewhere = false;
    this.#arrival.forget();
    this.#since = this.#confirmedAt = undefined;
    this.#conflict = why;
    clearTimeout(this.#coming);
    this.#atHome?.left();
    this.#linkDriver.send({ type: 'left' });
    for (const home of this.#homes) home.release();
    this.#tunnels.forget();
    this.#stragglers.letRunOut();
    if (this.#config.register === 'traffic') this.#listen(listenAfter);
  }

  /** Registers every home address now; at home: de-registers them. */
  bind(): void {
    this.#register();
    this.#isHere(wallClock());
  }

  /** De-registers every home address. */
  unbind(): void {
    for (const home of this.#homes) home.send({ type: 'deregister' });
    this.#since = undefined;
  }

  /** Another care-of address from now on; `settle` says so to the Home Agent. */
  move(careOfAddress: Address): void {
    if (careOfAddress === this.#careOfAddress) return;
    this.#log.info({ careOfAddress, before: this.#careOfAddress }, 'care-of address changed');
    this.#careOfAddress = careOfAddress;
    this.#unsettled.push({ type: 'move', careOfAddress });
  }

  /** Follows a configuration that differs in nothing but care-of address (see `move`), home agents and lifetime; see `settle`. */
  reconfigure(config: GuestConfig): void {
    const { homeAgents, lifetime } = config;
    this.#config = config;
    this.#unsettled.push({ type: 'reconfigure', homeAgents, lifetime });
  }

  /** Whether `settle` has nothing to say. */
  get isSettled(): boolean {
    return this.#unsettled.length === 0;
  }

  /** Tells the Home Agent what has changed, once the engine has this guest's new table: its answer may come at once. */
  settle(): void {
    for (const event of this.#unsettled.splice(0)) {
      for (const home of this.#homes) home.send(event);
    }
  }

  /** Ends the timers; says nothing to the Home Agent (the guest lives on). */
  stop(): void {
    clearTimeout(this.#watching);
    clearTimeout(this.#coming);
    this.#arrival.stop();
    this.#stragglers.stop();
    this.#linkDriver.stop();
    this.#atHome?.stop();
    this.#routes?.stop();
    this.#tunnels.stop();
    for (const home of this.#homes) home.stop();
  }

  /** The part of the engine's table that is this guest's. */
  table(): GuestTable {
    if (this.#atHome !== undefined) {
      return {
        tunnels: [],
        signalers: this.#homes.map((home) => home.signalerSpec(home.address)),
      };
    }
    return {
      tunnels: this.#stragglers.table(this.#table(), {
        side: 'mobile-node',
        local: this.#careOfAddress,
        homeAddresses: this.#config.homeAddresses,
        port: this.port,
        mtu: this.#services.tunnelMtu,
      }),
      // The newest address has the policing: what comes to an old one is the last of what was on its way.
      signalers: this.#homes.map((home) => home.signalerSpec(this.#careOfAddress)),
    };
  }

  /** Where its tunnels begin from now on; undefined at home. */
  get careOfAddress(): Address | undefined {
    return this.#atHome === undefined ? this.#careOfAddress : undefined;
  }

  /** Every address that packets of this guest's tunnels come to; none at home. */
  get careOfAddresses(): Address[] {
    if (this.#atHome !== undefined) return [];
    const tunnels = this.#homes.flatMap(({ ends }) => ends?.careOfAddress ?? []);
    return [...new Set([this.#careOfAddress, ...tunnels])];
  }

  /** The packet port on the home link, of a guest at home. */
  get homePort(): PortId | undefined {
    return this.#atHome?.port;
  }

  /** The ends of the tunnel of the first home address that has one. */
  ends(): TunnelEnds | undefined {
    for (const { ends } of this.#homes) if (ends !== undefined) return ends;
    return undefined;
  }

  /** What the engine leaves to route optimisation, and what comes out of a tunnel for us. */
  onRoutePacket(packet: SlowPathPacket): void {
    const inner = packet.kind === 'inner' ? attempt(() => parsePacket(packet.bytes)) : undefined;
    if (inner !== undefined && !(inner instanceof WireError) && this.onProbe(inner)) return;
    if (this.#routes?.onSlowPath(packet) !== true) this.#drops.count('unexpected_message');
  }

  /** A frame of the guest that the engine did not carry itself. */
  onFrame(packet: SlowPathPacket): void {
    if (packet.port === this.homePort) {
      this.#atHome?.onFrame(packet.bytes);
    } else if (packet.kind === 'first-frame') {
      this.#onFirstFrame(packet.bytes);
    } else if (packet.kind === 'first-delivery') {
      this.#arrival.delivered();
    } else if (packet.kind === 'too-big') {
      const mtu = packet.mtu ?? this.#services.tunnelMtu;
      this.#linkDriver.send({ type: 'too-big', bytes: packet.bytes, mtu });
    } else if (packet.kind === 'encapsulation-limit') {
      this.#onEncapsulationLimit(packet.bytes, packet.mtu ?? 0);
    } else {
      this.#linkDriver.send({ type: 'frame', bytes: packet.bytes });
    }
  }

  /** Signaling for this guest: a Mobility Header, ESP, or ICMPv6 that is no error and no echo. */
  onPacket(packet: Ipv6Packet): void {
    // What correspondents say proves itself, or nothing; it is none of the home agents' policies.
    if (this.#routes?.onPacket(packet)) return;
    const received = this.#policies.read(packet);
    if (received === undefined) return;
    if (received.kind === 'mobility') {
      const { signal } = received;
      for (const home of this.#homes) {
        if (signal.routingHeader === undefined || signal.routingHeader === home.address) {
          home.onSignal(signal);
        }
      }
    } else if (received.kind === 'icmpv6') {
      const { kind: _, ...message } = received;
      for (const home of this.#homes) {
        if (received.homeAddress === home.address) home.onIcmpv6({ type: 'icmpv6', ...message });
      }
    } else {
      this.#drops.count('payload_protocol');
    }
  }

  /** Home agent discovery and prefix discovery in the clear. */
  onDiscovery(packet: Ipv6Packet, message: Icmpv6Message): void {
    const { source, destination } = packet;
    const homeAddress = type2HomeAddress(packet);
    for (const home of this.#homes) {
      if (homeAddress !== undefined && homeAddress !== home.address) continue;
      const at = homeAddress === undefined ? {} : { homeAddress };
      home.onIcmpv6({ type: 'icmpv6', source, destination, ...at, message, protection: 'none' });
    }
  }

  /** An ICMPv6 error about a packet from this guest's care-of address. */
  onPathError(error: QuotingMessage): void {
    if (this.#routes?.onPathError(error)) return;
    const relayed = this.#tunnels.onPathError(error);
    if (error.kind === 'packet-too-big') {
      this.#tell(relayed);
      return;
    }
    for (const home of this.#homes) home.onPathError(error);
    if (typeof relayed !== 'string' || !NO_TUNNEL_PACKET.has(relayed)) this.#tell(relayed);
  }

  /** A packet of a home agent's out of the tunnel: true when it is a probe, or the answer to one. */
  onProbe(packet: Ipv6Packet): boolean {
    const probe = readProbe(packet);
    if (probe === undefined) return false;
    const reason = this.#tunnels.onProbe(probe);
    if (reason !== undefined) this.#drops.count(reason);
    return true;
  }

  /** An echo reply out of the tunnel; true when it answers a question of ours. */
  takeEcho(identifier: number, sequence: number): boolean {
    return this.#homes.some((home) => home.takeEcho(identifier, sequence));
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
    const counters = this.slots.map((slot) => engine.tunnelCounters(slot));
    const bindings = this.#homes.map((home) => {
      const tunnel = this.#tunnels.status(home.address);
      return { ...home.status(now), ...(tunnel === undefined ? {} : { tunnel }) };
    });
    const tunnel = this.#tunnels.narrowest;
    const arrival = this.#arrival.report;
    const homeAgent = bindings.find((home) => home.homeAgent !== undefined)?.homeAgent;
    const sum = (pick: (counter: (typeof counters)[number]) => number): number =>
      counters.reduce((total, counter) => total + pick(counter), 0);
    return {
      name: this.#config.name,
      port: { kind: this.#config.port.kind, name: portName(this.#config.port) },
      homeAddresses: [...this.#config.homeAddresses],
      ...(this.careOfAddress === undefined ? {} : { careOfAddress: this.careOfAddress }),
      ...(homeAgent === undefined ? {} : { homeAgent }),
      protection: this.#protection,
      binding: mostUrgent(bindings),
      bindings,
      ...(tunnel === undefined ? {} : { tunnel }),
      ...(arrival === undefined ? {} : { arrival }),
      ...(this.#conflict === undefined ? {} : { conflict: this.#conflict }),
      ...(this.#routes === undefined ? {} : { correspondents: this.#routes.summary() }),
      traffic: {
        toHome: {
          packets: sum(({ toHome }) => toHome.packets),
          bytes: sum(({ toHome }) => toHome.bytes),
        },
        toGuest: {
          packets: sum(({ toGuest }) => toGuest.packets),
          bytes: sum(({ toGuest }) => toGuest.bytes),
        },
      },
      events: tunnelEvents(counters),
      drops: sumDrops(
        ...counters.map(({ drops }) => drops),
        engine.portDrops(this.port),
        this.#drops,
        this.#policies.drops,
        this.#routes?.drops() ?? {},
        this.#link.drops,
        this.#tunnels.drops,
        ...(this.#atHome === undefined ? [] : [this.#atHome.drops]),
        ...this.#homes.map((home) => home.drops),
      ),
    };
  }

  get #protection(): string {
    return [...new Set(this.#homes.map((home) => home.protection.kind))].join(', ');
  }

  get #isOpen(): boolean {
    return this.#homes.some((home) => home.ends !== undefined);
  }

  #makeHomes(): GuestHome[] {
    const { store, engine } = this.#services;
    const rate = new UpdateRate();
    return this.#config.homeAddresses.map((address, index) => {
      const known = store.registration(address);
      const slot = this.slots[index] ?? 0;
      const resumed = known?.careOfAddress === this.#careOfAddress ? known : undefined;
      if (known !== undefined && resumed === undefined) this.#wasElsewhere = true;
      if (known !== undefined) {
        const confirmedAt = known.expiresAt - 1000 * known.lifetime;
        this.#confirmedAt = Math.max(confirmedAt, this.#confirmedAt ?? 0);
      }
      return new GuestHome(address, slot, this.#careOfAddress, this.#config, resumed, {
        engine,
        tunnels: this.#services.tunnels,
        store,
        rate,
        log: this.#log,
        transmit: (signal) => {
          this.#transmit(this.#policies.emit(signal), signal);
          this.#arrival.sent();
        },
        transmitIcmpv6: (output) => this.#transmit(this.#policies.emitIcmpv6(output), output),
        changed: () => this.#services.changed(),
        prefixes: (prefixes) => this.#renumber(prefixes),
        bound: (home, ends) => this.#bound(home, ends),
        unbound: (home, reason) => this.#routes?.unbound(home, reason),
        returned: (...what) => this.#returned(...what),
      });
    });
  }

  #bound(home: Address, ends: TunnelBetween): void {
    this.#routes?.bound(home, ends);
    // Who asked for it since has been answered like us: whoever knows better claims it.
    if (this.#since === 0) this.#since = wallClock();
    this.#arrival.answered();
  }

  #returned(home: Address, wasBound: boolean): void {
    // A guest that has been here, and boots say, speaks for itself: an announcement would be a duplicate of what it is about to claim.
    if (wasBound || this.#arrival.isSeen) {
      this.#atHome?.expectNeighbours([this.#config.homeRouter]);
      this.#atHome?.announce(home);
    }
    this.#arrival.answered();
    this.#arrival.tell();
  }

  /** It is here since before this process looked. */
  #begin(): void {
    this.#register();
    this.#isHere(undefined);
  }

  #register(): void {
    for (const home of this.#homes) {
      if (this.#atHome === undefined) {
        home.send({ type: 'register' });
      } else {
        // Another host may have registered it since it was at home the last time.
        home.send({ type: 'release' });
        home.send({ type: 'at-home' });
      }
    }
  }

  #isHere(since: Millis = this.#confirmedAt ?? 0): void {
    if (this.#since !== undefined) return;
    this.#since = since;
    this.#services.here();
  }

  #transmit(packet: Uint8Array | string, { source, destination }: Envelope): void {
    if (typeof packet === 'string') {
      this.#drops.count(packet);
      this.#log.error({ source, destination, reason: packet }, 'signaling could not be sent');
    } else if (this.#atHome !== undefined) {
      this.#atHome.transmit(destination, packet);
    } else {
      this.#services.engine.transmit('uplink', packet);
    }
  }

  /** Home addresses with the same ends share a tunnel: it is found by its ends. */
  #table(): TunnelSpec[] {
    const byEnds = new Map<string, TunnelSpec>();
    for (const home of this.#homes) {
      const spec = home.tunnelSpec(this.port, this.#services.tunnelMtu);
      if (spec === undefined) continue;
      const ends = `${spec.local} ${spec.remote}`;
      const shared = byEnds.get(ends);
      const homeAddresses = [...(shared?.homeAddresses ?? []), ...spec.homeAddresses];
      byEnds.set(ends, { ...(shared ?? spec), homeAddresses });
    }
    const tunnels = this.#tunnels.follow([...byEnds.values()]);
    const routes = this.#routes;
    if (routes === undefined) return tunnels;
    return tunnels.map((tunnel) => ({
      ...tunnel,
      signaling: true,
      optimise: true,
      routes: routes.routes(tunnel.homeAddresses),
    }));
  }

  #optimise(): RouteOptimisation {
    return new RouteOptimisation(this.#config.homeAddresses, {
      log: this.#log,
      transmit: (packet) => this.#services.engine.transmit('uplink', packet),
      changed: () => this.#services.changed(),
    });
  }

  /** The guest hears of its home network's prefixes as at home: in Router Advertisements (RFC 6275 11.4.3). */
  #renumber(prefixes: readonly LearntPrefix[]): void {
    this.#log.info({ prefixes: prefixes.length }, 'the home network told its prefixes');
    const others = prefixes.filter(({ prefix }) => prefix.length > 0);
    this.#linkDriver.send({ type: 'prefixes', prefixes: others });
    const valid = (address: Address): boolean =>
      others.some(({ prefix, validLifetime }) => validLifetime > 0 && contains(prefix, address));
    const stale = this.#config.homeAddresses.filter((address) => !valid(address));
    if (others.length > 0 && stale.length > 0) {
      this.#log.warn(
        { homeAddresses: stale },
        'the home network no longer has the prefix of these',
      );
    }
  }

  /** With `register = "traffic"`, or without the monitor that is to tell: the guest is here, or something else spoke and we go on listening. */
  #onFirstFrame(bytes: Uint8Array): void {
    if (this.#config.register === 'qmp' && this.#services.monitored()) return;
    if (isSignOfGuest(bytes, this.#config.homeAddresses)) {
      this.adopt(wallClock());
    } else {
      this.#listen(WATCH_AGAIN_MS);
    }
  }

  /** A packet may enter no further tunnel (RFC 2473 4.1.1). @param pointer octets from its IPv6 header */
  #onEncapsulationLimit(frame: Uint8Array, pointer: number): void {
    const ethernet = attempt(() => parseEthernet(frame));
    if (ethernet instanceof WireError) this.#drops.count('malformed');
    else this.#tell(parameterProblem(ethernet.payload, pointer));
  }

  /** An error for the guest, or the reason why there is none. */
  #tell(error: Icmpv6Error | string): void {
    if (typeof error === 'string') this.#drops.count(error);
    else if (!this.#errors.take()) this.#drops.count('icmpv6_error_limited');
    else this.#linkDriver.send({ type: 'icmpv6-error', ...error });
  }

  #arrive(): void {
    this.#arrived = true;
    this.#linkDriver.send({ type: 'arrived' });
  }

  #listen(after: Millis): void {
    clearTimeout(this.#watching);
    if (after === 0) this.#watch();
    else this.#watching = setTimeout(() => this.#watch(), after);
  }

  #watch(): void {
    this.#services.engine.watchFirstFrame(this.port);
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

/** The binding that needs attention most: the first that is not registered, else the first. */
function mostUrgent(bindings: readonly BindingStatus[]): BindingStatus {
  return bindings.find(({ state }) => state !== 'registered') ?? bindings[0] ?? { state: 'idle' };
}

/** Whether a packet may be signaling: in the clear, or under ESP. */
export function isSignaling(packet: Ipv6Packet): boolean {
  return packet.protocol === PROTOCOL.mobility || packet.protocol === PROTOCOL.esp;
}
