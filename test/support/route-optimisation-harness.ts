import { bindingManagementKey } from '../../src/crypto/return-routability.js';
import type { Signal } from '../../src/signaling/index.js';
import { emitSignal, readSignal } from '../../src/signaling/index.js';
import { authorize } from '../../src/signaling/route-optimisation/authorization.js';
import type {
  CorrespondentConfig,
  CorrespondentEvent,
  CorrespondentOutput,
  RouteOptimiserConfig,
  RouteOptimiserEvent,
  RouteOptimiserOutput,
} from '../../src/signaling/route-optimisation/index.js';
import { Correspondent, RouteOptimiser } from '../../src/signaling/route-optimisation/index.js';
import type { Address, MobilityMessage } from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  parseAddress,
  parsePacket,
  WireError,
} from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import { seededRandom } from './random.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from './testbed-addresses.js';

/** Another mobile node, with a home network of its own. */
export const PEER = parseAddress('2001:db8:6000::20');
export const PEER_CARE_OF = parseAddress('2001:db8:7000::77');

export type Message<Kind extends MobilityMessage['kind']> = Extract<
  MobilityMessage,
  { kind: Kind }
>;

export function randomBytes(seed: number): (count: number) => Uint8Array {
  const random = seededRandom(seed);
  return (count) => Uint8Array.from({ length: count }, () => Math.floor(256 * random()));
}

/** What arrives after the signal has been octets. */
export function overTheWire(signal: Signal): Signal {
  const arrived = readSignal(parsePacket(emitSignal(signal)));
  if (arrived instanceof WireError) throw arrived;
  return arrived;
}

/** The message, when it is of this kind. */
export function messageOf<Kind extends MobilityMessage['kind']>(
  signal: Signal | undefined,
  kind: Kind,
): Message<Kind> {
  const message = signal?.message;
  if (message?.kind !== kind) throw new Error(`${message?.kind} instead of ${kind}`);
  return message as Message<Kind>;
}

interface Timed {
  wakeAt(): number | undefined;
}

/** The times at which a machine wants to be woken until `end`. */
function* wakes(machine: Timed, now: number, end: number): Iterable<number> {
  for (let at = now, rounds = 0; ; rounds += 1) {
    const next = machine.wakeAt();
    if (next === undefined || next > end) return;
    if (rounds > 10_000) throw new Error(`does not stop at ${at}`);
    at = Math.max(at, next);
    yield at;
  }
}

/** A correspondent on a clock of its own, and what a mobile node needs to speak to it. */
export class CorrespondentHarness {
  now = 0;
  readonly correspondent: Correspondent;
  readonly outputs: CorrespondentOutput[] = [];

  constructor(config: Partial<CorrespondentConfig> = {}) {
    this.correspondent = new Correspondent({
      homeAddress: PEER,
      maxBindings: 4,
      randomBytes: randomBytes(7),
      ...config,
    });
  }

  handle(event: CorrespondentEvent): CorrespondentOutput[] {
    this.correspondent.handle(this.now, event);
    const outputs = drain(this.correspondent);
    this.outputs.push(...outputs);
    return outputs;
  }

  /** What it answers to a signal. */
  answers(signal: Signal): Signal[] {
    const outputs = this.handle({ type: 'signal', signal: overTheWire(signal) });
    return ofType(outputs, 'transmit-in-tunnel').map((output) => overTheWire(output.signal));
  }

  pass(milliseconds: number): CorrespondentOutput[] {
    const end = this.now + milliseconds;
    const outputs: CorrespondentOutput[] = [];
    for (const at of wakes(this.correspondent, this.now, end)) {
      this.now = at;
      outputs.push(...this.handle({ type: 'tick' }));
    }
    this.now = end;
    return outputs;
  }

