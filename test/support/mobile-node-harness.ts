import type { MobileNodeConfig, MobileNodeOutput, Signal } from '../../src/signaling/index.js';
import { MobileNode } from '../../src/signaling/index.js';
import type { Icmpv6Message, MobilityMessage } from '../../src/wire/index.js';
import { alignMobilityOptions, emitPacket } from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import { sequenceFrom } from './sequence.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from './testbed-addresses.js';

export type BindingUpdate = Extract<MobilityMessage, { kind: 'binding-update' }>;
type Acknowledgement = Extract<MobilityMessage, { kind: 'binding-acknowledgement' }>;

export function bindingAcknowledgement(
  fields: Partial<Acknowledgement> & { sequence: number },
  addresses: Partial<Signal> = {},
): Signal {
  return {
    source: HOME_AGENT,
    destination: CARE_OF,
    routingHeader: HOME_ADDRESS,
    message: {
      kind: 'binding-acknowledgement',
      status: 0,
      keyManagement: false,
      reserved: 0,
      lifetime: 60,
      options: alignMobilityOptions([], 'binding-acknowledgement'),
      ...fields,
    },
    ...addresses,
  };
}

/** Destination unreachable (port) that quotes a tunnel packet of the care-of address. */
export function unreachable(source = CARE_OF, destination = HOME_AGENT, code = 4): Icmpv6Message {
  const quoted = emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source,
    destination,
    extensions: [],
    protocol: 41,
    payload: new Uint8Array(40),
  });
  return { kind: 'destination-unreachable', code, quoted };
}

/** A mobile node on a clock of its own that remembers what it sent. */
export class NodeHarness {
  now = 0;
  readonly node: MobileNode;
  /** every Binding Update so far, with the time at which it left */
  readonly updates: { at: number; signal: Signal; update: BindingUpdate }[] = [];
  readonly outputs: MobileNodeOutput[] = [];

  constructor(config: Partial<MobileNodeConfig> = {}) {
    this.node = new MobileNode({
      homeAddress: HOME_ADDRESS,
      homeAgent: HOME_AGENT,
      careOfAddress: CARE_OF,
      lifetime: 60,
      sequence: sequenceFrom(100),
      random: () => 0,
      ...config,
    });
  }

  /** Hands over an event; gives what came of it. */
  handle(event: Parameters<MobileNode['handle']>[1]): MobileNodeOutput[] {
    this.node.handle(this.now, event);
    const outputs = drain(this.node);
    this.outputs.push(...outputs);
    for (const { signal } of ofType(outputs, 'transmit')) {
      const { message } = signal;
      if (message.kind !== 'binding-update') throw new Error(message.kind);
      this.updates.push({ at: this.now, signal, update: message });
    }
    return outputs;
  }

  /** Lets time pass and ticks when the node asks for it. */
  pass(milliseconds: number): MobileNodeOutput[] {
    const end = this.now + milliseconds;
    const outputs: MobileNodeOutput[] = [];
    for (;;) {
      const at = this.node.wakeAt();
      if (at === undefined || at > end) break;
      this.now = Math.max(this.now, at);
      outputs.push(...this.handle({ type: 'tick' }));
    }
    this.now = end;
    return outputs;
  }

  register(): MobileNodeOutput[] {
    return this.handle({ type: 'register' });
  }

  /** The latest Binding Update. */
  get latest(): BindingUpdate {
    const last = this.updates.at(-1);
    if (last === undefined) throw new Error('no Binding Update yet');
    return last.update;
  }

  get sentAt(): number[] {
    return this.updates.map(({ at }) => at);
  }

  acknowledge(
    fields: Partial<Acknowledgement> = {},
    addresses: Partial<Signal> = {},
  ): MobileNodeOutput[] {
    const signal = bindingAcknowledgement({ sequence: this.latest.sequence, ...fields }, addresses);
    return this.handle({ type: 'signal', signal });
  }

  /** A harness whose node is registered. */
  static registered(config: Partial<MobileNodeConfig> = {}): NodeHarness {
    const harness = new NodeHarness(config);
    harness.register();
    harness.acknowledge({ lifetime: config.lifetime ?? 60 });
    return harness;
  }
}
