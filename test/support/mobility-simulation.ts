import type { Signal } from '../../src/signaling/index.js';
import { emitSignal, HomeAgent, MobileNode, readSignal } from '../../src/signaling/index.js';
import type { Address } from '../../src/wire/index.js';
import { parsePacket, WireError } from '../../src/wire/index.js';
import { drain } from './drain.js';
import { seededRandom } from './random.js';
import { sequenceFrom } from './sequence.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOME_PREFIX } from './testbed-addresses.js';

/** What the network does to a packet. Shares are 0..1, times in ms. */
export interface Network {
  loss: number;
  duplication: number;
  delay: readonly [least: number, most: number];
}

export interface SimulationOptions {
  readonly seed: number;
  /** seconds asked for */
  readonly lifetime?: number;
  readonly maxLifetime?: number;
  readonly network?: Partial<Network>;
}

/** Signals that are kept for a replay. */
const REPLAYED = 20;

interface Arrival {
  readonly at: number;
  readonly order: number;
  readonly deliver: () => void;
}

/**
 * One mobile node, one home agent, a home link on which DAD takes a second, and a network between them that loses,
 * delays, reorders and repeats. Signals cross it as octets.
 */
export class MobilitySimulation {
  readonly network: Network;
  now = 0;
  node: MobileNode;
  agent: HomeAgent;
  /** what the node's driver holds to be bound */
  bound: Address | undefined;
  /** what the home agent's driver holds to be bound */
  readonly tunnels = new Map<Address, Address>();
  /** every care-of address that an accepting acknowledgement was sent to */
  readonly confirmed = new Set<Address>();
  /** ms since the start during which both sides agreed on a binding */
  aliveFor = 0;
  signals = 0;
  readonly random: () => number;
  /** Looks at the whole after every instant. */
  check: () => void = () => {};
  readonly #lifetime: number;
  readonly #maxLifetime: number;
  #arrivals: Arrival[] = [];
  #crossed: { readonly to: 'agent' | 'node'; readonly bytes: Uint8Array }[] = [];
  #order = 0;
  #epoch = 0;

  constructor(options: SimulationOptions) {
    this.random = seededRandom(options.seed);
    this.network = { loss: 0, duplication: 0, delay: [5, 5], ...options.network };
    this.#lifetime = options.lifetime ?? 60;
    this.#maxLifetime = options.maxLifetime ?? 3600;
    this.node = this.#newNode(CARE_OF);
    this.agent = this.#newAgent();
  }

