import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type { Address, Icmpv6Error } from '../wire/index.js';
import { BINDING_ERROR, homeAgentsAnycast, UNSPECIFIED } from '../wire/index.js';
import {
  advertisementSize,
  BINDING_ERROR_SIZE,
  bindingError,
  prefixAdvertisement,
  SOLICITATION_SIZE,
  unknownMobilitySize,
} from './home-agent-messages.js';
import type {
  Binding,
  HomeAgentConfig,
  HomeAgentEvent,
  HomeAgentOutput,
  StoredBinding,
} from './home-agent-types.js';
import { HomeAgentsList } from './home-agents-list.js';
import { HomeRegistrations } from './home-registrations.js';
import { Icmpv6Errors } from './icmpv6-errors.js';
import { PrefixAdvertiser } from './prefix-advertiser.js';
import { RegistrationPolicy } from './registration-policy.js';
import type { BindingUpdate } from './registration-request.js';
import { isRoutable, readRequest } from './registration-request.js';
import type { Signal } from './signal.js';
import { authenticationRefusal, protectionFault } from './signal-fence.js';

type Icmpv6Event = Extract<HomeAgentEvent, { type: 'icmpv6' }>;

/** What anybody can make us send, of each kind: at once, and per second in the long run (RFC 6275 9.3.3, RFC 4443 2.4f). */
const BURST = 10;
const RATE = 10;

/** A home agent: its registrations, and what it tells of itself (RFC 6275 9.2, 9.3, 9.5 and 10). */
export class HomeAgent {
  /** What came without effect or answer, by reason. */
  readonly drops = new Drops();

