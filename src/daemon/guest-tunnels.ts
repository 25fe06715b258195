import type { TunnelSpec } from '../datapath/index.js';
import {
  PROBE_MAGIC,
  type Probe,
  probeReply,
  quotedTunnelPacket,
  relayedError,
} from '../tunnel/index.js';
import { type Address, type Icmpv6Error, PROTOCOL, peekAddresses } from '../wire/index.js';
import { sumDrops } from './drop-counts.js';
import type { Drops, TunnelStatus } from './status.js';
import { type QuotingMessage, TunnelPath, type TunnelServices } from './tunnel-path.js';

/** RFC 8200 3, RFC 4443 4.1 */
const OFFSET = { nextHeader: 6, echoData: 48 } as const;

/** One tunnel of a guest, which home addresses with the same ends share. */
interface GuestTunnel {
  readonly homeAddresses: readonly Address[];
  readonly path: TunnelPath;
}

/** The paths of a guest's tunnels, as the guest's registrations open and close them. */
export class GuestTunnels {
  readonly #services: TunnelServices;
  readonly #byEnds = new Map<string, GuestTunnel>();
  /** path MTUs that the guest's host before this one had found, by home address */
  readonly #told = new Map<Address, number>();
  /** of tunnels that are closed: a count never goes back */
  #closed: Drops = {};

  constructor(services: TunnelServices) {
    this.#services = services;
  }

  /** These tunnels are open now; gives them as they are for the engine's table. */
  follow(open: readonly TunnelSpec[]): TunnelSpec[] {
    const ends = new Set(open.map(({ local, remote }) => keyOf(local, remote)));
    for (const [key, { path }] of this.#byEnds) {
      if (ends.has(key)) continue;
      path.stop();
      this.#closed = sumDrops(this.#closed, path.drops);
      this.#byEnds.delete(key);
    }
    return open.map((spec) => ({ ...spec, ...this.#follow(spec).spec }));
  }

  /** On the guest's host before this one, a path took no more octets than this: most of it may be the same. */
  told(homeAddress: Address, pathMtu: number): void {
    this.#told.set(homeAddress, pathMtu);
  }

  /** What was told was of the network before. */
  forget(): void {
    this.#told.clear();
  }

  /** Octets that the path of a home address's tunnel takes, where that is less than the link does. */
  narrowed(homeAddress: Address): number | undefined {
    const pathMtu = this.status(homeAddress)?.pathMtu;
    return pathMtu === undefined || pathMtu >= this.#services.limits.linkMtu ? undefined : pathMtu;
  }

  /** The tunnel of a home address, while it is open. */
  status(homeAddress: Address): TunnelStatus | undefined {
    return this.#of(homeAddress)?.path.status;
  }

  /** That of the tunnel which takes least. */
  get narrowest(): TunnelStatus | undefined {
    return [...this.#byEnds.values()]
      .map(({ path }) => path.status)
      .toSorted((one, other) => one.mtu - other.mtu)[0];
  }

  /** Why the paths' machines had no use for something. */
  get drops(): Drops {
    return sumDrops(this.#closed, ...[...this.#byEnds.values()].map(({ path }) => path.drops));
  }

  /**
   * An ICMPv6 error from the way to a home agent.
   * @returns what the guest is to hear of it (RFC 2473 8), or the reason why nothing; `quote_not_tunnel`: it is about a packet that
   *   had no tunnel, signaling say
   */
  onPathError(error: QuotingMessage): Icmpv6Error | string {
    const { engine, limits } = this.#services;
    const ends = peekAddresses(error.quoted);
    const tunnel = ends && this.#byEnds.get(keyOf(ends.source, ends.destination));
    if (tunnel === undefined) return 'quote_not_ours';
    const { path } = tunnel;
    const quoted = quotedTunnelPacket(error.quoted, path.ends, (inner) => engine.flowLabel(inner));
    if (typeof quoted === 'string') return quoted;
    const disbelief = path.onError(error, quoted.outerLength);
    if (disbelief !== undefined) return disbelief;
    // The guest knows nothing of what we send for it.
    if (isEchoOfOurs(quoted.inner)) return 'error_own_probe';
    return relayedError(error, quoted.inner, limits.overhead);
  }

  /** A probe of a home agent's, or its answer to one of ours. @returns the reason why it had no effect */
  onProbe(probe: Probe): string | undefined {
    const tunnel = this.#of(probe.destination);
    if (tunnel?.path.ends.remote !== probe.source) return 'probe_not_ours';
    const { path } = tunnel;
    if (probe.kind === 'reply') path.answered(probe.token);
    else path.transmit(probeReply(probe, path.room));
    return undefined;
  }

  /** Ends the timers. */
  stop(): void {
    for (const { path } of this.#byEnds.values()) path.stop();
  }

  #of(homeAddress: Address): GuestTunnel | undefined {
    return [...this.#byEnds.values()].find(({ homeAddresses }) =>
      homeAddresses.includes(homeAddress),
    );
  }

  #follow({ local, remote, slot, homeAddresses }: TunnelSpec): TunnelPath {
    const { engine } = this.#services;
    const key = keyOf(local, remote);
    const known = this.#byEnds.get(key);
    const way = {
      source: homeAddresses[0] ?? local,
      destination: remote,
      carried: () => engine.tunnelCounters(slot).toHome.packets,
    };
    const path = known?.path ?? new TunnelPath({ local, remote }, way, this.#services);
    this.#byEnds.set(key, { homeAddresses, path });
    if (known !== undefined) path.follow(way);
    else this.#open(path, homeAddresses);
    return path;
  }

  #open(path: TunnelPath, homeAddresses: readonly Address[]): void {
    const told = homeAddresses.flatMap((home) => this.#told.get(home) ?? []);
    for (const home of homeAddresses) this.#told.delete(home);
    path.open();
    if (told.length > 0) path.told(Math.min(...told));
  }
}

function keyOf(local: Address, remote: Address): string {
  return `${local} ${remote}`;
}

/** A probe, or the answer to one; its end may be cut off. */
function isEchoOfOurs(inner: Uint8Array): boolean {
  if (inner[OFFSET.nextHeader] !== PROTOCOL.icmpv6) return false;
  return PROBE_MAGIC.every((octet, index) => inner[OFFSET.echoData + index] === octet);
}
