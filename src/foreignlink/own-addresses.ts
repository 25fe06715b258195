import { ANY_MAC, MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER } from '../link/constants.js';
import { carriesNonce, makeNonce, probeOf } from '../link/duplicates.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Mac, NdpMessage, Prefix } from '../wire/index.js';
import {
  ALL_NODES,
  contains,
  isLinkLocal,
  isUnspecified,
  networkOf,
  solicitedNode,
  UNSPECIFIED,
} from '../wire/index.js';
import { Pace } from './pace.js';
import { RESEND_PAUSE } from './resending.js';

/** RFC 4861 10: before the first message of an interface, at most; many may have been switched on together. */
const MAX_RTR_SOLICITATION_DELAY: Millis = 1000;
/** An address of somebody else is tried again: who had it may have left. */
const DUPLICATE_RETRY: Millis = 60_000;
/** Probes, each with a report of its group, and announcements, three for each address: 200 addresses a second. */
const TURN: Millis = 50;
const PROBES_AT_ONCE = 10;
const ANNOUNCEMENTS_AT_ONCE = 3 * PROBES_AT_ONCE;
/** Bits of the networks that addresses are counted by (RFC 4291 2.5.4). */
const NETWORK = 64;

type State =
  | { readonly kind: 'waiting'; readonly probeAt: Millis }
  | {
      readonly kind: 'tentative';
      readonly until: Millis;
      readonly nonce: Uint8Array;
      /** the frame */
      readonly probe: Uint8Array;
    }
  | { readonly kind: 'announcing'; readonly announceAt: Millis; readonly left: number }
  | { readonly kind: 'valid' }
  | { readonly kind: 'duplicate'; readonly probeAt: Millis };

interface Own {
  readonly state: State;
  /** It was ours a moment ago: it is used while it is proven (RFC 4429). */
  readonly optimistic: boolean;
  /** its group is */
  readonly joined: boolean;
}

function deadline({ kind, ...state }: State): Millis | undefined {
  if ('probeAt' in state) return state.probeAt;
  if ('until' in state) return state.until;
  return 'announceAt' in state ? state.announceAt : undefined;
}

/** What the addresses need of the machine around them. */
export interface OwnAddressesLink {
  readonly mac: Mac;
  /** 0 <= r < 1 */
  readonly random: () => number;
  /** @param mac of a unicast destination @returns the frame */
  send(source: Address, destination: Address, mac: Mac, message: NdpMessage): Uint8Array;
  join(now: Millis, group: Address): void;
  leave(now: Millis, group: Address): void;
  /** It may be used. */
  usable(address: Address): void;
  /** What was told of it was too early: it is proven anew, and may not be used before. */
  unproven(address: Address): void;
  /** An address is proven: it may be used in questions. */
  proven(now: Millis, address: Address): void;
  duplicate(address: Address): void;
}

/** The addresses of this node on a link: proven unique (RFC 4862 5.4), announced (RFC 4861 7.2.6), answered for (7.2.4). */
export class OwnAddresses {
  readonly #link: OwnAddressesLink;
  readonly #own = new Map<Address, Own>();
  /** how many addresses are in each /64 */
  readonly #networks = new Map<Address, number>();
  readonly #probes = new Pace(PROBES_AT_ONCE, TURN);
  readonly #announcements = new Pace(ANNOUNCEMENTS_AT_ONCE, TURN);
  #firstMessageAt: Millis | undefined;
  #paused = false;

  constructor(link: OwnAddressesLink) {
    this.#link = link;
  }

