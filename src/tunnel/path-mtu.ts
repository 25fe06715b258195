import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import { MINIMUM_MTU } from '../wire/index.js';
import { OutstandingProbes } from './outstanding-probes.js';
import type {
  PathMtuConfig,
  PathMtuEvent,
  PathMtuOutput,
  PathMtuReason,
  PathMtuState,
  Round,
} from './path-mtu-events.js';
import { Refutation } from './refutation.js';
import type { Bounds } from './size-search.js';
import {
  answered,
  cappedAt,
  isSettled,
  MAX_MORE_PROBES,
  MAX_PROBES,
  missesOf,
  nextSizes,
  roundMissed,
  unknownUpTo,
} from './size-search.js';

/** RFC 8899 5.1.1 CONFIRMATION_TIMER: with traffic, the size that was found is asked about again. */
const CONFIRMATION: Millis = 10_000;
/** A peer that never answers is asked again after 30 s, then less and less often. */
const FIRST_SILENCE: Millis = 30_000;
const LONGEST_SILENCE: Millis = 600_000;
/** RFC 8899 5.1.1 PMTU_RAISE_TIMER; RFC 8201 4: twice the five minutes that are the least. */
const RAISE: Millis = 600_000;
/** What was found on a path that loses packets is looked at sooner, where no Packet Too Big said so. */
const RAISE_AFTER_LOSS: Millis = 60_000;
/** Rounds without any answer, one after another, that end a search: a peer that has answered is waited for longer. */
const SILENT_ROUNDS = MAX_PROBES;
const SILENT_ROUNDS_AFTER_ANSWER = MAX_PROBES + 2;
/** A search that has not ended by then (loss, a path that flaps) is left to the next one. */
const MAX_ROUNDS = 30;
/** Probes that Packet Too Big messages may cause at once, and per second; beyond that their sizes wait for the next round. */
const TOO_BIG_PROBES = { burst: 4, rate: 1 } as const;

/**
 * Why there is a search:
 * - `open`: the tunnel is new, the estimate is the link's MTU, unproved
 * - `check`: the estimate is unproved (a Packet Too Big, a peer that was silent)
 * - `verify`: the estimate was proved; is it still right?
 * - `raise`: may larger packets pass by now?
 */
type Purpose = 'open' | 'check' | 'verify' | 'raise';

/** Here it is the estimate that is in question; other sizes are asked about when 1280 is answered and it is not. */
const NARROW: ReadonlySet<Purpose> = new Set(['check', 'verify']);

/** Rounds in which the estimate must be missed before it falls: what was proved is trusted for longer. */
const DOUBTS: Record<Purpose, number> = { open: 2, check: 2, verify: MAX_PROBES, raise: 2 };

type Resting =
  /** Nothing says that the estimate is right. With traffic it is asked about, not before `checkAt`; absent: never. */
  | { readonly kind: 'unconfirmed'; readonly checkAt?: Millis }
  /** A packet of this size was answered. */
  | { readonly kind: 'confirmed'; readonly checkAt?: Millis };

interface Searching {
  readonly kind: 'searching';
  readonly purpose: Purpose;
  readonly bounds: Bounds;
  readonly round: Round;
  /** so far, this one included */
  readonly rounds: number;
  /** rounds without any answer, one after another */
  readonly silent: number;
  /** a peer that limits its answers is asked more slowly */
  readonly doublings: number;
  /** rounds in which something was lost that is not too large: so many more misses it takes to believe one */
  readonly losses: number;
}

type State = { readonly kind: 'closed' } | Resting | Searching;

/** While the estimate is below the link's MTU. */
interface Lowered {
  readonly by: PathMtuReason;
  readonly raiseAt: Millis;
}

/**
 * The path MTU of one tunnel, in octets of outer packets: Packet Too Big messages lower it (RFC 8201), probes (RFC 4821,
 * RFC 8899) find it where nobody sends any. Never below 1280, never above the link's MTU. Against RFC 8899: the estimate starts
 * high and sizes are asked about side by side, so Base and Search phase (5.2) are one; `confirmed` is Search Complete; there is no
 * Error state, since 1280 may always be sent.
 *
 * Losses by chance: a round of probes counts only when one of it was answered, and an estimate that was proved falls only when it
 * was missed in three rounds. Answers count however late they come, but not for sizes that a Packet Too Big denied
 * after they were asked for.
 */
