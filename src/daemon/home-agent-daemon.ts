import { isDeepStrictEqual } from 'node:util';
import { Engine, type SlowPathPacket } from '../datapath/index.js';
import type { Drops } from '../drops.js';
import { answerEcho } from '../homelink/index.js';
import {
  HomeAgent,
  type HomeAgentEvent,
  type HomeAgentOutput,
  type ReceivedSignaling,
  SecurityPolicies,
  type Signal,
  type StoredBinding,
} from '../signaling/index.js';
import {
  type Address,
  attempt,
  contains,
  emitPacket,
  homeAddressOption,
  homeAgentsAnycast,
  type Ipv6Packet,
  PROTOCOL,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
  WireError,
} from '../wire/index.js';
import { Coalesced } from './coalesced.js';
import type { HomeAgentConfig } from './config/schema.js';
import { Driver, monotonicNow } from './driver.js';
import { sumDrops } from './drop-counts.js';
import { sharedErrorBudget } from './error-budget.js';
import { Gathered } from './gathered.js';
import { HomeIcmp } from './home-icmp.js';
import { HomeLink, type HomeLinkNews } from './home-link.js';
import { type HomeRoutes, HomeRouting } from './home-routing.js';
import { HomeTunnels } from './home-tunnels.js';
import type { Logger } from './log.js';
import { ProbePace } from './probe-pace.js';
import { ServedNodes } from './served-nodes.js';
import { drainSlowPath } from './slow-path.js';
import type { CaptureDevice, HomeAgentBindingStatus, HomeAgentStatus } from './status.js';
import type { Store } from './store/index.js';
import { StoredBindings } from './stored-bindings.js';
import { tunnelEvents } from './tunnel-events.js';
import { tunnelServices } from './tunnel-path.js';

/** Tunnels that a process has room for, at least: `max_bindings` can grow so far without a restart. */
const MIN_TUNNELS = 1024;
/** As long as a binding can last at most (RFC 6275 6.1.7), its sequence number is remembered, milliseconds. */
const LONGEST_MEMORY = 262_140_000;
/** Mobile nodes that policing tells apart, at least. */
const MIN_SIGNALERS = 1024;

/** Between two tables of the engine that follow new path MTUs, milliseconds: with thousands of bindings one takes some. */
const PATHS_PAUSE = 100;

