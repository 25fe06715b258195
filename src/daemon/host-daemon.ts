import { isDeepStrictEqual } from 'node:util';
import {
  Engine,
  type PortId,
  type SlowPathKind,
  type SlowPathPacket,
  type TunnelSpec,
} from '../datapath/index.js';
import type { Drops } from '../drops.js';
import { KagemushaError } from '../errors.js';
import { answerEcho } from '../homelink/index.js';
import type { GuestState, VmChange } from '../migration/index.js';
import type { Millis } from '../time.js';
import {
  type Address,
  attempt,
  emitPacket,
  type Icmpv6Message,
  type Ipv6Packet,
  PROTOCOL,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
  WireError,
} from '../wire/index.js';
import type { CareOfChoice, CareOfChoices } from './care-of-addresses.js';
import { Coalesced } from './coalesced.js';
import { portName } from './config/port-name.js';
import type { GuestConfig, HostConfig, PortConfig } from './config/schema.js';
import { monotonicNow } from './driver.js';
import { sumDrops } from './drop-counts.js';
import { sharedErrorBudget } from './error-budget.js';
import { FewAtATime } from './few-at-a-time.js';
import { ForeignNetwork, type NetworkPort } from './foreign-network.js';
import { Gathered } from './gathered.js';
import { Guest, isSignaling, ROUTER_MAC } from './guest.js';
import type { LinkState } from './link-monitor.js';
import type { Logger } from './log.js';
import { LostDevices } from './lost-devices.js';
import { type Asked, HandOver } from './peers/hand-over.js';
import { ProbePace } from './probe-pace.js';
import { QmpMonitors } from './qmp-monitors.js';
import { Rehearsals } from './rehearsal.js';
import { drainSlowPath } from './slow-path.js';
import type { CaptureDevice, GuestStatus, HostStatus, PingAnswer } from './status.js';
import type { Store } from './store/index.js';
import { StreamPorts } from './stream-ports.js';
import { tunnelEvents } from './tunnel-events.js';
import { type TunnelServices, tunnelServices } from './tunnel-path.js';
import { TunnelPing } from './tunnel-ping.js';
import { TunnelSlots } from './tunnel-slots.js';
import { uplinkGone } from './uplink.js';
import { wallClock } from './wall-clock.js';

/** Ports and tunnels of one host process. */
const MAX_GUESTS = 1024;
/** Tunnels that carry what comes late for guests that have just moved. */
const MAX_LATE = 256;

/** Until the first frame of a guest counts that another host has taken, milliseconds: of a machine that should have stopped, say. */
const LISTEN_AFTER_CLAIM = 30_000;

/** The random delay, the proof and the router's answer take about two seconds (RFC 4862 5.4); milliseconds. */
const PROOF_WAIT = 4000;
const PROOF_POLL = 50;

/** Between two tables of the engine that follow new path MTUs, milliseconds. */
const PATHS_PAUSE = 100;

/** Octets that every guest's card takes. */
const ETHERNET_MTU = 1500;

/** What the engine leaves to route optimisation; it names the tunnel. */
const ROUTE_KINDS: ReadonlySet<SlowPathKind> = new Set([
  'correspondent',
  'home-address',
  'heard',
  'inner',
]);

/** What cannot go on to a guest's next host, without a port: its sender hears of it from there, once the guest is bound there. */
const ON_THE_WAY: ReadonlySet<SlowPathKind> = new Set([
  'hop-limit',
  'too-big',
  'encapsulation-limit',
]);

/** A guest that is not served. */
export interface Waiting {
  readonly config: GuestConfig;
  readonly reason: string;
  /** It could not be opened. */
  readonly error?: KagemushaError;
}

/** Where a host's packets come from and go to. */
export interface HostDevices {
  /** Gives the port for Neighbor Discovery of an uplink that has a link. @throws KagemushaError of the engine */
  openUplink(engine: Engine): NetworkPort | undefined;
  /** The port of a guest, which sees ROUTER_MAC as the source of its frames. @throws KagemushaError of the engine */
  openPort(engine: Engine, guest: GuestConfig): PortId;
}

