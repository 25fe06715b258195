import type {
  HomeRegistrationConfig,
  HomeRegistrationEvent,
  HomeRegistrationOutput,
  Signal,
} from '../../src/signaling/index.js';
import { HomeRegistration } from '../../src/signaling/index.js';
import type { Address, Icmpv6Message, NdpOption } from '../../src/wire/index.js';
import { parseAddress } from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import type { BindingUpdate } from './mobile-node-harness.js';
import { bindingAcknowledgement } from './mobile-node-harness.js';
import { sequenceFrom } from './sequence.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOME_PREFIX } from './testbed-addresses.js';

export const SECOND_AGENT = parseAddress('2001:db8:2000::2');
export const THIRD_AGENT = parseAddress('2001:db8:2000::3');
export const HOME_AGENTS_ANYCAST = parseAddress('2001:db8:2000:0:fdff:ffff:ffff:fffe');

type AcknowledgementFields = Parameters<typeof bindingAcknowledgement>[0];
type TransmitIcmpv6 = Extract<HomeRegistrationOutput, { type: 'transmit-icmpv6' }>;

/** A list of home agents, in order of preference. */
export function listOf(...addresses: Address[]): HomeRegistrationConfig['homeAgents'] {
  return { kind: 'list', addresses };
}

/** A prefix of the home link, as a Mobile Prefix Advertisement tells. */
export function prefixInformation(
  fields: Partial<Extract<NdpOption, { kind: 'prefix-information' }>> = {},
): NdpOption {
  return {
    kind: 'prefix-information',
    prefix: HOME_PREFIX,
    onLink: true,
    autonomous: true,
    routerAddress: false,
    validLifetime: 2_592_000,
    preferredLifetime: 604_800,
    ...fields,
  };
}

/** The mobile node's whole side of one home address, on a clock of its own; it remembers what went out. */
export class RegistrationHarness {
  now = 0;
  readonly registration: HomeRegistration;
  /** every Binding Update so far, with the time at which it left */
  readonly updates: { at: number; signal: Signal; update: BindingUpdate }[] = [];
  readonly icmpv6: (TransmitIcmpv6 & { at: number })[] = [];
  readonly outputs: HomeRegistrationOutput[] = [];
  readonly #protection: HomeRegistrationConfig['protection'];

  constructor(config: Partial<HomeRegistrationConfig> = {}) {
    this.#protection = config.protection ?? 'none';
    this.registration = new HomeRegistration({
      homeAddress: HOME_ADDRESS,
      homePrefix: HOME_PREFIX,
      homeAgents: listOf(HOME_AGENT),
      careOfAddress: CARE_OF,
      lifetime: 60,
      sequence: sequenceFrom(100),
      random: () => 0,
      protection: 'none',
      livenessInterval: 0,
      ...config,
    });
  }

  /** A harness whose home address is registered, at 0 ms. */
  static registered(
    config: Partial<HomeRegistrationConfig> = {},
    fields: Partial<AcknowledgementFields> = {},
  ): RegistrationHarness {
    const harness = new RegistrationHarness(config);
    harness.register();
    harness.acknowledge({ lifetime: config.lifetime ?? 60, ...fields });
    return harness;
  }

  /** Hands over an event; gives what came of it. Throws where a driver would spin. */
  handle(event: HomeRegistrationEvent): HomeRegistrationOutput[] {
    this.registration.handle(this.now, event);
    const wakeAt = this.registration.wakeAt();
    if (wakeAt !== undefined && !(wakeAt > this.now)) {
      throw new Error(`${event.type} at ${this.now}, wants to be woken at ${wakeAt}`);
    }
    const outputs = drain(this.registration);
    this.outputs.push(...outputs);
    for (const { signal } of ofType(outputs, 'transmit')) {
      const { message } = signal;
      if (message.kind !== 'binding-update') throw new Error(message.kind);
      this.updates.push({ at: this.now, signal, update: message });
    }
    for (const output of ofType(outputs, 'transmit-icmpv6')) {
      this.icmpv6.push({ ...output, at: this.now });
    }
    return outputs;
  }

