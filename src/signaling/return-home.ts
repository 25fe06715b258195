import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address } from '../wire/index.js';
import type { BindingSummary } from './binding-summary.js';
import { secondsUntil } from './binding-summary.js';
import type { BindingUpdateList } from './binding-update-list.js';
import type { HeldBinding } from './mobile-node-state.js';
import type { Pace } from './pace.js';
import { paceAfterSending, paceWithPatience, refreshingPace } from './pace.js';
import type { ProtectionKind } from './protection-kind.js';
import { rejectionOf } from './rejection.js';
import type { Signal } from './signal.js';

export type ReturnHomeOutput =
  | { readonly type: 'transmit'; readonly signal: Signal }
  | { readonly type: 'unbound'; readonly reason: string }
  /** The home agent has let go of the home address: announce it on the home link, with Override set (RFC 6275 11.5.5). */
  | { readonly type: 'returned'; readonly wasBound: boolean }
  /** Patience with the home agent has ended. */
  | { readonly type: 'unanswered' }
  /** This home agent has no binding of ours; another one may have. */
  | { readonly type: 'not-here' };

type State =
  | { readonly kind: 'away' }
  | ({
      readonly kind: 'returning';
      readonly homeAgent: Address;
      /** what the home agent holds, as far as is known */
      readonly binding?: HeldBinding;
      /** the home agent's last refusal, in words */
      readonly refusal?: string;
    } & Pace)
  | { readonly kind: 'at-home' };

/** Statuses that say: there is no binding here (RFC 6275 6.1.8). */
const NO_BINDING: ReadonlySet<number> = new Set([131, 132, 133]);

export interface ReturnHomeConfig {
  readonly homeAddress: Address;
  readonly updates: BindingUpdateList;
  readonly protection: ProtectionKind;
}

/** De-registration from the home link (RFC 6275 11.5.5): until it is acknowledged the home agent intercepts our packets. */
export class ReturnHome {
  readonly drops: Drops;
  readonly #config: ReturnHomeConfig;
  #state: State = { kind: 'away' };
  readonly #outputs: ReturnHomeOutput[] = [];

  constructor(config: ReturnHomeConfig, drops = new Drops()) {
    this.#config = config;
    this.drops = drops;
  }

  /** On the home link, whatever the home agent thinks. */
  get active(): boolean {
    return this.#state.kind !== 'away';
  }

  /** Whether it is known which home agent holds the binding. */
  get knowsBinding(): boolean {
    return this.#state.kind === 'returning' && this.#state.binding !== undefined;
  }

  poll(): ReturnHomeOutput | undefined {
    return this.#outputs.shift();
  }

  wakeAt(): Millis | undefined {
    const state = this.#state;
    if (state.kind !== 'returning') return undefined;
    return earliest(state.sendAt, state.patienceUntil, state.binding?.expiresAt);
  }

  /** The host is on the home link. @param binding as far as one is known */
  start(now: Millis, homeAgent: Address, binding?: HeldBinding): void {
    if (this.active) return;
    this.#begin(now, homeAgent, binding);
  }

