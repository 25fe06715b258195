import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import type { Address, Icmpv6Message } from '../wire/index.js';
import type { BindingSummary } from './binding-summary.js';
import { summarise } from './binding-summary.js';
import type { BindingAcknowledgement, SentUpdate } from './binding-update-list.js';
import { BindingUpdateList } from './binding-update-list.js';
import { LIFETIME_UNIT, wholeUnits } from './constants.js';
import type { MobileNodeConfig, MobileNodeEvent, MobileNodeOutput } from './mobile-node-events.js';
import type { ConfirmedBinding, MobileNodeState } from './mobile-node-state.js';
import { bindingOf, deadlineOf } from './mobile-node-state.js';
import type { Pace } from './pace.js';
import {
  paceAfterSending,
  paceWithPatience,
  probingPace,
  refreshingPace,
  registeringPace,
} from './pace.js';
import { describePathError } from './path-error.js';
import type { ProtectionKind } from './protection-kind.js';
import { notAQuestion } from './question.js';
import { refreshTime } from './refresh.js';
import { rejectionOf, retryDelay } from './rejection.js';
import type { Signal } from './signal.js';
import { UpdateRate } from './update-rate.js';

const DEREGISTRATION_ATTEMPTS = 5;
/** Between two Binding Updates that unauthenticated messages asked for. */
const PROBE_INTERVAL: Millis = 1000;

/** The binding of one home address, at one home agent at a time (RFC 6275 11.7). */
export class MobileNode {
  /** Signals and errors without effect, by reason. */
  readonly drops: Drops;
  readonly updates: BindingUpdateList;

  readonly #homeAddress: Address;
  readonly #protection: ProtectionKind;
  readonly #random: () => number;
  #homeAgent: Address;
  #careOfAddress: Address;
  #lifetime: number = LIFETIME_UNIT;
  #state: MobileNodeState = { kind: 'idle' };
  #restored: boolean;
  #rejections = 0;
  #probedAt: Millis = Number.NEGATIVE_INFINITY;
  /** what unauthenticated messages complain of, in words */
  #trouble: string | undefined;
  readonly #outputs: MobileNodeOutput[] = [];

  constructor(config: MobileNodeConfig, drops = new Drops()) {
    const { homeAddress, sequence, rate = new UpdateRate() } = config;
    this.drops = drops;
    this.updates = new BindingUpdateList({ homeAddress, sequence, rate, drops });
    this.#homeAddress = homeAddress;
    this.#protection = config.protection ?? 'none';
    this.#homeAgent = config.homeAgent;
    this.#careOfAddress = config.careOfAddress;
    this.askFor(config.lifetime);
    this.#random = config.random;
    this.#restored = config.binding !== undefined;
    if (config.binding !== undefined) {
      const binding = { ...config.binding, status: 0 };
      this.#state = { kind: 'registered', binding, refreshAt: Number.NEGATIVE_INFINITY };
    }
  }

  get state(): MobileNodeState {
    return this.#state;
  }

  /** The one that Binding Updates go to. */
  get homeAgent(): Address {
    return this.#homeAgent;
  }

  /** Of the next Binding Update. */
  get sequence(): number {
    return this.updates.nextSequence;
  }

  /** The next thing to do, until undefined. */
  poll(): MobileNodeOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return deadlineOf(this.#state);
  }

  /** What a person wants to know about the binding. */
  summary(now: Millis): BindingSummary {
    return summarise(this.#state, now, this.#homeAgent, this.#trouble);
  }

  handle(now: Millis, event: MobileNodeEvent): void {
    this.#announceRestored(now);
    // What is due now goes to the new home agent; and what was asked for anyway is not sent twice.
    if (event.type !== 'home-agent' && event.type !== 'register') this.#advance(now);
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
      case 'home-agent':
        this.#changeHomeAgent(now, event);
        break;
      case 'signal':
        this.#signal(now, event.signal);
        break;
      case 'path-error':
        this.#pathFailed(now, event.error);
        break;
      case 'doubt':
        this.#probe(now);
        break;
      case 'tick':
        return;
    }
    this.#advance(now);
  }

