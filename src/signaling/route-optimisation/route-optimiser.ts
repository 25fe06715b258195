import { Drops } from '../../drops.js';
import type { Millis } from '../../time.js';
import { earliest } from '../../time.js';
import { TokenBucket } from '../../token-bucket.js';
import type { Address, Icmpv6Message, MobilityMessage } from '../../wire/index.js';
import { BINDING_ERROR } from '../../wire/index.js';
import { wholeUnits } from '../constants.js';
import { isRoutable } from '../registration-request.js';
import type { Signal } from '../signal.js';
import { MAX_RR_BINDING_LIFETIME } from './constants.js';
import type { RegistrationOutput } from './correspondent-registration.js';
import { CorrespondentRegistration } from './correspondent-registration.js';

export interface RouteOptimiserConfig {
  readonly homeAddress: Address;
  /** seconds asked for; at most MAX_RR_BINDING_LIFETIME, in whole units of 4 s */
  readonly lifetime?: number;
  /** correspondents that are known at a time, those that are left alone included */
  readonly maxCorrespondents: number;
  /** 0 <= r < 1 */
  readonly random: () => number;
  /** cookies come from here: as good as keys need it */
  readonly randomBytes: (count: number) => Uint8Array;
}

export type RouteOptimiserEvent =
  /** The engine saw traffic with it, in the tunnel or straight. */
  | { readonly type: 'correspondent'; readonly address: Address }
  /** Something came from it on the straight way; told within 5 s, as `correspondent` is within 10 s. */
  | { readonly type: 'heard'; readonly address: Address }
  /** A Mobility Header message; `tunnelled` when it came out of the home agent's tunnel. */
  | { readonly type: 'signal'; readonly signal: Signal; readonly tunnelled: boolean }
  /** The home registration stands, perhaps with another care-of address. */
  | { readonly type: 'bound'; readonly homeAgent: Address; readonly careOfAddress: Address }
  | { readonly type: 'unbound'; readonly reason: string }
  /** An ICMPv6 error about something that was sent to the correspondent, or to where it is. */
  | {
      readonly type: 'path-error';
      readonly correspondent: Address;
      readonly error: Icmpv6Message;
    }
  | { readonly type: 'tick' };

export type RouteOptimiserOutput = RegistrationOutput;

/** A correspondent as `status` shows it. */
export interface CorrespondentSummary {
  readonly correspondent: Address;
  readonly state: 'optimised' | 'testing' | 'tunnel';
  /** why the tunnel carries everything */
  readonly reason?: string;
}

/** New correspondents at once, and per second in the long run: a guest that scans the network must not make us do so too. */
const START_BURST = 16;
const START_RATE = 2;

/** RFC 4443 3.4 */
const UNRECOGNIZED = { nextHeader: 1, option: 2 } as const;

/**
 * The mobile node's side of route optimisation for one home address (RFC 6275 11.3.1, 11.6, 11.7.2): return routability
 * with each correspondent that there is traffic with, a binding at those that support it, the tunnel for all others.
 */
export class RouteOptimiser {
  /** Signals and errors without effect, by reason. */
  readonly drops = new Drops();

  readonly #config: RouteOptimiserConfig;
  readonly #lifetime: number;
  readonly #entries = new Map<Address, CorrespondentRegistration>();
  readonly #starts = new TokenBucket(START_BURST, START_RATE);
  readonly #outputs: RouteOptimiserOutput[] = [];
  #home: { readonly homeAgent: Address; readonly careOfAddress: Address } | undefined;
  #now: Millis = 0;

  constructor(config: RouteOptimiserConfig) {
    this.#config = config;
    const asked = Math.min(config.lifetime ?? MAX_RR_BINDING_LIFETIME, MAX_RR_BINDING_LIFETIME);
    this.#lifetime = Math.max(4, wholeUnits(asked));
  }

  /** The next thing to do, until undefined. */
  poll(): RouteOptimiserOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return earliest(...[...this.#entries.values()].map((entry) => entry.wakeAt(this.#now)));
  }

  /** Whether there is anything to hear from this address. */
  knows(address: Address): boolean {
    return this.#entries.has(address);
  }

  summary(): CorrespondentSummary[] {
    return [...this.#entries].map(([correspondent, entry]) => {
      const { reason, routed, phase } = entry;
      if (routed) return { correspondent, state: 'optimised' };
      if (reason !== undefined) return { correspondent, state: 'tunnel', reason };
      return { correspondent, state: phase === 'over' ? 'tunnel' : 'testing' };
    });
  }