export class PathMtu {
  /** `too_big_below_minimum`, `too_big_not_smaller`, `too_big_refuted`, `probe_unknown` (an answer to no probe of ours). */
  readonly drops = new Drops();
  readonly #linkMtu: number;
  readonly #overhead: number;
  readonly #probing: boolean;
  readonly #random: () => number;
  readonly #probes: OutstandingProbes;
  readonly #refutation: Refutation;
  readonly #tooBigProbes = new TokenBucket(TOO_BIG_PROBES.burst, TOO_BIG_PROBES.rate);
  readonly #outputs: PathMtuOutput[] = [];
  #state: State = { kind: 'closed' };
  #mtu: number;
  #lowered: Lowered | undefined;
  /** What Packet Too Big messages leave: no search goes above it. */
  #limit: number;
  #rounds = 0;
  #traffic = false;
  /** Searches in a row that were left without any answer. */
  #silences = 0;

  constructor({ linkMtu, overhead, probing, random }: PathMtuConfig) {
    this.#linkMtu = Math.max(MINIMUM_MTU, linkMtu);
    this.#overhead = overhead;
    this.#probing = probing;
    this.#random = random;
    this.#probes = new OutstandingProbes(random);
    this.#refutation = new Refutation(random);
    this.#mtu = this.#linkMtu;
    this.#limit = this.#linkMtu;
  }

  /** Octets of the largest outer packet. */
  get mtu(): number {
    return this.#mtu;
  }