  init(kind: 'home-test-init' | 'care-of-test-init', source: Address, more: Partial<Signal> = {}) {
    const cookie = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const message = { kind, cookie, options: alignMobilityOptions([], kind) } as const;
    return { source, destination: PEER, message, ...more };
  }

  /** Both tokens, as a mobile node gets them. */
  tokens(homeAddress = HOME_ADDRESS, careOfAddress = CARE_OF) {
    const [home] = this.answers(this.init('home-test-init', homeAddress));
    const [careOf] = this.answers(this.init('care-of-test-init', careOfAddress));
    return { home: messageOf(home, 'home-test'), careOf: messageOf(careOf, 'care-of-test') };
  }

  /** A Binding Update with everything right but what is given. */
  update(
    tokens: ReturnType<CorrespondentHarness['tokens']>,
    fields: Partial<Message<'binding-update'>> = {},
    more: Partial<Signal> & { kbm?: Uint8Array; covered?: Address } = {},
  ): Signal {
    const { kbm, covered, ...addresses } = more;
    const deletes = fields.lifetime === 0;
    const message: Message<'binding-update'> = {
      kind: 'binding-update',
      sequence: 1,
      acknowledge: true,
      homeRegistration: false,
      linkLocalCompatible: false,
      keyManagement: false,
      reserved: 0,
      lifetime: 420,
      options: [
        {
          kind: 'nonce-indices',
          home: tokens.home.nonceIndex,
          careOf: tokens.careOf.nonceIndex,
        },
      ],
      ...fields,
    };
    const careOfAddress = covered ?? (deletes ? HOME_ADDRESS : (addresses.source ?? CARE_OF));
    return {
      source: CARE_OF,
      destination: PEER,
      homeAddressOption: HOME_ADDRESS,
      message: authorize(message, {
        kbm: kbm ?? keyOf(tokens, deletes),
        careOfAddress,
        correspondent: PEER,
      }),
      ...addresses,
    };
  }

  /** One with a binding for the home address. */
  static bound(config: Partial<CorrespondentConfig> = {}): CorrespondentHarness {
    const harness = new CorrespondentHarness(config);
    harness.answers(harness.update(harness.tokens()));
    return harness;
  }
}

export function keyOf(
  tokens: { home: { keygenToken: Uint8Array }; careOf: { keygenToken: Uint8Array } },
  deletes = false,
): Uint8Array {
  return deletes
    ? bindingManagementKey(tokens.home.keygenToken)
    : bindingManagementKey(tokens.home.keygenToken, tokens.careOf.keygenToken);
}

/** An optimiser on a clock of its own that remembers what it sent. */
export class OptimiserHarness {
  now = 0;
  readonly optimiser: RouteOptimiser;
  readonly outputs: (RouteOptimiserOutput & { at: number })[] = [];

  constructor(config: Partial<RouteOptimiserConfig> = {}) {
    this.optimiser = new RouteOptimiser({
      homeAddress: HOME_ADDRESS,
      maxCorrespondents: 4,
      random: () => 0.5,
      randomBytes: randomBytes(11),
      ...config,
    });
    this.bound();
  }

  handle(event: RouteOptimiserEvent): RouteOptimiserOutput[] {
    this.optimiser.handle(this.now, event);
    const outputs = drain(this.optimiser);
    this.outputs.push(...outputs.map((output) => ({ ...output, at: this.now })));
    return outputs;
  }

  bound(careOfAddress = CARE_OF): RouteOptimiserOutput[] {
    return this.handle({ type: 'bound', homeAgent: HOME_AGENT, careOfAddress });
  }

  /** To and from a correspondent. */
  traffic(address = PEER): RouteOptimiserOutput[] {
    return [...this.handle({ type: 'correspondent', address }), ...this.heard(address)];
  }

  heard(address = PEER): RouteOptimiserOutput[] {
    return this.handle({ type: 'heard', address });
  }

  receive(signal: Signal, tunnelled = false): RouteOptimiserOutput[] {
    return this.handle({ type: 'signal', signal: overTheWire(signal), tunnelled });
  }

