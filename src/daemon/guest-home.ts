import type { Engine, PortId, SignalerSpec, TunnelSpec } from '../datapath/index.js';
import type { HomeState } from '../migration/index.js';
import type { ReservedCounter } from '../reserved-counter.js';
import {
  type HomeAgents,
  HomeRegistration,
  type HomeRegistrationEvent,
  type HomeRegistrationOutput,
  isNewer,
  type LearntPrefix,
  type Protection,
  type Signal,
  type UpdateRate,
} from '../signaling/index.js';
import type { Address, Icmpv6Message } from '../wire/index.js';
import type { GuestConfig, SecurityConfig } from './config/schema.js';
import { Driver, monotonicNow } from './driver.js';
import { keepReplayTops, numbersFrom, storedHomeState } from './home-state.js';
import type { Logger } from './log.js';
import { mobilityNumbers } from './numbers.js';
import { protectionOf } from './protection.js';
import type { HomeStatus } from './status.js';
import type { Registration, Store } from './store/index.js';
import { echoThroughTunnel, type TunnelEnds, type TunnelHeaders } from './tunnel-ping.js';

/** Binding Updates without an answer after which the log says so. */
const UNANSWERED_TO_WARN = 3;

/** Silence says the same whether there is nobody or somebody with other keys. */
const SILENCE =
  'who has other keys or SPIs there stays silent: compare key_file and the SPIs of guest.security with its own';

/** What a home address needs of its guest. */
export interface GuestHomeServices {
  readonly engine: Engine;
  readonly tunnels: TunnelHeaders;
  readonly log: Logger;
  readonly store: Store;
  readonly rate: UpdateRate;
  /** Signals, and messages protected like them, in the protection of this home address. */
  transmit(signal: Signal): void;
  transmitIcmpv6(output: Extract<HomeRegistrationOutput, { type: 'transmit-icmpv6' }>): void;
  /** The tunnel opened, closed or changed. */
  changed(): void;
  /** The home agent confirmed the binding, for the first time or again. */
  bound(homeAddress: Address, ends: TunnelBetween): void;
  unbound(homeAddress: Address, reason: string): void;
  /** The home network's prefixes are these now. */
  prefixes(prefixes: readonly LearntPrefix[]): void;
  /** The guest is at home; with `wasBound` its home agent has let go of the address. */
  returned(address: Address, wasBound: boolean): void;
}

/** The outer ends of a tunnel. */
export interface TunnelBetween {
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
}

/** One home address of a guest: its registration, its protection, its end of a tunnel. */
export class GuestHome {
  readonly address: Address;
  /** Block of tunnel counters, and index of the engine's policing. */
  readonly slot: number;
  readonly protection: Protection;
  readonly #services: GuestHomeServices;
  #homeAgents: HomeAgents;
  readonly #security: SecurityConfig;
  readonly #registration: HomeRegistration;
  readonly #sequence: ReservedCounter;
  readonly #driver: Driver<HomeRegistrationEvent, HomeRegistrationOutput>;
  #careOfAddress: Address;
  #tunnel: TunnelBetween | undefined;
  /** Of the echo requests that ask whether the tunnel lives. */
  #probeIdentifier: number | undefined;
  /** Packets out of the tunnel when it was last looked. */
  #heard = 0;
  /** Binding Updates since the last answer. */
  #unanswered = 0;

