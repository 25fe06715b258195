import type { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type { Address } from '../wire/index.js';
import type { BindingEntry } from './binding-entry.js';
import { boundEntry, dueAt, probingEntry, restoredEntry, storedBinding } from './binding-entry.js';
import { acknowledgement, refreshRequest } from './home-agent-messages.js';
import { STATUS } from './home-agent-status.js';
import type { HomeAgentConfig, HomeAgentOutput, StoredBinding } from './home-agent-types.js';
import type { RegistrationPolicy } from './registration-policy.js';
import type { RegistrationRequest } from './registration-request.js';
import { isNewer } from './sequence.js';
import { SequenceMemory } from './sequence-memory.js';
import type { Signal } from './signal.js';

export interface HomeRegistrationsOptions {
  readonly config: HomeAgentConfig;
  readonly policy: RegistrationPolicy;
  readonly drops: Drops;
  /** Refusals to home addresses that are not served: at once, and per second in the long run. */
  readonly refusals: { readonly burst: number; readonly rate: number };
  readonly output: (output: HomeAgentOutput) => void;
  /** A Binding Update was accepted, or a binding restored. */
  readonly registered: (now: Millis, homeAddress: Address) => void;
  readonly unregistered: (homeAddress: Address) => void;
}

/** The binding cache of a home agent, and what Binding Updates do to it (RFC 6275 9.5 and 10.3). */
export class HomeRegistrations {
  #config: HomeAgentConfig;
  #policy: RegistrationPolicy;
  readonly #drops: Drops;
  readonly #output: (output: HomeAgentOutput) => void;
  readonly #options: HomeRegistrationsOptions;
  readonly #refusals: TokenBucket;
  readonly #entries = new Map<Address, BindingEntry>();
  /** which binding a probed address belongs to */
  readonly #probes = new Map<Address, Address>();
  /** no entry needs attention before; may be too early, never too late */
  #deadline: Millis | undefined;
  readonly #ended = new SequenceMemory();
  /** of the latest event */
  #now: Millis = 0;

  constructor(options: HomeRegistrationsOptions) {
    const { config, policy, refusals } = options;
    this.#options = options;
    this.#config = config;
    this.#policy = policy;
    this.#drops = options.drops;
    this.#output = options.output;
    this.#refusals = new TokenBucket(refusals.burst, refusals.rate);
  }

  wakeAt(): Millis | undefined {
    return this.#deadline;
  }

  entries(): Iterable<BindingEntry> {
    return this.#entries.values();
  }

  /** Ended bindings whose last sequence number is kept. */
  get remembered(): number {
    return this.#ended.size;
  }

  /** Where this home address is bound to. */
  careOf(homeAddress: Address): Address | undefined {
    const entry = this.#entries.get(homeAddress);
    return entry?.state === 'bound' ? entry.careOfAddress : undefined;
  }

  /** Ends what another configuration does not allow. */
  reconfigure(config: HomeAgentConfig, policy: RegistrationPolicy): void {
    this.#config = config;
    this.#policy = policy;
    for (const entry of [...this.#entries.values()]) {
      const { homeAddress, protection } = entry;
      if (!policy.serves(homeAddress)) this.#end(entry, 'no longer allowed');
      else if (policy.protectionOf(homeAddress) !== protection) {
        this.#end(entry, 'protection changed');
      }
    }
  }

  /** Holds again what was held before a restart: without a probe, without an acknowledgement. */
  restore(now: Millis, stored: StoredBinding): void {
    const { homeAddress, sequence } = stored;
    this.#now = now;
    if (this.#entries.has(homeAddress)) {
      this.#drops.count('stored_binding_twice');
      return;
    }
    const over = this.#unrestorable(now, stored);
    if (over !== undefined) {
      this.#drops.count(over);
      this.#output({ type: 'forget', homeAddress });
      this.#bury(homeAddress, sequence);
      return;
    }
    const entry = restoredEntry(now, stored, this.#config.homeLink);
    this.#set(entry);
    this.#bind(entry);
    this.#defend(entry);
    this.#options.registered(now, homeAddress);
  }

  /** Why only the sequence number is left of a stored binding. */
  #unrestorable(now: Millis, stored: StoredBinding): string | undefined {
    const { homeAddress, expiresAt, protection } = stored;
    if (now >= expiresAt) return 'stored_binding_expired';
    if (!this.#policy.serves(homeAddress)) return 'stored_binding_not_allowed';
    // What was bound without a key does not stand where one is demanded now.
    if (this.#policy.protectionOf(homeAddress) !== protection) return 'stored_binding_protection';
    const full = this.#entries.size >= this.#config.maxBindings;
    return full ? 'stored_binding_without_room' : undefined;
  }

  /** Lets time pass: bindings end, and those about to end are asked after. */
  advance(now: Millis): void {
    this.#now = now;
    if (this.#deadline === undefined || now < this.#deadline) return;
    for (const entry of [...this.#entries.values()]) this.#advanceEntry(now, entry);
    this.#deadline = earliest(...[...this.#entries.values()].map(dueAt));
  }

  #advanceEntry(now: Millis, entry: BindingEntry): void {
    if (now >= entry.expiresAt) {
      if (entry.state === 'bound') {
        this.#end(entry, 'expired');
      } else {
        this.#drops.count('probe_unanswered');
        this.#probeFailed(entry, STATUS.reasonUnspecified);
      }
      return;
    }
    const refreshRequestsAt = entry.refreshRequestsAt.filter((at) => now < at);
    if (refreshRequestsAt.length === entry.refreshRequestsAt.length) return;
    this.#entries.set(entry.homeAddress, { ...entry, refreshRequestsAt });
    this.#transmit(refreshRequest(this.#config.address, entry));
  }

  #set(entry: BindingEntry): void {
    this.#entries.set(entry.homeAddress, entry);
    this.#deadline = earliest(this.#deadline, dueAt(entry));
  }

  /** RFC 6275 9.5.1, then 10.3.1 or 10.3.2. */
  update(now: Millis, request: RegistrationRequest): void {
    const { homeAddress, update } = request;
    const entry = this.#entries.get(homeAddress);
    if (!update.homeRegistration) {
      // RFC 6275 9.5.1: a home registration does not turn into another one; correspondents are not served.
      if (entry?.state === 'bound') this.reject(request, STATUS.typeChange);
      else this.#drops.count('not_a_home_registration');
      return;
    }
    if (entry?.state === 'probing') {
      this.#updateWhileProbing(now, entry, request);
      return;
    }
    const last = entry?.sequence ?? this.#ended.last(now, homeAddress);
    if (last !== undefined && !isNewer(update.sequence, last)) {
      this.reject(request, STATUS.sequence, last);
    } else if (request.deregisters) {
      this.#deregister(now, entry, request);
    } else {
      this.#register(now, entry, request);
    }
  }

  /**
   * A retransmission while DAD runs changes nothing: one answer comes, with the first sequence number. A mobile
   * node that has moved meanwhile, or wants no binding any more, is heard.
   */
  #updateWhileProbing(now: Millis, entry: BindingEntry, request: RegistrationRequest): void {
    const newer = isNewer(request.update.sequence, entry.sequence);
    if (newer && request.deregisters) {
      this.#end(entry, 'de-registered', request.update.sequence);
      this.reject(request, STATUS.notHomeAgent);
    } else if (newer && request.careOfAddress !== entry.careOfAddress) {
      if (!this.#admissible(now, request, entry)) return;
      const { addresses, unproven, linkLocal, expiresAt } = entry;
      const probing = probingEntry(now, request, this.#policy, this.#config.homeLink);
      const kept = { addresses, unproven, linkLocal, expiresAt };
      this.#entries.set(entry.homeAddress, { ...probing, ...kept });
    } else {
      this.#drops.count('probing');
    }
  }

  /** RFC 6275 10.3.1 */
  #register(now: Millis, before: BindingEntry | undefined, request: RegistrationRequest): void {
    if (!this.#admissible(now, request, before)) return;
    const entry = probingEntry(now, request, this.#policy, this.#config.homeLink);
    if (before !== undefined) {
      const { addresses, linkLocal } = before;
      this.#accept(now, { ...entry, addresses, linkLocal }, before);
    } else if (entry.addresses.length === 0) {
      this.#accept(now, entry, undefined);
    } else {
      this.#set(entry);
      for (const address of entry.addresses) {
        this.#probes.set(address, entry.homeAddress);
        this.#output({ type: 'probe', homeAddress: address });
      }
    }
  }

  /** Whether a registration may be; if not it has been refused, or discarded in silence. */
  #admissible(now: Millis, request: RegistrationRequest, entry: BindingEntry | undefined): boolean {
    if (request.careOfAddress === this.#config.address || this.#circular(request)) {
      this.#drops.count('circular_care_of_address');
      return false;
    }
    const full = entry === undefined && this.#entries.size >= this.#config.maxBindings;
    const status = this.#policy.refusal(request, full);
    if (status === undefined) return true;
    this.#refuse(now, request, status);
    return false;
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

  /** This address has proved unique. */
  unique(now: Millis, address: Address): void {
    const entry = this.#probed(address);
    if (entry === undefined) return;
    this.#probes.delete(address);
    const unproven = entry.unproven.filter((other) => other !== address);
    if (unproven.length > 0) this.#entries.set(entry.homeAddress, { ...entry, unproven });
    else this.#accept(now, entry, undefined);
  }

  /** This address belongs to another node. */
  duplicate(now: Millis, address: Address): void {
    this.#now = now;
    const entry = this.#probed(address) ?? this.#entries.get(address);
    if (entry?.state === 'probing') this.#probeFailed(entry, STATUS.duplicate);
  }

  #probeFailed(entry: BindingEntry, status: number): void {
    this.#end(entry, 'duplicate');
    if (entry.request !== undefined) this.reject(entry.request, status);
  }

  #probed(address: Address): BindingEntry | undefined {
    const homeAddress = this.#probes.get(address);
    return homeAddress === undefined ? undefined : this.#entries.get(homeAddress);
  }

  /**
   * Binds, in the order that never changes: the tunnel first, for neighbours send to us as soon as we defend the address, and
   * the mobile node as soon as it has the acknowledgement; and what is acknowledged is known after a crash.
   */
  #accept(now: Millis, entry: BindingEntry, before: BindingEntry | undefined): void {
    const bound = boundEntry(now, entry);
    const { homeAddress, request, sequence, lifetime, status } = bound;
    this.#set(bound);
    this.#ended.forget(homeAddress);
    if (bound.careOfAddress !== before?.careOfAddress) this.#bind(bound);
    this.#output({ type: 'store', binding: storedBinding(bound) });
    if (before === undefined) this.#defend(bound);
    this.#options.registered(now, homeAddress);
    // RFC 6275 10.3.1: whether the A flag asks for it or not.
    if (request !== undefined) this.#acknowledge(request, { status, sequence, lifetime });
  }

  #bind({ homeAddress, careOfAddress }: BindingEntry): void {
    this.#output({ type: 'bind', homeAddress, careOfAddress });
  }

  #defend({ addresses }: BindingEntry): void {
    for (const homeAddress of addresses) this.#output({ type: 'defend', homeAddress });
  }

  /** RFC 6275 10.3.2 */
  #deregister(now: Millis, entry: BindingEntry | undefined, request: RegistrationRequest): void {
    const { sequence } = request.update;
    if (entry === undefined) {
      // What it asked for before, and somebody holds back, is over all the same.
      if (this.#policy.serves(request.homeAddress)) this.#bury(request.homeAddress, sequence);
      this.#refuse(now, request, STATUS.notHomeAgent);
      return;
    }
    // First let go of the address: at home the mobile node itself has to answer for it before it can be told.
    this.#end(entry, 'de-registered', sequence);
    this.#acknowledge(request, { status: STATUS.accepted, sequence, lifetime: 0 });
  }

  /** What was never bound ends without a word to the tunnel and the store. */
  #remove(entry: BindingEntry, reason: string): void {
    const { homeAddress } = entry;
    this.#entries.delete(homeAddress);
    this.#options.unregistered(homeAddress);
    for (const address of entry.addresses) {
      this.#probes.delete(address);
      this.#output({ type: 'release', homeAddress: address });
    }
    if (entry.state !== 'bound') return;
    this.#output({ type: 'unbind', homeAddress, reason });
    this.#output({ type: 'forget', homeAddress });
  }

  #end(entry: BindingEntry, reason: string, sequence = entry.sequence): void {
    this.#remove(entry, reason);
    this.#bury(entry.homeAddress, sequence);
  }

  /** RFC 6275 9.5.1: what was sent before it counts no more, though the binding is over. */
  #bury(homeAddress: Address, sequence: number): void {
    const { maxBindings, mobileNodes } = this.#config;
    const listed = this.#policy.lists(homeAddress);
    const limit = listed ? Math.max(maxBindings, mobileNodes.length) : maxBindings;
    this.#ended.remember(this.#now, homeAddress, sequence, { listed, limit });
  }

  #refuse(now: Millis, request: RegistrationRequest, status: number): void {
    if (this.#policy.serves(request.homeAddress) || this.#refusals.take(now)) {
      this.reject(request, status);
    } else {
      this.#drops.count('refusal_limited');
    }
  }

  /** A refusal is sent even when none was asked for (RFC 6275 9.5.4). It is never larger than what it answers. */
  reject(
    request: RegistrationRequest,
    status: number,
    sequence: number = request.update.sequence,
  ): void {
    this.#acknowledge(request, { status, sequence, lifetime: 0 });
  }

  #acknowledge(request: RegistrationRequest, answer: Parameters<typeof acknowledgement>[2]): void {
    this.#transmit(acknowledgement(this.#config.address, request, answer));
  }

  #transmit(signal: Signal): void {
    this.#output({ type: 'transmit', signal });
  }
}