  pass(milliseconds: number): RouteOptimiserOutput[] {
    const end = this.now + milliseconds;
    const outputs: RouteOptimiserOutput[] = [];
    for (const at of wakes(this.optimiser, this.now, end)) {
      this.now = at;
      outputs.push(...this.handle({ type: 'tick' }));
    }
    this.now = end;
    return outputs;
  }

  /** Everything of one kind that was sent, with its time. */
  sent(kind: MobilityMessage['kind']): { at: number; signal: Signal; type: string }[] {
    return this.outputs.flatMap((output) =>
      'signal' in output && output.signal.message.kind === kind ? [output] : [],
    );
  }

  latest<Kind extends MobilityMessage['kind']>(kind: Kind): Message<Kind> {
    return messageOf(this.sent(kind).at(-1)?.signal, kind);
  }

  types(): string[] {
    return this.outputs.flatMap(({ type }) => (type.startsWith('transmit') ? [] : [type]));
  }

  homeTest(fields: Partial<Message<'home-test'>> = {}, more: Partial<Signal> = {}): Signal {
    return {
      source: PEER,
      destination: HOME_ADDRESS,
      message: {
        kind: 'home-test',
        nonceIndex: 5,
        cookie: this.latest('home-test-init').cookie,
        keygenToken: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1),
        options: alignMobilityOptions([], 'home-test'),
        ...fields,
      },
      ...more,
    };
  }

  careOfTest(fields: Partial<Message<'care-of-test'>> = {}, more: Partial<Signal> = {}): Signal {
    return {
      source: PEER,
      destination: CARE_OF,
      message: {
        kind: 'care-of-test',
        nonceIndex: 6,
        cookie: this.latest('care-of-test-init').cookie,
        keygenToken: Uint8Array.of(2, 2, 2, 2, 2, 2, 2, 2),
        options: alignMobilityOptions([], 'care-of-test'),
        ...fields,
      },
      ...more,
    };
  }

  acknowledgement(
    fields: Partial<Message<'binding-acknowledgement'>> = {},
    more: Partial<Signal> & { kbm?: Uint8Array } = {},
  ): Signal {
    const { kbm, ...addresses } = more;
    const update = this.latest('binding-update');
    const message: Message<'binding-acknowledgement'> = {
      kind: 'binding-acknowledgement',
      status: 0,
      keyManagement: false,
      reserved: 0,
      sequence: update.sequence,
      lifetime: 420,
      options: [],
      ...fields,
    };
    const tokens = {
      home: { keygenToken: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1) },
      careOf: { keygenToken: Uint8Array.of(2, 2, 2, 2, 2, 2, 2, 2) },
    };
    const bare = message.status >= 136 && message.status <= 138;
    const destination = addresses.destination ?? CARE_OF;
    return {
      source: PEER,
      destination,
      routingHeader: HOME_ADDRESS,
      message: bare
        ? { ...message, options: alignMobilityOptions([], message.kind) }
        : authorize(message, {
            kbm: kbm ?? keyOf(tokens, update.lifetime === 0),
            careOfAddress: update.lifetime === 0 ? HOME_ADDRESS : destination,
            correspondent: PEER,
          }),
      ...addresses,
    };
  }

  /** Both tests done: the Binding Update is on its way. */
  static updating(config: Partial<RouteOptimiserConfig> = {}): OptimiserHarness {
    const harness = new OptimiserHarness(config);
    harness.traffic();
    harness.receive(harness.homeTest(), true);
    harness.receive(harness.careOfTest());
    return harness;
  }

  /** The correspondent has acknowledged. */
  static optimised(config: Partial<RouteOptimiserConfig> = {}): OptimiserHarness {
    const harness = OptimiserHarness.updating(config);
    harness.receive(harness.acknowledgement());
    return harness;
  }
}
