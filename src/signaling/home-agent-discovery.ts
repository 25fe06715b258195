import type { Millis } from '../time.js';
import type { Address, Icmpv6Message, Prefix } from '../wire/index.js';
import { contains } from '../wire/index.js';
import { secondsUntil } from './binding-summary.js';

/** RFC 6275 section 12 */
export const DHAAD_RETRIES = 4;
/** RFC 6275 section 12, in milliseconds */
export const INITIAL_DHAAD_TIMEOUT: Millis = 3000;

/** Between the end of one discovery and the next; at least a minute between two beginnings. */
const PAUSE: Millis = 60_000;
/** What is kept of a reply. */
const MAX_HOME_AGENTS = 16;

type Reply = Extract<Icmpv6Message, { kind: 'home-agent-discovery-reply' }>;

type State =
  | { readonly kind: 'off' }
  | {
      readonly kind: 'asking';
      readonly identifier: number;
      readonly sendAt: Millis;
      /** doubles with each retransmission */
      readonly timeout: Millis;
      /** requests that may still be sent */
      readonly left: number;
    }
  | { readonly kind: 'pausing'; readonly startAt: Millis };

/** Dynamic Home Agent Address Discovery, the mobile node's side (RFC 6275 11.4.1). */
export class HomeAgentDiscovery {
  readonly #homeAddress: Address;
  readonly #homePrefix: Prefix;
  readonly #random: () => number;
  #state: State = { kind: 'off' };
  #startedAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(options: {
    readonly homeAddress: Address;
    readonly homePrefix: Prefix;
    readonly random: () => number;
  }) {
    this.#homeAddress = options.homeAddress;
    this.#homePrefix = options.homePrefix;
    this.#random = options.random;
  }

  get running(): boolean {
    return this.#state.kind !== 'off';
  }

  wakeAt(): Millis | undefined {
    switch (this.#state.kind) {
      case 'off':
        return undefined;
      case 'asking':
        return this.#state.sendAt;
      case 'pausing':
        return this.#state.startAt;
    }
  }

  /** Begins, or begins anew (from another care-of address, say). */
  start(now: Millis): void {
    this.#startedAt = now;
    this.#state = {
      kind: 'asking',
      identifier: Math.floor(this.#random() * 0x10000),
      sendAt: now,
      timeout: INITIAL_DHAAD_TIMEOUT,
      left: 1 + DHAAD_RETRIES,
    };
  }

  /** What was found was of no use: begins anew, but not more often than once a minute. */
  startAgain(now: Millis): void {
    if (this.running) return;
    const startAt = this.#startedAt + PAUSE;
    if (now >= startAt) this.start(now);
    else this.#state = { kind: 'pausing', startAt };
  }

  stop(): void {
    this.#state = { kind: 'off' };
  }

  /** The request that is due, if there is one. */
  tick(now: Millis): Icmpv6Message | undefined {
    if (this.#state.kind === 'pausing' && now >= this.#state.startAt) this.start(now);
    const state = this.#state;
    if (state.kind !== 'asking' || now < state.sendAt) return undefined;
    if (state.left === 0) {
      this.#state = { kind: 'pausing', startAt: now + PAUSE * (1 + 0.1 * this.#random()) };
      return undefined;
    }
    const { identifier, timeout, left } = state;
    this.#state = {
      ...state,
      sendAt: now + timeout,
      timeout: 2 * timeout,
      left: left - 1,
    };
    return { kind: 'home-agent-discovery-request', identifier };
  }

  /**
   * The home agents of a reply, in its order, which is the order of preference; or why it is ignored. Nothing authenticates
   * it: only addresses of the home prefix are believed, and each still has to acknowledge a Binding Update.
   */
  replied(message: Reply): readonly Address[] | string {
    if (this.#state.kind !== 'asking' || this.#state.identifier !== message.identifier) {
      return 'no_such_discovery';
    }
    const usable = message.homeAgents.filter(
      (address) => address !== this.#homeAddress && contains(this.#homePrefix, address),
    );
    const homeAgents = [...new Set(usable)].slice(0, MAX_HOME_AGENTS);
    if (homeAgents.length === 0) return 'discovery_reply_unusable';
    this.stop();
    return homeAgents;
  }

  /** A sentence for `status`. @param anycast where the requests go */
  describe(now: Millis, anycast: Address): string {
    const state = this.#state;
    if (state.kind === 'pausing') {
      return `no home agent found at ${anycast}, asking again in ${secondsUntil(now, state.startAt)} s`;
    }
    return `looking for a home agent at ${anycast}`;
  }
}