  /** De-registers at another home agent: nobody knows which one holds the binding. */
  changeHomeAgent(now: Millis, homeAgent: Address): void {
    if (this.#state.kind === 'returning') this.#begin(now, homeAgent, this.#state.binding);
  }

  /** No home agent has a binding: the address is ours. @param wasBound one had until now, and defended it */
  finish(wasBound: boolean): void {
    if (this.#state.kind !== 'returning') return;
    if (this.#state.binding !== undefined) {
      this.#outputs.push({ type: 'unbound', reason: 'de-registered, the guest is at home' });
    }
    this.#state = { kind: 'at-home' };
    this.#config.updates.clear();
    this.#outputs.push({ type: 'returned', wasBound });
  }

  /** The host leaves the home link, or no longer looks after the guest. */
  leave(): void {
    const state = this.#state;
    if (state.kind === 'returning' && state.binding !== undefined) {
      this.#outputs.push({ type: 'unbound', reason: 'the return home was given up' });
    }
    this.#state = { kind: 'away' };
    this.#config.updates.clear();
  }

  tick(now: Millis): void {
    const state = this.#state;
    if (state.kind !== 'returning') return;
    if (state.binding !== undefined && now >= state.binding.expiresAt) this.finish(true);
    else if (now >= state.patienceUntil) {
      this.#state = { ...state, ...paceWithPatience(state, now) };
      this.#outputs.push({ type: 'unanswered' });
    } else if (now >= state.sendAt) this.#send(now);
  }

  signal(now: Millis, signal: Signal): void {
    const { message } = signal;
    const state = this.#state;
    if (message.kind !== 'binding-acknowledgement' || state.kind !== 'returning') {
      this.drops.count('unexpected_message');
      return;
    }
    if (signal.source !== state.homeAgent) {
      this.drops.count('not_the_home_agent');
      return;
    }
    const { updates, protection } = this.#config;
    if (protection !== 'none' && signal.protection !== protection) {
      this.drops.count('unprotected');
      return;
    }
    if (message.status === 135) {
      if (updates.resynchronise(signal, message)) this.#state = { ...state, sendAt: now };
      return;
    }
    if (updates.acknowledged(signal, message) === undefined) return;
    const { status } = message;
    if (status < 128) this.finish(true);
    else if (NO_BINDING.has(status)) this.#notHere();
    else this.#refused(now, status);
  }

  /** What a person wants to know. @param now Millis */
  summary(now: Millis): BindingSummary {
    const state = this.#state;
    if (state.kind !== 'returning') {
      return { state: 'at-home', reason: 'the guest is at home and needs no binding' };
    }
    const { homeAgent, binding, refusal, sendAt } = state;
    const cause = refusal === undefined ? '' : ` (${refusal})`;
    return {
      state: 'deregistering',
      homeAgent,
      ...(binding && {
        lifetime: binding.lifetime,
        expiresIn: secondsUntil(now, binding.expiresAt),
      }),
      reason: `at home, waiting for the home agent ${homeAgent} to let go of the home address${cause}, next Binding Update in ${secondsUntil(now, sendAt)} s`,
    };
  }

  #begin(now: Millis, homeAgent: Address, binding: HeldBinding | undefined): void {
    this.#config.updates.clear();
    this.#config.updates.settled();
    this.#state = {
      kind: 'returning',
      homeAgent,
      ...refreshingPace(now),
      ...(binding === undefined ? {} : { binding }),
    };
  }

  #notHere(): void {
    const state = this.#state;
    const known = state.kind === 'returning' && state.binding?.homeAgent === state.homeAgent;
    if (known) this.finish(true);
    else this.#outputs.push({ type: 'not-here' });
  }

  #refused(now: Millis, status: number): void {
    const state = this.#state;
    if (state.kind !== 'returning') return;
    const { action, meaning, firstRetry } = rejectionOf(status);
    const again = action === 'again' && this.#config.updates.again();
    const sendAt = again ? now : now + 1000 * firstRetry;
    this.#state = { ...state, sendAt, refusal: `${meaning}, status ${status}` };
  }

  #send(now: Millis): void {
    const state = this.#state;
    if (state.kind !== 'returning') return;
    const { updates, homeAddress } = this.#config;
    const freeAt = updates.freeAt(now);
    if (freeAt > now) {
      this.#state = { ...state, sendAt: freeAt };
      return;
    }
    const { homeAgent } = state;
    const signal = updates.send(now, { homeAgent, careOfAddress: homeAddress, lifetime: 0 });
    if (signal === undefined) this.drops.count('sequence_exhausted');
    else this.#outputs.push({ type: 'transmit', signal });
    this.#state = { ...state, ...paceAfterSending(state, now) };
  }
}
