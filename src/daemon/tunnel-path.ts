import { randomInt } from 'node:crypto';
import type { Engine, TunnelSpec } from '../datapath/index.js';
import type { Millis } from '../time.js';
import type { Encapsulation, PathMtuConfig, PathMtuEvent, PathMtuOutput } from '../tunnel/index.js';
import { encapsulate, PathMtu, probeRequest } from '../tunnel/index.js';
import { type Address, type Icmpv6Message, MINIMUM_MTU } from '../wire/index.js';
import type { HostConfig, OuterConfig } from './config/schema.js';
import { Driver } from './driver.js';
import type { Logger } from './log.js';
import type { ProbePace } from './probe-pace.js';
import { Regularly } from './regularly.js';
import type { TunnelStatus } from './status.js';

/** The outer addresses of a tunnel, as its packets leave us. */
export type OuterEnds = Pick<Encapsulation, 'local' | 'remote'>;

/** What all tunnels of a daemon have in common. */
export interface TunnelServices {
  readonly engine: Pick<
    Engine,
    'transmit' | 'tunnelCounters' | 'resetTunnelCounters' | 'flowLabel'
  >;
  readonly pace: ProbePace;
  /** Looks at what the tunnels have carried: no packet wakes anything in here. */
  readonly looks: Regularly;
  readonly log: Logger;
  readonly limits: Omit<PathMtuConfig, 'random'>;
  readonly header: Omit<OuterConfig, 'overhead'>;
  readonly mssClamp: boolean;
  /** The estimate of some tunnel is another one: the engine's table is out of date. */
  changed(): void;
}

/** Between two looks at what a tunnel has carried. */
const LOOK: Millis = 5_000;

/** What the configuration says of all tunnels of a daemon. */
export function tunnelServices(
  config: Pick<HostConfig, 'uplinkMtu' | 'pathMtuProbing' | 'mssClamp' | 'outer'>,
  services: Omit<TunnelServices, 'looks' | 'limits' | 'header' | 'mssClamp'>,
): TunnelServices {
  const { overhead, ...header } = config.outer;
  const { uplinkMtu: linkMtu, pathMtuProbing: probing, mssClamp } = config;
  const limits = { linkMtu, overhead, probing };
  return { ...services, looks: new Regularly(LOOK), limits, header, mssClamp };
}

/** The inside of a tunnel, as its probes see it. */
export interface ProbeWay {
  /** The ends of the echo: the home address and the Home Agent, or the other way round. */
  readonly source: Address;
  readonly destination: Address;
  /** Packets that the tunnel has taken so far. */
  carried(): number;
}

/** An inner packet of ours in the outer header that the engine gives to those of the tunnel, flow label included. */
export function throughTunnel(
  inner: Uint8Array,
  ends: OuterEnds,
  { engine, header }: Pick<TunnelServices, 'engine' | 'header'>,
): Uint8Array {
  const flowLabel = engine.flowLabel(inner);
  return encapsulate(inner, { ...ends, ...header, flowLabel });
}

/** An ICMPv6 error as it came. */
export type QuotingMessage = Extract<Icmpv6Message, { quoted: Uint8Array }>;

/** Who cannot see the probes must not answer them: their tokens come from it. */
const unpredictable = (): number => randomInt(2 ** 32) / 2 ** 32;

/**
 * What the path of one tunnel carries (RFC 8201, RFC 8899): stands between the machine that estimates it and the engine, which cuts
 * packets after it. A tunnel whose ends change gets another one.
 */
export class TunnelPath {
  readonly ends: OuterEnds;
  readonly #services: TunnelServices;
  readonly #machine: PathMtu;
  readonly #driver: Driver<PathMtuEvent, PathMtuOutput>;
  readonly #start = (): void => this.#open();
  readonly #look = (): void => this.#lookForTraffic();
  #way: ProbeWay;
  #carried = 0;
  #isOpen = false;
  #opening: NodeJS.Timeout | undefined;

  constructor(ends: OuterEnds, way: ProbeWay, services: TunnelServices) {
    this.ends = ends;
    this.#way = way;
    this.#services = services;
    this.#machine = new PathMtu({ ...services.limits, random: unpredictable });
    this.#driver = new Driver(this.#machine, (output) => this.#on(output));
  }

