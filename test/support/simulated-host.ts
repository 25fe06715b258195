import type { Address, Mac, NdpMessage, Prefix } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  formatPrefix,
  isMulticast,
  isUnspecified,
  multicastMac,
  solicitedNode,
} from '../../src/wire/index.js';
import { HostAddresses } from './host-addresses.js';
import type { read, Sent } from './link-frames.js';
import { icmpv6Frame, solicitation } from './link-frames.js';
import { NeighbourCacheEntry } from './neighbour-cache.js';

/** RFC 4861 10, in milliseconds */
const RTR_SOLICITATION_INTERVAL = 4000;
const MAX_RTR_SOLICITATION_DELAY = 1000;
const MAX_RTR_SOLICITATIONS = 3;

type Heard = ReturnType<typeof read>;
type Said<Kind extends NdpMessage['kind']> = Extract<NdpMessage, { kind: Kind }>;

export interface SimulatedHostConfig {
  readonly mac: Mac;
  /** configured by hand, besides what Router Advertisements make */
  readonly addresses: readonly Address[];
  readonly temporary: boolean;
  readonly random: () => number;
}

/** A host's IPv6 on one Ethernet link as RFC 4861 and RFC 4862 have it: what a guest's kernel does. */
export class SimulatedHost {
  readonly addresses: HostAddresses;
  /** Default routers, and when they cease to be (ms; RFC 4861 5.1). */
  readonly routers = new Map<Address, number>();
  /** On-link prefixes, and until when (ms). */
  readonly onLink = new Map<string, { readonly prefix: Prefix; readonly until: number }>();
  readonly neighbours = new Map<Address, NeighbourCacheEntry>();
  isUp = false;
  mtu = 1500;
  /** Router Solicitations sent. */
  solicitations = 0;
  echoReplies = 0;
  readonly #config: SimulatedHostConfig;
  readonly #sent: Uint8Array[] = [];
  #solicit: { readonly at: number; readonly left: number } | undefined;

  constructor(config: SimulatedHostConfig) {
    this.#config = config;
    const { mac, temporary, random } = config;
    this.addresses = new HostAddresses(mac, temporary, random, (sent) => this.send(sent));
  }

  /** Frames to the link, until undefined. */
  poll(): Uint8Array | undefined {
    return this.#sent.shift();
  }

