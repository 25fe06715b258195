import type {
  Binding,
  HomeAgentConfig,
  HomeAgentEvent,
  HomeAgentOutput,
  Signal,
} from '../../src/signaling/index.js';
import { HomeAgent } from '../../src/signaling/index.js';
import type { Address, MobilityMessage } from '../../src/wire/index.js';
import { alignMobilityOptions } from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import type { BindingUpdate } from './mobile-node-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOME_PREFIX } from './testbed-addresses.js';

export interface UpdateFields extends Partial<Omit<BindingUpdate, 'kind' | 'options'>> {
  readonly source?: Address;
  /** null: no Home Address option */
  readonly home?: Address | null;
  readonly alternates?: readonly Address[];
}

/** A Binding Update; by default the paper's, without the L flag so that one address is defended. */
export function bindingUpdate(fields: UpdateFields = {}): Signal {
  const { source = CARE_OF, home = HOME_ADDRESS, alternates = [], ...update } = fields;
  return {
    source,
    destination: HOME_AGENT,
    ...(home === null ? {} : { homeAddressOption: home }),
    message: {
      kind: 'binding-update',
      sequence: 1,
      acknowledge: true,
      homeRegistration: true,
      linkLocalCompatible: false,
      keyManagement: false,
      reserved: 0,
      lifetime: 60,
      ...update,
      options: alignMobilityOptions(
        alternates.map((address) => ({ kind: 'alternate-care-of-address', address })),
      ),
    },
  };
}

/** A home agent on a clock of its own. */
export class AgentHarness {
  now = 0;
  readonly agent: HomeAgent;

  constructor(config: Partial<HomeAgentConfig> = {}) {
    this.agent = new HomeAgent({
      address: HOME_AGENT,
      homePrefix: HOME_PREFIX,
      maxLifetime: 3600,
      allow: 'listed',
      mobileNodes: [{ homeAddress: HOME_ADDRESS, protection: 'none' }],
      maxBindings: 10,
      ...config,
    });
  }

  handle(event: HomeAgentEvent): HomeAgentOutput[] {
    this.agent.handle(this.now, event);
    return drain(this.agent);
  }

  update(fields: UpdateFields = {}): HomeAgentOutput[] {
    return this.handle({ type: 'signal', signal: bindingUpdate(fields) });
  }

  /** Lets time pass and ticks when the home agent asks for it. */
  pass(milliseconds: number): HomeAgentOutput[] {
    const end = this.now + milliseconds;
    const outputs: HomeAgentOutput[] = [];
    for (let at = this.agent.wakeAt(); at !== undefined && at <= end; at = this.agent.wakeAt()) {
      this.now = Math.max(this.now, at);
      outputs.push(...this.handle({ type: 'tick' }));
    }
    this.now = end;
    return outputs;
  }

  get bindings(): Binding[] {
    return [...this.agent.bindings()];
  }

  drops(reason: string): number {
    return this.agent.drops.get(reason) ?? 0;
  }

  /** A harness with one binding, sequence number 1, made at time 1000. */
  static bound(config: Partial<HomeAgentConfig> = {}, fields: UpdateFields = {}): AgentHarness {
    const harness = new AgentHarness(config);
    harness.update(fields);
    harness.now = 1000;
    harness.handle({ type: 'unique', homeAddress: fields.home ?? HOME_ADDRESS });
    return harness;
  }
}

/** The messages among the outputs. */
export function messages(outputs: readonly HomeAgentOutput[]): MobilityMessage[] {
  return ofType(outputs, 'transmit').map(({ signal }) => signal.message);
}