  get state(): PathMtuState {
    const state = this.#state;
    if (state.kind === 'closed') return 'unconfirmed';
    if (state.kind !== 'searching') return state.kind;
    const doubted = state.silent > 0 || missesOf(state.bounds, this.#mtu) > 0;
    return state.purpose === 'verify' && !doubted ? 'confirmed' : 'searching';
  }

  handle(now: Millis, event: PathMtuEvent): void {
    if (event.type === 'open') {
      this.#open(now);
      return;
    }
    if (this.#state.kind === 'closed') return;
    switch (event.type) {
      case 'close':
        this.#forget();
        return;
      case 'too-big':
        this.#tooBig(now, event.mtu);
        break;
      case 'answer':
        this.#answer(now, event.token);
        break;
      case 'traffic':
        this.#traffic = true;
        break;
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  poll(): PathMtuOutput | undefined {
    return this.#outputs.shift();
  }

  wakeAt(): Millis | undefined {
    const state = this.#state;
    switch (state.kind) {
      case 'closed':
        return undefined;
      case 'searching':
        return earliest(state.round.endAt, this.#refutation.at);
      default: {
        const checkAt = this.#traffic ? state.checkAt : undefined;
        return earliest(checkAt, this.#lowered?.raiseAt, this.#refutation.at);
      }
    }
  }

  #forget(): void {
    this.#state = { kind: 'closed' };
    this.#probes.clear();
    this.#refutation.forget();
    this.#limit = this.#linkMtu;
    this.#silences = 0;
    this.#traffic = false;
  }

  #open(now: Millis): void {
    this.#forget();
    this.#estimate(now, this.#linkMtu, 'link');
    if (this.#probing) this.#search(now, 'open', unknownUpTo(this.#limit));
    else this.#state = { kind: 'unconfirmed' };
  }

  #advance(now: Millis): void {
    this.#refuteNow(now);
    let state = this.#state;
    // A round that ends is followed by one that ends later, or by none.
    while (state.kind === 'searching' && isOver(now, state)) {
      this.#endRound(now, state);
      state = this.#state;
    }
    if (state.kind === 'closed' || state.kind === 'searching') return;
    if (this.#lowered !== undefined && now >= this.#lowered.raiseAt) {
      this.#raise(now, this.#lowered, state);
    } else if (this.#traffic && state.checkAt !== undefined && now >= state.checkAt) {
      const purpose = state.kind === 'confirmed' ? 'verify' : 'check';
      this.#search(now, purpose, unknownUpTo(this.#mtu));
    }
  }

  /** RFC 8201 4: it only ever lowers, and never below 1280. */
  #tooBig(now: Millis, mtu: number): void {
    if (mtu < MINIMUM_MTU) {
      this.drops.count('too_big_below_minimum');
      return;
    }
    const former = this.#mtu;
    if (mtu >= former) {
      this.#refutation.repeated();
      // While larger sizes are tried, it tells how far to go.
      if (this.#state.kind === 'searching' && mtu < this.#state.bounds.top) {
        this.#narrow(now, this.#state, mtu);
      } else this.drops.count('too_big_not_smaller');
      return;
    }
    this.#estimate(now, mtu, 'packet-too-big');
    if (!this.#probing) return;
    this.#refutation.lowered(now, former);
    const state = this.#state;
    if (state.kind === 'searching') {
      this.#narrow(now, state, mtu);
      return;
    }
    this.#probes.forgetLarger(mtu);
    this.#limit = mtu;
    if (this.#tooBigProbes.take(now)) {
      this.#search(now, 'check', unknownUpTo(mtu));
    } else {
      this.#state = { kind: 'unconfirmed', checkAt: now + 1000 / TOO_BIG_PROBES.rate };
      this.#traffic = true;
    }
  }

  /** The search under way goes no higher than what a Packet Too Big said, and asks about that at once. */
  #narrow(now: Millis, state: Searching, mtu: number): void {
    this.#probes.forgetLarger(mtu);
    this.#limit = mtu;
    const bounds = cappedAt(state.bounds, mtu);
    const sizes = state.round.sizes.filter((size) => size <= mtu);
    let round: Round = { ...state.round, sizes };
    if (bounds.floor < mtu && !sizes.includes(mtu)) {
      if (this.#tooBigProbes.take(now)) {
        this.#send(now, mtu, round.number);
        const endAt = Math.max(round.endAt, now + this.#probes.timeout(state.doublings));
        round = { ...round, sizes: [mtu, ...sizes], endAt };
      } else round = { ...round, held: true };
    }
    this.#state = { ...state, bounds, round };
  }

  #answer(now: Millis, token: number): void {
    const probe = this.#probes.take(now, token);
    if (probe === undefined) {
      this.drops.count('probe_unknown');
      return;
    }
    this.#silences = 0;
    if (probe.refutes) {
      this.#refute(now, probe.size);
      return;
    }
    const { size } = probe;
    const rises = size > this.#mtu;
    if (rises) this.#estimate(now, size, 'probe');
    const state = this.#state;
    if (state.kind === 'searching') {
      const { round } = state;
      const current = round.number === probe.round;
      // An answer to an earlier round: it was our patience that was short.
      const doublings = current ? state.doublings : 0;
      const endAt = Math.max(round.endAt, round.sentAt + this.#probes.timeout(doublings));
      this.#state = {
        ...state,
        bounds: answered(state.bounds, size),
        round: { ...round, endAt, heard: current ? [...round.heard, size] : round.heard },
        silent: 0,
        doublings,
      };
    } else if (state.kind === 'unconfirmed' || rises) {
      // Long after it was asked: the peer answers after all, or more passes than was thought.
      this.#search(now, 'open', answered(unknownUpTo(this.#limit), size));
    }
  }

  /** A size that a Packet Too Big denied has passed since. */
  #refute(now: Millis, size: number): void {
    if (size <= this.#mtu) return;
    this.drops.count('too_big_refuted');
    this.#refutation.succeeded();
    this.#limit = size;
    this.#estimate(now, size, 'probe');
    this.#rest(now, 'confirmed');
  }

  #refuteNow(now: Millis): void {
    const { at } = this.#refutation;
    if (at === undefined || now < at) return;
    const size = this.#refutation.due(now, this.#probes.timeout(0));
    if (size === undefined) return;
    // Larger sizes have passed meanwhile, or nobody answers.
    if (size <= this.#mtu || this.#silences > 0) this.#refutation.drop();
    else this.#send(now, size, undefined);
  }

  /** Ten minutes after the estimate fell (RFC 8201 4, RFC 8899 5.2). */
  #raise(now: Millis, lowered: Lowered, state: Resting): void {
    this.#refutation.forget();
    this.#limit = this.#linkMtu;
    if (!this.#probing) {
      this.#estimate(now, this.#linkMtu, 'aged-out');
      return;
    }
    this.#lowered = { ...lowered, raiseAt: this.#raiseTime(now) };
    const bounds = unknownUpTo(this.#limit);
    this.#search(now, 'raise', state.kind === 'confirmed' ? answered(bounds, this.#mtu) : bounds);
  }

  #raiseTime(now: Millis, after = RAISE): Millis {
    return now + after * (1 + this.#random() / 10);
  }

  #search(now: Millis, purpose: Purpose, bounds: Bounds): void {
    const narrow = NARROW.has(purpose);
    // What was asked before the path was in doubt says nothing about it now.
    if (narrow) this.#probes.forgetLarger(0);
    this.#traffic = false;
    if (isSettled(bounds, MAX_PROBES)) {
      this.#rest(now, 'confirmed');
      return;
    }
    const plan = { overhead: this.#overhead, narrow, next: purpose === 'raise' };
    const round = this.#startRound(now, nextSizes(bounds, plan), 0);
    const counts = { rounds: 1, silent: 0, doublings: 0, losses: 0 };
    this.#state = { kind: 'searching', purpose, bounds, round, ...counts };
  }

  #startRound(now: Millis, sizes: readonly number[], doublings: number): Round {
    this.#rounds += 1;
    const number = this.#rounds;
    for (const size of sizes) this.#send(now, size, number);
    const endAt = now + this.#probes.timeout(doublings);
    return { number, sizes, sentAt: now, endAt, heard: [], held: false };
  }

  /** @param round its number; undefined: to refute a Packet Too Big */
  #send(now: Millis, size: number, round: number | undefined): void {
    const token = this.#probes.add({
      size,
      sentAt: now,
      round: round ?? 0,
      refutes: round === undefined,
    });
    this.#outputs.push({ type: 'probe', size, token });
  }

  #endRound(now: Millis, state: Searching): void {
    const { purpose, round, rounds } = state;
    const heard = round.heard.length > 0 || isAnswered(state);
    const bounds = heard ? roundMissed(state.bounds, round.sizes) : state.bounds;
    const silent = heard ? 0 : state.silent + 1;
    const doublings = Math.max(0, state.doublings + (heard ? -1 : 1));
    const { floor } = bounds;
    const losses = Math.min(MAX_MORE_PROBES, state.losses + (hasLost(now, state) ? 1 : 0));
    const settled = isSettled(bounds, MAX_PROBES + losses);
    const doubted = floor > 0 && missesOf(bounds, this.#mtu) >= DOUBTS[purpose] + losses;
    if (settled || (doubted && floor < this.#mtu)) this.#estimate(now, floor, 'probe');
    const patience = floor > 0 ? SILENT_ROUNDS_AFTER_ANSWER : SILENT_ROUNDS;
    if (losses > 0 && this.#lowered?.by === 'probe') {
      this.#lowered = { by: 'probe', raiseAt: this.#raiseTime(now, RAISE_AFTER_LOSS) };
    }
    if (settled) this.#rest(now, 'confirmed');
    else if (silent >= patience) this.#leaveSilent(now, purpose);
    else if (rounds >= MAX_ROUNDS) {
      this.#rest(now, floor >= this.#mtu ? 'confirmed' : 'unconfirmed');
    } else {
      const narrow = NARROW.has(purpose) && floor === 0;
      const sizes = nextSizes(bounds, { overhead: this.#overhead, narrow });
      const next = this.#startRound(now, sizes, doublings);
      const changed = { bounds, round: next, rounds: rounds + 1, silent, doublings, losses };
      this.#state = { ...state, ...changed };
    }
  }

  /** Nothing was answered, which tells nothing about sizes: it is as without probes. */
  #leaveSilent(now: Millis, purpose: Purpose): void {
    this.#silences += 1;
    const byTooBig = this.#lowered?.by === 'packet-too-big';
    if (purpose === 'raise' && byTooBig) this.#estimate(now, this.#linkMtu, 'aged-out');
    this.#rest(now, 'unconfirmed');
  }

  #rest(now: Millis, kind: Resting['kind']): void {
    // There is nothing below 1280 to fall back to: no need to verify it.
    if (kind === 'confirmed' && this.#mtu === MINIMUM_MTU) {
      this.#state = { kind };
      return;
    }
    const silent = this.#silences;
    const interval =
      silent === 0 ? CONFIRMATION : Math.min(LONGEST_SILENCE, FIRST_SILENCE * 2 ** (silent - 1));
    this.#state = { kind, checkAt: now + interval * (1 + this.#random() / 10) };
  }

  #estimate(now: Millis, mtu: number, reason: PathMtuReason): void {
    const former = this.#mtu;
    if (mtu === former) return;
    this.#mtu = mtu;
    if (mtu === this.#linkMtu) this.#lowered = undefined;
    else if (mtu < former) this.#lowered = { by: reason, raiseAt: this.#raiseTime(now) };
    this.#outputs.push({ type: 'path-mtu', mtu, reason });
  }
}

/** Whether the round has shown loss by chance: nothing came, or less than is known to pass. */
function hasLost(now: Millis, { bounds: { floor }, round }: Searching): boolean {
  // Before the first answer it may be the round trip that is long; a round that is cut short has answers under way.
  if (floor === 0 || now < round.endAt) return false;
  return round.sizes.some((size) => size <= floor && !round.heard.includes(size));
}

/** All that the round asked for is known to pass. */
function isAnswered({ bounds, round }: Searching): boolean {
  return round.sizes.every((size) => size <= bounds.floor);
}

function isOver(now: Millis, state: Searching): boolean {
  return now >= state.round.endAt || (!state.round.held && isAnswered(state));
}
