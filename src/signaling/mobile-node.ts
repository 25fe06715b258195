import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Icmpv6Message, MobilityMessage } from '../wire/index.js';
import { alignMobilityOptions, BINDING_ERROR } from '../wire/index.js';
import type { BindingSummary } from './binding-summary.js';
import { summarise } from './binding-summary.js';
import {
  INITIAL_BINDACK_TIMEOUT,
  INITIAL_BINDACK_TIMEOUT_FIRST_REG,
  LIFETIME_UNIT,
  MAX_BINDACK_TIMEOUT,
  MAX_UPDATE_RATE,
  wholeUnits,
} from './constants.js';
import type { ConfirmedBinding, MobileNodeState } from './mobile-node-state.js';
import { bindingOf } from './mobile-node-state.js';
import { describePathError } from './path-error.js';
import { refreshTime } from './refresh.js';
import { rejectionOf } from './rejection.js';
import { isNewer, nextSequence } from './sequence.js';
import type { Signal } from './signal.js';

export interface MobileNodeConfig {
  readonly homeAddress: Address;
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
  /** seconds asked for; whole units of 4 s are used */
  readonly lifetime: number;
  /** of the first Binding Update, 0..65535 */
  readonly initialSequence: number;
  /** 0 <= r < 1; spreads refreshes and retries so that many guests do not speak at once */
  readonly random: () => number;
}

export type MobileNodeEvent =
  /** Register, or refresh at once what is registered. */
  | { readonly type: 'register' }
  | { readonly type: 'deregister' }
  /** Another care-of address from now on. The old binding stands until the new one is confirmed. */
  | { readonly type: 'move'; readonly careOfAddress: Address }
  /** A Mobility Header message from the network. */
  | { readonly type: 'signal'; readonly signal: Signal }
  /** An ICMPv6 error from the network: not authenticated, so it makes us ask and never drops a binding. */
  | { readonly type: 'path-error'; readonly error: Icmpv6Message }
  | { readonly type: 'tick' };

export type MobileNodeOutput =
  | { readonly type: 'transmit'; readonly signal: Signal }
  /** A new binding, or one whose care-of address or lifetime (s) changed. */
  | { readonly type: 'bound'; readonly careOfAddress: Address; readonly lifetime: number }
  | { readonly type: 'unbound'; readonly reason: string };

type BindingAcknowledgement = Extract<MobilityMessage, { kind: 'binding-acknowledgement' }>;

/** A Binding Update that may still be acknowledged: it is all that its acknowledgement confirms. */
interface Outstanding {
  readonly sequence: number;
  readonly careOfAddress: Address;
  /** seconds */
  readonly lifetime: number;
  readonly sentAt: Millis;
}

const MAX_OUTSTANDING = 16;
/** Resynchronisations at once before the ordinary back-off has its say: two nodes must not play ping-pong. */
const MAX_RESYNCHRONISATIONS = 3;
const DEREGISTRATION_ATTEMPTS = 5;
/** Between two Binding Updates that unauthenticated messages asked for. */
const PROBE_INTERVAL: Millis = 1000;

/** The mobile node's side of one home registration (RFC 6275 section 11). */
export class MobileNode {
  /** Signals and errors without effect, by reason. */
  readonly drops = new Drops();

  readonly #homeAddress: Address;
  readonly #homeAgent: Address;
  readonly #lifetime: number;
  readonly #random: () => number;
  #careOfAddress: Address;
  #nextSequence: number;
  #state: MobileNodeState = { kind: 'idle' };
  #outstanding: Outstanding[] = [];
  /** when the last MAX_UPDATE_RATE updates left */
  #sent: Millis[] = [];
  #resynchronisations = 0;
  #rejections = 0;
  #probedAt: Millis = Number.NEGATIVE_INFINITY;
  #pathError: string | undefined;
  readonly #outputs: MobileNodeOutput[] = [];

  constructor(config: MobileNodeConfig) {
    this.#homeAddress = config.homeAddress;
    this.#homeAgent = config.homeAgent;
    this.#careOfAddress = config.careOfAddress;
    this.#lifetime = Math.max(LIFETIME_UNIT, wholeUnits(config.lifetime));
    this.#nextSequence = config.initialSequence & 0xffff;
    this.#random = config.random;
  }

  get state(): MobileNodeState {
    return this.#state;
  }

  /** Of the next Binding Update. */
  get sequence(): number {
    return this.#nextSequence;
  }

