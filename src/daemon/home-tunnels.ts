import type { TunnelSpec } from '../datapath/index.js';
import type { TokenBucket } from '../token-bucket.js';
import type { Address } from '../wire/index.js';
import { sumDrops } from './drop-counts.js';
import { ErrorBudget } from './error-budget.js';
import type { Drops } from './status.js';
import { type OuterEnds, TunnelPath, type TunnelServices } from './tunnel-path.js';
import { TunnelSlots } from './tunnel-slots.js';

/**
 * A mobile node opens its tunnel when the acknowledgement has come, and then probes the path itself: that tells that ours is answered.
 * One that does not probe is given so long, milliseconds.
 */
const FOR_THE_OTHER_END = 1000;

/** The tunnel of one binding. */
export interface HomeTunnel {
  readonly homeAddress: Address;
  /** Its block of counters. */
  readonly slot: number;
  readonly errors: ErrorBudget;
  readonly path: TunnelPath;
  /** What paths to former care-of addresses had no use for, by reason. */
  readonly formerDrops: Drops;
}

/** The tunnels of a Home Agent, one for each binding. */
export class HomeTunnels {
  readonly #address: Address;
  readonly #services: TunnelServices;
  readonly #slots: TunnelSlots;
  readonly #errors: TokenBucket;
  readonly #byHome = new Map<Address, HomeTunnel>();
  readonly #bySlot = new Map<number, HomeTunnel>();

  /** @param address the Home Agent's @param room tunnels that the engine has room for @param errors of all tunnels */
  constructor(address: Address, room: number, errors: TokenBucket, services: TunnelServices) {
    this.#address = address;
    this.#slots = new TunnelSlots(room);
    this.#errors = errors;
    this.#services = services;
  }

  get homeAddresses(): Address[] {
    return [...this.#byHome.keys()];
  }

  to(homeAddress: Address): HomeTunnel | undefined {
    return this.#byHome.get(homeAddress);
  }

  withSlot(slot: number | undefined): HomeTunnel | undefined {
    return slot === undefined ? undefined : this.#bySlot.get(slot);
  }

  /** Where the node of a home address is. */
  careOfAddress(homeAddress: Address): Address | undefined {
    return this.#byHome.get(homeAddress)?.path.ends.remote;
  }

  /** The tunnel leads there from now on; the engine does not know yet. @throws KagemushaError TUNNELS_EXHAUSTED */
  open(homeAddress: Address, careOfAddress: Address): 'bound' | 'moved' {
    const known = this.#byHome.get(homeAddress);
    if (known?.path.ends.remote === careOfAddress) return 'moved';
    const slot = known?.slot ?? this.#slots.take();
    if (known === undefined) this.#services.engine.resetTunnelCounters(slot);
    known?.path.stop();
    const errors = known?.errors ?? new ErrorBudget(this.#errors);
    const path = this.#path(homeAddress, { local: this.#address, remote: careOfAddress }, slot);
    const formerDrops = known === undefined ? {} : sumDrops(known.formerDrops, known.path.drops);
    const tunnel = { homeAddress, slot, errors, path, formerDrops };
    this.#byHome.set(homeAddress, tunnel);
    this.#bySlot.set(slot, tunnel);
    path.open(FOR_THE_OTHER_END);
    return known === undefined ? 'bound' : 'moved';
  }

  /** The tunnel is gone; when the engine knows, its slot must be released. */
  close(homeAddress: Address): HomeTunnel | undefined {
    const tunnel = this.#byHome.get(homeAddress);
    if (tunnel === undefined) return undefined;
    tunnel.path.stop();
    this.#byHome.delete(homeAddress);
    this.#bySlot.delete(tunnel.slot);
    return tunnel;
  }

  release({ slot }: HomeTunnel): void {
    this.#slots.release(slot);
  }

  /** For the engine's table. */
  specs(): TunnelSpec[] {
    return [...this.#byHome.values()].map(({ homeAddress, slot, path }) => ({
      slot,
      side: 'home-agent',
      homeAddresses: [homeAddress],
      ...path.spec,
    }));
  }

  /** Ends the timers. */
  stop(): void {
    for (const { path } of this.#byHome.values()) path.stop();
  }

  #path(homeAddress: Address, ends: OuterEnds, slot: number): TunnelPath {
    const { engine } = this.#services;
    const inside = { source: ends.local, destination: homeAddress };
    const carried = () => engine.tunnelCounters(slot).toGuest.packets;
    return new TunnelPath(ends, { ...inside, carried }, this.#services);
  }
}
