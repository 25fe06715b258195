import { Drops } from '../drops.js';
import type { ReceivedFrame } from '../link/frame.js';
import { icmpv6Frame, receiveFrame, receiveIcmpv6 } from '../link/frame.js';
import { isNdp, ndpFault, senderMac } from '../link/ndp-rules.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type {
  Address,
  Icmpv6Message,
  Ipv6Packet,
  Mac,
  NdpMessage,
  NdpOption,
  Prefix,
} from '../wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  attempt,
  isLinkLocal,
  isMld,
  isMulticast,
  isUnspecified,
  parseEthernet,
  solicitedNode,
  WireError,
} from '../wire/index.js';
import type { HomePrefix } from './home-prefixes.js';
import { HomePrefixes } from './home-prefixes.js';
import { RouterSchedule } from './router-schedule.js';
import { packetTooBig } from './too-big.js';

export interface GuestLinkConfig {
  readonly homeAddresses: readonly Address[];
  readonly homePrefix: Prefix;
  /** link-local, as the guest knows it from home */
  readonly homeRouter: Address;
  /** stands for the router and for every neighbour */
  readonly routerMac: Mac;
  /** As at home; lifetimes in seconds. */
  readonly routerAdvertisement: {
    readonly lifetime: number;
    readonly validLifetime: number;
    readonly preferredLifetime: number;
    readonly autonomous: boolean;
    readonly managed: boolean;
    readonly other: boolean;
    /** octets; none: no MTU option */
    readonly mtu?: number | undefined;
  };
  /** 0 <= r < 1 */
  readonly random: () => number;
}

export type GuestLinkEvent =
  /** The port opened, or the guest showed up on it. */
  | { readonly type: 'arrived' }
  /** The guest is on another host: nothing is said on this link any more unless somebody asks. */
  | { readonly type: 'left' }
  /** What the guest's host before this one knew of it, before it arrives. */
  | { readonly type: 'told'; readonly guest: KnownGuest }
  /** An Ethernet frame from the guest. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** A frame of the guest, its end perhaps cut off, whose packet is larger than the tunnel's MTU (octets). */
  | { readonly type: 'too-big'; readonly bytes: Uint8Array; readonly mtu: number }
  /** An ICMPv6 error for the guest from somewhere behind the link: from inside the tunnel, say (RFC 2473 8). */
  | {
      readonly type: 'icmpv6-error';
      readonly destination: Address;
      readonly message: Icmpv6Message;
    }
  /** The home network has these prefixes now (RFC 6275 11.4.3); none: those of the configuration. */
  | { readonly type: 'prefixes'; readonly prefixes: readonly HomePrefix[] }
  | { readonly type: 'tick' };

/** What is learnt of the guest. */
export interface KnownGuest {
  readonly mac?: Mac;
  readonly linkLocals: readonly Address[];
  /** Whom it has asked for on its link: it has a link-layer address of ours for them, which at home nobody has. */
  readonly neighbours?: readonly Address[];
}

export type GuestLinkOutput =
  /** An Ethernet frame to the guest. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** The guest's link-layer address, when it is learnt or changes. */
  | { readonly type: 'guest'; readonly mac: Mac };

/** What we know of the guest. */
type Guest =
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'sought';
      readonly askedAt: Millis;
      readonly askAt: Millis;
      readonly asked: number;
    }
  | { readonly kind: 'known'; readonly mac: Mac };

/** Unsolicited advertisements of the router that are still to come. */
type Announcement =
  | { readonly kind: 'done' }
  | { readonly kind: 'pending'; readonly sendAt: Millis; readonly left: number };

/** RFC 4861 10 */
const RETRANS_TIMER: Millis = 1000;
const MAX_NEIGHBOR_ADVERTISEMENT = 3;
/** A guest may boot for minutes: asked every second at first, then ever less often. */
const LONGEST_SEARCH: Millis = 60_000;
const QUICK_SEARCHES = 3;
/** Between two questions while something speaks on the link that has not told its address: the guest may just have come. */
const HASTY_SEARCH: Millis = 250;
/** Link-local addresses of the guest that are remembered. */
const MAX_GUEST_LINK_LOCALS = 8;
/** Neighbours of the guest that are remembered. */
const MAX_NEIGHBOURS = 64;
/** RFC 4443 2.4(f): enough for a guest that opens many connections at once. */
const TOO_BIG_BURST = 50;
const TOO_BIG_RATE = 100;

const CUR_HOP_LIMIT = 64;
const ANY_MAC = '33:33:00:00:00:01' as Mac;

/**
 * The home link as the guest sees it, on a link where there is nobody else: its router and every neighbour, at
 * one link-layer address.
 */