  /** Lets time pass and ticks when it is asked to. */
  pass(milliseconds: number): HomeRegistrationOutput[] {
    const end = this.now + milliseconds;
    const outputs: HomeRegistrationOutput[] = [];
    for (;;) {
      const at = this.registration.wakeAt();
      if (at === undefined || at > end) break;
      this.now = Math.max(this.now, at);
      outputs.push(...this.handle({ type: 'tick' }));
    }
    this.now = end;
    return outputs;
  }

  register(): HomeRegistrationOutput[] {
    return this.handle({ type: 'register' });
  }

  signal(signal: Signal): HomeRegistrationOutput[] {
    return this.handle({ type: 'signal', signal });
  }

  /** The latest Binding Update with its addresses. */
  get last(): { at: number; signal: Signal; update: BindingUpdate } {
    const last = this.updates.at(-1);
    if (last === undefined) throw new Error('no Binding Update yet');
    return last;
  }

  get latest(): BindingUpdate {
    return this.last.update;
  }

  /** When Binding Updates left and where they went. */
  get sent(): [at: number, homeAgent: Address][] {
    return this.updates.map(({ at, signal }) => [at, signal.destination]);
  }

  /** The latest ICMPv6 message that went out. */
  get lastIcmpv6(): TransmitIcmpv6 {
    const last = this.icmpv6.at(-1);
    if (last === undefined) throw new Error('no ICMPv6 message yet');
    return last;
  }

  /** The identifier of the latest discovery request or prefix solicitation. */
  get identifier(): number {
    const { message } = this.lastIcmpv6;
    if (!('identifier' in message)) throw new Error(message.kind);
    return message.identifier;
  }

  /** Acknowledges the latest Binding Update, or the one that `of` says. */
  acknowledge(
    fields: Partial<AcknowledgementFields> = {},
    addresses: Partial<Signal> = {},
    of = this.last,
  ): HomeRegistrationOutput[] {
    const { signal, update } = of;
    const { routingHeader: _, ...direct } = bindingAcknowledgement(
      { sequence: update.sequence, lifetime: update.lifetime, ...fields },
      {
        source: signal.destination,
        destination: signal.source,
        protection: this.#protection,
      },
    );
    const home =
      signal.homeAddressOption === undefined ? {} : { routingHeader: signal.homeAddressOption };
    return this.signal({ ...direct, ...home, ...addresses });
  }

  /** A reply to the latest discovery request. */
  discover(homeAgents: readonly Address[], identifier = this.identifier): HomeRegistrationOutput[] {
    const message = { kind: 'home-agent-discovery-reply', identifier, homeAgents } as const;
    return this.receive(message, { source: homeAgents[0] ?? HOME_AGENT });
  }

  /** A Mobile Prefix Advertisement that answers the latest solicitation. */
  advertise(
    options: readonly NdpOption[],
    fields: Partial<Extract<HomeRegistrationEvent, { type: 'icmpv6' }>> = {},
    identifier = this.identifier,
  ): HomeRegistrationOutput[] {
    return this.receive(
      {
        kind: 'mobile-prefix-advertisement',
        identifier,
        managed: false,
        other: false,
        options,
      },
      { homeAddress: HOME_ADDRESS, ...fields },
    );
  }

  receive(
    message: Icmpv6Message,
    fields: Partial<Extract<HomeRegistrationEvent, { type: 'icmpv6' }>> = {},
  ): HomeRegistrationOutput[] {
    return this.handle({
      type: 'icmpv6',
      source: HOME_AGENT,
      destination: CARE_OF,
      protection: this.#protection,
      message,
      ...fields,
    });
  }

  get summary(): ReturnType<HomeRegistration['summary']> {
    return this.registration.summary(this.now);
  }

  dropped(reason: string): number {
    return this.registration.drops.get(reason) ?? 0;
  }
}