  /** The next thing to do, until undefined. */
  poll(): MobileNodeOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    const state = this.#state;
    const expiresAt = bindingOf(state)?.expiresAt;
    switch (state.kind) {
      case 'idle':
        return undefined;
      case 'registered':
        return earliest(state.refreshAt, expiresAt);
      case 'rejected':
        return earliest(state.retryAt, expiresAt);
      default:
        return earliest(state.sendAt, expiresAt);
    }
  }

  /** What a person wants to know about the binding. */
  summary(now: Millis): BindingSummary {
    return summarise(this.#state, now, this.#homeAgent, this.#pathError);
  }

  handle(now: Millis, event: MobileNodeEvent): void {
    this.#advance(now);
    switch (event.type) {
      case 'register':
        this.#register(now);
        break;
      case 'deregister':
        this.#deregister(now);
        break;
      case 'move':
        this.#move(now, event.careOfAddress);
        break;
      case 'signal':
        this.#signal(now, event.signal);
        break;
      case 'path-error':
        this.#pathFailed(now, event.error);
        break;
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  /** Does what is due. Each round either ends or changes to a state with a later deadline. */
  #advance(now: Millis): void {
    const binding = bindingOf(this.#state);
    if (binding !== undefined && now >= binding.expiresAt) this.#expire(now);
    const state = this.#state;
    switch (state.kind) {
      case 'idle':
        break;
      case 'registered':
        if (now < state.refreshAt) break;
        this.#update(now);
        this.#send(now);
        break;
      case 'rejected':
        if (now < state.retryAt) break;
        this.#update(now);
        this.#send(now);
        break;
      default:
        if (now >= state.sendAt) this.#send(now);
    }
  }

  #expire(now: Millis): void {
    const state = this.#state;
    this.#outputs.push({
      type: 'unbound',
      reason:
        state.kind === 'deregistering'
          ? 'the binding ran out while it was being de-registered'
          : 'the binding ran out before the home agent confirmed a new one',
    });
    switch (state.kind) {
      case 'registered':
      case 'refreshing':
        // A first registration again, with the short timeouts of one.
        this.#state = {
          kind: 'registering',
          sendAt: now,
          timeout: INITIAL_BINDACK_TIMEOUT_FIRST_REG,
        };
        break;
      case 'rejected': {
        const { binding: _, ...rest } = state;
        this.#state = rest;
        break;
      }
      default:
        this.#rest();
    }
  }

  /** Nothing is bound and nothing is wanted. */
  #rest(): void {
    this.#state = { kind: 'idle' };
    this.#outstanding = [];
    this.#pathError = undefined;
  }

  /** A Binding Update is due now, whatever the state was. */
  #update(now: Millis): void {
    const binding = bindingOf(this.#state);
    this.#state =
      binding === undefined
        ? { kind: 'registering', sendAt: now, timeout: INITIAL_BINDACK_TIMEOUT_FIRST_REG }
        : { kind: 'refreshing', binding, sendAt: now, timeout: INITIAL_BINDACK_TIMEOUT };
  }

  #register(now: Millis): void {
    this.#rejections = 0;
    this.#resynchronisations = 0;
    if (this.#state.kind === 'deregistering') {
      // Nobody knows whether the home agent has let go of it by now, nor may it say so later.
      this.#deregistered('the de-registration was given up for a new registration');
    }
    this.#update(now);
  }

  #deregister(now: Millis): void {
    if (this.#state.kind === 'idle' || this.#state.kind === 'deregistering') return;
    const binding = bindingOf(this.#state);
    // An acknowledgement of an earlier registration must not undo this decision.
    this.#outstanding = [];
    this.#resynchronisations = 0;
    this.#state = {
      kind: 'deregistering',
      sendAt: now,
      timeout: INITIAL_BINDACK_TIMEOUT,
      attemptsLeft: DEREGISTRATION_ATTEMPTS,
      ...(binding === undefined ? {} : { binding }),
    };
  }

  #deregistered(reason: string): void {
    this.#outputs.push({ type: 'unbound', reason });
    this.#rest();
  }

  #move(now: Millis, careOfAddress: Address): void {
    if (careOfAddress === this.#careOfAddress) return;
    this.#careOfAddress = careOfAddress;
    this.#pathError = undefined;
    if (this.#state.kind !== 'idle' && this.#state.kind !== 'deregistering') this.#update(now);
  }

  /** Sends what the state wants sent, no faster than MAX_UPDATE_RATE, and backs off (RFC 6275 11.8). */
  #send(now: Millis): void {
    const state = this.#state;
    if (state.kind === 'idle' || state.kind === 'registered' || state.kind === 'rejected') return;
    const [oldest] = this.#sent;
    if (oldest !== undefined && this.#sent.length >= MAX_UPDATE_RATE && now < oldest + 1000) {
      this.#state = { ...state, sendAt: oldest + 1000 };
      return;
    }
    if (state.kind === 'deregistering' && state.attemptsLeft === 0) {
      this.#deregistered('the home agent did not acknowledge the de-registration');
      return;
    }
    this.#transmit(now, state.kind === 'deregistering' ? 0 : this.#lifetime);
    const pace = {
      sendAt: now + state.timeout,
      timeout: Math.min(MAX_BINDACK_TIMEOUT, 2 * state.timeout),
    };
    this.#state =
      state.kind === 'deregistering'
        ? { ...state, ...pace, attemptsLeft: state.attemptsLeft - 1 }
        : { ...state, ...pace };
  }

  /** Every Binding Update has a sequence number of its own, a retransmitted one too (RFC 6275 11.8). */
  #transmit(now: Millis, lifetime: number): void {
    const sequence = this.#nextSequence;
    const careOfAddress = this.#careOfAddress;
    this.#nextSequence = nextSequence(sequence);
    this.#sent = [...this.#sent, now].slice(-MAX_UPDATE_RATE);
    const update = { sequence, careOfAddress, lifetime, sentAt: now };
    // After resynchronisations a number may come round again: it stands for the latest update that has it.
    const others = this.#outstanding.filter((other) => other.sequence !== sequence);
    this.#outstanding = [...others, update].slice(-MAX_OUTSTANDING);
    this.#outputs.push({
      type: 'transmit',
      signal: {
        source: careOfAddress,
        destination: this.#homeAgent,
        homeAddressOption: this.#homeAddress,
        message: {
          kind: 'binding-update',
          sequence,
          acknowledge: true,
          homeRegistration: true,
          linkLocalCompatible: true,
          keyManagement: false,
          reserved: 0,
          lifetime,
          options: alignMobilityOptions([
            { kind: 'alternate-care-of-address', address: careOfAddress },
          ]),
        },
      },
    });
  }

  #signal(now: Millis, signal: Signal): void {
    const { message } = signal;
    if (signal.source !== this.#homeAgent) {
      this.drops.count('not_the_home_agent');
      return;
    }
    switch (message.kind) {
      case 'binding-acknowledgement':
        this.#acknowledged(now, signal, message);
        break;
      case 'binding-refresh-request':
        // RFC 6275 11.7.4: a Binding Update SHOULD follow, if the binding is to live on.
        if (signal.routingHeader !== this.#homeAddress) this.drops.count('not_the_home_address');
        else this.#probe(now);
        break;
      case 'binding-error':
        if (message.homeAddress !== this.#homeAddress) this.drops.count('not_the_home_address');
        // RFC 6275 11.3.6
        else if (message.status === BINDING_ERROR.unknownBinding) this.#probe(now);
        else this.drops.count('binding_error_unusable');
        break;
      default:
        this.drops.count('unexpected_message');
    }
  }

  #pathFailed(now: Millis, error: Icmpv6Message): void {
    const trouble = describePathError(error, this.#careOfAddress, this.#homeAgent);
    if (trouble === undefined) {
      this.drops.count('path_error_unusable');
      return;
    }
    this.#pathError = trouble;
    this.#probe(now);
  }

  /** Asks the home agent whether the binding stands. Where an update is on its way already, that one is the question. */
  #probe(now: Millis): void {
    if (this.#state.kind !== 'registered') return;
    if (now < this.#probedAt + PROBE_INTERVAL) {
      this.drops.count('probe_limited');
      return;
    }
    this.#probedAt = now;
    this.#update(now);
  }

  /** RFC 6275 11.7.3 */
  #acknowledged(now: Millis, signal: Signal, message: BindingAcknowledgement): void {
    if (signal.routingHeader !== this.#homeAddress) {
      this.drops.count('not_the_home_address');
      return;
    }
    if (message.status === 135) {
      this.#resynchronise(now, signal.destination, message.sequence);
      return;
    }
    const index = this.#outstanding.findIndex(({ sequence }) => sequence === message.sequence);
    const update = this.#outstanding[index];
    if (update === undefined) {
      this.drops.count('no_such_update');
      return;
    }
    if (signal.destination !== update.careOfAddress) {
      this.drops.count('not_the_care_of_address');
      return;
    }
    // What was sent before this update is settled by it: a late acknowledgement must not turn time back.
    this.#outstanding = this.#outstanding.slice(index + 1);
    if (this.#state.kind === 'deregistering') {
      this.#deregistrationAnswered(message.status);
    } else if (message.status >= 128) {
      this.#rejected(now, message.status, rejectionOf(message.status).meaning);
    } else {
      this.#accepted(now, update, message);
    }
  }

  #deregistrationAnswered(status: number): void {
    // 133: the home agent had no binding any more, which is what was asked for.
    const done = status < 128 || status === 133;
    this.#deregistered(
      done ? 'de-registered' : `de-registration refused: ${rejectionOf(status).meaning}`,
    );
  }

  #accepted(now: Millis, update: Outstanding, message: BindingAcknowledgement): void {
    const lifetime = Math.min(message.lifetime, update.lifetime);
    if (lifetime === 0) {
      // RFC 6275 6.1.8: nothing was granted, so there is nothing to keep.
      if (bindingOf(this.#state) !== undefined) {
        this.#outputs.push({ type: 'unbound', reason: 'the home agent granted no lifetime' });
      }
      this.#state = { kind: 'registering', sendAt: now, timeout: INITIAL_BINDACK_TIMEOUT };
      this.#rejected(now, message.status, 'the home agent granted no lifetime');
      return;
    }
    // The lifetime runs from the Binding Update on (RFC 6275 11.7.1): ours ends before the home agent's does.
    const expiresAt = update.sentAt + 1000 * lifetime;
    if (expiresAt <= now) {
      this.drops.count('acknowledged_too_late');
      return;
    }
    const before = bindingOf(this.#state);
    const { careOfAddress } = update;
    const binding: ConfirmedBinding = {
      careOfAddress,
      lifetime,
      expiresAt,
      status: message.status,
    };
    this.#resynchronisations = 0;
    this.#rejections = 0;
    this.#pathError = undefined;
    this.#settle(now, binding, refreshTime(update.sentAt, lifetime, message.options, this.#random));
    if (before?.careOfAddress !== careOfAddress || before.lifetime !== lifetime) {
      this.#outputs.push({ type: 'bound', careOfAddress, lifetime });
    }
  }

  #settle(now: Millis, binding: ConfirmedBinding, refreshAt: Millis): void {
    const state = this.#state;
    if (binding.careOfAddress === this.#careOfAddress) {
      this.#state = { kind: 'registered', binding, refreshAt };
    } else if (state.kind === 'registering' || state.kind === 'refreshing') {
      // We have moved since: this confirms where we were, the update from where we are goes on.
      const { sendAt, timeout } = state;
      this.#state = { kind: 'refreshing', binding, sendAt, timeout };
    } else {
      this.#state = { kind: 'refreshing', binding, sendAt: now, timeout: INITIAL_BINDACK_TIMEOUT };
    }
  }

  /**
   * A refusal leaves a binding that stands in the home agent's cache as it is (RFC 6275 9.5.1), so ours
   * stands as well until it runs out.
   */
  #rejected(now: Millis, status: number, reason: string): void {
    const { firstRetry, longestRetry } = rejectionOf(status);
    const delay = Math.min(longestRetry, firstRetry * 2 ** Math.min(this.#rejections, 16));
    const binding = bindingOf(this.#state);
    this.#rejections += 1;
    this.#state = {
      kind: 'rejected',
      status,
      reason,
      retryAt: now + 1000 * delay * (1 + 0.1 * this.#random()),
      ...(binding === undefined ? {} : { binding }),
    };
  }

  /** Status 135: go on from the last number that the home agent accepted, at once (RFC 6275 11.7.3). */
  #resynchronise(now: Millis, destination: Address, last: number): void {
    const state = this.#state;
    const latest = this.#outstanding.at(-1);
    if (
      latest === undefined ||
      (state.kind !== 'registering' &&
        state.kind !== 'refreshing' &&
        state.kind !== 'deregistering')
    ) {
      this.drops.count('no_such_update');
      return;
    }
    if (destination !== latest.careOfAddress) {
      this.drops.count('not_the_care_of_address');
      return;
    }
    if (isNewer(latest.sequence, last)) {
      // It answers an update older than our latest, which the home agent will accept.
      this.drops.count('stale_resynchronisation');
      return;
    }
    this.#nextSequence = nextSequence(last);
    if (this.#resynchronisations >= MAX_RESYNCHRONISATIONS) {
      this.drops.count('resynchronisation_limited');
      return;
    }
    this.#resynchronisations += 1;
    this.#state = { ...state, sendAt: now };
  }
}