  /** Seconds to ask for from the next Binding Update on; whole units of 4 s are used. */
  askFor(lifetime: number): void {
    this.#lifetime = Math.max(LIFETIME_UNIT, wholeUnits(lifetime));
  }

  /** Another machine looks after the binding from now on: this one rests and says nothing more of it. */
  surrender(): ConfirmedBinding | undefined {
    const binding = bindingOf(this.#state);
    this.#restored = false;
    this.#rest();
    return binding;
  }

  #announceRestored(now: Millis): void {
    const binding = bindingOf(this.#state);
    if (this.#restored && binding !== undefined && now < binding.expiresAt) this.#announce(binding);
    this.#restored = false;
  }

  #announce({ status: _, ...binding }: ConfirmedBinding): void {
    this.#outputs.push({ type: 'bound', ...binding });
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
        if (now >= state.refreshAt) this.#update(now, refreshingPace(now));
        break;
      case 'rejected':
        if (now >= state.retryAt) this.#update(now, refreshingPace(now));
        break;
      default:
        if (state.kind !== 'deregistering' && now >= state.patienceUntil) this.#unanswered(now);
        else if (now >= state.sendAt) this.#send(now);
        return;
    }
    if (this.#state !== state) this.#send(now);
  }

  /** Whoever chooses the home agent is told before the next update leaves: that is what the next tick does. */
  #unanswered(now: Millis): void {
    const state = this.#state;
    if (state.kind !== 'registering' && state.kind !== 'refreshing') return;
    const pace = paceWithPatience(state, now);
    this.#state =
      state.kind === 'refreshing' ? { ...state, ...pace, lost: true } : { ...state, ...pace };
    this.#outputs.push({ type: 'unanswered', homeAgent: this.#homeAgent });
  }

  #expire(now: Millis): void {
    const state = this.#state;
    const reason =
      state.kind === 'deregistering'
        ? 'the binding ran out while it was being de-registered'
        : 'the binding ran out before the home agent confirmed a new one';
    this.#outputs.push({ type: 'unbound', reason });
    switch (state.kind) {
      case 'registered':
      case 'refreshing':
        // A first registration again, with the short timeouts of one.
        this.#state = { kind: 'registering', ...registeringPace(now) };
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
    this.updates.clear();
    this.#trouble = undefined;
  }

