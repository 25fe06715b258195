import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type { Address, Prefix } from '../wire/index.js';
import { alignMobilityOptions, BINDING_ERROR, contains, UNSPECIFIED } from '../wire/index.js';
import { LIFETIME_UNIT, wholeUnits } from './constants.js';
import { derivedLinkLocal } from './link-local.js';
import type { RegistrationRequest } from './registration-request.js';
import { isRoutable, readRequest } from './registration-request.js';
import { isNewer } from './sequence.js';
import type { Signal } from './signal.js';

export interface HomeAgentConfig {
  readonly address: Address;
  readonly homePrefix: Prefix;
  /** seconds; whole units of 4 s are granted */
  readonly maxLifetime: number;
  readonly allow: 'listed' | 'any';
  readonly mobileNodes: readonly { readonly homeAddress: Address }[];
  readonly maxBindings: number;
}

/** An entry of the binding cache (RFC 6275 9.1). */
export interface Binding {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** of the last Binding Update that was accepted */
  readonly sequence: number;
  /** seconds granted */
  readonly lifetime: number;
  readonly expiresAt: Millis;
  /** probing: duplicate address detection runs, nothing is granted yet */
  readonly state: 'probing' | 'bound';
}

export type HomeAgentEvent =
  | { readonly type: 'signal'; readonly signal: Signal }
  /** Answers to `probe`. */
  | { readonly type: 'unique' | 'duplicate'; readonly homeAddress: Address }
  /** A packet with a Home Address option that is no Binding Update. */
  | {
      readonly type: 'home-address-option';
      readonly source: Address;
      readonly homeAddress: Address;
    }
  | { readonly type: 'tick' };

export type HomeAgentOutput =
  | { readonly type: 'transmit'; readonly signal: Signal }
  /**
   * Is this address unique on the home link? Then defend it; at last release it. Besides the home address that
   * can be the link-local address that goes with it (RFC 6275 10.3.1, L flag).
   */
  | { readonly type: 'probe' | 'defend' | 'release'; readonly homeAddress: Address }
  /** A new binding, or one with another care-of address. */
  | { readonly type: 'bind'; readonly homeAddress: Address; readonly careOfAddress: Address }
  | { readonly type: 'unbind'; readonly homeAddress: Address; readonly reason: string };

interface Entry extends Binding {
  readonly request: RegistrationRequest;
  /** what is probed or defended for this binding */
  readonly addresses: readonly Address[];
  /** probing: the addresses that have not proved unique yet */
  readonly unproven: readonly Address[];
}

/** Long enough for DAD (1 s); an entry whose probe is never answered must not stay. */
const PROBE_TIMEOUT: Millis = 5000;
/** Binding Errors: at once, and per second in the long run (RFC 6275 9.3.3 asks for a limit). */
const ERROR_BURST = 10;
const ERROR_RATE = 10;

/** RFC 6275 6.1.8 */
const STATUS = {
  accepted: 0,
  reasonUnspecified: 128,
  administrativelyProhibited: 129,
  insufficientResources: 130,
  notHomeSubnet: 132,
  notHomeAgent: 133,
  duplicate: 134,
  sequence: 135,
  typeChange: 139,
} as const;

/** A home agent's registrations (RFC 6275 9.3, 9.5 and 10.3). */
export class HomeAgent {
  /** Signals without an answer, by reason. */
  readonly drops = new Drops();

  #config: HomeAgentConfig;
  #allowed: ReadonlySet<Address>;
  readonly #entries = new Map<Address, Entry>();
  /** which binding a probed address belongs to */
  readonly #probes = new Map<Address, Address>();
  /** no entry needs attention before; may be too early, never too late */
  #deadline: Millis | undefined;
  readonly #errors = new TokenBucket(ERROR_BURST, ERROR_RATE);
  readonly #outputs: HomeAgentOutput[] = [];

  constructor(config: HomeAgentConfig) {
    this.#config = config;
    this.#allowed = new Set(config.mobileNodes.map(({ homeAddress }) => homeAddress));
  }

