import { Drops } from '../drops.js';
import { ANY_MAC } from '../link/constants.js';
import { icmpv6Frame, receiveFrame, receiveIcmpv6 } from '../link/frame.js';
import { MldListener, readMldQuery } from '../link/mld-listener.js';
import { isNdp, ndpFault, senderMac } from '../link/ndp-rules.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, EthernetFrame, Ipv6Packet, Mac, NdpMessage } from '../wire/index.js';
import {
  ALL_ROUTERS,
  isLinkLocal,
  isUnspecified,
  MINIMUM_MTU,
  solicitedNode,
  UNSPECIFIED,
} from '../wire/index.js';
import { Neighbors } from './neighbors.js';
import { OwnAddresses } from './own-addresses.js';
import { Resending } from './resending.js';
import { type AutonomousPrefix, Routers } from './routers.js';

/** Neighbours of the link besides its routers: what the table of the engine holds. */
const MAX_NEIGHBORS = 1024;

export interface ForeignLinkConfig {
  /** The link-layer address of this node. */
  readonly mac: Mac;
  /** A router that need not advertise itself; it is preferred to those that do. */
  readonly router?: Address;
  /** 0 <= r < 1 */
  readonly random: () => number;
}

export type ForeignLinkEvent =
  /** Looks for routers. `again`: the interface was in use a moment ago, nobody else begins with us (RFC 4861 6.3.7). */
  | { readonly type: 'start'; readonly again?: boolean }
  /** Proves an address unique, then answers for it. `optimistic`: it was ours a moment ago, and is used meanwhile (RFC 4429). */
  | { readonly type: 'add'; readonly address: Address; readonly optimistic?: boolean }
  | { readonly type: 'remove'; readonly address: Address }
  /** Packets go to these from now on, and to no others. */
  | { readonly type: 'destinations'; readonly addresses: Iterable<Address> }
  /** An Ethernet frame from the link. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** This frame, an output, could not be sent: there was no room on its way. */
  | { readonly type: 'unsent'; readonly bytes: Uint8Array }
  /** The interface has lost its carrier, or has it again: perhaps on another link. It begins with one. */
  | { readonly type: 'carrier'; readonly on: boolean }
  | { readonly type: 'tick' };

export type ForeignLinkOutput =
  /** An Ethernet frame to the link. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** The address may be used. */
  | { readonly type: 'usable'; readonly address: Address }
  /** It was told to be usable too early. */
  | { readonly type: 'unproven'; readonly address: Address }
  /** Another node has it: it may not be used (any more). It is tried again, and may become usable. */
  | { readonly type: 'duplicate'; readonly address: Address }
  /** Where packets go has changed: see `hops`. */
  | { readonly type: 'hops' }
  /** The prefixes that addresses may be made from have changed: see `prefixes`. */
  | { readonly type: 'prefixes' }
  /** What the link carries, octets, as a router says (RFC 4861 4.6.4). */
  | { readonly type: 'mtu'; readonly mtu: number };

/** Where packets go on the link. */
export interface Hops {
  /** What is no `nextHops` goes to this router; undefined: it cannot be sent. */
  readonly router?: Mac;
  readonly nextHops: readonly { readonly address: Address; readonly mac: Mac }[];
}

/** The default router, as far as it is known. */
export interface DefaultRouter {
  readonly address: Address;
  readonly mac?: Mac;
  /** `unreachable`: it does not answer. */
  readonly state: 'sought' | 'reachable' | 'unreachable';
}

/** A host on an Ethernet link with many addresses and no kernel: its whole Neighbor Discovery (RFC 4861, RFC 4862). */
export class ForeignLink {
  /** Frames without effect, by reason. Neighbor Discovery between other nodes is none of our business, nor counted. */
  readonly drops = new Drops();