  /** A Binding Update is due now, whatever the state was. @param pace where there is a binding */
  #update(now: Millis, pace: Pace): void {
    const state = this.#state;
    const binding = bindingOf(state);
    const lost = state.kind === 'refreshing' && state.lost;
    this.#state =
      binding === undefined
        ? { kind: 'registering', ...registeringPace(now) }
        : { kind: 'refreshing', binding, lost, ...pace };
  }

  #register(now: Millis): void {
    this.#rejections = 0;
    this.updates.settled();
    if (this.#state.kind === 'deregistering') {
      // Nobody knows whether the home agent has let go of it by now, nor may it say so later.
      this.#deregistered('the de-registration was given up for a new registration');
    }
    this.#update(now, refreshingPace(now));
  }

  #deregister(now: Millis): void {
    if (this.#state.kind === 'idle' || this.#state.kind === 'deregistering') return;
    const binding = bindingOf(this.#state);
    // An acknowledgement of an earlier registration must not undo this decision.
    this.updates.clear();
    this.updates.settled();
    this.#homeAgent = binding?.homeAgent ?? this.#homeAgent;
    this.#state = {
      kind: 'deregistering',
      ...refreshingPace(now),
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
    this.#trouble = undefined;
    if (this.#state.kind === 'idle' || this.#state.kind === 'deregistering') return;
    this.#update(now, refreshingPace(now));
  }

  #changeHomeAgent(now: Millis, event: Extract<MobileNodeEvent, { type: 'home-agent' }>): void {
    const state = this.#state;
    if (state.kind === 'deregistering') return;
    this.#homeAgent = event.homeAgent;
    this.#trouble = undefined;
    this.updates.settled();
    if (state.kind === 'idle' || event.later === true) return;
    // What the home agent before this one refused is no reason to be patient with the next.
    if (state.kind === 'rejected') this.#rejections -= 1;
    const pace = registeringPace(now, event.timeout);
    this.#update(now, pace);
    if (this.#state.kind === 'registering') this.#state = { kind: 'registering', ...pace };
  }

  /** Sends what the state wants sent, no faster than MAX_UPDATE_RATE, and backs off (RFC 6275 11.8). */
  #send(now: Millis): void {
    const state = this.#state;
    if (state.kind === 'idle' || state.kind === 'registered' || state.kind === 'rejected') return;
    const freeAt = this.updates.freeAt(now);
    if (freeAt > now) {
      this.#state = { ...state, sendAt: freeAt };
      return;
    }
    if (state.kind === 'deregistering' && state.attemptsLeft === 0) {
      this.#deregistered('the home agent did not acknowledge the de-registration');
      return;
    }
    const signal = this.updates.send(now, {
      homeAgent: this.#homeAgent,
      careOfAddress: this.#careOfAddress,
      lifetime: state.kind === 'deregistering' ? 0 : this.#lifetime,
    });
    if (signal === undefined) this.drops.count('sequence_exhausted');
    else this.#outputs.push({ type: 'transmit', signal });
    const pace = paceAfterSending(state, now);
    this.#state =
      state.kind === 'deregistering'
        ? { ...state, ...pace, attemptsLeft: state.attemptsLeft - 1 }
        : { ...state, ...pace };
  }

  #signal(now: Millis, signal: Signal): void {
    const { message, source } = signal;
    const bound = bindingOf(this.#state)?.homeAgent;
    if (source !== this.#homeAgent && source !== bound && !this.updates.awaits(source)) {
      this.drops.count('not_the_home_agent');
      return;
    }
    if (message.kind === 'binding-acknowledgement') {
      this.#acknowledged(now, signal, message);
      return;
    }
    const fault = notAQuestion(signal, this.#homeAddress);
    if (fault === undefined) this.#probe(now, source);
    else this.drops.count(fault);
  }

  #pathFailed(now: Millis, error: Icmpv6Message): void {
    const trouble = describePathError(error, this.#careOfAddress, this.#homeAgent);
    if (trouble === undefined) {
      this.drops.count('path_error_unusable');
      return;
    }
    this.#trouble = `the path says: ${trouble}`;
    this.#probe(now);
  }

  /**
   * Asks the home agent whether the binding stands. Where an update is on its way already, that one is the question; but one that
   * is backing off need not wait when the home agent is heard.
   */
  #probe(now: Millis, heard?: Address): void {
    const state = this.#state;
    if (state.kind === 'registered') {
      if (now < this.#probedAt + PROBE_INTERVAL) {
        this.drops.count('probe_limited');
        return;
      }
      this.#probedAt = now;
      this.#update(now, probingPace(now));
    } else if (state.kind === 'refreshing' && heard === this.#homeAgent) {
      const recent = now < this.updates.lastSentAt + PROBE_INTERVAL;
      if (!recent) this.#state = { ...state, sendAt: now };
    }
  }

  /** RFC 6275 11.7.3 */
  #acknowledged(now: Millis, signal: Signal, message: BindingAcknowledgement): void {
    if (this.#protection !== 'none' && signal.protection !== this.#protection) {
      this.#unprotected(message);
      return;
    }
    if (message.status === 135) {
      if (this.updates.resynchronise(signal, message)) this.#sendAgain(now);
      return;
    }
    const update = this.updates.acknowledged(signal, message);
    if (update === undefined) return;
    if (this.#state.kind === 'deregistering') this.#deregistrationAnswered(now, message.status);
    else if (message.status < 128) this.#accepted(now, update, message);
    else if (update.homeAgent === this.#homeAgent) this.#refused(now, message.status);
    else this.drops.count('superseded');
  }

  /** A home agent that does not accept our authenticator may not sign its answer: that is a hint and nothing else. */
  #unprotected({ status }: BindingAcknowledgement): void {
    this.drops.count('unprotected');
    if (status < 144 || status > 146) return;
    this.#trouble = `an answer without protection says: ${rejectionOf(status).meaning}`;
  }

  #sendAgain(now: Millis): void {
    const state = this.#state;
    if ('sendAt' in state) this.#state = { ...state, sendAt: now };
  }

  #deregistrationAnswered(now: Millis, status: number): void {
    const { action, meaning } = rejectionOf(status);
    if (status >= 128 && action === 'again' && this.updates.again()) {
      this.#sendAgain(now);
      return;
    }
    // 133: the home agent had no binding any more, which is what was asked for.
    const done = status < 128 || status === 133;
    this.#deregistered(done ? 'de-registered' : `de-registration refused: ${meaning}`);
  }

  #accepted(now: Millis, update: SentUpdate, message: BindingAcknowledgement): void {
    const { homeAgent, careOfAddress, sentAt } = update;
    const { status, options } = message;
    const lifetime = Math.min(message.lifetime, update.lifetime);
    if (lifetime === 0) {
      // RFC 6275 6.1.8: nothing was granted, so there is nothing to keep.
      const reason = 'the home agent granted no lifetime';
      if (bindingOf(this.#state) !== undefined) this.#outputs.push({ type: 'unbound', reason });
      this.#state = { kind: 'registering', ...registeringPace(now) };
      this.#reject(now, status, reason);
      return;
    }
    // The lifetime runs from the Binding Update on (RFC 6275 11.7.3): ours ends before the home agent's does.
    const expiresAt = sentAt + 1000 * lifetime;
    if (expiresAt <= now) {
      this.drops.count('acknowledged_too_late');
      return;
    }
    const binding = { homeAgent, careOfAddress, lifetime, expiresAt, status };
    this.updates.confirmed(update);
    this.#rejections = 0;
    this.#trouble = undefined;
    // An answer that comes late, when another home agent is being asked: this one lives.
    this.#homeAgent = homeAgent;
    this.#settle(now, binding, refreshTime(sentAt, lifetime, options, this.#random));
    this.#announce(binding);
  }

  #settle(now: Millis, binding: ConfirmedBinding, refreshAt: Millis): void {
    const state = this.#state;
    if (binding.careOfAddress === this.#careOfAddress) {
      this.#state = { kind: 'registered', binding, refreshAt };
      return;
    }
    // We have moved since: this confirms where we were, the update from where we are goes on.
    const pace = 'sendAt' in state ? state : refreshingPace(now);
    const { sendAt, timeout, patience, patienceUntil } = pace;
    const series = { sendAt, timeout, patience, patienceUntil };
    this.#state = { kind: 'refreshing', binding, lost: false, ...series };
  }

  #refused(now: Millis, status: number): void {
    const { action, meaning } = rejectionOf(status);
    const asking = this.#state.kind === 'registering' || this.#state.kind === 'refreshing';
    if (action === 'again' && asking && this.updates.again()) {
      this.#sendAgain(now);
      return;
    }
    this.#reject(now, status, meaning);
    this.#outputs.push({ type: 'refused', homeAgent: this.#homeAgent, status });
  }

  /**
   * A refusal leaves a binding that stands in the home agent's cache as it is (RFC 6275 9.5.1), so ours
   * stands as well until it runs out.
   */
  #reject(now: Millis, status: number, reason: string): void {
    const binding = bindingOf(this.#state);
    const retryAt = now + 1000 * retryDelay(status, this.#rejections, this.#random);
    this.#rejections += 1;
    this.#state = {
      kind: 'rejected',
      status,
      reason,
      retryAt,
      ...(binding === undefined ? {} : { binding }),
    };
  }
}
