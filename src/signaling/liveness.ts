import type { Millis } from '../time.js';

/** Between two echo requests of a series. */
const ECHO_INTERVAL: Millis = 1000;
/** Echo requests in vain before a Binding Update asks. */
const ECHO_REQUESTS = 3;
/** A home agent that does not echo is asked less and less often, down to one series in 16 intervals. */
const MAX_DOUBLINGS = 4;

/** An ICMPv6 echo request through the tunnel, or doubt about the binding. */
export type LivenessOutput =
  | { readonly type: 'echo'; readonly identifier: number; readonly sequence: number }
  | { readonly type: 'doubt' };

type State =
  /** Nothing is bound, or a Binding Update is asking already. */
  | { readonly kind: 'off' }
  | { readonly kind: 'quiet'; readonly echoAt: Millis }
  | { readonly kind: 'asking'; readonly echoAt: Millis; readonly unanswered: number };

/**
 * Whether the tunnel lives, where nothing says that it does not: after a while without traffic echo requests go through it,
 * and when none is answered a Binding Update asks.
 */
export class Liveness {
  /** ms; undefined: never asks */
  readonly #interval: Millis | undefined;
  readonly #identifier: number;
  #sequence = 0;
  #state: State = { kind: 'off' };
  #heardAt: Millis = Number.NEGATIVE_INFINITY;
  /** series in vain since the last echo reply, while Binding Updates were answered */
  #doublings = 0;
  #doubted = false;
  /** how many of the latest requests may still be answered */
  #pending = 0;

  /** @param interval seconds without traffic; 0: never asks */
  constructor(interval: number, random: () => number) {
    this.#interval = interval > 0 ? 1000 * interval : undefined;
    this.#identifier = Math.floor(random() * 0x10000);
  }

  wakeAt(): Millis | undefined {
    return this.#state.kind === 'off' ? undefined : this.#state.echoAt;
  }

  get watching(): boolean {
    return this.#state.kind !== 'off';
  }

  /** A binding stands: watch over it. */
  watch(now: Millis): void {
    if (this.#interval === undefined || this.watching) return;
    if (this.#doubted) {
      // The home agent lives, and yet it did not echo.
      this.#doublings = Math.min(MAX_DOUBLINGS, this.#doublings + 1);
      this.#doubted = false;
      this.#heardAt = now;
    }
    if (this.#heardAt === Number.NEGATIVE_INFINITY) this.#heardAt = now;
    this.#rest(this.#interval);
  }

  /** Nothing to watch over for now. */
  pause(): void {
    this.#state = { kind: 'off' };
  }

  /** The binding is gone: the next one begins anew. */
  stop(): void {
    this.pause();
    this.#heardAt = Number.NEGATIVE_INFINITY;
    this.#doublings = 0;
    this.#doubted = false;
    this.#pending = 0;
  }

  /** Something came out of the tunnel. */
  heard(now: Millis): void {
    this.#heardAt = now;
    if (this.#interval !== undefined && this.watching) this.#rest(this.#interval);
  }

  /** Whether this answers one of our echo requests; another one is no sign of life. */
  echoed(now: Millis, identifier: number, sequence: number): boolean {
    const age = (this.#sequence - sequence + 0x10000) % 0x10000;
    if (age >= this.#pending || identifier !== this.#identifier) return false;
    this.#pending = 0;
    this.#doublings = 0;
    this.#doubted = false;
    this.heard(now);
    return true;
  }

  tick(now: Millis): LivenessOutput | undefined {
    const state = this.#state;
    if (state.kind === 'off' || now < state.echoAt || this.#interval === undefined)
      return undefined;
    const unanswered = state.kind === 'asking' ? state.unanswered : 0;
    if (unanswered >= ECHO_REQUESTS) {
      this.#doubted = true;
      this.#heardAt = now;
      this.#rest(this.#interval);
      return { type: 'doubt' };
    }
    this.#sequence = (this.#sequence + 1) % 0x10000;
    this.#pending = Math.min(ECHO_REQUESTS, this.#pending + 1);
    this.#state = { kind: 'asking', echoAt: now + ECHO_INTERVAL, unanswered: unanswered + 1 };
    return { type: 'echo', identifier: this.#identifier, sequence: this.#sequence };
  }

  #rest(interval: Millis): void {
    this.#state = { kind: 'quiet', echoAt: this.#heardAt + interval * 2 ** this.#doublings };
  }
}
