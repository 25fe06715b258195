import type { RouteSpec } from '../datapath/index.js';
import type { Drops } from '../drops.js';
import type { Signal } from '../signaling/index.js';
import { emitSignal } from '../signaling/index.js';
import type {
  CorrespondentEvent,
  CorrespondentOutput,
  CorrespondentSummary,
  RouteOptimiserEvent,
  RouteOptimiserOutput,
} from '../signaling/route-optimisation/index.js';
import { Correspondent, RouteOptimiser } from '../signaling/route-optimisation/index.js';
import type { Address, Icmpv6Message } from '../wire/index.js';
import { emitPacket, PROTOCOL } from '../wire/index.js';
import { Driver } from './driver.js';
import type { Logger } from './log.js';

/** What route optimisation needs of its guest. */
export interface RouteOptimisationServices {
  readonly log: Logger;
  /** Sends an IPv6 packet by the uplink. */
  transmit(packet: Uint8Array): boolean;
  /** `routes` gives something else now: the engine's table is out of date. */
  changed(): void;
}

/** A home registration that stands: the ends of its tunnel. */
export interface StandingRegistration {
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
}

/** Of one home address. */
const MAX_CORRESPONDENTS = 256;
const MAX_BINDINGS = 256;

/** Both roles of route optimisation for one home address, and the routes that follow from them. */
export class HomeRoutes {
  readonly #homeAddress: Address;
  readonly #services: RouteOptimisationServices;
  readonly #optimiser: RouteOptimiser;
  readonly #correspondent: Correspondent;
  readonly #optimiserDriver: Driver<RouteOptimiserEvent, RouteOptimiserOutput>;
  readonly #correspondentDriver: Driver<CorrespondentEvent, CorrespondentOutput>;
  /** who has a binding of ours, as far as we know */
  readonly #accepted = new Set<Address>();
  /** and may be sent to straight */
  readonly #straight = new Set<Address>();
  /** mobile correspondents, and where they are */
  readonly #mobile = new Map<Address, Address>();
  #registration: StandingRegistration | undefined;
  #stopped = false;
  #told = false;

