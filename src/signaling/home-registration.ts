import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address } from '../wire/index.js';
import { homeAgentsAnycast, UNSPECIFIED } from '../wire/index.js';
import type { BindingSummary } from './binding-summary.js';
import { HomeAgentChoice } from './home-agent-choice.js';
import { HomeAgentDiscovery } from './home-agent-discovery.js';
import type {
  HomeRegistrationConfig,
  HomeRegistrationEvent,
  HomeRegistrationOutput,
} from './home-registration-events.js';
import { Liveness } from './liveness.js';
import { MobileNode } from './mobile-node.js';
import type { MobileNodeOutput } from './mobile-node-events.js';
import type { ConfirmedBinding } from './mobile-node-state.js';
import { bindingOf } from './mobile-node-state.js';
import { PrefixDiscovery } from './prefix-discovery.js';
import { rejectionOf } from './rejection.js';
import type { ReturnHomeOutput } from './return-home.js';
import { ReturnHome } from './return-home.js';
import { UpdateRate } from './update-rate.js';

type Icmpv6Event = Extract<HomeRegistrationEvent, { type: 'icmpv6' }>;
type Reconfigure = Extract<HomeRegistrationEvent, { type: 'reconfigure' }>;

/** Rounds in which the machines answer each other; more would be a loop. */
const MAX_ROUNDS = 100;

/** Events that end a hold. Packets that come meanwhile are as good as lost on the way. */
const DECISIONS: ReadonlySet<HomeRegistrationEvent['type']> = new Set([
  'register',
  'deregister',
  'at-home',
  'release',
]);

/**
 * The mobile node's side of one home address (RFC 6275 section 11): the binding, which home agent keeps it, whether that
 * one lives, what the home prefixes are, and the way home. Each is a machine of its own; this one lets them speak to
 * each other.
 */
export class HomeRegistration {
  /** What came in and had no effect, by reason. */
  readonly drops = new Drops();

  readonly #config: HomeRegistrationConfig;
  readonly #anycast: Address;
  readonly #node: MobileNode;
  readonly #choice: HomeAgentChoice;
  readonly #discovery: HomeAgentDiscovery;
  readonly #liveness: Liveness;
  readonly #prefixes: PrefixDiscovery;
  readonly #home: ReturnHome;
  #automatic: boolean;
  #careOfAddress: Address;
  /** seconds */
  #lifetime: number;
  /** what waits until a home agent is known */
  #wanted: 'nothing' | 'binding' | 'home' = 'nothing';
  #held = false;
  /** where to and with whom from now on, told while it was held: the last of each */
  readonly #postponed = new Map<'move' | 'reconfigure', HomeRegistrationEvent>();
  readonly #outputs: HomeRegistrationOutput[] = [];

