import type { Address, Mac, NdpMessage } from '../../src/wire/index.js';

/** RFC 4861 10, in milliseconds */
const DELAY_FIRST_PROBE_TIME = 5000;
const RETRANS_TIMER = 1000;
const MAX_UNICAST_SOLICIT = 3;
const MAX_MULTICAST_SOLICIT = 3;
/** RFC 4861 6.3.2: REACHABLE_TIME of 30 s, times 0.5 to 1.5 */
const REACHABLE_TIME = 30_000;

type State =
  | { readonly kind: 'incomplete' | 'probe'; readonly askAt: number; readonly left: number }
  | { readonly kind: 'reachable'; readonly until: number }
  | { readonly kind: 'stale' | 'failed' }
  | { readonly kind: 'delay'; readonly until: number };

type Advertisement = Extract<NdpMessage, { kind: 'neighbor-advertisement' }>;

/** A neighbour cache entry of a host, after RFC 4861 7.3.2 and appendix C. */
export class NeighbourCacheEntry {
  state: State;
  mac: Mac | undefined;
  isRouter = false;
  readonly target: Address;
  readonly #random: () => number;

  /** @param mac what the host knows from before: stale; undefined: it has to ask */
  constructor(target: Address, random: () => number, mac?: Mac) {
    this.target = target;
    this.mac = mac;
    this.#random = random;
    this.state = { kind: mac === undefined ? 'failed' : 'stale' };
  }

  /** The host has a packet for this neighbour. */
  use(now: number): void {
    if (this.state.kind === 'stale') {
      this.state = { kind: 'delay', until: now + DELAY_FIRST_PROBE_TIME };
    } else if (this.state.kind === 'failed') {
      this.state = { kind: 'incomplete', askAt: now, left: MAX_MULTICAST_SOLICIT };
    }
  }

  /** Lets timers run out; where the host asks now: of the neighbour alone, or of its group. */
  tick(now: number): 'unicast' | 'multicast' | undefined {
    const { state } = this;
    if (state.kind === 'reachable' && now >= state.until) this.state = { kind: 'stale' };
    if (state.kind === 'delay' && now >= state.until) {
      this.state = { kind: 'probe', askAt: now, left: MAX_UNICAST_SOLICIT };
    }
    const asking = this.state;
    if ((asking.kind !== 'probe' && asking.kind !== 'incomplete') || now < asking.askAt) {
      return undefined;
    }
    if (asking.left === 0) {
      this.state = { kind: 'failed' };
      this.mac = undefined;
      return undefined;
    }
    this.state = { ...asking, askAt: now + RETRANS_TIMER, left: asking.left - 1 };
    return asking.kind === 'probe' ? 'unicast' : 'multicast';
  }

  /** When `tick` has something to do. */
  wakeAt(): number | undefined {
    const { state } = this;
    if (state.kind === 'incomplete' || state.kind === 'probe') return state.askAt;
    return state.kind === 'reachable' || state.kind === 'delay' ? state.until : undefined;
  }

  /** RFC 4861 6.3.4, 7.2.3: an option of another message tells its sender's link-layer address. */
  learn(mac: Mac): void {
    if (this.mac === mac) return;
    this.mac = mac;
    this.state = { kind: 'stale' };
  }

  /** RFC 4861 7.2.5 */
  hear(now: number, message: Advertisement): void {
    const told = message.options.flatMap((option) =>
      option.kind === 'target-link-layer-address' ? [option.mac] : [],
    )[0];
    if (this.mac === undefined && told === undefined) return;
    const differs = told !== undefined && told !== this.mac;
    if (this.mac !== undefined && differs && !message.override) {
      if (this.state.kind === 'reachable') this.state = { kind: 'stale' };
      return;
    }
    this.mac = told ?? this.mac;
    this.isRouter = message.router;
    if (message.solicited) {
      this.state = { kind: 'reachable', until: now + REACHABLE_TIME * (0.5 + this.#random()) };
    } else if (differs) {
      this.state = { kind: 'stale' };
    }
  }
}