export class GuestLink {
  /** Frames without effect, by reason. */
  readonly drops = new Drops();

  readonly #config: GuestLinkConfig;
  readonly #homeAddresses: ReadonlySet<Address>;
  readonly #schedule: RouterSchedule;
  readonly #prefixes: HomePrefixes;
  readonly #tooBig = new TokenBucket(TOO_BIG_BURST, TOO_BIG_RATE);
  readonly #guestLinkLocals = new Set<Address>();
  readonly #neighbours = new Set<Address>();
  #guest: Guest = { kind: 'absent' };
  #announcement: Announcement = { kind: 'done' };
  readonly #outputs: GuestLinkOutput[] = [];

  constructor(config: GuestLinkConfig) {
    this.#config = config;
    this.#homeAddresses = new Set(config.homeAddresses);
    this.#schedule = new RouterSchedule(config.random);
    const { validLifetime, preferredLifetime, autonomous } = config.routerAdvertisement;
    const prefix = config.homePrefix;
    const as = { onLink: true, autonomous, validLifetime, preferredLifetime };
    this.#prefixes = new HomePrefixes({ prefix, ...as });
  }

  /** What was learnt of the guest so far: its link-layer address only while it is here. */
  get known(): KnownGuest {
    const mac = this.#guest.kind === 'known' ? { mac: this.#guest.mac } : {};
    const neighbours = [...this.#neighbours];
    return { ...mac, linkLocals: [...this.#guestLinkLocals], neighbours };
  }

  /** The next thing to do, until undefined. */
  poll(): GuestLinkOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return earliest(
      this.#schedule.dueAt,
      this.#guest.kind === 'sought' ? this.#guest.askAt : undefined,
      this.#announcement.kind === 'pending' ? this.#announcement.sendAt : undefined,
    );
  }

  handle(now: Millis, event: GuestLinkEvent): void {
    switch (event.type) {
      case 'arrived':
        this.#announcement = { kind: 'pending', sendAt: now, left: MAX_NEIGHBOR_ADVERTISEMENT };
        this.#guest = { kind: 'sought', askedAt: Number.NEGATIVE_INFINITY, askAt: now, asked: 0 };
        this.#schedule.start(now);
        break;
      case 'left':
        this.#announcement = { kind: 'done' };
        this.#guest = { kind: 'absent' };
        this.#schedule.stop();
        break;
      case 'told':
        this.#told(event.guest);
        break;
      case 'frame':
        this.#count(this.#frame(now, event.bytes));
        this.#hastenSearch();
        break;
      case 'too-big':
        this.#count(this.#answerTooBig(now, event.bytes, event.mtu));
        break;
      case 'icmpv6-error':
        this.#count(this.#relayError(event.destination, event.message));
        break;
      case 'prefixes':
        this.#prefixes.tell(now, event.prefixes);
        if (this.#schedule.isStarted) this.#schedule.solicited(now);
        break;
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  #advance(now: Millis): void {
    const announcement = this.#announcement;
    if (announcement.kind === 'pending' && now >= announcement.sendAt) {
      this.#announceRouter();
      const left = announcement.left - 1;
      this.#announcement =
        left > 0 ? { kind: 'pending', sendAt: now + RETRANS_TIMER, left } : { kind: 'done' };
    }
    if (this.#schedule.isDue(now)) {
      this.#advertiseRouter(now, ALL_NODES, ANY_MAC);
      this.#schedule.sent(now, this.#lifetimes(now));
    }
    for (const { address, mac } of this.#schedule.dueSolicitors(now)) {
      this.#advertiseRouter(now, address, mac);
    }
    const guest = this.#guest;
    if (guest.kind === 'sought' && now >= guest.askAt) {
      this.#seekGuest(guest.asked);
      const doublings = Math.max(0, guest.asked + 1 - QUICK_SEARCHES);
      const pause = Math.min(LONGEST_SEARCH, RETRANS_TIMER * 2 ** Math.min(doublings, 16));
      this.#guest = { ...guest, askedAt: now, askAt: now + pause, asked: guest.asked + 1 };
    }
  }

  #send(source: Address, destination: Address, mac: Mac, message: Icmpv6Message): void {
    const bytes = icmpv6Frame({
      sourceMac: this.#config.routerMac,
      destinationMac: mac,
      source,
      destination,
      message,
    });
    this.#outputs.push({ type: 'frame', bytes });
  }

  /** Unsolicited, with Override: the guest's cache still has the router's address from home (RFC 4861 7.2.6). */
  #announceRouter(): void {
    const { homeRouter } = this.#config;
    this.#send(homeRouter, ALL_NODES, ANY_MAC, this.#advertisement(homeRouter, false));
  }

  #advertisement(target: Address, solicited: boolean): NdpMessage {
    return {
      kind: 'neighbor-advertisement',
      router: target === this.#config.homeRouter,
      solicited,
      override: true,
      target,
      options: [{ kind: 'target-link-layer-address', mac: this.#config.routerMac }],
    };
  }

  /** What an advertisement tells that can run out, seconds. */
  #lifetimes(now: Millis): number[] {
    const told = this.#prefixes.at(now);
    return [
      this.#config.routerAdvertisement.lifetime,
      ...told.flatMap(({ validLifetime, preferredLifetime }) => [validLifetime, preferredLifetime]),
    ];
  }

  /** RFC 4861 6.2.3. An MTU option only where the configuration asks for it: the guest would keep it after going home. */
  #advertiseRouter(now: Millis, destination: Address, mac: Mac): void {
    const { homeRouter, routerMac, routerAdvertisement } = this.#config;
    const { lifetime, managed, other, mtu } = routerAdvertisement;
    const mtuOption: readonly NdpOption[] = mtu === undefined ? [] : [{ kind: 'mtu', mtu }];
    this.#send(homeRouter, destination, mac, {
      kind: 'router-advertisement',
      hopLimit: CUR_HOP_LIMIT,
      managed,
      other,
      homeAgent: false,
      preference: 'medium',
      routerLifetime: lifetime,
      reachableTime: 0,
      retransTimer: 0,
      options: [
        { kind: 'source-link-layer-address', mac: routerMac },
        ...mtuOption,
        ...this.#prefixes.at(now).map((known) => ({
          kind: 'prefix-information' as const,
          ...known,
          routerAddress: false,
        })),
      ],
    });
  }

  /** Whoever spoke may be the guest: what is on its way to it is lost until it is known. */
  #hastenSearch(): void {
    if (this.#guest.kind !== 'sought') return;
    const { askedAt, askAt } = this.#guest;
    this.#guest = { ...this.#guest, askAt: Math.min(askAt, askedAt + HASTY_SEARCH) };
  }

  /** Asks for the guest's home addresses in turn; its answer tells its link-layer address. */
  #seekGuest(asked: number): void {
    const { homeAddresses, homeRouter, routerMac } = this.#config;
    const target = homeAddresses[asked % homeAddresses.length];
    if (target === undefined) return;
    this.#send(homeRouter, solicitedNode(target), ANY_MAC, {
      kind: 'neighbor-solicitation',
      target,
      options: [{ kind: 'source-link-layer-address', mac: routerMac }],
    });
  }

  #count(reason: string | undefined): void {
    if (reason !== undefined) this.drops.count(reason);
  }

  /** Gives the reason why the frame had no effect, if it had none. */
  #frame(now: Millis, bytes: Uint8Array): string | undefined {
    const received = receiveFrame(bytes);
    if (typeof received === 'string') return received;
    const { ethernet, packet } = received;
    const { homeRouter, routerMac } = this.#config;
    if (ethernet.source === routerMac || packet.source === homeRouter) return 'own_source';
    const message = receiveIcmpv6(packet);
    if (typeof message === 'string') return message;
    if (message === undefined) return this.#misdirected(packet);
    if (isNdp(message)) return ndpFault(packet, message) ?? this.#ndp(now, received, message);
    this.#learn(packet.source, ethernet.source);
    // There is no multicast routing here: reports are accepted, nothing comes of them.
    if (message.kind === 'unknown' && isMld(message.type)) return 'mld';
    if (message.kind === 'echo-request') return this.#echo(received, message);
    return this.#misdirected(packet);
  }

  /** What the tunnel does not carry and nobody here wants, in the order and the words of the engine. */
  #misdirected({ source, destination }: Ipv6Packet): string {
    if (isLinkLocal(source) || isLinkLocal(destination)) return 'link_local';
    if (isMulticast(source) || isMulticast(destination)) return 'multicast';
    return this.#homeAddresses.has(source) ? 'no_tunnel' : 'source_not_home';
  }

  #ndp(now: Millis, received: ReceivedFrame, message: NdpMessage): string | undefined {
    const { ethernet, packet } = received;
    const { source } = packet;
    const mac = senderMac(message) ?? ethernet.source;
    switch (message.kind) {
      case 'router-advertisement':
        return 'foreign_ra';
      case 'redirect':
        return 'redirect';
      case 'router-solicitation':
        this.#learn(source, mac);
        this.#schedule.solicited(now, isUnspecified(source) ? undefined : { address: source, mac });
        return undefined;
      case 'neighbor-advertisement':
        if (!this.#homeAddresses.has(message.target) && !isLinkLocal(message.target)) {
          return 'foreign_na';
        }
        this.#learn(message.target, mac);
        return undefined;
      case 'neighbor-solicitation':
        this.#learn(isUnspecified(source) ? message.target : source, mac);
        return this.#solicitedNeighbor(now, source, mac, message.target);
    }
  }

  #solicitedNeighbor(now: Millis, source: Address, mac: Mac, target: Address): string | undefined {
    const probing = isUnspecified(source);
    if (this.#homeAddresses.has(target)) return undefined;
    if (!this.#standsFor(now, target, probing)) {
      return isLinkLocal(target) ? undefined : 'neighbor_off_link';
    }
    // RFC 4861 7.2.4: who has no address yet is told through the group of all nodes.
    const destination = probing ? ALL_NODES : source;
    if (!probing) remember(this.#neighbours, target, MAX_NEIGHBOURS);
    this.#send(target, destination, mac, this.#advertisement(target, !probing));
    return undefined;
  }

  /**
   * Whether we answer for an address that is not a home address of the guest. While the guest probes (DAD), a
   * link-local address may be its own: only the router's is taken.
   */
  #standsFor(now: Millis, target: Address, probing: boolean): boolean {
    if (target === this.#config.homeRouter) return true;
    if (this.#prefixes.contain(now, target)) return true;
    return isLinkLocal(target) && !probing && !this.#guestLinkLocals.has(target);
  }

  /** RFC 4443 4.2; to a group the router answers. */
  #echo(
    received: ReceivedFrame,
    request: Extract<Icmpv6Message, { kind: 'echo-request' | 'echo-reply' }>,
  ): string | undefined {
    const { ethernet, packet } = received;
    const { destination, source } = packet;
    const { homeRouter } = this.#config;
    const ours =
      destination === homeRouter || destination === ALL_NODES || destination === ALL_ROUTERS;
    if (!ours) return this.#misdirected(packet);
    if (isUnspecified(source) || isMulticast(source)) return 'echo_source';
    const { identifier, sequence, data } = request;
    const reply = { kind: 'echo-reply' as const, identifier, sequence, data };
    this.#send(homeRouter, source, ethernet.source, reply);
    return undefined;
  }

  /**
   * Somebody on the port has this address. Only a home address tells the guest's link-layer address: others there, a
   * bridge or the host's own stack, have link-local addresses too.
   */
  #learn(address: Address, mac: Mac): void {
    if (mac === this.#config.routerMac) return;
    if (isLinkLocal(address)) this.#rememberLinkLocal(address);
    if (!this.#homeAddresses.has(address)) return;
    if (this.#guest.kind === 'known' && this.#guest.mac === mac) return;
    this.#guest = { kind: 'known', mac };
    this.#outputs.push({ type: 'guest', mac });
  }

  /** Believed until the guest says otherwise; it is asked all the same when it arrives. */
  #told({ mac, linkLocals, neighbours = [] }: KnownGuest): void {
    for (const address of neighbours) remember(this.#neighbours, address, MAX_NEIGHBOURS);
    for (const address of linkLocals) if (isLinkLocal(address)) this.#rememberLinkLocal(address);
    if (mac !== undefined) this.#outputs.push({ type: 'guest', mac });
  }

  #rememberLinkLocal(address: Address): void {
    if (address !== this.#config.homeRouter) {
      remember(this.#guestLinkLocals, address, MAX_GUEST_LINK_LOCALS);
    }
  }

  /** From the router, as a Packet Too Big: a guest believes no error from its own address. */
  #relayError(destination: Address, message: Icmpv6Message): string | undefined {
    if (!this.#homeAddresses.has(destination)) return 'error_not_home';
    if (this.#guest.kind !== 'known') return 'error_guest_unknown';
    this.#send(this.#config.homeRouter, destination, this.#guest.mac, message);
    return undefined;
  }

  #answerTooBig(now: Millis, bytes: Uint8Array, mtu: number): string | undefined {
    const ethernet = attempt(() => parseEthernet(bytes));
    if (ethernet instanceof WireError) return 'too_big_malformed';
    const answer = packetTooBig(ethernet.payload, mtu);
    if (typeof answer === 'string') return answer;
    if (!this.#tooBig.take(now)) return 'too_big_limited';
    // From the router: Linux ignores one whose source is its own destination.
    this.#send(this.#config.homeRouter, answer.destination, ethernet.source, answer.message);
    return undefined;
  }
}

/** Adds an address as the newest one; of more than `most` the oldest is forgotten. */
function remember(addresses: Set<Address>, address: Address, most: number): void {
  addresses.delete(address);
  addresses.add(address);
  const [oldest] = addresses;
  if (oldest !== undefined && addresses.size > most) addresses.delete(oldest);
}
