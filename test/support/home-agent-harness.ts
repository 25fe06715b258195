import type { Test } from 'tap';
import t from 'tap';
import type {
  Binding,
  HomeAgentConfig,
  HomeAgentEvent,
  HomeAgentOutput,
  ServedNode,
  Signal,
} from '../../src/signaling/index.js';
import { HomeAgent, SecurityPolicies } from '../../src/signaling/index.js';
import type {
  Address,
  Icmpv6Message,
  MobilityMessage,
  MobilityOption,
} from '../../src/wire/index.js';
import { alignMobilityOptions, parsePacket } from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import type { BindingUpdate } from './mobile-node-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOME_PREFIX } from './testbed-addresses.js';

export interface UpdateFields extends Partial<Omit<BindingUpdate, 'kind' | 'options'>> {
  readonly source?: Address;
  /** null: no Home Address option */
  readonly home?: Address | null;
  readonly alternates?: readonly Address[];
  readonly options?: readonly MobilityOption[];
  readonly protection?: NonNullable<Signal['protection']>;
  readonly authentication?: NonNullable<Signal['authentication']>;
}

/** A Binding Update; by default the paper's, without the L flag so that one address is defended. */
export function bindingUpdate(fields: UpdateFields = {}): Signal {
  const { source = CARE_OF, home = HOME_ADDRESS, alternates = [], options = [], ...rest } = fields;
  const { protection, authentication, ...update } = rest;
  return {
    source,
    destination: HOME_AGENT,
    ...(home === null ? {} : { homeAddressOption: home }),
    ...(protection === undefined ? {} : { protection }),
    ...(authentication === undefined ? {} : { authentication }),
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
      options: alignMobilityOptions([
        ...alternates.map(
          (address): MobilityOption => ({ kind: 'alternate-care-of-address', address }),
        ),
        ...options,
      ]),
    },
  };
}

/** A home address that is served. */
export function served(fields: Partial<ServedNode> = {}): ServedNode {
  return { homeAddress: HOME_ADDRESS, protection: 'none', ...fields };
}

/** A home agent on a clock of its own. */
export class AgentHarness {
  now = 0;
  readonly agent: HomeAgent;
  readonly #config: HomeAgentConfig;

  constructor(config: Partial<HomeAgentConfig> = {}) {
    this.#config = {
      address: HOME_AGENT,
      homePrefix: HOME_PREFIX,
      maxLifetime: 3600,
      allow: 'listed',
      mobileNodes: [served()],
      maxBindings: 10,
      ...config,
    };
    this.agent = new HomeAgent(this.#config);
  }

  /** The same home agent with another configuration. */
  reconfigure(changed: Partial<HomeAgentConfig>): HomeAgentOutput[] {
    this.agent.reconfigure({ ...this.#config, ...changed });
    return drain(this.agent);
  }

  handle(event: HomeAgentEvent): HomeAgentOutput[] {
    this.agent.handle(this.now, event);
    return drain(this.agent);
  }

  update(fields: UpdateFields = {}): HomeAgentOutput[] {
    return this.handle({ type: 'signal', signal: bindingUpdate(fields) });
  }

  /** A Binding Update, and after a second every probe that it led to proves unique. */
  register(fields: UpdateFields = {}): HomeAgentOutput[] {
    const outputs = this.update(fields);
    const probed = ofType(outputs, 'probe');
    if (probed.length > 0) this.now += 1000;
    for (const { homeAddress } of probed) {
      outputs.push(...this.handle({ type: 'unique', homeAddress }));
    }
    return outputs;
  }

  /** The octets of an unprotected packet, as the driver hands them over. */
  receive(bytes: Uint8Array): HomeAgentOutput[] {
    const packet = parsePacket(bytes);
    const received = new SecurityPolicies('home-agent', [], () => 0).read(packet);
    switch (received?.kind) {
      case 'mobility':
        return this.handle({ type: 'signal', signal: received.signal });
      case 'not-mobility': {
        const pointer = bytes.length - packet.payload.length + received.offset;
        return this.handle({ type: 'not-mobility', bytes, pointer });
      }
      default:
        return [];
    }
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
    if (config.homeLink === 'virtual') harness.now = 1000;
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

/** The ICMPv6 messages among the outputs. */
export function icmpv6Messages(outputs: readonly HomeAgentOutput[]): Icmpv6Message[] {
  return ofType(outputs, 'transmit-icmpv6').map(({ message }) => message);
}

/** Runs a test on a real home link, and on a virtual one. */
export function onBothHomeLinks(
  title: string,
  body: (t: Test, config: Pick<HomeAgentConfig, 'homeLink'>) => void,
): void {
  for (const homeLink of ['real', 'virtual'] as const) {
    t.test(`${title} (${homeLink} home link)`, (t) => {
      body(t, { homeLink });
      t.end();
    });
  }
}