  #newNode(careOfAddress: Address): MobileNode {
    return new MobileNode({
      homeAddress: HOME_ADDRESS,
      homeAgent: HOME_AGENT,
      careOfAddress,
      lifetime: this.#lifetime,
      sequence: sequenceFrom(Math.floor(this.random() * 0x10000)),
      random: this.random,
    });
  }

  #newAgent(): HomeAgent {
    return new HomeAgent({
      address: HOME_AGENT,
      homePrefix: HOME_PREFIX,
      maxLifetime: this.#maxLifetime,
      allow: 'listed',
      mobileNodes: [{ homeAddress: HOME_ADDRESS, protection: 'none' }],
      maxBindings: 10,
    });
  }

  /** The host daemon is killed and comes back with another sequence number. */
  restartNode(careOfAddress: Address = CARE_OF): void {
    this.node = this.#newNode(careOfAddress);
    this.bound = undefined;
    this.register();
  }

  /** The home agent is killed and comes back with an empty cache. */
  restartAgent(): void {
    this.agent = this.#newAgent();
    this.tunnels.clear();
    this.#epoch += 1;
  }

  register(): void {
    this.node.handle(this.now, { type: 'register' });
    this.#settle();
  }

  deregister(): void {
    this.node.handle(this.now, { type: 'deregister' });
    this.#settle();
  }

  move(careOfAddress: Address): void {
    this.node.handle(this.now, { type: 'move', careOfAddress });
    this.#settle();
  }

  /** Both sides agree on a binding. */
  get alive(): boolean {
    return this.bound !== undefined && this.tunnels.get(HOME_ADDRESS) === this.bound;
  }

  /** Lets time pass. */
  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const next = Math.min(
        this.node.wakeAt() ?? end,
        this.agent.wakeAt() ?? end,
        this.#arrivals[0]?.at ?? end,
      );
      if (next >= end) break;
      this.#passUntil(next);
      this.#step();
    }
    this.#passUntil(end);
  }

  /** The mobile node gets a signal that its home agent has not sent. */
  receive(signal: Signal): void {
    this.node.handle(this.now, { type: 'signal', signal });
    this.#settle();
  }

  /** Both sides get the last signals that crossed the network once more, oldest first. */
  replay(): void {
    for (const { to, bytes } of [...this.#crossed]) {
      this.#schedule(0, () => this.#deliver(to, bytes));
    }
  }

  /** The machine of both daemons sleeps: the clock has jumped when they wake, and what was on the way arrives at once. */
  suspend(milliseconds: number): void {
    this.now += milliseconds;
    this.#step();
  }

  /** Lets time pass until `condition` holds; gives the ms that it took, or undefined when it never did. */
  runUntil(condition: () => boolean, atMost: number): number | undefined {
    const start = this.now;
    while (this.now < start + atMost) {
      if (condition()) return this.now - start;
      this.run(10);
    }
    return condition() ? this.now - start : undefined;
  }

  #passUntil(at: number): void {
    if (this.alive) this.aliveFor += Math.max(0, at - this.now);
    this.now = Math.max(this.now, at);
  }

  #step(): void {
    const due = this.#arrivals.filter(({ at }) => at <= this.now);
    this.#arrivals = this.#arrivals.filter(({ at }) => at > this.now);
    for (const { deliver } of due) {
      deliver();
      this.#settle();
    }
    this.node.handle(this.now, { type: 'tick' });
    this.agent.handle(this.now, { type: 'tick' });
    this.#settle();
  }

  #settle(): void {
    for (const output of drain(this.node)) {
      if (output.type === 'transmit') this.#send(output.signal, 'agent');
      else if (output.type === 'bound') this.bound = output.careOfAddress;
      else if (output.type === 'unbound') this.bound = undefined;
    }
    for (const output of drain(this.agent)) {
      switch (output.type) {
        case 'transmit': {
          const { message } = output.signal;
          if (message.kind === 'binding-acknowledgement' && message.status === 0) {
            this.confirmed.add(output.signal.destination);
          }
          this.#send(output.signal, 'node');
          break;
        }
        case 'probe': {
          const { homeAddress } = output;
          const epoch = this.#epoch;
          this.#schedule(1000, () => {
            if (epoch === this.#epoch) {
              this.agent.handle(this.now, { type: 'unique', homeAddress });
            }
          });
          break;
        }
        case 'bind':
          this.tunnels.set(output.homeAddress, output.careOfAddress);
          break;
        case 'unbind':
          this.tunnels.delete(output.homeAddress);
          break;
        default:
          break;
      }
    }
    this.check();
  }

  #schedule(delay: number, deliver: () => void): void {
    this.#order += 1;
    this.#arrivals.push({ at: this.now + delay, order: this.#order, deliver });
    this.#arrivals.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  #send(signal: Signal, to: 'agent' | 'node'): void {
    const bytes = emitSignal(signal);
    const copies = this.random() < this.network.duplication ? 2 : 1;
    const [least, most] = this.network.delay;
    for (let copy = 0; copy < copies; copy += 1) {
      this.signals += 1;
      if (this.random() < this.network.loss) continue;
      this.#crossed = [...this.#crossed, { to, bytes }].slice(-REPLAYED);
      this.#schedule(least + (most - least) * this.random(), () => this.#deliver(to, bytes));
    }
  }

  #deliver(to: 'agent' | 'node', bytes: Uint8Array): void {
    const arrived = readSignal(parsePacket(bytes));
    if (arrived instanceof WireError) throw arrived;
    if (to === 'agent') this.agent.handle(this.now, { type: 'signal', signal: arrived });
    else this.node.handle(this.now, { type: 'signal', signal: arrived });
  }
}
