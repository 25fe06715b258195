import type {
  HomeAgentOutput,
  HomeRegistrationConfig,
  HomeRegistrationEvent,
  HomeRegistrationOutput,
} from '../../src/signaling/index.js';
import { emitSignal, HomeAgent, HomeRegistration, readSignal } from '../../src/signaling/index.js';
import type { Address } from '../../src/wire/index.js';
import { parsePacket, WireError } from '../../src/wire/index.js';
import { drain } from './drain.js';
import { HOME_AGENTS_ANYCAST, listOf } from './registration-harness.js';
import { sequenceFrom } from './sequence.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOME_PREFIX } from './testbed-addresses.js';

/** One way over the network, in ms. */
const DELAY = 5;
/** Duplicate address detection on the home link, in ms. */
const DAD = 1000;

interface Agent {
  readonly machine: HomeAgent;
  /** a home agent that is down hears nothing, says nothing and answers no echo request */
  up: boolean;
  /** what it has bound, and thus defends */
  readonly bound: Map<Address, Address>;
}

/** One mobile node's side and several home agents of one home link; signals cross as octets. */
export class HomeNetworkSimulation {
  now = 0;
  readonly registration: HomeRegistration;
  readonly agents = new Map<Address, Agent>();
  readonly outputs: (HomeRegistrationOutput & { at: number })[] = [];
  /** where the mobile node's driver has its tunnel */
  tunnel: { readonly homeAgent: Address; readonly careOfAddress: Address } | undefined;
  #careOfAddress = CARE_OF;
  #order = 0;
  #arrivals: { readonly at: number; readonly order: number; readonly deliver: () => void }[] = [];

  constructor(
    homeAgents: readonly Address[] = [HOME_AGENT],
    config: Partial<HomeRegistrationConfig> = {},
  ) {
    for (const address of homeAgents) this.start(address);
    this.registration = new HomeRegistration({
      homeAddress: HOME_ADDRESS,
      homePrefix: HOME_PREFIX,
      homeAgents: listOf(...homeAgents),
      careOfAddress: CARE_OF,
      lifetime: 60,
      sequence: sequenceFrom(100),
      random: () => 0,
      protection: 'none',
      livenessInterval: 30,
      ...config,
    });
  }

  /** A home agent comes up with an empty cache. */
  start(address: Address): void {
    const machine = new HomeAgent({
      address,
      homePrefix: HOME_PREFIX,
      maxLifetime: 3600,
      allow: 'listed',
      mobileNodes: [{ homeAddress: HOME_ADDRESS, protection: 'none' }],
      maxBindings: 10,
    });
    this.agents.set(address, { machine, up: true, bound: new Map() });
  }

  /** It is gone, without a word. */
  kill(address: Address): void {
    const agent = this.agents.get(address);
    if (agent !== undefined) agent.up = false;
  }

  /** Both sides agree on a tunnel. */
  get alive(): boolean {
    const agent = this.tunnel && this.agents.get(this.tunnel.homeAgent);
    return agent?.up === true && agent.bound.get(HOME_ADDRESS) === this.tunnel?.careOfAddress;
  }

  handle(event: HomeRegistrationEvent): void {
    if (event.type === 'move') this.#careOfAddress = event.careOfAddress;
    this.registration.handle(this.now, event);
    const wakeAt = this.registration.wakeAt();
    if (wakeAt !== undefined && !(wakeAt > this.now)) throw new Error(`wants ${wakeAt}`);
    for (const output of drain(this.registration)) {
      this.outputs.push({ ...output, at: this.now });
      this.#act(output);
    }
  }