/** Those of the system. @param open the uplink */
export function systemDevices(
  { uplinkMtu }: Pick<HostConfig, 'uplinkMtu'>,
  open: HostDevices['openUplink'],
): HostDevices {
  return {
    openUplink: open,
    openPort: (engine, { port }) => {
      const localMac = ROUTER_MAC;
      if (port.kind === 'tap') return engine.openTap(port.device, { localMac });
      return engine.openStream(port.path, { localMac, mtu: Math.max(uplinkMtu, ETHERNET_MTU) });
    },
  };
}

/** What a guest may change without being made anew. */
type Changeable = 'careOfAddress' | 'homeAgents' | 'lifetime';

/** A VM host: its guests, their engine, and what the network says to them. */
export class HostDaemon {
  readonly #log: Logger;
  readonly #devices: HostDevices;
  readonly #engine: Engine;
  readonly #guests = new Map<string, Guest>();
  readonly #byPort = new Map<number, Guest>();
  readonly #bySlots = new Map<number, Guest>();
  #byCareOf: ReadonlyMap<Address, Guest> = new Map();
  /** Guests whose care-of address is yet to be found, or that could not be opened. */
  readonly #waiting = new Map<string, Waiting>();
  #chosen: CareOfChoices;
  readonly #lostDevices: LostDevices;
  #onGone: (error: KagemushaError) => void = () => {};
  #onLeft: (addresses: readonly Address[]) => void = () => {};
  /** of hundreds of answers at the same time each would write the table of all guests */
  readonly #changes = new Coalesced(
    () => this.#publish(),
    (error) => this.#failed(error),
  );
  /** what many of them send to their Home Agent at the same time */
  readonly #turns = new FewAtATime((error) => this.#failed(error));
  /** ports of guests that are about to be made anew, by name: who moved a tap could not open it again by its name */
  readonly #kept = new Map<string, PortId>();
  /** guests that are yet to be started */
  readonly #added: Guest[] = [];
  /** `start` starts those that there are by then */
  #started = false;
  /** false while several changes are made at once, and at the end */
  #publishing = true;
  readonly #slots = new TunnelSlots(MAX_GUESTS);
  readonly #streams: StreamPorts;
  readonly #monitors: QmpMonitors;
  readonly #handOver: HandOver;
  /** of tunnels that carry what comes late */
  readonly #lateSlots = new TunnelSlots(MAX_LATE, MAX_GUESTS);
  readonly #rehearsals: Rehearsals;
  readonly #drops: Drops;
  readonly #ping: TunnelPing;
  readonly #pace = new ProbePace();
  readonly #tunnels: TunnelServices;
  readonly #errors = sharedErrorBudget();
  /** the paths of tunnels changed */
  readonly #republish = new Gathered(() => this.#publishPaths(), PATHS_PAUSE);
  readonly #store: Store;
  /** of a packet uplink */
  #network: ForeignNetwork | undefined;
  /** the network changed: addresses may be used, or no longer */
  readonly #networkChanges = new Coalesced(
    () => this.#followNetwork(),
    (error) => this.#failed(error),
  );
  #config: HostConfig;

  /**
   * Opens the uplink and every guest's port.
   *
   * @param drops of what no guest can be blamed for
   * @param chosen the care-of addresses of guests that have `auto`
   * @param peers hosts that guests come from and go to
   * @param devices those of the system are there already (see host-setup.ts)
   * @throws KagemushaError of the engine when a device cannot be opened
   */
  constructor(
    config: HostConfig,
    store: Store,
    drops: Drops,
    chosen: CareOfChoices,
    log: Logger,
    devices: HostDevices,
    peers: readonly Asked[] = [],
  ) {
    this.#config = config;
    this.#devices = devices;
    this.#drops = drops;
    this.#store = store;
    this.#chosen = chosen;
    this.#log = log;
    this.#engine = new Engine({
      workers: config.workers,
      poll: config.poll,
      // A guest at home has a port on the home link besides its own; the link of the uplink has one.
      maxPorts: 2 * MAX_GUESTS + 1,
      maxTunnels: MAX_GUESTS + MAX_LATE,
    });
    this.#tunnels = tunnelServices(config, {
      engine: this.#engine,
      pace: this.#pace,
      log,
      changed: () => this.#republish.soon(),
    });
    this.#rehearsals = new Rehearsals(config);
    this.#lostDevices = new LostDevices(log);
    this.#streams = new StreamPorts(this.#engine, log, (port) =>
      this.#byPort.get(port)?.onPortConnected(),
    );
    this.#monitors = new QmpMonitors(
      log,
      (name, change, at) => {
        try {
          this.#onMachine(name, change, at);
        } catch (error) {
          this.#failed(error);
        }
      },
      (name) => this.#guests.get(name)?.onMonitorLost(),
    );
    this.#handOver = new HandOver(peers, {
      guest: (name) => this.#guests.get(name),
      machine: (name) => {
        const machine = this.#monitors.status(name);
        return machine?.reason === undefined ? machine?.state : undefined;
      },
      release: (name, conflict) => this.#released(name, conflict),
      log,
    });
    this.#engine.onLost((which) => {
      if (which === 'uplink') this.#onGone(uplinkGone(config.uplink.device));
      else this.#lost(which);
    });
    this.#ping = new TunnelPing(Math.floor(Math.random() * 0x10000), this.#tunnels);
    try {
      this.#network = this.#openUplink(config);
      this.#engine.onReadable(() =>
        drainSlowPath(
          this.#engine,
          (packet) => this.#dispatch(packet),
          (error) => this.#failed(error),
        ),
      );
      for (const guest of config.guests) this.#add(guest);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#publish();
  }

  /** `onLeft` gets care-of addresses that nothing uses any more. */
  watchAddresses(onLeft: (addresses: readonly Address[]) => void): void {
    this.#onLeft = onLeft;
  }

  /** `onGone` gets why no packet can leave any more: the uplink's device was deleted. Nothing brings it back. */
  watchUplink(onGone: (error: KagemushaError) => void): void {
    this.#onGone = onGone;
  }

  /** What became of the interface of a packet uplink; undefined: it is gone. */
  onLink(link: LinkState | undefined): void {
    if (link === undefined) this.#onGone(uplinkGone(this.#config.uplink.device));
    else this.#network?.onLink(link);
  }

  /** Registers the guests that are registered at start. */
  start(): void {
    this.#started = true;
    for (const guest of this.#guests.values()) this.#turns.add(guest, () => guest.start());
  }

  /** Guests of the configuration that are not served. */
  get waiting(): readonly Waiting[] {
    return [...this.#waiting.values()];
  }

  /** Ports of guests that keep them with this configuration, by name: open, wherever a tap was moved to. */
  attached(config: HostConfig): ReadonlySet<string> {
    const open = config.guests.filter(({ name, port }) => {
      const guest = this.#guests.get(name);
      const keeps =
        guest !== undefined && isSamePort(guest.config.port, port) && !this.#lostDevices.has(guest);
      return keeps || this.#kept.has(portName(port));
    });
    return new Set(open.map(({ port }) => portName(port)));
  }

  /** Follows a changed configuration; guests that did not change are not touched. Gives what it cannot follow, for people. */
  reload(config: HostConfig, chosen: CareOfChoices): string[] {
    this.#chosen = chosen;
    const notes: string[] = [];
    if (!isDeepStrictEqual(fixedPart(config), fixedPart(this.#config))) {
      notes.push('changes of [host] take effect with the next start');
    }
    for (const note of notes) this.#log.warn(note);
    const wanted = new Map(config.guests.map((guest) => [guest.name, guest]));
    this.#config = { ...this.#config, guests: config.guests };
    this.#atOnce(() => {
      for (const guest of [...this.#guests.values()]) {
        const changed = wanted.get(guest.config.name);
        const lost = this.#lostDevices.has(guest);
        if (!lost && isDeepStrictEqual(changed, guest.config)) continue;
        if (!lost && changed !== undefined && isMinor(guest.config, changed)) {
          const careOf = this.#careOf(changed);
          if (careOf.kind === 'address') guest.move(careOf.address);
          guest.reconfigure(changed);
        } else {
          this.#remove(guest, lost ? undefined : changed);
        }
      }
      this.#followChoices();
      this.#addMissing();
      this.#closeKept();
    });
    return notes;
  }

  /** Follows the network: the care-of addresses of guests that have `auto`. */
  moveTo(chosen: CareOfChoices): void {
    this.#chosen = chosen;
    this.#atOnce(() => {
      this.#followChoices();
      this.#addMissing();
    });
  }

  /** @throws KagemushaError GUEST_UNKNOWN, GUEST_WAITS */
  async bind(name: string): Promise<void> {
    await this.#proven(name);
    this.#guest(name).bind();
  }

  /**
   * The guest has come to this host. @param state what the host before it gave
   * @throws KagemushaError GUEST_UNKNOWN, GUEST_WAITS
   */
  async adopt(name: string, state?: GuestState): Promise<void> {
    const now = wallClock();
    await this.#proven(name);
    const guest = this.#guest(name);
    if (state !== undefined) guest.take(state);
    guest.adopt(now);
  }

  /** The guest has left for another host; gives what that needs to know. @throws KagemushaError GUEST_UNKNOWN, GUEST_WAITS */
  release(name: string): GuestState {
    const guest = this.#guest(name);
    const { state } = guest;
    guest.release();
    this.#monitors.released(name);
    this.#handOver.forget(name);
    return state;
  }

  /** A guest whose care-of address is being proven is about to be served: waits for that a little. */
  async #proven(name: string): Promise<void> {
    const end = monotonicNow() + PROOF_WAIT;
    while (this.#publishing && monotonicNow() < end) {
      const address = this.#waiting.get(name)?.config.careOfAddress;
      if (this.#network === undefined || address === undefined) return;
      if (address !== 'auto' && this.#network.isDuplicate(address)) return;
      await new Promise((resolve) => setTimeout(resolve, PROOF_POLL));
    }
  }

  /** @throws KagemushaError GUEST_UNKNOWN */
  unbind(name: string): void {
    this.#guest(name).unbind();
    this.#handOver.forget(name);
  }

  /** What peers ask. */
  get handOver(): HandOver {
    return this.#handOver;
  }

  /** Echo requests through a guest's tunnel, one after the other. @throws KagemushaError GUEST_UNKNOWN, GUEST_NOT_REGISTERED */
  async ping(name: string, count: number, size: number): Promise<PingAnswer> {
    const guest = this.#guest(name);
    const rtts: number[] = [];
    for (let sent = 0; sent < count; sent++) {
      const ends = guest.ends();
      if (ends === undefined) {
        throw new KagemushaError(
          'GUEST_NOT_REGISTERED',
          `${name} is not registered; see \`kagemusha status\`, or run \`kagemusha bind ${name}\``,
        );
      }
      const rtt = await this.#ping.once(ends, size);
      if (rtt !== undefined) rtts.push(rtt);
    }
    return { sent: count, received: rtts.length, rtts_ms: rtts };
  }

  status(): HostStatus {
    const now = monotonicNow();
    return {
      schemaVersion: 1,
      role: 'host',
      memory: this.#engine.memory(),
      uplink: this.#network?.status ?? { kind: 'tun', device: this.#config.uplink.device },
      guests: [
        ...[...this.#guests.values()].map((guest) =>
          withTrouble(this.#guestStatus(guest, now), this.#network?.trouble),
        ),
        ...[...this.#waiting.values()].map(({ config, reason }) => waitingStatus(config, reason)),
      ],
      ...(this.#config.peering === undefined ? {} : { peers: this.#handOver.status }),
      drops: sumDrops(this.#engine.drops(), this.#drops, this.#network?.drops ?? {}),
    };
  }

  /** The devices that packets can be seen on, and what they are. A stream of QEMU's is none. */
  devices(): CaptureDevice[] {
    const uplink = { device: this.#config.uplink.device, name: 'uplink' };
    const ports = this.#config.guests.flatMap(({ name, port }) =>
      port.kind === 'tap' ? [{ device: port.device, name }] : [],
    );
    return [uplink, ...ports];
  }

  /** Ends the machines and the engine; tunnels end with it, bindings and devices stay. */
  close(): void {
    this.#pace.stop();
    this.#republish.stop();
    this.#turns.stop();
    this.#streams.stop();
    this.#monitors.stop();
    this.#handOver.stop();
    this.#publishing = false;
    for (const guest of this.#guests.values()) guest.stop();
    this.#network?.stop();
    this.#engine.close();
  }

  #openUplink(config: HostConfig): ForeignNetwork | undefined {
    const opened = this.#devices.openUplink(this.#engine);
    if (opened === undefined || config.uplink.kind !== 'packet') return undefined;
    return new ForeignNetwork(config.uplink, opened, {
      engine: this.#engine,
      store: this.#store,
      log: this.#log,
      uplinkMtu: config.uplinkMtu,
      changed: () => this.#networkChanges.ask(),
    });
  }

  /** Guests go where the network is now, or wait for it. */
  #followNetwork(): void {
    if (!this.#publishing) return;
    this.#atOnce(() => {
      for (const guest of [...this.#guests.values()]) {
        const { careOfAddress, config } = guest;
        if (careOfAddress === undefined || !this.#network?.isDuplicate(careOfAddress)) continue;
        // Whether there is another one by now, `addMissing` finds out.
        this.#remove(guest, config);
      }
      this.#followChoices();
      this.#addMissing();
    });
  }

  /** Guests go to the care-of addresses that they are to have now. */
  #followChoices(): void {
    for (const guest of this.#guests.values()) {
      if (guest.careOfAddress === undefined) continue;
      const choice = this.#careOf(guest.config);
      // Where there is none now the old one stays: the network may only be away for a moment.
      if (choice.kind === 'address') guest.move(choice.address);
    }
  }

  /** Several changes, one table: guests may have exchanged addresses. */
  #atOnce(change: () => void): void {
    this.#publishing = false;
    try {
      change();
    } finally {
      this.#publishing = true;
      this.#publish();
    }
    // What they send is answered by the new table.
    for (const guest of this.#added.splice(0)) {
      if (this.#started) this.#turns.add(guest, () => guest.start());
    }
    for (const guest of this.#guests.values()) {
      if (!guest.isSettled) this.#turns.add(guest, () => guest.settle());
    }
  }

  #failed(error: unknown): void {
    this.#drops.count('internal_error');
    this.#log.error({ err: error }, 'a packet was not dealt with');
  }

  /** Adds what the configuration has and the daemon has not; it is started with the table that knows it. */
  #addMissing(): void {
    const before = new Map(this.#waiting);
    this.#waiting.clear();
    for (const config of this.#config.guests) {
      if (this.#guests.has(config.name)) continue;
      try {
        const guest = this.#add(config, before);
        if (guest !== undefined) this.#added.push(guest);
      } catch (error) {
        if (!(error instanceof KagemushaError)) throw error;
        this.#waiting.set(config.name, { config, reason: error.message, error });
        this.#log.error({ guest: config.name, code: error.code }, error.message);
      }
    }
  }

  /** Closes the ports that no guest of the configuration has any more. */
  #closeKept(): void {
    const named = new Set(this.#config.guests.map(({ port }) => portName(port)));
    for (const [name, port] of this.#kept) {
      if (named.has(name)) continue;
      this.#closePort(port);
      this.#kept.delete(name);
    }
  }

  /** What a guest's machine does. */
  #onMachine(name: string, change: VmChange, at: Millis | undefined): void {
    const guest = this.#guests.get(name);
    if (guest === undefined) return;
    if (change !== 'awaited') this.#rehearsals.over(guest);
    switch (change) {
      case 'awaited':
        guest.expect();
        this.#rehearsals.before(guest);
        break;
      case 'arrived':
        guest.adopt(at);
        break;
      case 'departing':
        this.#handOver.departing(name);
        break;
      case 'leaving':
        guest.hold();
        this.#handOver.leaving(name, at);
        break;
      case 'returned':
        this.#onReturned(name, at).catch((error: unknown) => this.#failed(error));
        break;
      case 'left':
        guest.release();
        this.#handOver.forget(name);
        break;
    }
  }

  /** Another host has it. */
  #released(name: string, conflict: string | undefined): void {
    this.#guests.get(name)?.release(conflict, LISTEN_AFTER_CLAIM);
    this.#monitors.released(name);
  }

  /** None: what comes late is lost. */
  #takeLateSlot(): number | undefined {
    if (this.#lateSlots.taken === MAX_LATE) return undefined;
    const slot = this.#lateSlots.take();
    this.#engine.resetTunnelCounters(slot);
    return slot;
  }

  /** What its next host may have done already is asked first. */
  async #onReturned(name: string, at: Millis | undefined): Promise<void> {
    await this.#handOver.returned(name);
    if (this.#monitors.status(name)?.state === 'running') this.#guests.get(name)?.adopt(at);
  }

  /** A device went away under the engine. */
  #lost(port: PortId): void {
    const guest = this.#byPort.get(port);
    if (this.#streams.status(port) !== undefined) this.#streams.lost(port);
    else if (guest !== undefined) this.#lostDevices.lost(guest, port);
    else this.#forgetKept(port);
  }

  /** A guest that is to have this port opens it anew, or says why it cannot. */
  #forgetKept(port: PortId): void {
    for (const [name, kept] of this.#kept) {
      if (kept !== port) continue;
      this.#kept.delete(name);
      this.#closePort(port);
    }
  }

  #closePort(port: PortId): void {
    this.#streams.forget(port);
    this.#lostDevices.forget(port);
    this.#engine.closePort(port);
  }

  /** Undefined: it waits for a care-of address. @param before those that waited already: the log knows why */
  #add(config: GuestConfig, before?: ReadonlyMap<string, Waiting>): Guest | undefined {
    const careOf = this.#careOf(config);
    if (careOf.kind === 'none') {
      this.#waiting.set(config.name, { config, reason: careOf.reason });
      if (this.#network !== undefined) this.#keepPort(config);
      if (before?.get(config.name)?.reason !== careOf.reason) {
        this.#log.warn({ guest: config.name, reason: careOf.reason }, 'no care-of address yet');
      }
      return undefined;
    }
    const name = portName(config.port);
    const kept = this.#kept.get(name);
    const port = kept ?? this.#devices.openPort(this.#engine, config);
    const slots: number[] = [];
    try {
      for (const _ of config.homeAddresses) slots.push(this.#slots.take());
      for (const slot of slots) this.#engine.resetTunnelCounters(slot);
      const guest = new Guest(config, port, slots, careOf.address, {
        engine: this.#engine,
        store: this.#store,
        log: this.#log,
        tunnelMtu: this.#config.tunnelMtu,
        tunnels: this.#tunnels,
        errors: this.#errors,
        slots: {
          take: () => this.#takeLateSlot(),
          release: (slot) => this.#lateSlots.release(slot),
        },
        changed: () => this.#changes.ask(),
        here: () => this.#handOver.arrived(config.name),
        monitored: () => this.#monitors.status(config.name)?.reason === undefined,
      });
      this.#guests.set(config.name, guest);
      this.#byPort.set(port, guest);
      for (const slot of slots) this.#bySlots.set(slot, guest);
      if (guest.homePort !== undefined) this.#byPort.set(guest.homePort, guest);
      this.#kept.delete(name);
      if (config.port.kind === 'qemu-stream') {
        this.#streams.follow({ guest: config.name, port, path: config.port.path });
      }
      if (config.qmp !== undefined) {
        this.#monitors.follow({ guest: config.name, path: config.qmp });
      }
      return guest;
    } catch (error) {
      if (kept === undefined) this.#closePort(port);
      for (const slot of slots) this.#slots.release(slot);
      throw error;
    }
  }

  /** Opens the port of a guest that waits: it may be moved or bridged meanwhile. @throws KagemushaError of the engine */
  #keepPort(config: GuestConfig): void {
    const name = portName(config.port);
    if (this.#kept.has(name)) return;
    this.#kept.set(name, this.#devices.openPort(this.#engine, config));
  }

  #careOf(config: GuestConfig): CareOfChoice {
    if (this.#network !== undefined) return this.#network.careOf(config);
    const { name, careOfAddress, homeAddresses } = config;
    if (careOfAddress === undefined) return { kind: 'address', address: homeAddresses[0] };
    if (careOfAddress !== 'auto') return { kind: 'address', address: careOfAddress };
    return this.#chosen.get(name) ?? { kind: 'none', reason: 'no care-of address was chosen yet' };
  }

  /** @param next what it is made anew with: to the guest its cable stays in */
  #remove(guest: Guest, next: GuestConfig | undefined): void {
    this.#guests.delete(guest.config.name);
    this.#byPort.delete(guest.port);
    for (const slot of guest.slots) this.#bySlots.delete(slot);
    if (guest.homePort !== undefined) this.#byPort.delete(guest.homePort);
    this.#turns.forget(guest);
    this.#monitors.forget(guest.config.name);
    this.#handOver.forget(guest.config.name);
    const unstarted = this.#added.indexOf(guest);
    if (unstarted >= 0) this.#added.splice(unstarted, 1);
    guest.stop();
    this.#publish();
    const { port } = guest.config;
    if (next !== undefined && isSamePort(next.port, port)) {
      this.#kept.set(portName(port), guest.port);
    } else {
      this.#closePort(guest.port);
    }
    for (const slot of guest.slots) this.#slots.release(slot);
  }

  #guest(name: string): Guest {
    const guest = this.#guests.get(name);
    if (guest !== undefined) return guest;
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) {
      throw new KagemushaError('GUEST_WAITS', `${name} cannot be registered: ${waiting.reason}`);
    }
    const known = [...this.#guests.keys()].join(', ') || 'none';
    throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"; this host has: ${known}`);
  }

  #guestStatus(guest: Guest, now: number): GuestStatus {
    const status = guest.status(now);
    const { port } = guest;
    const state = this.#lostDevices.status(port) ?? this.#streams.status(port);
    const machine = this.#monitors.status(status.name);
    return {
      ...status,
      port: { ...status.port, ...state },
      ...(machine === undefined ? {} : { machine }),
    };
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
    if (!this.#publishing) return;
    const guests = [...this.#guests.values()];
    const owners = new Map<Address, Guest>();
    // An address that another guest has now is no longer that of a guest which had it before.
    for (const guest of guests) {
      for (const address of guest.careOfAddresses) {
        if (!owners.has(address)) owners.set(address, guest);
      }
    }
    for (const guest of guests) {
      if (guest.careOfAddress !== undefined) owners.set(guest.careOfAddress, guest);
    }
    const left = [...this.#byCareOf.keys()].filter((address) => !owners.has(address));
    this.#byCareOf = owners;
    const tables = guests.map((guest) => ({ guest, ...guest.table() }));
    const tunnels = tables.flatMap(({ guest, tunnels }) =>
      tunnels.filter(({ local }) => owners.get(local) === guest),
    );
    this.#network?.follow(this.#config.guests, owners.keys(), this.#destinations(tunnels));
    this.#engine.publish({
      tunnels,
      locals: [...owners.keys()].map((address) => ({ address, side: 'mobile-node' })),
      signalers: tables.flatMap(({ signalers }) => signalers),
      ...this.#network?.hops,
    });
    this.#republish.done();
    if (left.length > 0) this.#onLeft(left);
  }

  /** Whom outer packets and signaling are sent to. */
  #destinations(tunnels: readonly TunnelSpec[]): Set<Address> {
    const homeAgents = this.#config.guests.flatMap(({ homeAgents }) =>
      homeAgents.kind === 'list' ? homeAgents.addresses : [],
    );
    const correspondents = tunnels.flatMap(({ routes = [] }) =>
      routes.flatMap((route) =>
        route.straight ? [route.careOfAddress ?? route.correspondent] : [],
      ),
    );
    return new Set([...homeAgents, ...tunnels.map(({ remote }) => remote), ...correspondents]);
  }

  #dispatch(packet: SlowPathPacket): void {
    if (ROUTE_KINDS.has(packet.kind)) {
      this.#onRoutePacket(packet);
      return;
    }
    if (packet.port !== undefined) {
      if (packet.port === this.#network?.port) this.#network.onFrame(packet.bytes);
      else this.#byPort.get(packet.port)?.onFrame(packet);
      return;
    }
    if (ON_THE_WAY.has(packet.kind)) {
      this.#drops.count('straggler_unfit');
      return;
    }
    const parsed = attempt(() => parsePacket(packet.bytes));
    if (parsed instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    const toHome =
      parsed.protocol === PROTOCOL.icmpv6 && !this.#byCareOf.has(pseudoHeader(parsed).destination);
    if (toHome && packet.tunnelSlot !== undefined) this.#onTunnelIcmpv6(parsed, packet.tunnelSlot);
    else this.#onPacket(parsed);
  }

  /** What comes out of a tunnel or straight from a correspondent, for route optimisation. */
  #onRoutePacket(packet: SlowPathPacket): void {
    const guest = this.#bySlot(packet.tunnelSlot);
    if (guest === undefined) this.#drops.count('not_ours');
    else guest.onRoutePacket(packet);
  }

  #bySlot(slot: number | undefined): Guest | undefined {
    if (slot === undefined) return undefined;
    return this.#bySlots.get(slot);
  }

  /**
   * ICMPv6 of a Home Agent to the home address: an echo reply, to a probe of ours or the guest's, or its prefixes, which are ours
   * (RFC 6275 11.4.3).
   */
  #onTunnelIcmpv6(packet: Ipv6Packet, slot: number): void {
    const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
    if (message instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    const guest = this.#bySlot(slot);
    if (guest?.onProbe(packet) || this.#ping.take(message)) return;
    if (message.kind === 'mobile-prefix-advertisement') {
      if (guest === undefined) this.#drops.count('not_ours');
      else guest.onPacket(packet);
      return;
    }
    const { destination } = pseudoHeader(packet);
    if (message.kind === 'echo-reply' && guest?.takeEcho(message.identifier, message.sequence)) {
      return;
    }
    if (guest?.deliver(packet, destination) !== true) this.#drops.count('undelivered');
  }

  /** A packet to a care-of address that is not tunnel payload. */
  #onPacket(packet: Ipv6Packet): void {
    const guest = this.#byCareOf.get(packet.destination);
    if (guest === undefined) {
      this.#drops.count('not_ours');
      return;
    }
    if (isSignaling(packet)) {
      guest.onPacket(packet);
    } else if (packet.protocol === PROTOCOL.icmpv6) {
      this.#onIcmp(packet, guest);
    } else {
      this.#drops.count('unexpected_protocol');
    }
  }

  #onIcmp(packet: Ipv6Packet, guest: Guest): void {
    const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
    if (message instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    if (message.kind === 'echo-request') {
      const answer = answerEcho(packet);
      if (answer === undefined) this.#drops.count('unexpected_icmp');
      else this.#engine.transmit('uplink', emitPacket(answer));
    } else if ('quoted' in message) {
      guest.onPathError(message);
    } else if (isHomeDiscovery(message)) {
      guest.onDiscovery(packet, message);
    } else {
      this.#drops.count('unexpected_icmp');
    }
  }
}