  #config: HomeAgentConfig;
  #policy: RegistrationPolicy;
  /** the prefixes are others than mobile nodes were told; without a clock they cannot be told yet */
  #prefixesChanged = false;
  readonly #registrations: HomeRegistrations;
  readonly #homeAgents: HomeAgentsList;
  readonly #advertiser: PrefixAdvertiser;
  readonly #limits = {
    bindingError: new TokenBucket(BURST, RATE),
    /** RFC 4285: 144 to 146 */
    authentication: new TokenBucket(BURST, RATE),
    discovery: new TokenBucket(BURST, RATE),
  };
  readonly #parameterProblems: Icmpv6Errors;
  readonly #unreachables: Icmpv6Errors;
  readonly #outputs: HomeAgentOutput[] = [];

  constructor(config: HomeAgentConfig) {
    const { address, random = () => 0 } = config;
    this.#config = config;
    this.#policy = new RegistrationPolicy(config);
    this.#homeAgents = new HomeAgentsList(random);
    this.#advertiser = new PrefixAdvertiser(random);
    this.#parameterProblems = new Icmpv6Errors(address, BURST, RATE);
    this.#unreachables = new Icmpv6Errors(address, BURST, RATE);
    this.#registrations = new HomeRegistrations({
      config,
      policy: this.#policy,
      drops: this.drops,
      refusals: { burst: BURST, rate: RATE },
      output: (output) => this.#outputs.push(output),
      registered: (now, homeAddress) => {
        const preferred = this.#policy.preferredLifetimeOf(homeAddress);
        this.#advertiser.registered(now, homeAddress, preferred);
      },
      unregistered: (homeAddress) => this.#advertiser.unregistered(homeAddress),
    });
  }

  /** The next thing to do, until undefined. */
  poll(): HomeAgentOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return earliest(this.#registrations.wakeAt(), this.#advertiser.wakeAt());
  }

  bindings(): Iterable<Binding> {
    return this.#registrations.entries();
  }

  /** How much is remembered besides the bindings: last sequence numbers of ended ones, other home agents of the link. */
  get memory(): { readonly sequences: number; readonly homeAgents: number } {
    return { sequences: this.#registrations.remembered, homeAgents: this.#homeAgents.size };
  }

  /**
   * Takes over another configuration: bindings that it does not allow end, the others are left alone. What follows from
   * changed prefixes comes with the next event.
   */
  reconfigure(config: HomeAgentConfig): void {
    this.#prefixesChanged ||= !samePrefixes(this.#config, config);
    this.#config = config;
    this.#policy = new RegistrationPolicy(config);
    this.#registrations.reconfigure(config, this.#policy);
  }

  /** Holds again what was held before a restart: without a probe, without an acknowledgement. */
  restore(now: Millis, bindings: Iterable<StoredBinding>): void {
    for (const stored of bindings) this.#registrations.restore(now, stored);
  }

  handle(now: Millis, event: HomeAgentEvent): void {
    // What a probe has found counts, however late this process gets to run: only then does time pass for it.
    if (event.type === 'unique') this.#registrations.unique(now, event.homeAddress);
    if (event.type === 'duplicate') this.#registrations.duplicate(now, event.homeAddress);
    this.#registrations.advance(now);
    switch (event.type) {
      case 'signal':
        this.#signal(now, event.signal);
        break;
      case 'home-address-option':
        this.#checkHomeAddress(now, event.source, event.homeAddress);
        break;
      case 'icmpv6':
        this.#icmpv6(now, event);
        break;
      case 'router-advertisement': {
        const reason = this.#homeAgents.hear(now, event);
        if (reason !== undefined) this.drops.count(reason);
        break;
      }
      case 'not-mobility':
        this.drops.count('payload_protocol');
        this.#error(this.#parameterProblems.parameterProblem(now, event.bytes, event.pointer));
        break;
      case 'unbound':
        this.#error(this.#unreachables.unbound(now, event.bytes));
        break;
      case 'prefixes-changed':
        this.reconfigure({ ...this.#config, prefixes: event.prefixes });
        break;
      case 'unique':
      case 'duplicate':
      case 'tick':
        break;
    }
    this.#tellPrefixes(now);
  }

  #signal(now: Millis, signal: Signal): void {
    const { message, source, homeAddressOption } = signal;
    if (signal.destination !== this.#config.address) {
      this.drops.count('not_ours');
      return;
    }
    const demanded = this.#policy.protectionOf(homeAddressOption ?? source);
    const fault = protectionFault(demanded, signal.protection);
    if (fault !== undefined) {
      this.drops.count(fault);
      return;
    }
    switch (message.kind) {
      case 'binding-update':
        this.#bindingUpdate(now, signal, message);
        break;
      case 'unknown': {
        this.drops.count('unknown_mobility_header');
        const size = unknownMobilitySize(message.data, homeAddressOption !== undefined);
        // RFC 6275 9.2; an answer larger than its cause would serve whoever forges the source.
        if (size < BINDING_ERROR_SIZE) this.drops.count('binding_error_cause_too_small');
        else {
          const status = BINDING_ERROR.unrecognizedMobilityHeader;
          this.#bindingError(now, source, status, homeAddressOption ?? UNSPECIFIED);
        }
        break;
      }
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

  #bindingUpdate(now: Millis, signal: Signal, update: BindingUpdate): void {
    const homeAddress = signal.homeAddressOption ?? signal.source;
    const demanded = this.#policy.protectionOf(homeAddress);
    const boundTo = this.#registrations.careOf(homeAddress);
    const request = readRequest(signal, update, demanded, boundTo);
    if (typeof request === 'string') {
      this.drops.count(request);
      return;
    }
    const refusal = authenticationRefusal(demanded, signal);
    if (refusal === undefined) {
      this.#registrations.update(now, request);
    } else if (this.#limits.authentication.take(now)) {
      this.drops.count('authentication');
      this.#registrations.reject(request, refusal);
    } else {
      this.drops.count('authentication_refusal_limited');
    }
  }

  /** RFC 6275 9.3.1: a Home Address option is only believed for a binding with this care-of address. */
  #checkHomeAddress(now: Millis, source: Address, homeAddress: Address): boolean {
    if (this.#registrations.careOf(homeAddress) === source) return true;
    this.drops.count('home_address_without_binding');
    this.#bindingError(now, source, BINDING_ERROR.unknownBinding, homeAddress);
    return false;
  }

  /** RFC 6275 9.3.3: never to a group, and not too many. */
  #bindingError(now: Millis, source: Address, status: number, homeAddress: Address): void {
    if (!isRoutable(source)) {
      this.drops.count('source_not_routable');
    } else if (!this.#limits.bindingError.take(now)) {
      this.drops.count('binding_error_limited');
    } else {
      const signal = bindingError(this.#config.address, source, status, homeAddress);
      this.#outputs.push({ type: 'transmit', signal });
    }
  }

  #error(error: Icmpv6Error | string): void {
    if (typeof error === 'string') this.drops.count(error);
    else this.#outputs.push({ type: 'transmit-icmpv6', source: this.#config.address, ...error });
  }

  #icmpv6(now: Millis, event: Icmpv6Event): void {
    switch (event.message.kind) {
      case 'home-agent-discovery-request':
        this.#discover(now, event, event.message.identifier);
        break;
      case 'mobile-prefix-solicitation':
        this.#solicit(now, event, event.message.identifier);
        break;
      default:
        this.drops.count('unexpected_icmpv6');
    }
  }

  /** RFC 6275 10.5: anybody may ask; the answer's size is bounded by the Home Agents List. */
  #discover(now: Millis, { source, destination }: Icmpv6Event, identifier: number): void {
    const { address, homePrefix, preference = 0 } = this.#config;
    if (destination !== homeAgentsAnycast(homePrefix)) {
      this.drops.count('not_ours');
    } else if (!isRoutable(source)) {
      this.drops.count('source_not_routable');
    } else if (!this.#limits.discovery.take(now)) {
      this.drops.count('discovery_limited');
    } else {
      const homeAgents = this.#homeAgents.addresses(now, { address, preference });
      this.#outputs.push({
        type: 'transmit-icmpv6',
        source: address,
        destination: source,
        message: { kind: 'home-agent-discovery-reply', identifier, homeAgents },
      });
    }
  }

  /** RFC 6275 10.6.2, 10.6.3 */
  #solicit(now: Millis, event: Icmpv6Event, identifier: number): void {
    const { source, homeAddress, protection } = event;
    const reason = this.#solicitationFault(event);
    if (homeAddress === undefined || reason !== undefined) {
      this.drops.count(reason ?? 'solicitation_without_home_address');
      return;
    }
    if (!this.#checkHomeAddress(now, source, homeAddress)) return;
    const cost = advertisementSize(this.#policy.prefixes);
    const earned = protection === 'esp' ? undefined : SOLICITATION_SIZE;
    if (this.#advertiser.solicited(now, homeAddress, cost, earned)) {
      this.#advertise(homeAddress, identifier);
    } else {
      this.drops.count('solicitation_too_small');
    }
  }

  #solicitationFault({ source, destination, homeAddress, protection }: Icmpv6Event) {
    if (destination !== this.#config.address) return 'not_ours';
    if (homeAddress === undefined || homeAddress === source) {
      return 'solicitation_without_home_address';
    }
    return protectionFault(this.#policy.protectionOf(homeAddress), protection);
  }

  #tellPrefixes(now: Millis): void {
    if (this.#prefixesChanged) {
      this.#prefixesChanged = false;
      this.#advertiser.changed(now, (homeAddress) => this.#policy.preferredLifetimeOf(homeAddress));
    }
    for (const homeAddress of this.#advertiser.due(now)) this.#advertise(homeAddress, 0);
  }

  #advertise(homeAddress: Address, identifier: number): void {
    const destination = this.#registrations.careOf(homeAddress);
    if (destination === undefined) return;
    const { address } = this.#config;
    this.#outputs.push({
      type: 'transmit-icmpv6',
      source: address,
      destination,
      routingHeader: homeAddress,
      message: prefixAdvertisement(address, this.#policy.prefixes, identifier),
    });
  }
}

function samePrefixes(a: HomeAgentConfig, b: HomeAgentConfig): boolean {
  return JSON.stringify(a.prefixes) === JSON.stringify(b.prefixes);
}