  constructor(
    homeAddress: Address,
    services: RouteOptimisationServices,
    randomBytes: (count: number) => Uint8Array,
  ) {
    this.#homeAddress = homeAddress;
    this.#services = services;
    this.#optimiser = new RouteOptimiser({
      homeAddress,
      maxCorrespondents: MAX_CORRESPONDENTS,
      random: Math.random,
      randomBytes,
    });
    this.#correspondent = new Correspondent({
      homeAddress,
      maxBindings: MAX_BINDINGS,
      randomBytes,
    });
    this.#optimiserDriver = new Driver(this.#optimiser, (output) => this.#onOptimiser(output));
    this.#correspondentDriver = new Driver(this.#correspondent, (output) =>
      this.#onCorrespondentRole(output),
    );
  }

  get careOfAddress(): Address | undefined {
    return this.#registration?.careOfAddress;
  }

  get drops(): Drops[] {
    return [this.#optimiser.drops, this.#correspondent.drops];
  }

  bound({ homeAgent, careOfAddress }: StandingRegistration): void {
    this.#registration = { homeAgent, careOfAddress };
    this.#optimiserDriver.send({ type: 'bound', homeAgent, careOfAddress });
  }

  unbound(reason: string): void {
    this.#optimiserDriver.send({ type: 'unbound', reason });
    this.#correspondentDriver.send({ type: 'unbound', reason });
    this.#registration = undefined;
  }

  routes(): RouteSpec[] {
    const correspondents = new Set([...this.#accepted, ...this.#straight, ...this.#mobile.keys()]);
    // Where not all of them fit, those that can be sent to straight are worth the most.
    const worth = (correspondent: Address) => (this.#straight.has(correspondent) ? 1 : 0);
    const ordered = [...correspondents].sort((one, other) => worth(other) - worth(one));
    return ordered.map((correspondent) => {
      const careOfAddress = this.#mobile.get(correspondent);
      return {
        homeAddress: this.#homeAddress,
        correspondent,
        straight: this.#straight.has(correspondent),
        accepted: this.#accepted.has(correspondent),
        ...(careOfAddress === undefined ? {} : { careOfAddress }),
      };
    });
  }

  summary(): CorrespondentSummary[] {
    return this.#optimiser.summary();
  }

  onCorrespondent(address: Address): void {
    this.#optimiserDriver.send({ type: 'correspondent', address });
    this.#correspondentDriver.send({ type: 'correspondent', address });
  }

  onHeard(address: Address): void {
    this.#optimiserDriver.send({ type: 'heard', address });
  }

  onHomeAddressOption(source: Address, homeAddress: Address): void {
    this.#correspondentDriver.send({ type: 'home-address-option', source, homeAddress });
  }

  /** False when the message is not about route optimisation: a home agent's, say. */
  onSignal(signal: Signal, tunnelled: boolean): boolean {
    const home = (signal.routingHeader ?? signal.destination) === this.#homeAddress;
    switch (signal.message.kind) {
      case 'home-test-init':
      case 'care-of-test-init':
      case 'binding-update':
        if (home) this.#correspondentDriver.send({ type: 'signal', signal });
        return home;
      case 'unknown':
        // To the care-of address itself it is the host's.
        if (tunnelled) this.#correspondentDriver.send({ type: 'signal', signal });
        return tunnelled;
      case 'home-test':
      case 'care-of-test':
        this.#optimiserDriver.send({ type: 'signal', signal, tunnelled });
        return true;
      default:
        if (!this.#optimiser.knows(signal.source)) return false;
        this.#optimiserDriver.send({ type: 'signal', signal, tunnelled });
        return true;
    }
  }

  /** @param destination of the packet at fault */
  onPathError(destination: Address, error: Icmpv6Message): boolean {
    const mobile = this.#correspondent.homeAddressAt(destination);
    const correspondent = mobile ?? destination;
    if (mobile !== undefined && error.kind === 'destination-unreachable') {
      this.#correspondentDriver.send({ type: 'unreachable', careOfAddress: destination });
    }
    if (!this.#optimiser.knows(correspondent)) return mobile !== undefined;
    this.#optimiserDriver.send({ type: 'path-error', correspondent, error });
    return true;
  }

  stop(): void {
    this.#stopped = true;
    this.#optimiserDriver.stop();
    this.#correspondentDriver.stop();
  }

  #onOptimiser(output: RouteOptimiserOutput): void {
    const { log } = this.#services;
    switch (output.type) {
      case 'transmit':
        this.#services.transmit(emitSignal(output.signal));
        break;
      case 'transmit-in-tunnel':
        this.#transmitInTunnel(output.signal);
        break;
      case 'optimise':
        this.#straight.add(output.correspondent);
        this.#accepted.add(output.correspondent);
        log.info(
          { homeAddress: this.#homeAddress, correspondent: output.correspondent },
          'straight',
        );
        this.#changed();
        break;
      case 'revert': {
        const { correspondent, reason } = output;
        this.#straight.delete(correspondent);
        log.info({ homeAddress: this.#homeAddress, correspondent, reason }, 'through the tunnel');
        this.#changed();
        break;
      }
      case 'forget':
        this.#accepted.delete(output.correspondent);
        this.#changed();
        break;
    }
  }

  #onCorrespondentRole(output: CorrespondentOutput): void {
    switch (output.type) {
      case 'transmit-in-tunnel':
        this.#transmitInTunnel(output.signal);
        break;
      case 'bind':
        this.#mobile.set(output.homeAddress, output.careOfAddress);
        this.#changed();
        break;
      case 'unbind':
        this.#mobile.delete(output.homeAddress);
        this.#changed();
        break;
    }
  }

  /** From the home address: by way of the home agent (RFC 6275 11.3.1: reverse tunnelling). */
  #transmitInTunnel(signal: Signal): void {
    if (this.#registration === undefined) return;
    const { careOfAddress, homeAgent } = this.#registration;
    const outer = emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit: 64,
      source: careOfAddress,
      destination: homeAgent,
      extensions: [],
      protocol: PROTOCOL.ipv6,
      payload: emitSignal(signal),
    });
    this.#services.transmit(outer);
  }

  /** Several changes at once, as one change. */
  #changed(): void {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      if (this.#stopped) return;
      try {
        this.#services.changed();
      } catch (error) {
        // Outsiders cause changes; none of them may end the process. The engine keeps the table that it has.
        const { message } = error instanceof Error ? error : new Error(String(error));
        this.#services.log.error({ homeAddress: this.#homeAddress }, message);
      }
    });
  }
}