function isHomeDiscovery(message: Icmpv6Message): boolean {
  return (
    message.kind === 'home-agent-discovery-reply' || message.kind === 'mobile-prefix-advertisement'
  );
}

/** What of a configuration is read at start only. */
function fixedPart(config: HostConfig): Omit<HostConfig, 'guests'> {
  const { guests: _, ...rest } = config;
  return rest;
}

function isSamePort(one: PortConfig, other: PortConfig): boolean {
  return one.kind === other.kind && portName(one) === portName(other);
}

/** Whether two configurations of a guest differ only in what it can follow while it runs. */
function isMinor(before: GuestConfig, after: GuestConfig): boolean {
  const rest = (config: GuestConfig): Omit<GuestConfig, Changeable> => {
    const { careOfAddress: _a, homeAgents: _b, lifetime: _c, ...others } = config;
    return others;
  };
  const away = before.careOfAddress !== undefined && after.careOfAddress !== undefined;
  return away && isDeepStrictEqual(rest(before), rest(after));
}

/** Why a guest is not registered, where the network says it. */
function withTrouble(status: GuestStatus, trouble: string | undefined): GuestStatus {
  const asking = status.binding.state === 'registering' || status.binding.state === 'lost';
  if (trouble === undefined || !asking) return status;
  return { ...status, binding: { ...status.binding, reason: trouble } };
}

/** A guest that cannot be registered before the network has told a prefix. */
function waitingStatus(config: GuestConfig, reason: string): GuestStatus {
  const nothing = { packets: 0, bytes: 0 };
  return {
    name: config.name,
    port: { kind: config.port.kind, name: portName(config.port) },
    homeAddresses: [...config.homeAddresses],
    protection: [...new Set(config.security.map(({ security }) => security.kind))].join(', '),
    binding: { state: 'idle', reason },
    bindings: [],
    traffic: { toHome: nothing, toGuest: nothing },
    events: tunnelEvents([]),
    drops: {},
  };
}