  /** The next thing to do, until undefined. */
  poll(): HomeAgentOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return this.#deadline;
  }

  bindings(): Iterable<Binding> {
    return this.#entries.values();
  }

  /** Takes over another configuration: bindings that it does not allow end, the others are left alone. */
  reconfigure(config: HomeAgentConfig): void {
    this.#config = config;
    this.#allowed = new Set(config.mobileNodes.map(({ homeAddress }) => homeAddress));
    for (const entry of [...this.#entries.values()]) {
      if (!this.#serves(entry.homeAddress)) this.#remove(entry, 'no longer allowed');
    }
  }

  handle(now: Millis, event: HomeAgentEvent): void {
    this.#expire(now);
    switch (event.type) {
      case 'signal':
        this.#signal(now, event.signal);
        break;
      case 'unique':
        this.#unique(now, event.homeAddress);
        break;
      case 'duplicate':
        this.#probeFailed(event.homeAddress, STATUS.duplicate);
        break;
      case 'home-address-option':
        this.#checkHomeAddress(now, event.source, event.homeAddress);
        break;
      case 'tick':
        break;
    }
  }

  #expire(now: Millis): void {
    if (this.#deadline === undefined || now < this.#deadline) return;
    for (const entry of [...this.#entries.values()]) {
      if (now < entry.expiresAt) continue;
      if (entry.state === 'bound') {
        this.#remove(entry, 'expired');
      } else {
        this.drops.count('probe_unanswered');
        this.#probeFailed(entry.homeAddress, STATUS.reasonUnspecified);
      }
    }
    this.#deadline = earliest(...[...this.#entries.values()].map(({ expiresAt }) => expiresAt));
  }

  #wakeBy(at: Millis): void {
    this.#deadline = earliest(this.#deadline, at);
  }

  #signal(now: Millis, signal: Signal): void {
    const { message, source, homeAddressOption } = signal;
    if (signal.destination !== this.#config.address) {
      this.drops.count('not_ours');
      return;
    }
    switch (message.kind) {
      case 'binding-update': {
        const request = readRequest(signal, message);
        if (typeof request === 'string') this.drops.count(request);
        else this.#update(now, request);
        break;
      }
      case 'unknown':
        this.#unknownMobility(now, source, homeAddressOption);
        break;
      case 'binding-error':
        this.drops.count('unexpected_message');
        break;
      default:
        if (homeAddressOption !== undefined) {
          this.#checkHomeAddress(now, source, homeAddressOption);
        }
        this.drops.count('unexpected_message');
    }
  }

  /** RFC 6275 9.5.1, then 10.3.1 or 10.3.2. */
  #update(now: Millis, request: RegistrationRequest): void {
    const entry = this.#entries.get(request.homeAddress);
    const { update } = request;
    if (!update.homeRegistration) {
      // RFC 6275 9.5.1: a home registration does not turn into another one; correspondents are not served.
      if (entry?.state === 'bound') this.#reject(request, STATUS.typeChange);
      else this.drops.count('not_a_home_registration');
      return;
    }
    if (entry?.state === 'probing') {
      this.#updateWhileProbing(now, entry, request);
      return;
    }
    if (entry !== undefined && !isNewer(update.sequence, entry.sequence)) {
      this.#reject(request, STATUS.sequence, entry.sequence);
      return;
    }
    if (request.deregisters) {
      this.#deregister(entry, request);
      return;
    }
    this.#register(now, entry, request);
  }

  /**
   * A retransmission while DAD runs changes nothing: one answer comes, with the first sequence number. A mobile
   * node that has moved meanwhile, or wants no binding any more, is heard.
   */
  #updateWhileProbing(now: Millis, entry: Entry, request: RegistrationRequest): void {
    const newer = isNewer(request.update.sequence, entry.sequence);
    if (newer && request.deregisters) {
      this.#remove(entry, 'de-registered');
      this.#deregister(undefined, request);
    } else if (newer && request.careOfAddress !== entry.careOfAddress) {
      if (!this.#admissible(request, entry)) return;
      const probing = this.#entryOf(now, request, 'probing');
      this.#entries.set(entry.homeAddress, {
        ...probing,
        addresses: entry.addresses,
        unproven: entry.unproven,
        expiresAt: entry.expiresAt,
      });
    } else {
      this.drops.count('probing');
    }
  }

  /** RFC 6275 10.3.1 */
  #register(now: Millis, entry: Entry | undefined, request: RegistrationRequest): void {
    if (!this.#admissible(request, entry)) return;
    if (entry !== undefined) {
      const bound = this.#entryOf(now, request, 'bound');
      this.#entries.set(bound.homeAddress, { ...bound, addresses: entry.addresses });
      this.#wakeBy(bound.expiresAt);
      if (bound.careOfAddress !== entry.careOfAddress) this.#announce(bound);
      this.#accept(bound);
      return;
    }
    const probing = this.#entryOf(now, request, 'probing');
    this.#entries.set(probing.homeAddress, probing);
    this.#wakeBy(probing.expiresAt);
    for (const address of probing.addresses) {
      this.#probes.set(address, probing.homeAddress);
      this.#outputs.push({ type: 'probe', homeAddress: address });
    }
  }

  #entryOf(now: Millis, request: RegistrationRequest, state: Binding['state']): Entry {
    const { homeAddress, careOfAddress, update } = request;
    const lifetime = Math.min(
      update.lifetime,
      Math.max(LIFETIME_UNIT, wholeUnits(this.#config.maxLifetime)),
    );
    const addresses = update.linkLocalCompatible
      ? [homeAddress, derivedLinkLocal(homeAddress)]
      : [homeAddress];
    return {
      homeAddress,
      careOfAddress,
      sequence: update.sequence,
      lifetime,
      expiresAt: now + (state === 'bound' ? 1000 * lifetime : PROBE_TIMEOUT),
      state,
      request,
      addresses,
      unproven: state === 'bound' ? [] : addresses,
    };
  }

  /** Whether a registration may be; if not it has been refused, or discarded in silence. */
  #admissible(request: RegistrationRequest, entry: Entry | undefined): boolean {
    const { homeAddress, careOfAddress } = request;
    if (careOfAddress === this.#config.address || this.#circular(request)) {
      this.drops.count('circular_care_of_address');
      return false;
    }
    const status = this.#refusal(homeAddress, request.direct, entry);
    if (status !== undefined) this.#reject(request, status);
    return status === undefined;
  }

  #refusal(homeAddress: Address, direct: boolean, entry: Entry | undefined): number | undefined {
    if (!contains(this.#config.homePrefix, homeAddress)) return STATUS.notHomeSubnet;
    if (!this.#serves(homeAddress)) return STATUS.administrativelyProhibited;
    // RFC 6275 10.3.1: a registration MUST have a Home Address option; 133 is what home agents answer.
    if (direct) return STATUS.notHomeAgent;
    if (entry === undefined && this.#entries.size >= this.#config.maxBindings) {
      return STATUS.insufficientResources;
    }
    return undefined;
  }

  #serves(homeAddress: Address): boolean {
    if (homeAddress === this.#config.address) return false;
    if (!contains(this.#config.homePrefix, homeAddress)) return false;
    return this.#config.allow === 'any' || this.#allowed.has(homeAddress);
  }

  /** RFC 6275 6.1.7: the care-of address must not lead back to the home address through other bindings. */
  #circular(request: RegistrationRequest): boolean {
    let at = request.careOfAddress;
    for (let hops = 0; hops <= this.#entries.size; hops += 1) {
      if (at === request.homeAddress) return true;
      const next = this.#entries.get(at);
      if (next === undefined) return false;
      at = next.careOfAddress;
    }
    return true;
  }

  /** RFC 6275 10.3.2 */
  #deregister(entry: Entry | undefined, request: RegistrationRequest): void {
    if (entry === undefined) {
      this.#reject(request, STATUS.notHomeAgent);
      return;
    }
    // First let go of the address: at home the mobile node itself has to answer for it before it can be told.
    this.#remove(entry, 'de-registered');
    if (request.update.acknowledge) {
      this.#acknowledge(request, STATUS.accepted, request.update.sequence, 0);
    }
  }

  #unique(now: Millis, address: Address): void {
    const entry = this.#probed(address);
    if (entry === undefined) return;
    this.#probes.delete(address);
    const unproven = entry.unproven.filter((other) => other !== address);
    if (unproven.length > 0) {
      this.#entries.set(entry.homeAddress, { ...entry, unproven });
      return;
    }
    const expiresAt = now + 1000 * entry.lifetime;
    const bound: Entry = { ...entry, state: 'bound', unproven, expiresAt };
    this.#entries.set(bound.homeAddress, bound);
    this.#wakeBy(expiresAt);
    // The tunnel first: neighbours send to us as soon as we defend the address, the mobile node as soon as it has the
    // acknowledgement.
    this.#announce(bound);
    for (const defended of bound.addresses) {
      this.#outputs.push({ type: 'defend', homeAddress: defended });
    }
    this.#accept(bound);
  }

  #probeFailed(address: Address, status: number): void {
    const entry = this.#probed(address) ?? this.#entries.get(address);
    if (entry?.state !== 'probing') return;
    this.#remove(entry, 'duplicate');
    this.#reject(entry.request, status);
  }

  #probed(address: Address): Entry | undefined {
    const homeAddress = this.#probes.get(address);
    return homeAddress === undefined ? undefined : this.#entries.get(homeAddress);
  }

  /** What was never bound ends without a word to the tunnel. */
  #remove(entry: Entry, reason: string): void {
    this.#entries.delete(entry.homeAddress);
    for (const address of entry.addresses) {
      this.#probes.delete(address);
      this.#outputs.push({ type: 'release', homeAddress: address });
    }
    if (entry.state === 'bound') {
      this.#outputs.push({ type: 'unbind', homeAddress: entry.homeAddress, reason });
    }
  }

  #announce({ homeAddress, careOfAddress }: Entry): void {
    this.#outputs.push({ type: 'bind', homeAddress, careOfAddress });
  }

  #accept({ request, lifetime }: Entry): void {
    // RFC 6275 9.5.4: an accepted update is acknowledged when it asks for it.
    if (!request.update.acknowledge) return;
    this.#acknowledge(request, STATUS.accepted, request.update.sequence, lifetime);
  }

  /** A refusal is sent even when none was asked for (RFC 6275 9.5.4). It is never larger than what it answers. */
  #reject(
    request: RegistrationRequest,
    status: number,
    sequence: number = request.update.sequence,
  ): void {
    this.#acknowledge(request, status, sequence, 0);
  }

  /**
   * To the source of the Binding Update, whatever the Alternate Care-of Address option or the binding cache say;
   * with a routing header unless the source is the home address (RFC 6275 9.5.4).
   */
  #acknowledge(
    request: RegistrationRequest,
    status: number,
    sequence: number,
    lifetime: number,
  ): void {
    this.#outputs.push({
      type: 'transmit',
      signal: {
        source: this.#config.address,
        destination: request.source,
        ...(request.direct ? {} : { routingHeader: request.homeAddress }),
        message: {
          kind: 'binding-acknowledgement',
          status,
          keyManagement: false,
          reserved: 0,
          sequence,
          lifetime,
          options: alignMobilityOptions([], 'binding-acknowledgement'),
        },
      },
    });
  }

  /** RFC 6275 9.3.1: a Home Address option is only believed for a binding with this care-of address. */
  #checkHomeAddress(now: Millis, source: Address, homeAddress: Address): void {
    const entry = this.#entries.get(homeAddress);
    if (entry?.state === 'bound' && entry.careOfAddress === source) return;
    this.drops.count('home_address_without_binding');
    this.#bindingError(now, source, BINDING_ERROR.unknownBinding, homeAddress);
  }

  /** RFC 6275 9.2 */
  #unknownMobility(now: Millis, source: Address, homeAddress: Address | undefined): void {
    this.drops.count('unknown_mobility_header');
    const status = BINDING_ERROR.unrecognizedMobilityHeader;
    this.#bindingError(now, source, status, homeAddress ?? UNSPECIFIED);
  }

  /** RFC 6275 9.3.3: to the source, without a routing header, never to a group, and not too many. */
  #bindingError(now: Millis, source: Address, status: number, homeAddress: Address): void {
    if (!isRoutable(source)) {
      this.drops.count('source_not_routable');
      return;
    }
    if (!this.#errors.take(now)) {
      this.drops.count('binding_error_limited');
      return;
    }
    this.#outputs.push({
      type: 'transmit',
      signal: {
        source: this.#config.address,
        destination: source,
        message: {
          kind: 'binding-error',
          status,
          homeAddress,
          options: alignMobilityOptions([], 'binding-error'),
        },
      },
    });
  }
}