  constructor(config: HomeRegistrationConfig) {
    const { homeAddress, homePrefix, homeAgents, binding, random, protection } = config;
    this.#config = config;
    this.#anycast = homeAgentsAnycast(homePrefix);
    this.#automatic = homeAgents.kind === 'auto';
    this.#careOfAddress = config.careOfAddress;
    this.#lifetime = config.lifetime;
    const known = homeAgents.kind === 'list' ? homeAgents.addresses : [];
    this.#choice = new HomeAgentChoice(
      known.length === 0 && binding !== undefined ? [binding.homeAgent] : known,
    );
    if (binding !== undefined) this.#choice.confirmed(binding.homeAgent);
    const homeAgent = this.#choice.current ?? UNSPECIFIED;
    const rate = config.rate ?? new UpdateRate();
    this.#node = new MobileNode({ ...config, homeAgent, rate }, this.drops);
    this.#discovery = new HomeAgentDiscovery({ homeAddress, homePrefix, random });
    this.#liveness = new Liveness(config.livenessInterval, random);
    this.#prefixes = new PrefixDiscovery(homeAddress, random);
    const { updates } = this.#node;
    this.#home = new ReturnHome({ homeAddress, updates, protection }, this.drops);
  }

  /** Of the next Binding Update. */
  get sequence(): number {
    return this.#node.sequence;
  }

  /** The one that holds the binding, else the one that is asked; undefined while none is known. */
  get homeAgent(): Address | undefined {
    return this.#binding?.homeAgent ?? this.#choice.current;
  }

  /** The next thing to do, until undefined. */
  poll(): HomeRegistrationOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest; later than the last event. */
  wakeAt(): Millis | undefined {
    if (this.#held) return this.#binding?.expiresAt;
    return earliest(
      this.#node.wakeAt(),
      this.#discovery.wakeAt(),
      this.#liveness.wakeAt(),
      this.#prefixes.wakeAt(),
      this.#home.wakeAt(),
    );
  }

  /** What a person wants to know about the binding. */
  summary(now: Millis): BindingSummary {
    const warning = this.#prefixes.warning(now);
    const prefixes = this.#prefixes.prefixes(now);
    const summary = this.#summary(now);
    const reason = [summary.reason, warning].filter((text) => text !== undefined).join('; ');
    return { ...summary, reason, ...(prefixes.length === 0 ? {} : { prefixes }) };
  }

  handle(now: Millis, event: HomeRegistrationEvent): void {
    if (event.type === 'hold') {
      this.#held = true;
    } else if (!this.#held) {
      this.#obey(now, event);
    } else if (DECISIONS.has(event.type)) {
      this.#decide(now, event);
    } else if (event.type === 'move' || event.type === 'reconfigure') {
      this.#postponed.set(event.type, event);
    } else {
      this.#lapse(now);
    }
  }

  /** Held for so long that nothing is bound any more. */
  #lapse(now: Millis): void {
    const binding = this.#binding;
    if (binding === undefined || now < binding.expiresAt) return;
    this.#node.surrender();
    this.#liveness.stop();
    this.#outputs.push({ type: 'unbound', reason: 'the binding ran out while the guest was away' });
  }

  /** Ends the hold. What is registered is registered as it was asked for meanwhile; whoever is let go of hears nothing of that. */
  #decide(now: Millis, decision: HomeRegistrationEvent): void {
    this.#held = false;
    const postponed = [...this.#postponed.values()];
    this.#postponed.clear();
    const first = decision.type === 'register' ? postponed : [decision];
    const then = decision.type === 'register' ? [decision] : postponed;
    for (const event of [...first, ...then]) this.#obey(now, event);
  }

  #obey(now: Millis, event: HomeRegistrationEvent): void {
    this.#limitLifetime(now);
    switch (event.type) {
      case 'register':
        this.#register(now);
        break;
      case 'deregister':
        this.#deregister(now);
        break;
      case 'move':
        this.#careOfAddress = event.careOfAddress;
        this.#node.handle(now, event);
        if (this.#discovery.running) this.#discovery.start(now);
        break;
      case 'signal':
        if (this.#home.active) this.#home.signal(now, event.signal);
        else this.#node.handle(now, event);
        break;
      case 'icmpv6':
        this.#icmpv6(now, event);
        break;
      case 'path-error':
        this.#node.handle(now, event);
        break;
      case 'traffic':
        this.#liveness.heard(now);
        break;
      case 'echo-reply':
        if (!this.#liveness.echoed(now, event.identifier, event.sequence)) {
          this.drops.count('no_such_probe');
        }
        break;
      case 'told':
        if (this.#automatic) this.#choice.replace([event.homeAgent]);
        else this.#choice.confirmed(event.homeAgent);
        this.#ask(now, this.#choice.current ?? event.homeAgent, true);
        break;
      case 'at-home':
        this.#returnHome(now);
        break;
      case 'release':
        this.#release();
        break;
      case 'reconfigure':
        this.#reconfigure(now, event);
        break;
      case 'hold':
      case 'tick':
        break;
    }
    this.#settle(now);
  }

  get #binding(): ConfirmedBinding | undefined {
    return bindingOf(this.#node.state);
  }

  #summary(now: Millis): BindingSummary {
    if (this.#home.active) return this.#home.summary(now);
    const summary = this.#node.summary(now);
    if (!this.#discovery.running) return summary;
    const search = this.#discovery.describe(now, this.#anycast);
    if (summary.state === 'idle') return { state: 'discovering', reason: search };
    return { ...summary, reason: `${summary.reason}; ${search}` };
  }

  #register(now: Millis): void {
    if (this.#home.active) this.#home.leave();
    if (this.#choice.current === undefined) {
      this.#discover(now, 'binding');
      return;
    }
    this.#node.handle(now, { type: 'register' });
  }

  #deregister(now: Millis): void {
    // At home there is nothing but the de-registration anyway.
    if (this.#home.active || this.#wanted === 'home') return;
    this.#wanted = 'nothing';
    this.#discovery.stop();
    this.#node.handle(now, { type: 'deregister' });
  }

  /** RFC 6275 11.5.5 */
  #returnHome(now: Millis): void {
    if (this.#home.active) return;
    const binding = this.#node.surrender();
    this.#liveness.stop();
    const homeAgent = binding?.homeAgent ?? this.#choice.current;
    if (homeAgent === undefined) {
      this.#discover(now, 'home');
      return;
    }
    this.#discovery.stop();
    this.#home.start(now, homeAgent, binding);
  }

  #release(): void {
    this.#wanted = 'nothing';
    this.#discovery.stop();
    this.#home.leave();
    const binding = this.#node.surrender();
    this.#liveness.stop();
    if (binding !== undefined) this.#outputs.push({ type: 'released' });
  }

  #discover(now: Millis, wanted: 'binding' | 'home'): void {
    this.#wanted = wanted;
    if (!this.#discovery.running) this.#discovery.start(now);
  }

  #reconfigure(now: Millis, { homeAgents, lifetime }: Reconfigure): void {
    const changed = lifetime !== this.#lifetime;
    this.#lifetime = lifetime;
    this.#limitLifetime(now);
    this.#automatic = homeAgents.kind === 'auto';
    if (homeAgents.kind === 'list') {
      const before = this.#choice.current;
      this.#discovery.stop();
      this.#choice.replace(homeAgents.addresses);
      const { current } = this.#choice;
      if (current !== before) this.#found(now, current);
    }
    if (changed && this.#node.state.kind === 'registered') {
      this.#node.handle(now, { type: 'register' });
    }
  }

  #icmpv6(now: Millis, event: Icmpv6Event): void {
    const { message } = event;
    switch (message.kind) {
      case 'home-agent-discovery-reply': {
        const homeAgents =
          event.destination === this.#careOfAddress
            ? this.#discovery.replied(message)
            : 'not_the_care_of_address';
        if (typeof homeAgents === 'string') this.drops.count(homeAgents);
        else this.#discovered(now, homeAgents);
        break;
      }
      case 'mobile-prefix-advertisement': {
        const fault =
          this.#prefixFault(event) ??
          this.#prefixes.advertised(now, message, event.protection === 'esp');
        if (fault !== undefined) this.drops.count(fault);
        else this.#learnt(now);
        break;
      }
      default:
        this.drops.count('unexpected_message');
    }
  }

  /** RFC 6275 11.4.3 */
  #prefixFault(event: Icmpv6Event): string | undefined {
    const binding = this.#binding;
    const { homeAddress, protection } = this.#config;
    if (event.source !== binding?.homeAgent) return 'not_the_home_agent';
    if (event.destination !== binding.careOfAddress) return 'not_the_care_of_address';
    if (event.homeAddress !== homeAddress) return 'not_the_home_address';
    if (protection === 'esp' && event.protection !== 'esp') return 'unprotected';
    return undefined;
  }

  #learnt(now: Millis): void {
    this.#limitLifetime(now);
    this.#outputs.push({ type: 'prefixes', prefixes: this.#prefixes.prefixes(now) });
  }

  /** RFC 6275 11.7.1: not longer than the home address stays valid; when that is over the home agent decides. */
  #limitLifetime(now: Millis): void {
    const valid = this.#prefixes.validLifetime(now) ?? 0;
    const lifetime = valid > 0 ? Math.min(this.#lifetime, valid) : this.#lifetime;
    this.#node.askFor(lifetime);
  }

  /** The home agent that failed is not the first to be asked again. */
  #discovered(now: Millis, homeAgents: readonly Address[]): void {
    const failed = this.#choice.current;
    this.#choice.replace(homeAgents);
    const current = this.#choice.current === failed ? this.#choice.next() : this.#choice.current;
    this.#found(now, current);
  }

  /** There is another home agent to ask. */
  #found(now: Millis, homeAgent: Address | undefined): void {
    const wanted = this.#wanted;
    this.#wanted = 'nothing';
    if (homeAgent !== undefined) this.#ask(now, homeAgent);
    if (wanted === 'binding') this.#register(now);
    else if (wanted === 'home') this.#returnHome(now);
  }

  #ask(now: Millis, homeAgent: Address, later = false): void {
    if (this.#home.active) {
      if (!this.#home.knowsBinding) this.#home.changeHomeAgent(now, homeAgent);
      return;
    }
    const { timeout } = this.#choice;
    this.#node.handle(now, { type: 'home-agent', homeAgent, timeout, later });
  }

  /** The home agent does not answer, or does not want us: the next one, if there is another (RFC 6275 11.4.1, 11.7.1). */
  #failed(now: Millis, later: boolean): void {
    const next = this.#choice.next();
    const first = this.#choice.current;
    if (next !== undefined) this.#ask(now, next);
    else if (first !== undefined && this.#choice.addresses.length > 1) {
      this.#ask(now, first, later);
    }
    if (next === undefined && this.#automatic) this.#discovery.startAgain(now);
  }

  #settle(now: Millis): void {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const outputs = this.#tick(now);
      const at = this.wakeAt();
      if (outputs === 0 && (at === undefined || at > now)) return;
    }
  }

  /** Gives each machine its turn; how many outputs they had for each other or for the world. */
  #tick(now: Millis): number {
    let outputs = 0;
    this.#node.handle(now, { type: 'tick' });
    for (let next = this.#node.poll(); next !== undefined; next = this.#node.poll()) {
      this.#onNode(now, next);
      outputs += 1;
    }
    this.#home.tick(now);
    for (let next = this.#home.poll(); next !== undefined; next = this.#home.poll()) {
      this.#onHome(now, next);
      outputs += 1;
    }
    this.#watch(now);
    this.#tickDiscovery(now);
    if (this.#tickLiveness(now)) outputs += 1;
    this.#tickPrefixes(now);
    return outputs;
  }

  #onNode(now: Millis, output: MobileNodeOutput): void {
    switch (output.type) {
      case 'unanswered':
        this.#failed(now, false);
        break;
      case 'refused':
        if (rejectionOf(output.status).action === 'next-home-agent') this.#failed(now, true);
        break;
      case 'bound':
        this.#outputs.push(output);
        this.#confirmed(now, output.homeAgent);
        break;
      case 'unbound':
        this.#liveness.stop();
        this.#outputs.push(output);
        break;
      case 'transmit':
        this.#outputs.push(output);
        break;
    }
  }

  #confirmed(now: Millis, homeAgent: Address): void {
    this.#choice.confirmed(homeAgent);
    this.#discovery.stop();
    // RFC 6275 11.7.1: every time this status is received, what was learnt may have changed.
    if (this.#binding?.status === 1) this.#prefixes.solicit(now);
    else this.#prefixes.resume();
  }

  #onHome(now: Millis, output: ReturnHomeOutput): void {
    switch (output.type) {
      case 'unanswered':
        // Only the home agent that holds the binding can let go of it; where that is not known each is asked.
        if (!this.#home.knowsBinding) this.#failed(now, false);
        break;
      case 'not-here': {
        const next = this.#choice.next();
        if (next === undefined) this.#home.finish(false);
        else this.#home.changeHomeAgent(now, next);
        break;
      }
      default:
        this.#outputs.push(output);
    }
  }

  #watch(now: Millis): void {
    if (this.#node.state.kind === 'registered') this.#liveness.watch(now);
    else this.#liveness.pause();
    if (this.#binding === undefined) this.#prefixes.stop();
  }

  #tickDiscovery(now: Millis): void {
    const message = this.#discovery.tick(now);
    if (message === undefined) return;
    const source = this.#careOfAddress;
    this.#outputs.push({ type: 'transmit-icmpv6', source, destination: this.#anycast, message });
  }

  #tickLiveness(now: Millis): boolean {
    const output = this.#liveness.tick(now);
    const binding = this.#binding;
    if (output === undefined || binding === undefined) return false;
    if (output.type === 'doubt') {
      this.#node.handle(now, output);
    } else {
      const { identifier, sequence } = output;
      const { homeAgent, careOfAddress } = binding;
      this.#outputs.push({ type: 'probe', identifier, sequence, homeAgent, careOfAddress });
    }
    return true;
  }

  #tickPrefixes(now: Millis): void {
    const binding = this.#binding;
    const message = binding && this.#prefixes.tick(now);
    if (binding === undefined || message === undefined) return;
    this.#outputs.push({
      type: 'transmit-icmpv6',
      source: binding.careOfAddress,
      destination: binding.homeAgent,
      homeAddressOption: this.#config.homeAddress,
      message,
    });
  }
}