  get drops(): ReadonlyMap<string, number> {
    return this.#machine.drops;
  }

  get status(): TunnelStatus {
    return { ...this.sizes, state: this.#machine.state };
  }

  /** For the engine's table. */
  get spec(): Omit<TunnelSpec, 'slot' | 'side' | 'homeAddresses'> {
    const { header, mssClamp } = this.#services;
    return { ...this.ends, ...this.sizes, ...header, mssClamp };
  }

  /** Octets: of the largest inner packet, and of the largest outer one. */
  get sizes(): { readonly mtu: number; readonly pathMtu: number } {
    const pathMtu = this.#machine.mtu;
    return { mtu: Math.max(MINIMUM_MTU, pathMtu - this.#services.limits.overhead), pathMtu };
  }

  /** Octets of the largest inner packet that needs no fragments outside. */
  get room(): number {
    return this.#machine.mtu - this.#services.limits.overhead;
  }

  /** The probes take this way from now on: another home address shares the tunnel. */
  follow(way: ProbeWay): void {
    this.#way = way;
  }

  /** Begins to probe, in its turn. @param after milliseconds, for the other end to open its own; see `hasten` */
  open(after = 0): void {
    this.#opening = setTimeout(() => this.#services.pace.begin(this.#start), after);
  }

  /** The other end has shown that its tunnel is open. */
  hasten(): void {
    if (this.#isOpen) return;
    clearTimeout(this.#opening);
    this.#services.pace.begin(this.#start);
  }

  /**
   * An ICMPv6 error from the path that quotes a packet of this tunnel.
   * @param outerLength octets of that packet
   * @returns the reason why it is not believed
   */
  onError(error: QuotingMessage, outerLength: number): string | undefined {
    if (error.kind !== 'packet-too-big') return undefined;
    if (error.mtu < MINIMUM_MTU) return 'too_big_below_minimum';
    if (error.mtu >= outerLength) return 'too_big_quote_fits';
    // Who waits for its turn is told, too.
    this.#open();
    this.#driver.send({ type: 'too-big', mtu: error.mtu });
    return undefined;
  }

  /** So much it took for another host: believed as a Packet Too Big is, until probes say otherwise. @param mtu octets */
  told(mtu: number): void {
    this.#open();
    this.#driver.send({ type: 'too-big', mtu });
  }

  /** A probe was answered. */
  answered(token: number): void {
    this.#driver.send({ type: 'answer', token });
  }

  /** Sends an inner packet of ours through the tunnel. */
  transmit(inner: Uint8Array): void {
    this.#services.engine.transmit('uplink', throughTunnel(inner, this.ends, this.#services));
  }

  /** Ends the timers. */
  stop(): void {
    this.#services.looks.remove(this.#look);
    clearTimeout(this.#opening);
    this.#services.pace.withdraw(this.#start);
    this.#driver.stop();
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    clearTimeout(this.#opening);
    this.#services.pace.withdraw(this.#start);
    this.#driver.send({ type: 'open' });
    // Without probes traffic is all the same to the machine.
    if (!this.#services.limits.probing) return;
    this.#carried = this.#way.carried();
    this.#services.looks.add(this.#look);
  }

  #lookForTraffic(): void {
    const before = this.#carried;
    this.#carried = this.#way.carried();
    if (this.#carried !== before) this.#driver.send({ type: 'traffic' });
  }

  #on(output: PathMtuOutput): void {
    if (output.type === 'probe') {
      this.#probe(output.size, output.token);
      return;
    }
    const { mtu, reason } = output;
    this.#services.log.info({ ...this.ends, pathMtu: mtu, reason }, 'path MTU');
    this.#services.changed();
  }

  #probe(size: number, token: number): void {
    const { pace, limits } = this.#services;
    const { source, destination } = this.#way;
    const { overhead } = limits;
    if (pace.take()) this.transmit(probeRequest({ source, destination, size, overhead, token }));
    else this.#machine.drops.count('probe_limited');
  }
}
