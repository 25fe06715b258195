import { randomBytes } from 'node:crypto';
import type { RouteSpec, SlowPathPacket } from '../datapath/index.js';
import type { Signal } from '../signaling/index.js';
import { readSignal } from '../signaling/index.js';
import type { CorrespondentSummary } from '../signaling/route-optimisation/index.js';
import type { Address, Icmpv6Message, Ipv6Packet } from '../wire/index.js';
import {
  attempt,
  IPV6_HEADER_LENGTH,
  PROTOCOL,
  parseOptions,
  parsePacket,
  peekAddresses,
  WireError,
} from '../wire/index.js';
import { sumDrops } from './drop-counts.js';
import { fairShare } from './fair-share.js';
import type { RouteOptimisationServices, StandingRegistration } from './home-routes.js';
import { HomeRoutes } from './home-routes.js';

export type { RouteOptimisationServices, StandingRegistration };

/** The engine's limit for one tunnel. */
const MAX_ROUTES = 1024;

/**
 * Route optimisation for one guest (RFC 6275 sections 9 and 11): the mobile node's role and the correspondent's, which its own
 * stack knows nothing of. Everything that it is shown and that is none of its business is left to the caller.
 *
 * The tunnel of such a guest says `optimise` and `signaling`, and has `routes`.
 */
export class RouteOptimisation {
  readonly #homes: ReadonlyMap<Address, HomeRoutes>;

  constructor(homeAddresses: readonly Address[], services: RouteOptimisationServices) {
    const random = (count: number) => new Uint8Array(randomBytes(count));
    const homes = homeAddresses.map(
      (address) => [address, new HomeRoutes(address, services, random)] as const,
    );
    this.#homes = new Map(homes);
  }

  /** The home registration was confirmed; with another care-of address the guest has moved. */
  bound(homeAddress: Address, registration: StandingRegistration): void {
    this.#homes.get(homeAddress)?.bound(registration);
  }

  /** The home registration ended: correspondents are told as far as that can be proved. */
  unbound(homeAddress: Address, reason: string): void {
    this.#homes.get(homeAddress)?.unbound(reason);
  }

  /**
   * For the tunnel of these home addresses: no more than it takes, shared out fairly. Outsiders make routes; those of one home
   * address must not take the room of another's.
   */
  routes(homeAddresses: readonly Address[]): RouteSpec[] {
    const wanted = homeAddresses.map((address) => this.#homes.get(address)?.routes() ?? []);
    return fairShare(wanted, MAX_ROUTES);
  }

  /** A packet of the slow path: true when its kind is ours, whatever came of it. */
  onSlowPath(packet: SlowPathPacket): boolean {
    switch (packet.kind) {
      case 'correspondent':
        this.#onCorrespondent(packet.bytes);
        return true;
      case 'home-address':
        this.#onHomeAddressOption(packet.bytes);
        return true;
      case 'heard':
        this.#onHeard(packet.bytes);
        return true;
      case 'inner': {
        const parsed = attempt(() => parsePacket(packet.bytes));
        return !(parsed instanceof WireError) && this.onPacket(parsed, true);
      }
      default:
        return false;
    }
  }

  /**
   * A packet to a care-of address, or (`tunnelled`) to a home address: true when it is a Mobility Header of route optimisation.
   * Ask here before the security policies: a correspondent's messages prove themselves, or nothing.
   */
  onPacket(packet: Ipv6Packet, tunnelled = false): boolean {
    if (packet.protocol !== PROTOCOL.mobility) return false;
    const signal = readSignal(packet);
    return !(signal instanceof WireError) && this.onSignal(signal, tunnelled);
  }

  /** The same with the message read. */
  onSignal(signal: Signal, tunnelled: boolean): boolean {
    return this.#concerned(signal)
      .map((home) => home.onSignal(signal, tunnelled))
      .includes(true);
  }

  /** An ICMPv6 error that came to a care-of address: true when it is about the straight way. */
  onPathError(error: Icmpv6Message): boolean {
    const quoted = 'quoted' in error ? peekAddresses(error.quoted) : undefined;
    if (quoted === undefined) return false;
    return [...this.#homes.values()]
      .filter((home) => home.careOfAddress === quoted.source)
      .map((home) => home.onPathError(quoted.destination, error))
      .includes(true);
  }

  /** For `status`. */
  summary(): CorrespondentSummary[] {
    return [...this.#homes.values()].flatMap((home) => home.summary());
  }

  /** Signals and errors without effect, by reason. */
  drops(): Record<string, number> {
    return sumDrops(...[...this.#homes.values()].flatMap((home) => home.drops));
  }

  /** Ends the timers. */
  stop(): void {
    for (const home of this.#homes.values()) home.stop();
  }

  /** Whose home address it is meant for; what comes to a care-of address may be anybody's behind it. */
  #concerned(signal: Signal): HomeRoutes[] {
    const home = this.#homes.get(signal.routingHeader ?? signal.destination);
    if (home !== undefined) return [home];
    return [...this.#homes.values()].filter(
      ({ careOfAddress }) => careOfAddress === signal.destination,
    );
  }

  #onCorrespondent(bytes: Uint8Array): void {
    const ends = peekAddresses(bytes);
    if (ends !== undefined) this.#homes.get(ends.source)?.onCorrespondent(ends.destination);
  }

  #onHeard(bytes: Uint8Array): void {
    const ends = peekAddresses(bytes);
    if (ends !== undefined) this.#homes.get(ends.destination)?.onHeard(ends.source);
  }

  #onHomeAddressOption(bytes: Uint8Array): void {
    const ends = peekAddresses(bytes);
    // The engine hands over the IPv6 header and the whole destination options header behind it.
    const options = attempt(() => parseOptions(bytes.subarray(IPV6_HEADER_LENGTH + 2)));
    if (ends === undefined || options instanceof WireError) return;
    const option = options.find(({ kind }) => kind === 'home-address');
    if (option?.kind !== 'home-address') return;
    this.#homes.get(ends.destination)?.onHomeAddressOption(ends.source, option.address);
  }
}
