import { MAX_MULTICAST_SOLICIT, RETRANS_TIMER } from '../link/constants.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Mac, NdpMessage } from '../wire/index.js';
import { Pace } from './pace.js';
import { RESEND_PAUSE } from './resending.js';

/** RFC 4861 10 */
const MAX_UNICAST_SOLICIT = 3;
const REACHABLE_TIME: Millis = 30_000;
const MIN_RANDOM_FACTOR = 0.5;
const MAX_RANDOM_FACTOR = 1.5;
const DELAY_FIRST_PROBE_TIME: Millis = 5000;
/** RFC 7048 3: who does not answer is asked ever less often. */
const BACKOFF_MULTIPLE = 3;
const MAX_RETRANS_TIMER: Millis = 60_000;
/** What a router may tell (RFC 4861 4.2); one that tells nonsense makes nobody flood the link, or never ask. */
const MAX_REACHABLE_TIME: Millis = 3_600_000;
const LEAST_TIMER: Millis = 100;
/** Questions: 400 a second. */
const AT_ONCE = 20;
const TURN: Millis = 50;

/** RFC 4861 7.3.2. Every neighbour here is in use: what is STALE there is about to be probed, DELAY, here. */
type State =
  | { readonly kind: 'incomplete'; readonly askAt: Millis; readonly left: number }
  | { readonly kind: 'reachable'; readonly until: Millis }
  | { readonly kind: 'delay'; readonly probeAt: Millis }
  | { readonly kind: 'probe'; readonly askAt: Millis; readonly left: number }
  /** RFC 7048 3 */
  | { readonly kind: 'unreachable'; readonly askAt: Millis; readonly pause: Millis };

interface Neighbor {
  readonly mac?: Mac;
  readonly state: State;
}

function deadline(state: State): Millis {
  switch (state.kind) {
    case 'reachable':
      return state.until;
    case 'delay':
      return state.probeAt;
    default:
      return state.askAt;
  }
}

export interface NeighborsLink {
  /** 0 <= r < 1 */
  readonly random: () => number;
  /** A Neighbor Solicitation, to the group of the target or to this link-layer address. False: no address may ask yet. */
  solicit(target: Address, mac?: Mac): boolean;
  /** A link-layer address, or whether a neighbour answers, changed. */
  changed(): void;
}

/** The neighbours that packets are sent to: their link-layer addresses, and whether they are still there (RFC 4861 7.2, 7.3). */
export class Neighbors {
  readonly #link: NeighborsLink;
  readonly #known = new Map<Address, Neighbor>();
  #reachableTime = REACHABLE_TIME;
  #retransTimer = RETRANS_TIMER;
  readonly #questions = new Pace(AT_ONCE, TURN);
  /** nobody may be asked before an address is proven */
  #mute = false;

  constructor(link: NeighborsLink) {
    this.#link = link;
  }