  /** Lets time pass. */
  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const next = Math.min(
        this.registration.wakeAt() ?? end,
        this.#arrivals[0]?.at ?? end,
        ...[...this.agents.values()].map(({ machine, up }) => (up ? machine.wakeAt() : end) ?? end),
      );
      if (next >= end) break;
      this.now = Math.max(this.now, next);
      this.#step();
    }
    this.now = end;
  }

  /** Lets time pass until `condition` holds; gives the ms that it took, or undefined when it never did. */
  runUntil(condition: () => boolean, atMost: number): number | undefined {
    const start = this.now;
    while (this.now < start + atMost) {
      if (condition()) return this.now - start;
      this.run(5);
    }
    return condition() ? this.now - start : undefined;
  }

  #step(): void {
    const due = this.#arrivals.filter(({ at }) => at <= this.now);
    this.#arrivals = this.#arrivals.filter(({ at }) => at > this.now);
    for (const { deliver } of due) deliver();
    for (const [address, { machine, up }] of this.agents) {
      if (!up) continue;
      machine.handle(this.now, { type: 'tick' });
      this.#settle(address);
    }
    this.handle({ type: 'tick' });
  }

  #after(delay: number, deliver: () => void): void {
    this.#order += 1;
    this.#arrivals.push({ at: this.now + delay, order: this.#order, deliver });
    this.#arrivals.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  /** Something for a home agent, if that is up when it arrives. */
  #toAgent(destination: Address, deliver: (agent: Agent, address: Address) => void): void {
    this.#after(DELAY, () => {
      const up = [...this.agents].filter(([, agent]) => agent.up);
      const address =
        destination === HOME_AGENTS_ANYCAST ? up.map(([each]) => each)[0] : destination;
      const agent = address === undefined ? undefined : this.agents.get(address);
      if (address === undefined || agent?.up !== true) return;
      deliver(agent, address);
      this.#settle(address);
    });
  }

  #act(output: HomeRegistrationOutput): void {
    switch (output.type) {
      case 'transmit': {
        const bytes = emitSignal(output.signal);
        this.#toAgent(output.signal.destination, ({ machine }) => {
          const signal = readSignal(parsePacket(bytes));
          if (signal instanceof WireError) throw signal;
          machine.handle(this.now, { type: 'signal', signal });
        });
        break;
      }
      case 'transmit-icmpv6': {
        const { source, destination, homeAddressOption, message } = output;
        const home = homeAddressOption === undefined ? {} : { homeAddress: homeAddressOption };
        this.#toAgent(destination, ({ machine }) => {
          const from = { source, destination, message, protection: 'none' } as const;
          machine.handle(this.now, { type: 'icmpv6', ...from, ...home });
        });
        break;
      }
      case 'probe': {
        const { identifier, sequence, homeAgent, careOfAddress } = output;
        this.#toAgent(homeAgent, ({ bound }) => {
          // The reply goes through the tunnel, if there is one.
          if (bound.get(HOME_ADDRESS) !== careOfAddress) return;
          this.#after(DELAY, () => this.handle({ type: 'echo-reply', identifier, sequence }));
        });
        break;
      }
      case 'bound':
        this.tunnel = output;
        break;
      case 'unbound':
        this.tunnel = undefined;
        break;
      default:
        break;
    }
  }

  #settle(address: Address): void {
    const agent = this.agents.get(address);
    if (agent === undefined) return;
    for (const output of drain(agent.machine)) this.#actAgent(agent, output);
  }

  #actAgent(agent: Agent, output: HomeAgentOutput): void {
    switch (output.type) {
      case 'transmit': {
        const bytes = emitSignal(output.signal);
        this.#after(DELAY, () => {
          const signal = readSignal(parsePacket(bytes));
          if (signal instanceof WireError) throw signal;
          if ([this.#careOfAddress, HOME_ADDRESS].includes(signal.destination)) {
            this.handle({ type: 'signal', signal });
          }
        });
        break;
      }
      case 'transmit-icmpv6': {
        const { source, destination, routingHeader, message } = output;
        const home = routingHeader === undefined ? {} : { homeAddress: routingHeader };
        const to = { source, destination, message, protection: 'none', ...home } as const;
        this.#after(DELAY, () => this.handle({ type: 'icmpv6', ...to }));
        break;
      }
      case 'probe':
        this.#detectDuplicates(agent, output.homeAddress);
        break;
      case 'bind':
        agent.bound.set(output.homeAddress, output.careOfAddress);
        break;
      case 'unbind':
        agent.bound.delete(output.homeAddress);
        break;
      default:
        break;
    }
  }

  #detectDuplicates(agent: Agent, homeAddress: Address): void {
    this.#after(DAD, () => {
      const others = [...this.agents.values()].filter((other) => other !== agent && other.up);
      const taken = others.some(({ bound }) => bound.has(homeAddress));
      agent.machine.handle(this.now, { type: taken ? 'duplicate' : 'unique', homeAddress });
      for (const [address, other] of this.agents) if (other === agent) this.#settle(address);
    });
  }
}
