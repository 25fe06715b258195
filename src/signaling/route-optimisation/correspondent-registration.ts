import type { Millis } from '../../time.js';
import { earliest } from '../../time.js';
import type { Address, MobilityMessage } from '../../wire/index.js';
import { alignMobilityOptions, BINDING_ERROR, bindingStatus } from '../../wire/index.js';
import { INITIAL_BINDACK_TIMEOUT } from '../constants.js';
import { nextSequence } from '../sequence.js';
import type { Signal } from '../signal.js';
import { AddressTest } from './address-test.js';
import { isAuthorized } from './authorization.js';
import { ATTEMPTS, HEARD_LATE, IN_USE, REST, SILENCE } from './constants.js';
import type { CorrespondentUpdate } from './correspondent-update.js';
import { correspondentUpdate, secretOf } from './correspondent-update.js';

/** What one correspondent registration wants done. */
export type RegistrationOutput =
  | { readonly type: 'transmit'; readonly signal: Signal }
  | { readonly type: 'transmit-in-tunnel'; readonly signal: Signal }
  /** From now on packets go straight to the correspondent, and may come straight from it. */
  | { readonly type: 'optimise'; readonly correspondent: Address; readonly careOfAddress: Address }
  /** Packets go through the tunnel again; those that still come straight are welcome until `forget`. */
  | { readonly type: 'revert'; readonly correspondent: Address; readonly reason: string }
  | { readonly type: 'forget'; readonly correspondent: Address };

export interface RegistrationConfig {
  readonly homeAddress: Address;
  readonly correspondent: Address;
  /** seconds asked for, a multiple of 4 */
  readonly lifetime: number;
  readonly initialSequence: number;
  readonly random: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly emit: (output: RegistrationOutput) => void;
}

type BindingAcknowledgement = Extract<MobilityMessage, { kind: 'binding-acknowledgement' }>;
type Tested = Extract<MobilityMessage, { kind: 'home-test' | 'care-of-test' }>;

interface Updating {
  readonly update: CorrespondentUpdate;
  /** every number that this update travelled with */
  readonly sent: readonly { readonly sequence: number; readonly at: Millis }[];
  readonly sendAt: Millis;
  readonly timeout: Millis;
}

type Phase =
  | { readonly kind: 'testing' }
  | ({ readonly kind: 'updating' | 'releasing' } & Updating)
  | { readonly kind: 'bound'; readonly refreshAt: Millis }
  | { readonly kind: 'resting'; readonly until: Millis; readonly reason: string }
  /** Nothing is left to do or to remember. */
  | { readonly kind: 'over' };

/** Seconds before the end at which a binding in use is renewed. */
const REFRESH_AHEAD = 30;
/** A binding in use keeps a home token at hand: a move, or a farewell, then takes no detour through the home agent. */
const RENEW_AHEAD: Millis = 30_000;
const RENEW_AGAIN: Millis = 60_000;
/** Answers in a row that say "try again" before they count as a refusal. */
const MAX_REPEATS = 3;
/** Between two unauthenticated messages that are allowed to restart the procedure. */
const RESTART_INTERVAL: Millis = 10_000;

/** An entry of the Binding Update List that is about a correspondent (RFC 6275 11.1, 11.6, 11.7.2). */
export class CorrespondentRegistration {
  readonly #config: RegistrationConfig;
  readonly #home: AddressTest;
  readonly #careOf: AddressTest;
  #careOfAddress: Address;
  #phase: Phase = { kind: 'testing' };
  #sequence: number;
  #seenAt: Millis;
  /** when it was last heard on the straight way, or that way was taken */
  #heardAt: Millis = Number.NEGATIVE_INFINITY;
  #renewAt: Millis = Number.NEGATIVE_INFINITY;
  #restartedAt: Millis = Number.NEGATIVE_INFINITY;
  #repeats = 0;
  /** what the correspondent confirmed; it may send straight to us until then */
  #expiresAt: Millis | undefined;
  #routed = false;