  wakeAt(): Millis | undefined {
    if (this.#mute) return undefined;
    const { readyAt } = this.#questions;
    return earliest(
      ...[...this.#known.values()].map(({ state }) => Math.max(deadline(state), readyAt)),
    );
  }

  /** An address may ask now. */
  unmute(): void {
    this.#mute = false;
  }

  /** Perhaps this is another link by now: nobody counts as reachable until it has answered anew. */
  suspect(now: Millis): void {
    for (const [address, known] of [...this.#known]) {
      const kind = known.mac === undefined ? 'incomplete' : 'probe';
      const state: State =
        known.state.kind === 'unreachable'
          ? { kind: 'unreachable', askAt: now, pause: this.#retransTimer }
          : { kind, askAt: now, left: MAX_UNICAST_SOLICIT };
      this.#set(address, { ...known, state });
    }
  }

  /** A question did not leave: it does not count, and is asked again. */
  unasked(now: Millis, address: Address): void {
    const known = this.#known.get(address);
    if (known === undefined) return;
    const { state } = known;
    const askAt = now + RESEND_PAUSE;
    if (state.kind === 'probe' || state.kind === 'incomplete') {
      this.#set(address, { ...known, state: { ...state, askAt, left: state.left + 1 } });
    } else if (state.kind === 'unreachable') {
      this.#set(address, { ...known, state: { ...state, askAt } });
    }
  }

  /** RFC 4861 6.3.4: what a router tells; 0: nothing. */
  tell(reachableTime: Millis, retransTimer: Millis): void {
    if (reachableTime > 0) {
      this.#reachableTime = Math.min(MAX_REACHABLE_TIME, Math.max(LEAST_TIMER, reachableTime));
    }
    if (retransTimer > 0) {
      this.#retransTimer = Math.min(MAX_RETRANS_TIMER, Math.max(LEAST_TIMER, retransTimer));
    }
  }

  /** These are in use, and no others. */
  keep(now: Millis, addresses: ReadonlySet<Address>): void {
    for (const address of [...this.#known.keys()]) {
      if (!addresses.has(address)) this.#known.delete(address);
    }
    for (const address of addresses) {
      if (this.#known.has(address)) continue;
      const state: State = { kind: 'incomplete', askAt: now, left: MAX_MULTICAST_SOLICIT };
      this.#known.set(address, { state });
    }
  }

  /** Where its frames go, if that is known. */
  macOf(address: Address): Mac | undefined {
    return this.#known.get(address)?.mac;
  }

  /** Not known to be away (RFC 4861 6.3.6). */
  isReachable(address: Address): boolean {
    const known = this.#known.get(address);
    return known?.mac !== undefined && known.state.kind !== 'unreachable';
  }

  /** It has answered lately. */
  answers(address: Address): boolean {
    return this.#known.get(address)?.state.kind === 'reachable';
  }

  /** Its questions are not answered. */
  isUnreachable(address: Address): boolean {
    return this.#known.get(address)?.state.kind === 'unreachable';
  }

  /** Its own solicitation or advertisement as a router gave this address: that says nothing of the way there (RFC 4861 7.3.3). */
  heard(now: Millis, address: Address, mac: Mac): void {
    const known = this.#known.get(address);
    if (known === undefined || known.mac === mac) return;
    this.#set(address, { mac, state: this.#delay(now) });
  }

  /** RFC 4861 7.2.5. @param mac from its target link-layer address option */
  advertised(
    now: Millis,
    message: Extract<NdpMessage, { kind: 'neighbor-advertisement' }>,
    mac: Mac | undefined,
  ): void {
    const { target, solicited, override } = message;
    const known = this.#known.get(target);
    if (known === undefined) return;
    if (known.mac === undefined) {
      if (mac === undefined) return;
      this.#set(target, { mac, state: solicited ? this.#reachable(now) : this.#delay(now) });
      return;
    }
    const differs = mac !== undefined && mac !== known.mac;
    if (differs && !override) {
      // Somebody else answers for it: asked again, at the address that is known.
      if (known.state.kind === 'reachable')
        this.#set(target, { ...known, state: this.#delay(now) });
      return;
    }
    const next = differs ? mac : known.mac;
    if (solicited) this.#set(target, { mac: next, state: this.#reachable(now) });
    else if (differs) this.#set(target, { mac: next, state: this.#delay(now) });
  }

  advance(now: Millis): void {
    if (this.#mute) return;
    for (const [address, known] of [...this.#known]) {
      if (now < deadline(known.state) || !this.#questions.take(now)) continue;
      if (!this.#step(now, address, known)) {
        this.#mute = true;
        return;
      }
    }
  }

  /** False: nobody could be asked. */
  #step(now: Millis, address: Address, known: Neighbor): boolean {
    const { mac, state } = known;
    const askAt = now + this.#retransTimer;
    switch (state.kind) {
      case 'reachable':
        this.#set(address, { ...known, state: this.#delay(now) });
        return true;
      case 'delay':
        if (!this.#link.solicit(address, mac)) return false;
        this.#set(address, {
          ...known,
          state: { kind: 'probe', askAt, left: MAX_UNICAST_SOLICIT - 1 },
        });
        return true;
      case 'probe':
      case 'incomplete':
        if (state.left === 0) {
          this.#set(address, {
            ...known,
            state: { kind: 'unreachable', askAt: now, pause: this.#retransTimer },
          });
          return this.#step(now, address, this.#known.get(address) ?? known);
        }
        if (!this.#link.solicit(address, state.kind === 'probe' ? mac : undefined)) return false;
        this.#set(address, { ...known, state: { ...state, askAt, left: state.left - 1 } });
        return true;
      case 'unreachable': {
        // RFC 7048 3: to the group, for its link-layer address may have changed.
        if (!this.#link.solicit(address)) return false;
        const pause = Math.min(MAX_RETRANS_TIMER, BACKOFF_MULTIPLE * state.pause);
        this.#set(address, { ...known, state: { kind: 'unreachable', askAt: now + pause, pause } });
        return true;
      }
    }
  }

  #set(address: Address, next: Neighbor): void {
    const before = this.#known.get(address);
    this.#known.set(address, next);
    const lost = (one?: Neighbor) => one?.state.kind === 'unreachable';
    if (before?.mac !== next.mac || lost(before) !== lost(next)) this.#link.changed();
  }

  #delay(now: Millis): State {
    return { kind: 'delay', probeAt: now + DELAY_FIRST_PROBE_TIME };
  }

  /** RFC 4861 6.3.2 */
  #reachable(now: Millis): State {
    const spread = MAX_RANDOM_FACTOR - MIN_RANDOM_FACTOR;
    const factor = MIN_RANDOM_FACTOR + spread * this.#link.random();
    return { kind: 'reachable', until: now + factor * this.#reachableTime };
  }
}