  wakeAt(): Millis | undefined {
    if (this.#paused) return undefined;
    const times = [...this.#own.values()].map(({ state }) => {
      const at = deadline(state);
      return at === undefined ? undefined : Math.max(at, this.#paceOf(state).readyAt);
    });
    return earliest(...times);
  }

  /** Other nodes have not just been switched on with this one: nothing is delayed. */
  resume(now: Millis): void {
    this.#firstMessageAt = now;
  }

  /**
   * The link carries nothing: that nobody objects proves nothing now, nor did it a moment ago: the kernel tells of a lost carrier up to a
   * second later.
   */
  pause(): void {
    this.#paused = true;
    for (const [address, own] of [...this.#own]) {
      const { state, optimistic } = own;
      if (state.kind !== 'announcing' || state.left < MAX_NEIGHBOR_ADVERTISEMENT - 1) continue;
      if (optimistic) continue;
      this.#own.set(address, { ...own, state: { kind: 'waiting', probeAt: state.announceAt } });
      this.#link.unproven(address);
    }
  }

  /** It carries again, or is another link: everything is proven anew, what was proven before is used meanwhile (RFC 4429). */
  restart(now: Millis): void {
    this.#paused = false;
    // RFC 4862 5.4.2: the interface is initialized again.
    const probeAt = now + MAX_RTR_SOLICITATION_DELAY * this.#link.random();
    this.#firstMessageAt = probeAt;
    for (const [address, own] of [...this.#own]) {
      const optimistic = own.optimistic || this.isProven(address);
      this.#own.set(address, { ...own, optimistic, state: { kind: 'waiting', probeAt } });
    }
  }

  /** @param optimistic it was ours a moment ago, nobody else can have it yet */
  add(now: Millis, address: Address, optimistic: boolean): void {
    if (this.#own.has(address)) return;
    // RFC 4862 5.4.2: only what may be the interface's first message is delayed.
    this.#firstMessageAt ??= now + MAX_RTR_SOLICITATION_DELAY * this.#link.random();
    const probeAt = Math.max(now, this.#firstMessageAt);
    const state: State = { kind: 'waiting', probeAt };
    this.#own.set(address, { state, optimistic, joined: false });
    this.#countNetwork(address, 1);
    if (optimistic) this.#link.usable(address);
  }

  remove(now: Millis, address: Address): void {
    const own = this.#own.get(address);
    if (own === undefined) return;
    this.#own.delete(address);
    this.#countNetwork(address, -1);
    if (own.joined) this.#link.leave(now, solicitedNode(address));
  }

  /** Whether one of the addresses is from it. */
  uses(prefix: Prefix): boolean {
    return [...this.#networks.keys()].some((network) => contains(prefix, network));
  }

  #countNetwork(address: Address, change: 1 | -1): void {
    const { address: network } = networkOf({ address, length: NETWORK });
    const count = change + (this.#networks.get(network) ?? 0);
    if (count > 0) this.#networks.set(network, count);
    else this.#networks.delete(network);
  }

  /** This frame did not leave. @returns whether it was a probe; it is sent again */
  unsent(now: Millis, frame: Uint8Array): boolean {
    for (const [address, own] of this.#own) {
      if (own.state.kind !== 'tentative' || own.state.probe !== frame) continue;
      const state: State = { kind: 'waiting', probeAt: now + RESEND_PAUSE };
      this.#own.set(address, { ...own, state });
      return true;
    }
    return false;
  }

  /** Whether it is proven, so that Neighbor Solicitations may come from it (RFC 4429 3.3). */
  isProven(address: Address): boolean {
    const kind = this.#own.get(address)?.state.kind;
    return kind === 'valid' || kind === 'announcing';
  }

  /** A proven link-local address. */
  get linkLocal(): Address | undefined {
    for (const address of this.#own.keys()) {
      if (isLinkLocal(address) && this.isProven(address)) return address;
    }
    return undefined;
  }

  /** What to ask for a neighbour's link-layer address from: an address of the same scope where there is one. */
  sourceFor(target: Address): Address | undefined {
    const proven = [...this.#own.keys()].filter((address) => this.isProven(address));
    const same = proven.find((address) => isLinkLocal(address) === isLinkLocal(target));
    return same ?? proven[0];
  }

  advance(now: Millis): void {
    if (this.#paused) return;
    for (const [address, own] of [...this.#own]) {
      const at = deadline(own.state);
      if (at === undefined || now < at || !this.#paceOf(own.state).take(now)) continue;
      switch (own.state.kind) {
        case 'waiting':
        case 'duplicate':
          this.#probe(now, address, own);
          break;
        case 'tentative':
          // RFC 4861 7.2.6: the caches of neighbours may still have another host's link-layer address.
          this.#announce(now, address, own, MAX_NEIGHBOR_ADVERTISEMENT);
          this.#link.proven(now, address);
          if (!own.optimistic) this.#link.usable(address);
          break;
        case 'announcing':
          this.#announce(now, address, own, own.state.left);
          break;
      }
    }
  }

  #paceOf({ kind }: State): Pace {
    return kind === 'waiting' || kind === 'duplicate' ? this.#probes : this.#announcements;
  }

  /** RFC 4862 5.4.2, RFC 7527 4.1: one solicitation from nobody, then RetransTimer of silence. */
  #probe(now: Millis, address: Address, own: Own): void {
    const group = solicitedNode(address);
    // Before the solicitation, or the answer may not come this far.
    if (!own.joined) this.#link.join(now, group);
    const nonce = makeNonce(this.#link.random);
    const probe = this.#link.send(UNSPECIFIED, group, ANY_MAC, probeOf(address, nonce));
    const state: State = { kind: 'tentative', until: now + RETRANS_TIMER, nonce, probe };
    this.#own.set(address, { ...own, state, joined: true });
  }

  #announce(now: Millis, address: Address, own: Own, left: number): void {
    this.#advertise(address, ALL_NODES, ANY_MAC, { solicited: false, override: true });
    const state: State =
      left > 1
        ? { kind: 'announcing', announceAt: now + RETRANS_TIMER, left: left - 1 }
        : { kind: 'valid' };
    this.#own.set(address, { ...own, state });
  }

  /**
   * Somebody asks for one of our addresses, or probes it. @param mac of who asks
   * @returns why nothing was done, where that is worth counting
   */
  solicited(
    now: Millis,
    source: Address,
    mac: Mac,
    message: Extract<NdpMessage, { kind: 'neighbor-solicitation' }>,
  ): string | undefined {
    const { target } = message;
    const own = this.#own.get(target);
    if (own === undefined || own.state.kind === 'duplicate') return undefined;
    const { state, optimistic } = own;
    const anonymous = isUnspecified(source);
    if (state.kind === 'tentative' || state.kind === 'waiting') {
      // RFC 7527 4.2: our own question, that a loop of the link brings back, says nothing.
      if (state.kind === 'tentative' && carriesNonce(message, state.nonce)) return 'own_source';
      // RFC 4862 5.4.3: somebody else probes it too, then neither may have it.
      if (anonymous) this.#duplicate(now, target, own);
      // RFC 4429 3.3: who has the address for certain is not overridden.
      else if (optimistic)
        this.#advertise(target, source, mac, { solicited: true, override: false });
    } else if (anonymous) {
      this.#advertise(target, ALL_NODES, ANY_MAC, { solicited: false, override: true });
    } else {
      this.#advertise(target, source, mac, { solicited: true, override: true });
    }
    return undefined;
  }

  /** Somebody says that it has one of our addresses (RFC 4862 5.4.4). @returns a reason to count */
  claimed(now: Millis, target: Address): string | undefined {
    const own = this.#own.get(target);
    if (own === undefined || own.state.kind === 'duplicate') return undefined;
    if (own.state.kind === 'valid' || own.state.kind === 'announcing') return 'address_conflict';
    this.#duplicate(now, target, own);
    return undefined;
  }

  /** RFC 4862 5.4.5: nobody uses it from here; the group stays joined for the next try. */
  #duplicate(now: Millis, address: Address, { joined }: Own): void {
    const state: State = { kind: 'duplicate', probeAt: now + DUPLICATE_RETRY };
    this.#own.set(address, { state, optimistic: false, joined });
    this.#link.duplicate(address);
  }

  /** RFC 4861 7.2.4: this node is a host, and nobody's proxy. */
  #advertise(
    target: Address,
    destination: Address,
    mac: Mac,
    flags: { readonly solicited: boolean; readonly override: boolean },
  ): void {
    this.#link.send(target, destination, mac, {
      kind: 'neighbor-advertisement',
      router: false,
      ...flags,
      target,
      options: [{ kind: 'target-link-layer-address', mac: this.#link.mac }],
    });
  }
}
