import { ANY_MAC, MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER } from '../link/constants.js';
import { carriesNonce, makeNonce, probeOf } from '../link/duplicates.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Mac, NdpMessage } from '../wire/index.js';
import {
  ALL_NODES,
  isLinkLocal,
  isUnspecified,
  solicitedNode,
  UNSPECIFIED,
} from '../wire/index.js';

/** RFC 4861 10: before the first message of an interface, at most; many may have been switched on together. */
const MAX_RTR_SOLICITATION_DELAY: Millis = 1000;
/** An address of somebody else is tried again: who had it may have left. */
const DUPLICATE_RETRY: Millis = 60_000;

type State =
  | { readonly kind: 'waiting'; readonly probeAt: Millis }
  | { readonly kind: 'tentative'; readonly until: Millis; readonly nonce: Uint8Array }
  | { readonly kind: 'announcing'; readonly announceAt: Millis; readonly left: number }
  | { readonly kind: 'valid' }
  | { readonly kind: 'duplicate'; readonly probeAt: Millis };

interface Own {
  readonly state: State;
  /** It was ours a moment ago: it is used while it is proven (RFC 4429). */
  readonly optimistic: boolean;
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
  /** @param mac of a unicast destination */
  send(source: Address, destination: Address, mac: Mac, message: NdpMessage): void;
  join(now: Millis, group: Address): void;
  leave(now: Millis, group: Address): void;
  /** It may be used. */
  usable(address: Address): void;
  /** An address is proven: it may be used in questions. */
  proven(): void;
  duplicate(address: Address): void;
}

/** The addresses of this node on a link: proven unique (RFC 4862 5.4), announced (RFC 4861 7.2.6), answered for (7.2.4). */
export class OwnAddresses {
  readonly #link: OwnAddressesLink;
  readonly #own = new Map<Address, Own>();
  #firstMessageAt: Millis | undefined;

  constructor(link: OwnAddressesLink) {
    this.#link = link;
  }

  wakeAt(): Millis | undefined {
    return earliest(...[...this.#own.values()].map(({ state }) => deadline(state)));
  }

  /** Other nodes have not just been switched on with this one: nothing is delayed. */
  resume(now: Millis): void {
    this.#firstMessageAt = now;
  }

  /** @param optimistic it was ours a moment ago, nobody else can have it yet */
  add(now: Millis, address: Address, optimistic: boolean): void {
    if (this.#own.has(address)) return;
    // RFC 4862 5.4.2: only what may be the interface's first message is delayed.
    this.#firstMessageAt ??= now + MAX_RTR_SOLICITATION_DELAY * this.#link.random();
    const probeAt = Math.max(now, this.#firstMessageAt);
    this.#own.set(address, { state: { kind: 'waiting', probeAt }, optimistic });
    if (optimistic) {
      this.#link.join(now, solicitedNode(address));
      this.#link.usable(address);
    }
  }

  remove(now: Millis, address: Address): void {
    const own = this.#own.get(address);
    if (own === undefined) return;
    this.#own.delete(address);
    if (own.state.kind !== 'waiting' || own.optimistic) {
      this.#link.leave(now, solicitedNode(address));
    }
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
    for (const [address, own] of [...this.#own]) {
      const at = deadline(own.state);
      if (at === undefined || now < at) continue;
      switch (own.state.kind) {
        case 'waiting':
          this.#probe(now, address, own, !own.optimistic);
          break;
        case 'duplicate':
          this.#probe(now, address, own, false);
          break;
        case 'tentative':
          // RFC 4861 7.2.6: the caches of neighbours may still have another host's link-layer address.
          this.#announce(now, address, own, MAX_NEIGHBOR_ADVERTISEMENT);
          this.#link.proven();
          if (!own.optimistic) this.#link.usable(address);
          break;
        case 'announcing':
          this.#announce(now, address, own, own.state.left);
          break;
      }
    }
  }

  /** RFC 4862 5.4.2, RFC 7527 4.1: one solicitation from nobody, then RetransTimer of silence. */
  #probe(now: Millis, address: Address, { optimistic }: Own, join: boolean): void {
    const group = solicitedNode(address);
    // Before the solicitation, or the answer may not come this far.
    if (join) this.#link.join(now, group);
    const nonce = makeNonce(this.#link.random);
    this.#link.send(UNSPECIFIED, group, ANY_MAC, probeOf(address, nonce));
    const state: State = { kind: 'tentative', until: now + RETRANS_TIMER, nonce };
    this.#own.set(address, { state, optimistic });
  }

  #announce(now: Millis, address: Address, { optimistic }: Own, left: number): void {
    this.#advertise(address, ALL_NODES, ANY_MAC, { solicited: false, override: true });
    const state: State =
      left > 1
        ? { kind: 'announcing', announceAt: now + RETRANS_TIMER, left: left - 1 }
        : { kind: 'valid' };
    this.#own.set(address, { state, optimistic });
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
  #duplicate(now: Millis, address: Address, { state, optimistic }: Own): void {
    if (state.kind === 'waiting' && !optimistic) this.#link.join(now, solicitedNode(address));
    const next: State = { kind: 'duplicate', probeAt: now + DUPLICATE_RETRY };
    this.#own.set(address, { state: next, optimistic: false });
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