  /** The interface comes up: with nothing but what is configured. */
  up(now: number): void {
    this.isUp = true;
    this.addresses.up(now, this.#config.addresses);
    this.#solicit = undefined;
  }

  /** The interface goes down, or the host is switched off: all that was learnt is forgotten. */
  down(): void {
    this.isUp = false;
    this.addresses.held.clear();
    this.routers.clear();
    this.onLink.clear();
    this.neighbours.clear();
    this.#solicit = undefined;
  }

  wakeAt(): number {
    if (!this.isUp) return Infinity;
    const entries = [...this.neighbours.values()].map((entry) => entry.wakeAt() ?? Infinity);
    return Math.min(this.#solicit?.at ?? Infinity, ...entries, ...this.addresses.wakeAt());
  }

  tick(now: number): void {
    if (!this.isUp) return;
    const before = this.addresses.linkLocal;
    this.addresses.tick(now);
    const own = this.addresses.linkLocal;
    if (before === undefined && own !== undefined) {
      const at = now + MAX_RTR_SOLICITATION_DELAY * this.#config.random();
      this.#solicit = { at, left: MAX_RTR_SOLICITATIONS };
    }
    this.#solicitRouters(now);
    for (const entry of this.neighbours.values()) this.#askNeighbour(now, entry);
  }

  /** It has a packet for this neighbour; false: it has no address to send from. */
  use(now: number, target: Address): boolean {
    if (this.#source() === undefined) return false;
    this.#entry(target).use(now);
    return true;
  }

  send(sent: Sent): void {
    this.#sent.push(icmpv6Frame({ sourceMac: this.#config.mac, ...sent }));
  }

  /** Whether its network card takes a frame to this address. */
  listensTo(mac: Mac): boolean {
    if (mac === this.#config.mac || mac === multicastMac(ALL_NODES)) return true;
    return [...this.addresses.held.keys()].some((own) => multicastMac(solicitedNode(own)) === mac);
  }

  hear(now: number, heard: Heard): void {
    const { message, source } = heard;
    switch (message.kind) {
      case 'router-advertisement':
        this.#routerSpoke(now, source, message);
        break;
      case 'neighbor-advertisement':
        this.addresses.taken(now, message.target);
        this.#neighbourSpoke(now, message);
        break;
      case 'neighbor-solicitation':
        this.#asked(now, heard, message);
        break;
      case 'echo-reply':
        this.echoReplies += 1;
        break;
      default:
        throw new Error(`a host has no use for ${message.kind}`);
    }
  }

  #source(): Address | undefined {
    const global = this.addresses.assigned().find(({ kind }) => kind !== 'link-local');
    return global?.address ?? this.addresses.linkLocal;
  }

  #entry(target: Address): NeighbourCacheEntry {
    const known = this.neighbours.get(target);
    if (known !== undefined) return known;
    const entry = new NeighbourCacheEntry(target, this.#config.random);
    this.neighbours.set(target, entry);
    return entry;
  }

  /** RFC 4861 6.3.7 */
  #solicitRouters(now: number): void {
    const source = this.addresses.linkLocal;
    if (this.#solicit === undefined || now < this.#solicit.at || source === undefined) return;
    const left = this.#solicit.left - 1;
    this.#solicit = left > 0 ? { at: now + RTR_SOLICITATION_INTERVAL, left } : undefined;
    this.solicitations += 1;
    const options = [{ kind: 'source-link-layer-address', mac: this.#config.mac }] as const;
    this.send({
      source,
      destination: ALL_ROUTERS,
      message: { kind: 'router-solicitation', options },
    });
  }

  /** RFC 4861 7.2.2, 7.3.3 */
  #askNeighbour(now: number, entry: NeighbourCacheEntry): void {
    const way = entry.tick(now);
    const source = this.#source();
    if (way === undefined || source === undefined) return;
    const { target, mac } = entry;
    const option = { kind: 'source-link-layer-address', mac: this.#config.mac } as const;
    this.send({
      source,
      destination: way === 'unicast' ? target : solicitedNode(target),
      ...(way === 'unicast' && mac !== undefined ? { destinationMac: mac } : {}),
      message: solicitation(target, way === 'unicast' ? [] : [option]),
    });
  }

  /** RFC 4861 6.3.4 */
  #routerSpoke(now: number, source: Address, message: Said<'router-advertisement'>): void {
    this.#solicit = undefined;
    if (message.routerLifetime > 0) this.routers.set(source, now + 1000 * message.routerLifetime);
    else this.routers.delete(source);
    for (const option of message.options) {
      if (option.kind === 'source-link-layer-address') {
        const entry = this.#entry(source);
        entry.learn(option.mac);
        entry.isRouter = true;
      } else if (option.kind === 'mtu') {
        if (option.mtu >= 1280 && option.mtu <= 1500) this.mtu = option.mtu;
      } else if (option.kind === 'prefix-information') {
        const { prefix, onLink, validLifetime } = option;
        const until = validLifetime === 0xffffffff ? Infinity : now + 1000 * validLifetime;
        if (onLink && validLifetime > 0) this.onLink.set(formatPrefix(prefix), { prefix, until });
        else if (onLink) this.onLink.delete(formatPrefix(prefix));
        this.addresses.advertised(now, option);
      }
    }
  }

  /** RFC 4861 7.2.5: who is a router no more is no default router either. */
  #neighbourSpoke(now: number, message: Said<'neighbor-advertisement'>): void {
    const entry = this.neighbours.get(message.target);
    entry?.hear(now, message);
    if (entry?.isRouter === false) this.routers.delete(message.target);
  }

  /** RFC 4861 7.2.3, 7.2.4 */
  #asked(now: number, heard: Heard, message: Said<'neighbor-solicitation'>): void {
    const { source, sourceMac } = heard;
    const { target, options } = message;
    if (isUnspecified(source)) {
      const nonce = options.find((option) => option.kind === 'unknown' && option.type === 14);
      this.addresses.taken(now, target, nonce?.kind === 'unknown' ? nonce.data : undefined);
      return;
    }
    if (this.addresses.held.get(target)?.dad.kind !== 'assigned' || isMulticast(source)) return;
    this.#entry(source).learn(sourceMac);
    this.send({
      source: target,
      destination: source,
      destinationMac: sourceMac,
      message: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: true,
        override: true,
        target,
        options: [{ kind: 'target-link-layer-address', mac: this.#config.mac }],
      },
    });
  }
}