  /** @param stored what a process before this one had registered with this care-of address, if that may still stand */
  constructor(
    address: Address,
    slot: number,
    careOfAddress: Address,
    config: GuestConfig,
    stored: Registration | undefined,
    services: GuestHomeServices,
  ) {
    const { store, engine } = services;
    this.address = address;
    this.slot = slot;
    this.#services = services;
    this.#careOfAddress = careOfAddress;
    engine.expectSequence(slot, undefined);
    this.#homeAgents = config.homeAgents;
    this.#security = securityOf(config, address);
    this.protection = protectionOf(address, this.#security, store, (sequence) =>
      engine.expectSequence(slot, sequence),
    );
    const binding = stored === undefined ? undefined : revive(stored);
    this.#tunnel = binding;
    this.#sequence = mobilityNumbers(store, address);
    this.#registration = new HomeRegistration({
      homeAddress: address,
      homePrefix: config.homePrefix,
      homeAgents: config.homeAgents,
      careOfAddress,
      lifetime: config.lifetime,
      sequence: this.#sequence,
      random: Math.random,
      protection: this.protection.kind,
      livenessInterval: config.livenessInterval,
      rate: services.rate,
      ...(binding === undefined ? {} : { binding }),
    });
    this.#driver = new Driver(this.#registration, (output) => this.#on(output));
  }

  /** The home agent that holds the binding, or is asked for one; undefined while none is known. */
  get homeAgent(): Address | undefined {
    return this.#registration.homeAgent;
  }

  /** The ends of the tunnel while it is open. */
  get ends(): TunnelEnds | undefined {
    return this.#tunnel && { homeAddress: this.address, ...this.#tunnel };
  }

  /** A Binding Update may have to leave at any moment: what it needs of the store is written down, or read, now. */
  prepare(): void {
    const { homeAgent, protection } = this;
    this.#sequence.prepare();
    if (protection.kind === 'esp') protection.prepare();
    if (protection.kind !== 'none' && homeAgent !== undefined) protection.expect(homeAgent);
  }

  /** The binding stands, or the home agent was asked for it. */
  get isAsked(): boolean {
    const { state } = this.#registration.summary(monotonicNow());
    return state === 'registered' || state === 'registering';
  }

  /** What the next host of the guest needs to know. */
  get state(): HomeState {
    const { store } = this.#services;
    return storedHomeState(store, this.address, this.#security, this.#knownHomeAgents);
  }

  get #knownHomeAgents(): readonly Address[] {
    const configured = this.#homeAgents.kind === 'list' ? this.#homeAgents.addresses : [];
    return this.homeAgent === undefined ? configured : [...configured, this.homeAgent];
  }

  /**
   * What the guest's host before this one knew. Once this one has asked the home agent itself, only numbers count.
   *
   * @returns whether the home agent was asked under numbers that may have been used there
   * @throws KagemushaError of the store
   */
  take(state: HomeState): boolean {
    const { sequence } = state;
    keepReplayTops(this.#services.store, state, this.#security, this.#knownHomeAgents);
    const isBehind = this.#resume(state);
    const isIdle = this.#registration.summary(monotonicNow()).state === 'idle';
    const isAhead = sequence !== undefined && isNewer(sequence, this.#sequence.next);
    if (isAhead || (isIdle && sequence !== undefined)) this.#sequence.jump(sequence);
    if (isIdle && state.bound !== undefined) {
      this.send({ type: 'told', homeAgent: state.bound.homeAgent });
    }
    // What was told before costs nothing the second time: to write it down may take longer than a machine stands still.
    this.prepare();
    return isBehind && this.#unanswered > 0;
  }

  /** Goes on with the numbers of ESP where another host has ended. True: some may have been used twice. */
  #resume(state: HomeState): boolean {
    if (this.protection.kind !== 'esp') return false;
    const next = numbersFrom(state, this.#security, this.protection.next);
    return next !== undefined && this.protection.resume(next);
  }

  /** The binding is another host's, whatever is stored of it. */
  release(): void {
    this.send({ type: 'release' });
    this.#services.store.deleteRegistration(this.address);
  }

  send(event: HomeRegistrationEvent): void {
    if (event.type === 'move') this.#careOfAddress = event.careOfAddress;
    if (event.type === 'reconfigure') this.#homeAgents = event.homeAgents;
    this.#driver.send(event);
  }

  /** A mobility message that may be for this home address; the state machine checks every address in it. */
  onSignal(signal: Signal): void {
    const before = this.#registration.summary(monotonicNow()).state;
    this.send({ type: 'signal', signal });
    const { state } = this.#registration.summary(monotonicNow());
    // What the machine ignored, a forgery say, changes nothing and is not worth a line.
    if (state === before) return;
    this.#unanswered = 0;
    if (state === 'rejected') this.#warn('refused');
  }

  onIcmpv6(event: Extract<HomeRegistrationEvent, { type: 'icmpv6' }>): void {
    this.send(event);
  }

  onPathError(error: Icmpv6Message): void {
    this.send({ type: 'path-error', error });
  }

  /** True when an echo reply out of the tunnel answers a question of ours. */
  takeEcho(identifier: number, sequence: number): boolean {
    if (identifier !== this.#probeIdentifier) return false;
    this.send({ type: 'echo-reply', identifier, sequence });
    return true;
  }

  stop(): void {
    this.#driver.stop();
  }

  /** This home address's part of the engine's table; `port` is the guest's. */
  tunnelSpec(port: PortId, mtu: number): TunnelSpec | undefined {
    if (this.#tunnel === undefined) return undefined;
    return {
      slot: this.slot,
      side: 'mobile-node',
      local: this.#tunnel.careOfAddress,
      remote: this.#tunnel.homeAgent,
      homeAddresses: [this.address],
      port,
      mtu,
    };
  }

  /** Whom the engine is to expect signaling from. @param local where it comes to */
  signalerSpec(local: Address): SignalerSpec {
    const { protection } = this;
    const expected =
      protection.kind === 'esp'
        ? { protection: 'esp' as const, spi: protection.spiIn }
        : { protection: 'plain' as const };
    return {
      index: this.slot,
      side: 'mobile-node',
      local,
      homeAddress: this.address,
      ...expected,
    };
  }

  status(now: number): HomeStatus {
    const { prefixes, ...binding } = this.#registration.summary(now);
    const homeAgent = this.homeAgent;
    return {
      homeAddress: this.address,
      careOfAddress: this.#tunnel?.careOfAddress ?? this.#careOfAddress,
      protection: this.protection.kind,
      ...(homeAgent === undefined ? {} : { homeAgent }),
      ...(prefixes === undefined ? {} : { homePrefixes: prefixes.map(describePrefix) }),
      ...binding,
      ...(this.#isSilent ? { reason: `${binding.reason}; ${SILENCE}` } : {}),
    };
  }

  /** Binding Updates under a key go unanswered. */
  get #isSilent(): boolean {
    return this.#unanswered >= UNANSWERED_TO_WARN && this.protection.kind !== 'none';
  }

  get drops(): ReadonlyMap<string, number> {
    return this.#registration.drops;
  }

  #on(output: HomeRegistrationOutput): void {
    const { log, store, changed } = this.#services;
    switch (output.type) {
      case 'transmit':
        this.#transmit(output.signal);
        break;
      case 'transmit-icmpv6':
        this.#services.transmitIcmpv6(output);
        break;
      case 'probe':
        this.#probe(output);
        break;
      case 'prefixes':
        this.#services.prefixes(output.prefixes);
        break;
      case 'bound': {
        const { homeAgent, careOfAddress, lifetime, expiresAt } = output;
        const known = this.#tunnel;
        this.#tunnel = { homeAgent, careOfAddress };
        store.putRegistration({
          homeAddress: this.address,
          homeAgent,
          careOfAddress,
          lifetime,
          expiresAt: Date.now() + (expiresAt - monotonicNow()),
        });
        this.#unanswered = 0;
        this.#services.bound(this.address, this.#tunnel);
        if (known?.homeAgent === homeAgent && known.careOfAddress === careOfAddress) break;
        const at = { homeAddress: this.address, homeAgent, careOfAddress, lifetime };
        log.info(at, known === undefined ? 'registered' : 'registered elsewhere');
        changed();
        break;
      }
      case 'unbound':
        log.warn({ homeAddress: this.address, reason: output.reason }, 'not registered');
        this.#tunnel = undefined;
        store.deleteRegistration(this.address);
        this.#services.unbound(this.address, output.reason);
        changed();
        break;
      case 'released':
        this.#tunnel = undefined;
        this.#services.unbound(this.address, 'the guest is on another host');
        changed();
        break;
      case 'returned':
        log.info({ homeAddress: this.address }, 'the guest is at home');
        this.#tunnel = undefined;
        store.deleteRegistration(this.address);
        this.#services.unbound(this.address, 'the guest is at home');
        changed();
        this.#services.returned(this.address, output.wasBound);
        break;
    }
  }

  #transmit(signal: Signal): void {
    const { message } = signal;
    if (message.kind === 'binding-update') {
      // Answers in the clear carry this number; those under ESP have numbers of their own.
      if (this.protection.kind !== 'esp') {
        this.#services.engine.expectSequence(this.slot, message.sequence);
      }
      this.#unanswered += 1;
    }
    this.#services.transmit(signal);
    if (this.#unanswered === UNANSWERED_TO_WARN) this.#warn('no answer');
  }

  /** Asks through the tunnel whether it lives, unless something came out of it meanwhile. */
  #probe(output: Extract<HomeRegistrationOutput, { type: 'probe' }>): void {
    const { engine } = this.#services;
    const heard = engine.tunnelCounters(this.slot).toGuest.packets;
    if (heard !== this.#heard) {
      this.#heard = heard;
      this.#driver.send({ type: 'traffic' });
      return;
    }
    const { homeAgent, careOfAddress, identifier, sequence } = output;
    this.#probeIdentifier = identifier;
    const ends = { homeAddress: this.address, homeAgent, careOfAddress };
    const echo = { identifier, sequence, size: 0 };
    engine.transmit('uplink', echoThroughTunnel(ends, echo, this.#services.tunnels));
  }

  /** Tells the log what `status` tells, once for each thing that goes wrong. */
  #warn(what: string): void {
    const { status, reason } = this.#registration.summary(monotonicNow());
    const { homeAgent } = this;
    this.#services.log.warn({ homeAddress: this.address, homeAgent, status, reason }, what);
  }
}

function securityOf(config: GuestConfig, homeAddress: Address): SecurityConfig {
  const entry = config.security.find((home) => home.homeAddress === homeAddress);
  return entry?.security ?? { kind: 'none' };
}

/** A stored binding on this process's clock; undefined when it has run out, or the wall clock was set back. */
function revive(stored: Registration) {
  const left = stored.expiresAt - Date.now();
  if (left <= 0 || left > 1000 * stored.lifetime) return undefined;
  const { homeAgent, careOfAddress, lifetime } = stored;
  return { homeAgent, careOfAddress, lifetime, expiresAt: monotonicNow() + left };
}

function describePrefix({ prefix, validLifetime, preferredLifetime }: LearntPrefix) {
  return { prefix: `${prefix.address}/${prefix.length}`, validLifetime, preferredLifetime };
}