/** A userspace Home Agent: binding cache, home link, tunnels, and the routes that bring it the home addresses' packets. */
export class HomeAgentDaemon {
  #config: HomeAgentConfig;
  readonly #log: Logger;
  readonly #engine: Engine;
  readonly #store: Store;
  readonly #stored: StoredBindings;
  readonly #nodes: ServedNodes;
  readonly #policies: SecurityPolicies;
  readonly #agent: HomeAgent;
  readonly #agentDriver: Driver<HomeAgentEvent, HomeAgentOutput>;
  /** none where the home link is virtual */
  readonly #homeLink: HomeLink | undefined;
  readonly #routes: HomeRoutes;
  readonly #routing: HomeRouting;
  readonly #tunnels: HomeTunnels;
  readonly #icmp: HomeIcmp;
  readonly #pace = new ProbePace();
  /** the paths of tunnels changed */
  readonly #republish = new Gathered(() => this.#publishPaths(), PATHS_PAUSE);
  readonly #room: number;
  readonly #drops: Drops;
  /** of hundreds of bindings at the same time each would write the table of all of them */
  readonly #publishing = new Coalesced(
    () => this.#publish(),
    (error) => this.#failed(error),
  );
  /** the whole table is published at the end: with thousands of bindings one for each would take minutes */
  #restoring = true;
  #closed = false;

  /**
   * Opens the tunnel device and the home link; those of the system are there already (see home-agent-setup.ts).
   *
   * @param drops of what no binding can be blamed for
   * @param open the tunnel device as the engine's uplink
   * @throws KagemushaError of the engine when a device cannot be opened
   */
  constructor(
    config: HomeAgentConfig,
    store: Store,
    drops: Drops,
    routes: HomeRoutes,
    log: Logger,
    open: (engine: Engine) => void,
  ) {
    this.#config = config;
    this.#log = log;
    this.#store = store;
    this.#drops = drops;
    this.#stored = new StoredBindings(store, this.#drops, log);
    this.#routes = routes;
    this.#routing = new HomeRouting(routes, config.tunnelDevice, log);
    this.#room = Math.max(MIN_TUNNELS, config.maxBindings);
    const signalers = Math.max(MIN_SIGNALERS, config.mobileNodes.length);
    this.#engine = new Engine({
      workers: config.workers,
      poll: config.poll,
      maxPorts: 1,
      maxTunnels: this.#room,
      maxSignalers: signalers,
    });
    const { address } = config;
    const tunnels = tunnelServices(config, {
      engine: this.#engine,
      pace: this.#pace,
      log,
      changed: () => this.#republish.soon(),
    });
    const errors = sharedErrorBudget();
    this.#tunnels = new HomeTunnels(address, this.#room, errors, tunnels);
    this.#icmp = new HomeIcmp(address, this.#tunnels, tunnels, this.#drops);
    const begun: { stop(): void }[] = [this.#tunnels, this.#pace, this.#republish];
    try {
      this.#nodes = new ServedNodes(config.address, this.#engine, store, signalers);
      this.#policies = new SecurityPolicies('home-agent', this.#nodes.follow(config), Date.now);
      this.#agent = new HomeAgent(policy(config, this.#room));
      this.#agentDriver = new Driver(this.#agent, (output) => this.#onAgent(output));
      begun.push(this.#agentDriver);
      this.#homeLink =
        config.homeLink === undefined
          ? undefined
          : new HomeLink(this.#engine, config.homeLink, config, (news) => this.#onHomeLink(news));
      if (this.#homeLink !== undefined) begun.push(this.#homeLink);
      this.#restore();
      this.#restoring = false;
      this.#publish();
      // Last: whoever is bound is known before the first of its packets comes.
      open(this.#engine);
    } catch (error) {
      for (const machine of begun) machine.stop();
      void this.#routing.end();
      this.#engine.close();
      throw error;
    }
    this.#engine.onReadable(() =>
      drainSlowPath(
        this.#engine,
        (packet) => this.#dispatch(packet),
        (error) => this.#failed(error),
      ),
    );
  }

  /** `onGone`: the tunnel device was deleted, nothing is carried any more. */
  watchUplink(onGone: () => void): void {
    this.#engine.onLost((which) => {
      if (which === 'uplink') onGone();
    });
  }

  /** Announces the Home Agent's address on the home link. */
  start(): void {
    this.#homeLink?.start();
  }

  /**
   * Holds the bindings again that a process before this one held: before the first Binding Update, which would find its home
   * address unbound and have it probed.
   */
  #restore(): void {
    const now = monotonicNow();
    this.#store.pruneBindings(Date.now() - LONGEST_MEMORY);
    const held = this.#store.bindings().map((stored): StoredBinding => {
      // A wall clock that was set back must not make a binding last longer than it was granted.
      const left = Math.min(stored.expiresAt - Date.now(), 1000 * stored.lifetime);
      // In the clear the number tells the next Binding Update from a forgery.
      this.#nodes.accepted(stored.homeAddress, stored.sequence);
      return { ...stored, expiresAt: now + left };
    });
    // What has ended is restored for its sequence number only: an old Binding Update must not bind again.
    this.#agent.restore(now, held);
    this.#agentDriver.send({ type: 'tick' });
  }

  /** Follows a changed configuration; bindings that are still allowed are not touched. Gives what it cannot follow, for people. */
  reload(config: HomeAgentConfig): string[] {
    const notes: string[] = [];
    const fixed = (given: HomeAgentConfig) => {
      const { mobileNodes, allow, maxLifetime, maxBindings, prefixes, ...rest } = given;
      return rest;
    };
    if (!isDeepStrictEqual(fixed(config), fixed(this.#config))) {
      notes.push('changes of devices and addresses take effect with the next start');
    }
    if (config.maxBindings > this.#room) {
      notes.push(`max_bindings beyond ${this.#room} takes effect with the next start`);
    }
    for (const note of notes) this.#log.warn(note);
    const { mobileNodes, allow, maxLifetime, maxBindings, prefixes } = config;
    this.#config = { ...this.#config, mobileNodes, allow, maxLifetime, maxBindings, prefixes };
    this.#policies.update(this.#nodes.follow(this.#config));
    this.#publish();
    this.#agent.reconfigure(policy(this.#config, this.#room));
    this.#agentDriver.send({ type: 'tick' });
    return notes;
  }

  status(): HomeAgentStatus {
    const now = monotonicNow();
    return {
      schemaVersion: 1,
      role: 'home-agent',
      memory: this.#engine.memory(),
      address: this.#config.address,
      bindings: [...this.#agent.bindings()].map((binding): HomeAgentBindingStatus => {
        const tunnel = this.#tunnels.to(binding.homeAddress);
        const counted = tunnel && this.#engine.tunnelCounters(tunnel.slot);
        return {
          homeAddress: binding.homeAddress,
          careOfAddress: binding.careOfAddress,
          protection: this.#policies.kindOf(binding.homeAddress),
          state: binding.state,
          ...(tunnel === undefined ? {} : { tunnel: tunnel.path.status }),
          sequence: binding.sequence,
          lifetime: binding.lifetime,
          expiresIn: Math.max(0, Math.round((binding.expiresAt - now) / 1000)),
          traffic: {
            toHome: counted?.toHome ?? { packets: 0, bytes: 0 },
            toGuest: counted?.toGuest ?? { packets: 0, bytes: 0 },
          },
          events: tunnelEvents(counted === undefined ? [] : [counted]),
          drops: sumDrops(
            counted?.drops ?? {},
            tunnel?.formerDrops ?? {},
            tunnel?.path.drops ?? {},
          ),
        };
      }),
      drops: sumDrops(
        this.#engine.drops(),
        this.#agent.drops,
        this.#policies.drops,
        this.#drops,
        ...(this.#homeLink === undefined
          ? []
          : [this.#engine.portDrops(this.#homeLink.port), this.#homeLink.drops]),
      ),
    };
  }

  /** The devices that packets can be seen on, and what they are. */
  devices(): CaptureDevice[] {
    const { tunnelDevice, homeLink } = this.#config;
    const tunnel = { device: tunnelDevice, name: 'tunnel' };
    return homeLink === undefined ? [tunnel] : [tunnel, { device: homeLink, name: 'home link' }];
  }

  /** Ends the machines, then the engine that they send with, and takes the home addresses' routes away. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#agentDriver.stop();
    this.#homeLink?.stop();
    this.#tunnels.stop();
    this.#pace.stop();
    this.#republish.stop();
    await this.#routing.end();
    this.#engine.close();
    const removed = this.#tunnels.homeAddresses.map((home) =>
      this.#routes.removeHomeRoute(home, this.#config.tunnelDevice),
    );
    await Promise.allSettled(removed);
  }

  #onAgent(output: HomeAgentOutput): void {
    switch (output.type) {
      case 'transmit':
        if (!this.#stored.allows(output.signal)) break;
        this.#once(receiver(output.signal), () => this.#transmitSignal(output.signal));
        break;
      case 'transmit-icmpv6':
        this.#transmit(this.#policies.emitIcmpv6(output));
        break;
      case 'probe':
        if (this.#homeLink !== undefined) this.#homeLink.probe(output.homeAddress);
        else this.#agentDriver.send({ type: 'unique', homeAddress: output.homeAddress });
        break;
      case 'defend':
        this.#once(output.homeAddress, () => this.#homeLink?.defend(output.homeAddress));
        break;
      case 'release':
        this.#once(output.homeAddress, () => this.#homeLink?.release(output.homeAddress));
        break;
      case 'bind':
        this.#bind(output.homeAddress, output.careOfAddress);
        break;
      case 'unbind':
        this.#unbind(output.homeAddress, output.reason);
        break;
      case 'store':
        this.#nodes.accepted(output.binding.homeAddress, output.binding.sequence);
        this.#stored.put(output.binding);
        break;
      case 'forget':
        this.#stored.end(output.homeAddress, this.#nodes.lists(output.homeAddress));
        break;
    }
  }

  /** Acts once the tunnel and the route of a home address are as its binding says. */
  #once(homeAddress: Address, act: () => void): void {
    this.#routing.once(homeAddress, () => this.#publishing.after(act));
  }

  /** To a node at home by the home link: while its binding stands the kernel would send it into the tunnel (RFC 6275 11.5.5). */
  #transmitSignal(signal: Signal): void {
    const { destination, routingHeader, message } = signal;
    const packet = this.#policies.emit(signal);
    const home =
      routingHeader === undefined &&
      message.kind === 'binding-acknowledgement' &&
      contains(this.#config.homePrefix, destination);
    if (home && this.#homeLink !== undefined && typeof packet !== 'string') {
      this.#homeLink.transmit(destination, packet);
    } else {
      this.#transmit(packet);
    }
  }

  #transmit(packet: Uint8Array | string): void {
    if (typeof packet !== 'string') this.#engine.transmit('uplink', packet);
    else this.#drops.count(packet);
  }

  #bind(homeAddress: Address, careOfAddress: Address): void {
    const what = this.#tunnels.open(homeAddress, careOfAddress);
    if (what === 'bound') this.#routing.add(homeAddress);
    this.#publishing.ask();
    this.#log.info({ homeAddress, careOfAddress }, what);
  }

  #unbind(homeAddress: Address, reason: string): void {
    const tunnel = this.#tunnels.close(homeAddress);
    if (tunnel === undefined) return;
    this.#publishing.ask();
    // Whoever gets the slot next finds it unused.
    this.#publishing.after(() => this.#tunnels.release(tunnel));
    this.#routing.remove(homeAddress);
    this.#log.info({ homeAddress, reason }, 'unbound');
  }

  #onHomeLink(news: HomeLinkNews): void {
    if (news.type === 'router-advertisement') this.#agentDriver.send(news);
    else this.#agentDriver.send({ type: news.type, homeAddress: news.address });
  }

  /** The engine keeps the table that it has where it does not take a new one. */
  #publishPaths(): void {
    try {
      this.#publish();
    } catch (error) {
      this.#failed(error);
    }
  }

  #publish(): void {
    if (this.#restoring || this.#closed) return;
    const { address, homePrefix } = this.#config;
    const side = 'home-agent' as const;
    this.#engine.publish({
      tunnels: this.#tunnels.specs(),
      locals: [
        { address, side },
        { address: homeAgentsAnycast(homePrefix), side },
      ],
      signalers: this.#nodes.signalers(),
    });
    this.#republish.done();
  }

  #failed(error: unknown): void {
    this.#drops.count('internal_error');
    this.#log.error({ err: error }, 'a packet was not dealt with');
  }

  #dispatch(packet: SlowPathPacket): void {
    if (this.#closed) return;
    if (packet.port !== undefined) {
      this.#homeLink?.onFrame(packet.bytes);
      return;
    }
    if (packet.kind === 'unbound') {
      this.#agentDriver.send({ type: 'unbound', bytes: packet.bytes });
      return;
    }
    if (this.#icmp.onRefused(packet)) return;
    const parsed = attempt(() => parsePacket(packet.bytes));
    if (parsed instanceof WireError) this.#drops.count('malformed');
    else this.#onPacket(parsed, packet);
  }

  /** A packet to an address of the Home Agent, from outside or out of a tunnel (`inner`). */
  #onPacket(packet: Ipv6Packet, { kind, bytes }: SlowPathPacket): void {
    const homeAddress = homeAddressOption(packet);
    if (packet.protocol === PROTOCOL.mobility || packet.protocol === PROTOCOL.esp) {
      const start = bytes.length - packet.payload.length;
      this.#onSignaling(this.#policies.read(packet), bytes, start);
    } else if (packet.protocol === PROTOCOL.icmpv6) {
      this.#onIcmpv6(packet, kind === 'inner');
    } else if (homeAddress !== undefined && !this.#isBound(homeAddress, packet.source)) {
      this.#strangeHomeAddress(packet.source, homeAddress);
    } else {
      this.#drops.count('unexpected_protocol');
    }
  }

  /** @param start of the Mobility Header in the packet */
  #onSignaling(received: ReceivedSignaling | undefined, bytes: Uint8Array, start: number): void {
    if (received === undefined) return;
    switch (received.kind) {
      case 'mobility':
        this.#agentDriver.send({ type: 'signal', signal: received.signal });
        break;
      case 'icmpv6': {
        const { kind: _, ...message } = received;
        this.#agentDriver.send({ type: 'icmpv6', ...message });
        break;
      }
      case 'not-mobility':
        this.#agentDriver.send({ type: 'not-mobility', bytes, pointer: start + received.offset });
        break;
    }
  }

  #onIcmpv6(packet: Ipv6Packet, inner: boolean): void {
    const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
    if (message instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    const { source, destination } = packet;
    const homeAddress = homeAddressOption(packet);
    if (
      message.kind === 'home-agent-discovery-request' ||
      message.kind === 'mobile-prefix-solicitation'
    ) {
      this.#agentDriver.send({
        type: 'icmpv6',
        source,
        destination,
        ...(homeAddress === undefined ? {} : { homeAddress }),
        message,
        protection: 'none',
      });
    } else if (homeAddress !== undefined && !this.#isBound(homeAddress, source)) {
      this.#strangeHomeAddress(source, homeAddress);
    } else if (inner ? this.#icmp.onProbe(packet) : this.#icmp.onError(message)) {
      return;
    } else {
      this.#answerEcho(packet, inner);
    }
  }

  /** RFC 6275 9.3.1: the option is only good with a binding. */
  #strangeHomeAddress(source: Address, homeAddress: Address): void {
    this.#agentDriver.send({ type: 'home-address-option', source, homeAddress });
  }

  #isBound(homeAddress: Address, careOfAddress: Address): boolean {
    return this.#tunnels.careOfAddress(homeAddress) === careOfAddress;
  }

  /** Answers an echo request; to a bound home address with a type 2 routing header (RFC 6275 10.4.2: not in the tunnel). */
  #answerEcho(packet: Ipv6Packet, inner: boolean): void {
    const careOf = inner ? this.#tunnels.careOfAddress(packet.source) : undefined;
    const ours = packet.destination === this.#config.address;
    const reply = ours ? answerEcho(packet, careOf) : undefined;
    if (reply === undefined) this.#drops.count('unexpected_icmp');
    else this.#engine.transmit('uplink', emitPacket(reply));
  }
}

/** The node that a signal is for in the end. */
function receiver(signal: Signal): Address {
  return signal.routingHeader ?? signal.destination;
}

/** @param room tunnels that the engine was made for */
function policy(config: HomeAgentConfig, room: number): ConstructorParameters<typeof HomeAgent>[0] {
  return {
    address: config.address,
    homePrefix: config.homePrefix,
    maxLifetime: config.maxLifetime,
    allow: config.allow,
    mobileNodes: config.mobileNodes.map(({ homeAddress, maxLifetime, security }) => ({
      homeAddress,
      protection: security.kind,
      ...(maxLifetime === undefined ? {} : { maxLifetime }),
    })),
    maxBindings: Math.min(config.maxBindings, room),
    prefixes: config.prefixes,
    homeLink: config.homeLink === undefined ? 'virtual' : 'real',
    random: Math.random,
  };
}