  constructor(now: Millis, careOfAddress: Address, config: RegistrationConfig) {
    this.#config = config;
    this.#careOfAddress = careOfAddress;
    this.#sequence = config.initialSequence & 0xffff;
    this.#seenAt = now;
    this.#home = new AddressTest(config.randomBytes);
    this.#careOf = new AddressTest(config.randomBytes);
  }

  get phase(): Phase['kind'] {
    return this.#phase.kind;
  }

  /** Packets go straight to the correspondent. */
  get routed(): boolean {
    return this.#routed;
  }

  /** Why the tunnel carries everything, while the correspondent is left alone. */
  get reason(): string | undefined {
    return this.#phase.kind === 'resting' ? this.#phase.reason : undefined;
  }

  get seenAt(): Millis {
    return this.#seenAt;
  }

  wakeAt(now: Millis): Millis | undefined {
    const phase = this.#phase;
    switch (phase.kind) {
      case 'testing':
        return earliest(this.#home.dueAt, this.#careOf.dueAt, this.#expiresAt);
      case 'updating':
      case 'releasing':
        return earliest(phase.sendAt, this.#expiresAt);
      case 'resting':
        return earliest(phase.until, this.#expiresAt);
      case 'bound':
        return this.#inUse(now)
          ? earliest(this.#expiresAt, phase.refreshAt, this.#home.dueAt ?? this.#renewalAt())
          : this.#expiresAt;
      case 'over':
        return undefined;
    }
  }

  /** The engine saw traffic with the correspondent. */
  seen(now: Millis): void {
    const unheard = this.#seenAt > this.#heardAt + HEARD_LATE && now > this.#heardAt + SILENCE;
    this.#seenAt = now;
    if (this.#routed && unheard) {
      this.rest(now, 'silent', 'nothing comes back on the straight way');
    }
  }

  /** The engine saw something come straight from the correspondent. */
  heard(now: Millis): void {
    this.#heardAt = now;
  }

  /** The home registration has another care-of address: what the correspondent knows is worth nothing (RFC 6275 11.6.1). */
  move(careOfAddress: Address): void {
    if (careOfAddress === this.#careOfAddress) return;
    this.#careOfAddress = careOfAddress;
    this.#careOf.forget();
    this.#revert('the care-of address changed');
    if (this.#phase.kind !== 'resting' && this.#phase.kind !== 'over') {
      this.#phase = { kind: 'testing' };
    }
  }

  /** The home registration ended: the correspondent is told, where there is a token to prove it (RFC 6275 11.7.2). */
  release(now: Millis, reason: string): void {
    const home = this.#home.token(now);
    const told = this.#expiresAt !== undefined && home !== undefined;
    this.#revert(reason);
    this.#forget();
    this.#home.stop();
    this.#careOf.forget();
    this.#phase = told
      ? this.#updating('releasing', now, { ...this.#addresses(), lifetime: 0, home })
      : { kind: 'over' };
  }

  /** Back to the tunnel at once; the correspondent is left alone for a while. */
  rest(now: Millis, why: keyof typeof REST, reason: string): void {
    this.#home.stop();
    this.#careOf.stop();
    this.#revert(reason);
    this.#phase = { kind: 'resting', until: now + REST[why], reason };
  }

  /** RFC 6275 11.6.2; gives the reason why the message is discarded. */
  tested(now: Millis, message: Tested): string | undefined {
    const test = message.kind === 'home-test' ? this.#home : this.#careOf;
    return test.answered(now, message.cookie, message) ? undefined : 'no_such_cookie';
  }

  /** RFC 6275 11.7.4 */
  refreshAsked(now: Millis): string | undefined {
    if (this.#phase.kind !== 'bound') return 'not_bound';
    if (now < this.#restartedAt + RESTART_INTERVAL) return 'restart_limited';
    this.#restartedAt = now;
    this.#phase = { kind: 'testing' };
    return undefined;
  }

  /** RFC 6275 11.3.6: the correspondent lost the binding, or never knew what a binding is. */
  bindingError(now: Millis, status: number): string | undefined {
    if (status === BINDING_ERROR.unrecognizedMobilityHeader) {
      this.rest(now, 'unsupported', 'the correspondent does not know this mobility message');
      return undefined;
    }
    if (status !== BINDING_ERROR.unknownBinding) return 'binding_error_unusable';
    if (this.#expiresAt === undefined) return 'not_bound';
    this.#forget();
    if (now < this.#restartedAt + RESTART_INTERVAL) {
      this.rest(now, 'broken', 'the correspondent loses the binding again and again');
      return undefined;
    }
    this.#restartedAt = now;
    this.#revert('the correspondent lost the binding');
    this.#phase = { kind: 'testing' };
    return undefined;
  }

  /** RFC 6275 11.7.3; gives the reason why the acknowledgement is discarded. */
  acknowledged(now: Millis, signal: Signal, message: BindingAcknowledgement): string | undefined {
    const phase = this.#phase;
    if (phase.kind !== 'updating' && phase.kind !== 'releasing') return 'no_such_update';
    const { update, sent } = phase;
    if (signal.destination !== update.careOfAddress) return 'not_the_care_of_address';
    const { status, sequence } = message;
    const number = sent.find((one) => one.sequence === sequence);
    if (number === undefined && status !== 135) return 'no_such_update';
    // RFC 6275 6.2.7: without nonces there is no key, so these three cannot be proved.
    const nonces = status >= 136 && status <= 138;
    if (!nonces && !isAuthorized(message, secretOf(update))) return 'not_authorized';
    if (phase.kind === 'releasing') {
      this.#phase = { kind: 'over' };
    } else if (status >= 128) {
      this.#refused(now, phase, message);
    } else {
      this.#accepted(now, number?.at ?? now, Math.min(message.lifetime, update.lifetime));
    }
    return undefined;
  }

  /** Does what is due. */
  advance(now: Millis): void {
    if (this.#expiresAt !== undefined && now >= this.#expiresAt) {
      this.#revert('the binding ran out');
      this.#forget();
      if (this.#phase.kind === 'bound') this.#phase = { kind: 'over' };
    }
    const phase = this.#phase;
    switch (phase.kind) {
      case 'resting':
        if (now < phase.until) break;
        this.#phase = this.#inUse(now) ? { kind: 'testing' } : { kind: 'over' };
        if (this.#phase.kind === 'over') this.#forget();
        else this.#test(now);
        break;
      case 'bound':
        if (!this.#inUse(now)) break;
        if (now >= phase.refreshAt) {
          this.#phase = { kind: 'testing' };
          this.#test(now);
        } else {
          this.#renew(now);
        }
        break;
      case 'testing':
        this.#test(now);
        break;
      case 'updating':
      case 'releasing':
        if (now >= phase.sendAt) this.#send(now, phase);
        break;
      case 'over':
        break;
    }
  }

  #inUse(now: Millis): boolean {
    return now < this.#seenAt + IN_USE;
  }

  #addresses() {
    const { homeAddress, correspondent } = this.#config;
    return { homeAddress, correspondent, careOfAddress: this.#careOfAddress };
  }

  /** Both tests run at the same time (RFC 6275 5.2.5); each token that is still good saves one. */
  #test(now: Millis): void {
    const home = this.#home.token(now);
    const careOf = this.#careOf.token(now);
    if (home !== undefined && careOf !== undefined) {
      this.#home.stop();
      this.#careOf.stop();
      const { lifetime } = this.#config;
      const update = { ...this.#addresses(), lifetime, home, careOf };
      const updating = this.#updating('updating', now, update);
      this.#phase = updating;
      this.#send(now, updating);
      return;
    }
    if (home === undefined) this.#home.begin(now);
    if (careOf === undefined) this.#careOf.begin(now);
    const unanswered = [this.#homeTest(now), this.#careOfTest(now)].includes('unanswered');
    if (unanswered) {
      this.rest(now, 'unanswered', 'the correspondent does not answer return routability');
    }
  }

  #renewalAt(): Millis {
    return Math.max(this.#renewAt, (this.#home.expiresAt ?? 0) - RENEW_AHEAD);
  }

  #renew(now: Millis): void {
    if (this.#home.dueAt === undefined && now >= this.#renewalAt()) {
      this.#renewAt = now + RENEW_AGAIN;
      this.#home.begin(now);
    }
    this.#homeTest(now);
  }

  /** RFC 6275 11.6.1: from the home address, so through the tunnel, and without a Home Address option. */
  #homeTest(now: Millis): 'unanswered' | undefined {
    const cookie = this.#home.due(now);
    if (cookie === undefined || cookie === 'unanswered') return cookie;
    const { homeAddress, correspondent, emit } = this.#config;
    const options = alignMobilityOptions([], 'home-test-init');
    const message = { kind: 'home-test-init', cookie, options } as const;
    const signal = { source: homeAddress, destination: correspondent, message };
    emit({ type: 'transmit-in-tunnel', signal });
    return undefined;
  }

  /** RFC 6275 11.6.1: straight from the care-of address. */
  #careOfTest(now: Millis): 'unanswered' | undefined {
    const cookie = this.#careOf.due(now);
    if (cookie === undefined || cookie === 'unanswered') return cookie;
    const { correspondent, emit } = this.#config;
    const options = alignMobilityOptions([], 'care-of-test-init');
    const message = { kind: 'care-of-test-init', cookie, options } as const;
    const signal = { source: this.#careOfAddress, destination: correspondent, message };
    emit({ type: 'transmit', signal });
    return undefined;
  }

  #updating<Kind extends 'updating' | 'releasing'>(
    kind: Kind,
    now: Millis,
    update: CorrespondentUpdate,
  ): { readonly kind: Kind } & Updating {
    return { kind, update, sent: [], sendAt: now, timeout: INITIAL_BINDACK_TIMEOUT };
  }

  #send(now: Millis, phase: { readonly kind: 'updating' | 'releasing' } & Updating): void {
    if (phase.sent.length >= ATTEMPTS) {
      if (phase.kind === 'releasing') this.#phase = { kind: 'over' };
      else this.rest(now, 'unanswered', 'the correspondent does not acknowledge');
      return;
    }
    const sequence = this.#sequence;
    this.#sequence = nextSequence(sequence);
    this.#phase = {
      ...phase,
      sent: [...phase.sent, { sequence, at: now }],
      sendAt: now + phase.timeout,
      timeout: 2 * phase.timeout,
    };
    this.#config.emit({ type: 'transmit', signal: correspondentUpdate(phase.update, sequence) });
  }

  #accepted(now: Millis, sentAt: Millis, lifetime: number): void {
    const expiresAt = sentAt + 1000 * lifetime;
    if (expiresAt <= now) {
      this.rest(now, 'refused', 'the correspondent granted no lifetime');
      return;
    }
    this.#repeats = 0;
    this.#expiresAt = expiresAt;
    const ahead = Math.min(lifetime / 2, REFRESH_AHEAD) * (1 + 0.1 * this.#config.random());
    this.#phase = { kind: 'bound', refreshAt: Math.max(now, expiresAt - 1000 * ahead) };
    if (this.#routed) return;
    this.#routed = true;
    this.#heardAt = now;
    const { correspondent, emit } = this.#config;
    emit({ type: 'optimise', correspondent, careOfAddress: this.#careOfAddress });
  }

  #refused(now: Millis, phase: Updating, message: BindingAcknowledgement): void {
    const { status } = message;
    const again = status >= 135 && status <= 138;
    if (!again || this.#repeats >= MAX_REPEATS) {
      this.rest(now, 'refused', `the correspondent refused: ${bindingStatus(status).name}`);
      return;
    }
    this.#repeats += 1;
    if (status === 135) {
      this.#sequence = nextSequence(message.sequence);
      this.#send(now, this.#updating('updating', now, phase.update));
      return;
    }
    if (status !== 137) this.#home.forget();
    if (status !== 136) this.#careOf.forget();
    this.#phase = { kind: 'testing' };
  }

  #revert(reason: string): void {
    if (!this.#routed) return;
    this.#routed = false;
    this.#config.emit({ type: 'revert', correspondent: this.#config.correspondent, reason });
  }

  #forget(): void {
    if (this.#expiresAt === undefined) return;
    this.#expiresAt = undefined;
    this.#config.emit({ type: 'forget', correspondent: this.#config.correspondent });
  }
}