  readonly #config: ForeignLinkConfig;
  readonly #own: OwnAddresses;
  readonly #routers: Routers;
  readonly #neighbors: Neighbors;
  readonly #listener: MldListener;
  readonly #resending = new Resending((bytes) => this.#push(bytes));
  /** Questions of neighbours, as long as they may turn out not to have left. */
  readonly #questions = new WeakMap<Uint8Array, Address>();
  readonly #outputs: ForeignLinkOutput[] = [];
  #destinations: ReadonlySet<Address> = new Set();
  /** RFC 4861 8.3: better first hops, for destinations in use. */
  readonly #redirects = new Map<Address, Address>();
  #router: Address | undefined;
  /** The router that has the packets does not answer, and there is no other. */
  #lost = false;
  #hops: Hops = { nextHops: [] };
  #prefixes: readonly AutonomousPrefix[] = [];
  /** the smallest that routers told */
  #mtu = Number.POSITIVE_INFINITY;
  /** where packets go may have changed */
  #stale = false;
  #started = false;
  #carrier = true;

  constructor(config: ForeignLinkConfig) {
    const { mac, random, router } = config;
    this.#config = config;
    this.#listener = new MldListener(
      mac,
      random,
      (bytes) => this.#push(bytes),
      () => this.#own.linkLocal ?? UNSPECIFIED,
    );
    this.#own = new OwnAddresses({
      mac,
      random,
      send: (source, destination, to, message) => this.#send(source, destination, to, message),
      join: (now, group) => this.#listener.join(now, group),
      leave: (now, group) => this.#listener.leave(now, group),
      usable: (address) => this.#outputs.push({ type: 'usable', address }),
      unproven: (address) => this.#outputs.push({ type: 'unproven', address }),
      proven: (now, address) => {
        this.#neighbors.unmute();
        // RFC 3590 4: routers do not believe what was reported from nobody.
        if (isLinkLocal(address)) this.#listener.again(now);
      },
      duplicate: (address) => this.#outputs.push({ type: 'duplicate', address }),
    });
    this.#routers = new Routers(
      {
        random,
        solicit: () => this.#solicitRouters(),
        isUnreachable: (address) => this.#neighbors.isUnreachable(address),
        answers: (address) => this.#neighbors.answers(address),
        isUsed: (prefix) => this.#own.uses(prefix),
      },
      router,
    );
    this.#neighbors = new Neighbors({
      random,
      solicit: (target, to) => this.#solicit(target, to),
      changed: () => {
        this.#stale = true;
      },
    });
  }

  /** The next thing to do, until undefined. */
  poll(): ForeignLinkOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    const lifetimes = this.#started ? this.#routers.wakeAt() : undefined;
    if (!this.#carrier) return lifetimes;
    return earliest(
      lifetimes,
      this.#own.wakeAt(),
      this.#listener.wakeAt(),
      this.#neighbors.wakeAt(),
      this.#resending.wakeAt(),
    );
  }

  get hops(): Hops {
    return this.#hops;
  }

  get prefixes(): readonly AutonomousPrefix[] {
    return this.#prefixes;
  }

  /** Routers have told prefixes of the link itself. */
  get hasPrefix(): boolean {
    return this.#routers.hasPrefix;
  }

  get router(): DefaultRouter | undefined {
    const address = this.#router;
    if (address === undefined) return undefined;
    const mac = this.#neighbors.macOf(address);
    if (this.#neighbors.isUnreachable(address)) {
      return { address, ...(mac === undefined ? {} : { mac }), state: 'unreachable' };
    }
    return mac === undefined ? { address, state: 'sought' } : { address, mac, state: 'reachable' };
  }

  handle(now: Millis, event: ForeignLinkEvent): void {
    switch (event.type) {
      case 'start':
        this.#started = true;
        this.#stale = true;
        if (event.again === true) this.#own.resume(now);
        this.#routers.start(now, event.again);
        break;
      case 'add':
        this.#own.add(now, event.address, event.optimistic === true);
        break;
      case 'remove':
        this.#own.remove(now, event.address);
        break;
      case 'destinations':
        this.#destine(new Set(event.addresses));
        break;
      case 'frame': {
        const reason = this.#frame(now, event.bytes);
        if (reason !== undefined) this.drops.count(reason);
        break;
      }
      case 'unsent':
        this.#unsent(now, event.bytes);
        break;
      case 'carrier':
        this.#setCarrier(now, event.on);
        break;
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  #advance(now: Millis): void {
    if (this.#started && this.#routers.advance(now)) this.#stale = true;
    if (!this.#carrier) {
      // Lifetimes end; nobody is asked, and nothing proven.
      if (this.#stale) this.#follow(now);
      return;
    }
    this.#resending.advance(now);
    this.#own.advance(now);
    this.#listener.advance(now);
    if (this.#stale) this.#follow(now);
    this.#neighbors.advance(now);
    // Who was asked in vain has changed where packets go, and who else is to be asked.
    if (this.#stale) {
      this.#follow(now);
      this.#neighbors.advance(now);
      this.#stale = false;
    }
  }

  /** Back from nowhere this is a host that has just been attached (RFC 4862 5.3, RFC 4861 6.3.7), perhaps to another link. */
  #setCarrier(now: Millis, on: boolean): void {
    if (on === this.#carrier) return;
    this.#carrier = on;
    if (!on) {
      this.#own.pause();
      this.#routers.pause();
      this.#resending.clear();
      return;
    }
    this.#redirects.clear();
    this.#mtu = Number.POSITIVE_INFINITY;
    this.#own.restart(now);
    this.#listener.forgetQuerier();
    this.#listener.again(now);
    this.#neighbors.suspect(now);
    if (this.#started) this.#routers.restart(now);
    this.#stale = true;
  }

  /** What did not leave proves nothing: it is sent again. */
  #unsent(now: Millis, bytes: Uint8Array): void {
    if (!this.#carrier || this.#own.unsent(now, bytes)) return;
    const target = this.#questions.get(bytes);
    if (target !== undefined) this.#neighbors.unasked(now, target);
    else if (!this.#resending.failed(now, bytes)) this.drops.count('unsent');
  }

  #destine(addresses: ReadonlySet<Address>): void {
    const known = this.#destinations;
    if (addresses.size === known.size && [...addresses].every((one) => known.has(one))) return;
    this.#destinations = addresses;
    for (const address of this.#redirects.keys()) {
      if (!addresses.has(address)) this.#redirects.delete(address);
    }
    this.#stale = true;
  }

  /** The prefixes, or whether their routers are there, may have changed. */
  #followPrefixes(now: Millis): void {
    const prefixes = this.#routers.prefixes(now);
    if (isSame(prefixes, this.#prefixes)) return;
    this.#prefixes = prefixes;
    this.#outputs.push({ type: 'prefixes' });
  }

  /** Next-hop determination for everything that packets go to (RFC 4861 5.2). */
  #follow(now: Millis): void {
    this.#stale = false;
    this.#followPrefixes(now);
    const onLink = new Map<Address, Address>();
    for (const destination of this.#destinations) {
      const redirected = this.#redirects.get(destination);
      if (redirected !== undefined && this.#neighbors.isUnreachable(redirected)) {
        // RFC 4861 7.3.3: back to the router.
        this.#redirects.delete(destination);
      }
      const target = this.#redirects.get(destination) ?? this.#direct(destination);
      if (target === undefined) continue;
      if (onLink.size < MAX_NEIGHBORS) onLink.set(destination, target);
      else this.drops.count('neighbors_full');
    }
    const wanted = new Set([...this.#routers.all, ...onLink.values()]);
    this.#neighbors.keep(now, wanted);
    const before = this.#router;
    this.#router = this.#routers.choose((address) => this.#neighbors.isReachable(address));
    const lost = this.#router !== undefined && this.#neighbors.isUnreachable(this.#router);
    // Perhaps the link is another one by now.
    if (lost && !this.#lost && this.#started) this.#routers.start(now);
    this.#lost = lost;
    const router = this.#router && this.#neighbors.macOf(this.#router);
    const nextHops: { address: Address; mac: Mac }[] = [];
    for (const [address, target] of onLink) {
      const mac = this.#neighbors.macOf(target);
      if (mac !== undefined) nextHops.push({ address, mac });
    }
    const hops = { ...(router === undefined ? {} : { router }), nextHops };
    if (isSame(hops, this.#hops) && before === this.#router) return;
    this.#hops = hops;
    this.#outputs.push({ type: 'hops' });
  }

  /** A neighbour that is its own next hop. */
  #direct(destination: Address): Address | undefined {
    if (!this.#routers.isOnLink(destination)) return undefined;
    return destination;
  }

  #solicitRouters(): void {
    const source = this.#own.linkLocal;
    this.#send(source ?? UNSPECIFIED, ALL_ROUTERS, ANY_MAC, {
      kind: 'router-solicitation',
      // RFC 4861 4.1: not from the unspecified address.
      options: source === undefined ? [] : [this.#sourceOption],
    });
  }

  #solicit(target: Address, mac?: Mac): boolean {
    const source = this.#own.sourceFor(target);
    if (source === undefined) return false;
    const group = mac === undefined ? solicitedNode(target) : target;
    const question = this.#send(source, group, mac ?? ANY_MAC, {
      kind: 'neighbor-solicitation',
      target,
      options: [this.#sourceOption],
    });
    this.#questions.set(question, target);
    return true;
  }

  get #sourceOption() {
    return { kind: 'source-link-layer-address', mac: this.#config.mac } as const;
  }

  #send(source: Address, destination: Address, mac: Mac, message: NdpMessage): Uint8Array {
    const bytes = icmpv6Frame({
      sourceMac: this.#config.mac,
      destinationMac: mac,
      source,
      destination,
      message,
    });
    this.#push(bytes);
    return bytes;
  }

  #push(bytes: Uint8Array): void {
    if (this.#carrier) this.#outputs.push({ type: 'frame', bytes });
  }

  /** Gives the reason why the frame had no effect, if that is worth counting. */
  #frame(now: Millis, bytes: Uint8Array): string | undefined {
    const received = receiveFrame(bytes);
    if (typeof received === 'string') return received;
    const { ethernet, packet } = received;
    if (ethernet.source === this.#config.mac) return 'own_source';
    const message = receiveIcmpv6(packet);
    if (typeof message === 'string') return message;
    if (message === undefined) return undefined;
    const query = readMldQuery(packet, message);
    if (typeof query === 'string') return query;
    if (query !== undefined) {
      this.#listener.query(now, query);
      return undefined;
    }
    if (!isNdp(message)) return undefined;
    const fault = ndpFault(packet, message);
    if (fault !== undefined) return fault;
    return this.#ndp(now, ethernet, packet, message);
  }

  #ndp(
    now: Millis,
    ethernet: EthernetFrame,
    packet: Ipv6Packet,
    message: NdpMessage,
  ): string | undefined {
    const { source } = packet;
    const mac = senderMac(message);
    switch (message.kind) {
      case 'router-solicitation':
        return undefined;
      case 'neighbor-solicitation':
        if (mac !== undefined && !isUnspecified(source)) this.#neighbors.heard(now, source, mac);
        return this.#own.solicited(now, source, mac ?? ethernet.source, message);
      case 'neighbor-advertisement':
        if (!message.router && this.#routers.resigned(now, message.target)) this.#stale = true;
        this.#neighbors.advertised(now, message, mac);
        return this.#own.claimed(now, message.target);
      case 'router-advertisement':
        return this.#advertised(now, source, mac, message);
      case 'redirect':
        return this.#redirected(source, message);
    }
  }

  #advertised(
    now: Millis,
    source: Address,
    mac: Mac | undefined,
    message: Extract<NdpMessage, { kind: 'router-advertisement' }>,
  ): string | undefined {
    const reason = this.#routers.advertised(now, source, message);
    this.#neighbors.tell(message.reachableTime, message.retransTimer);
    // The router has to be kept before its link-layer address can be.
    this.#follow(now);
    if (mac !== undefined) this.#neighbors.heard(now, source, mac);
    for (const option of message.options) {
      // Told of once, and again when it is smaller still: routers that disagree, or lie, do not fill a log.
      if (option.kind !== 'mtu' || option.mtu < MINIMUM_MTU || option.mtu >= this.#mtu) continue;
      this.#mtu = option.mtu;
      this.#outputs.push({ type: 'mtu', mtu: option.mtu });
    }
    return reason;
  }

  /** RFC 4861 8.1, 8.3: from the router that has the destination's packets, to another one or to the destination itself. */
  #redirected(
    source: Address,
    { target, destination }: Extract<NdpMessage, { kind: 'redirect' }>,
  ): string | undefined {
    if (!this.#destinations.has(destination)) return 'redirect_destination';
    const hop = this.#redirects.get(destination) ?? this.#direct(destination) ?? this.#router;
    if (hop !== source) return 'redirect_source';
    if (target !== destination && !isLinkLocal(target)) return 'redirect_target';
    if (this.#redirects.size >= MAX_NEIGHBORS) return 'redirects_full';
    this.#redirects.set(destination, target);
    this.#stale = true;
    return undefined;
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