  handle(now: Millis, event: RouteOptimiserEvent): void {
    this.#now = now;
    switch (event.type) {
      case 'correspondent':
        this.#seen(now, event.address);
        break;
      case 'heard':
        this.#entries.get(event.address)?.heard(now);
        break;
      case 'signal':
        this.#signal(now, event.signal, event.tunnelled);
        break;
      case 'bound':
        this.#home = { homeAgent: event.homeAgent, careOfAddress: event.careOfAddress };
        for (const entry of this.#entries.values()) entry.move(event.careOfAddress);
        break;
      case 'unbound':
        this.#home = undefined;
        for (const entry of this.#entries.values()) entry.release(now, event.reason);
        break;
      case 'path-error':
        this.#pathError(now, event.correspondent, event.error);
        break;
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  #advance(now: Millis): void {
    for (const [correspondent, entry] of this.#entries) {
      entry.advance(now);
      if (entry.phase === 'over') this.#entries.delete(correspondent);
    }
  }

  #seen(now: Millis, address: Address): void {
    const known = this.#entries.get(address);
    if (known !== undefined) {
      known.seen(now);
      return;
    }
    const home = this.#home;
    if (home === undefined || !this.#eligible(address, home)) return;
    if (!this.#starts.take(now)) {
      this.drops.count('correspondents_limited');
      return;
    }
    if (!this.#makeRoom()) {
      this.drops.count('correspondents_full');
      return;
    }
    const { homeAddress, random, randomBytes } = this.#config;
    const entry = new CorrespondentRegistration(now, home.careOfAddress, {
      homeAddress,
      correspondent: address,
      lifetime: this.#lifetime,
      initialSequence: Math.floor(random() * 0x10000),
      random,
      randomBytes,
      emit: (output) => this.#outputs.push(output),
    });
    this.#entries.set(address, entry);
  }

  #eligible(address: Address, home: { homeAgent: Address; careOfAddress: Address }): boolean {
    const ours = [this.#config.homeAddress, home.homeAgent, home.careOfAddress];
    return isRoutable(address) && !ours.includes(address);
  }

  /** One that is left alone gives way to a new one: the longest unseen first. */
  #makeRoom(): boolean {
    if (this.#entries.size < this.#config.maxCorrespondents) return true;
    const [oldest] = [...this.#entries]
      .filter(([, entry]) => entry.phase === 'resting')
      .sort(([, one], [, other]) => one.seenAt - other.seenAt);
    if (oldest === undefined) return false;
    const [correspondent, entry] = oldest;
    entry.release(this.#now, 'another correspondent takes its place');
    this.#entries.delete(correspondent);
    return true;
  }

  #signal(now: Millis, signal: Signal, tunnelled: boolean): void {
    const entry = this.#entries.get(signal.source);
    if (entry === undefined) {
      this.drops.count('not_a_correspondent');
      return;
    }
    const reason =
      this.#misaddressed(signal, tunnelled) ?? this.#message(now, entry, signal, signal.message);
    if (reason !== undefined) this.drops.count(reason);
  }

  /** RFC 6275 11.6.2, 11.7.3: what comes to the home address, and what to the care-of address. */
  #misaddressed(signal: Signal, tunnelled: boolean): string | undefined {
    const { message, destination, routingHeader } = signal;
    const { homeAddress } = this.#config;
    switch (message.kind) {
      case 'home-test':
        if (!tunnelled) return 'not_tunnelled';
        return destination === homeAddress && routingHeader === undefined
          ? undefined
          : 'not_the_home_address';
      case 'care-of-test':
        return destination === this.#home?.careOfAddress && routingHeader === undefined
          ? undefined
          : 'not_the_care_of_address';
      case 'binding-acknowledgement':
        return routingHeader === homeAddress ? undefined : 'not_the_home_address';
      case 'binding-refresh-request':
        return (routingHeader ?? destination) === homeAddress ? undefined : 'not_the_home_address';
      case 'binding-error':
        // An unknown message had no Home Address option: then there is no home address in the answer (RFC 6275 6.1.9).
        return message.homeAddress === homeAddress ||
          message.status !== BINDING_ERROR.unknownBinding
          ? undefined
          : 'not_the_home_address';
      default:
        return 'unexpected_message';
    }
  }

  #message(
    now: Millis,
    entry: CorrespondentRegistration,
    signal: Signal,
    message: MobilityMessage,
  ): string | undefined {
    switch (message.kind) {
      case 'home-test':
      case 'care-of-test':
        return entry.tested(now, message);
      case 'binding-acknowledgement':
        return entry.acknowledged(now, signal, message);
      case 'binding-refresh-request':
        return entry.refreshAsked(now);
      case 'binding-error':
        return entry.bindingError(now, message.status);
      default:
        return 'unexpected_message';
    }
  }

  /** RFC 6275 11.3.5, and the fall back to the tunnel at the first sign that the straight way does not work. */
  #pathError(now: Millis, correspondent: Address, error: Icmpv6Message): void {
    const entry = this.#entries.get(correspondent);
    if (entry === undefined || entry.phase === 'resting') {
      this.drops.count('path_error_unusable');
      return;
    }
    switch (error.kind) {
      case 'parameter-problem':
        if (error.code === UNRECOGNIZED.nextHeader || error.code === UNRECOGNIZED.option) {
          entry.rest(now, 'unsupported', 'the correspondent does not support route optimisation');
        } else {
          entry.rest(now, 'refused', 'the correspondent cannot read what it was sent');
        }
        break;
      case 'destination-unreachable':
        entry.rest(now, 'broken', 'the correspondent cannot be reached from the care-of address');
        break;
      case 'time-exceeded':
        entry.rest(now, 'broken', 'the hop limit is exceeded on the straight way');
        break;
      case 'packet-too-big':
        entry.rest(now, 'broken', `the straight way carries only ${error.mtu} octets`);
        break;
      default:
        this.drops.count('path_error_unusable');
    }
  }
}
