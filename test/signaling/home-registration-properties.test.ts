import fc from 'fast-check';
import t from 'tap';
import type {
  HomeRegistrationConfig,
  HomeRegistrationEvent,
  HomeRegistrationOutput,
  Signal,
} from '../../src/signaling/index.js';
import type { Address, MobilityMessage } from '../../src/wire/index.js';
import { alignMobilityOptions, parseAddress, parsePrefix } from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import { unreachable } from '../support/mobile-node-harness.js';
import {
  listOf,
  prefixInformation,
  RegistrationHarness,
  SECOND_AGENT,
  THIRD_AGENT,
} from '../support/registration-harness.js';
import { sequenceFrom } from '../support/sequence.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOST_A,
  OTHER_CARE_OF,
} from '../support/testbed-addresses.js';

/** Milliseconds between two events: a clock that stands still, fractions, days at once. */
const pause = fc.oneof(
  fc.constantFrom(0, 0, 0.001, 999.999, 1000, 1500, 3000, 30_000, 86_400_000),
  fc.double({ min: 0, max: 60_000, noNaN: true }),
);
const homeAgent = fc.constantFrom(HOME_AGENT, SECOND_AGENT, THIRD_AGENT);
const careOfAddress = fc.constantFrom(CARE_OF, OTHER_CARE_OF);
const someAddress = fc.constantFrom(
  ...[HOME_AGENT, SECOND_AGENT, CARE_OF, HOME_ADDRESS],
  ...['ff02::1', '::', 'fe80::1', '2001:db8:2000::77'].map(parseAddress),
);
const protection = fc.constantFrom('none', 'none', 'esp', 'auth-option');
const homeAgents: fc.Arbitrary<HomeRegistrationConfig['homeAgents']> = fc.oneof(
  fc.constant({ kind: 'auto' as const }),
  fc.uniqueArray(homeAgent, { minLength: 1 }).map((addresses) => listOf(...addresses)),
);
const lifetime = fc.constantFrom(0, 4, 8, 60, 600, 262_140);
const status = fc.oneof(
  fc.constantFrom(0, 0, 0, 1, 128, 129, 131, 132, 133, 134, 135, 144, 145, 146),
  fc.nat(255),
);

/** What somebody does or sends; numbers that have to fit what went out are filled in when it happens. */
type Happening =
  | { readonly kind: 'event'; readonly event: HomeRegistrationEvent }
  | {
      readonly kind: 'acknowledge';
      readonly behind: number;
      readonly status: number;
      readonly lifetime: number;
      readonly advice: number | undefined;
      readonly addresses: Partial<Signal>;
    }
  | { readonly kind: 'message'; readonly message: MobilityMessage; readonly source: Address }
  | {
      readonly kind: 'discover';
      readonly fits: boolean;
      readonly homeAgents: readonly Address[];
    }
  | {
      readonly kind: 'advertise';
      readonly fits: boolean;
      readonly valid: number;
      readonly preferred: number;
      readonly protection: 'none' | 'esp' | 'auth-option';
    }
  | { readonly kind: 'echo'; readonly fits: boolean };

const event = (value: HomeRegistrationEvent): Happening => ({ kind: 'event', event: value });

const decision: fc.Arbitrary<Happening> = fc.oneof(
  fc.constantFrom(
    ...(['register', 'deregister', 'tick', 'at-home'] as const).map((type) => event({ type })),
  ),
  careOfAddress.map((to) => event({ type: 'move', careOfAddress: to })),
  fc
    .tuple(homeAgents, lifetime)
    .map(([to, asked]) => event({ type: 'reconfigure', homeAgents: to, lifetime: asked })),
);

const unauthenticated: fc.Arbitrary<Happening> = fc.oneof(
  fc.constant(event({ type: 'traffic' })),
  fc
    .tuple(careOfAddress, homeAgent, fc.nat(7))
    .map(([from, to, code]) => event({ type: 'path-error', error: unreachable(from, to, code) })),
  fc.record({ kind: fc.constant('echo' as const), fits: fc.boolean() }),
  fc.record({
    kind: fc.constant('discover' as const),
    fits: fc.boolean(),
    homeAgents: fc.array(someAddress, { maxLength: 40 }),
  }),
  fc.record({
    kind: fc.constant('message' as const),
    message: fc.oneof(
      fc.record({
        kind: fc.constant('binding-error' as const),
        status: fc.nat(3),
        homeAddress: fc.constantFrom(HOME_ADDRESS, HOST_A),
        options: fc.constant([]),
      }),
      fc.constant({ kind: 'binding-refresh-request' as const, options: [] }),
      fc.constant({ kind: 'unknown' as const, type: 99, data: new Uint8Array(2) }),
    ),
    source: homeAgent,
  }),
);

const acknowledgement = (of: fc.Arbitrary<'none' | 'esp' | 'auth-option' | undefined>) =>
  fc.record({
    kind: fc.constant('acknowledge' as const),
    behind: fc.oneof({ weight: 6, arbitrary: fc.nat(3) }, fc.nat(30)),
    status,
    lifetime,
    advice: fc.constantFrom(undefined, 0, 4, 40, 262_140),
    addresses: of.map(
      (value): Partial<Signal> => (value === undefined ? {} : { protection: value }),
    ),
  });

const advertisement = (of: typeof protection) =>
  fc.record({
    kind: fc.constant('advertise' as const),
    fits: fc.boolean(),
    valid: fc.constantFrom(0, 1, 4, 7200, 0xffffffff),
    preferred: fc.constantFrom(0, 1, 4, 0xffffffff),
    protection: of,
  });

function happen(harness: RegistrationHarness, what: Happening): HomeRegistrationOutput[] {
  switch (what.kind) {
    case 'event':
      return harness.handle(what.event);
    case 'acknowledge': {
      const of = harness.updates.at(-1 - what.behind);
      if (of === undefined) return harness.handle({ type: 'tick' });
      const options = alignMobilityOptions(
        what.advice === undefined
          ? []
          : [{ kind: 'binding-refresh-advice', interval: what.advice }],
        'binding-acknowledgement',
      );
      const fields = { status: what.status, lifetime: what.lifetime, options };
      return harness.acknowledge(fields, what.addresses, of);
    }
    case 'message':
      return harness.signal({
        source: what.source,
        destination: CARE_OF,
        routingHeader: HOME_ADDRESS,
        message: what.message,
      });
    case 'discover':
      return harness.discover(what.homeAgents, fitting(harness, what.fits));
    case 'advertise': {
      const option = { validLifetime: what.valid, preferredLifetime: what.preferred };
      const options = [
        prefixInformation(option),
        prefixInformation({ prefix: parsePrefix('2001:db8:2001::/64') }),
      ];
      const fields = { protection: what.protection };
      return harness.advertise(options, fields, fitting(harness, what.fits));
    }
    case 'echo': {
      const last = ofType(harness.outputs, 'probe').at(-1);
      const { identifier = 0, sequence = 0 } = what.fits && last !== undefined ? last : {};
      return harness.handle({ type: 'echo-reply', identifier, sequence });
    }
  }
}

function fitting(harness: RegistrationHarness, fits: boolean): number {
  const message = harness.icmpv6.at(-1)?.message;
  return fits && message !== undefined && 'identifier' in message ? message.identifier : 4711;
}

const binding = fc.option(
  fc.record({
    homeAgent,
    careOfAddress,
    lifetime: fc.constantFrom(4, 60, 3600),
    expiresAt: fc.constantFrom(-1, 0, 4000, 3_600_000),
  }),
  { nil: undefined },
);

const configuration = fc
  .record({
    homeAgents,
    protection,
    lifetime: fc.constantFrom(4, 60, 3600, 262_140),
    livenessInterval: fc.constantFrom(0, 1, 30),
    first: fc.nat(0xffff),
    random: fc.constantFrom(0, 0.5, 0.999_999),
    held: binding,
  })
  .map(({ first, random, held, ...rest }) => ({
    ...rest,
    sequence: sequenceFrom(first),
    random: () => random,
    ...(held === undefined ? {} : { binding: held }),
  }));

/** A fourth update within a second; the clock has fractions, so not to the last bit. */
function tooFast({ updates }: RegistrationHarness): boolean {
  return updates.some(({ at }, index) => (updates[index + 3]?.at ?? at + 1000) - at < 999.999_999);
}

t.test(
  'property: whatever happens it does not throw, spin, send too fast or hold more than a bounded number of things',
  async () => {
    const anything = fc.oneof(
      { weight: 3, arbitrary: decision },
      { weight: 4, arbitrary: acknowledgement(fc.constantFrom(undefined, undefined, 'none')) },
      { weight: 4, arbitrary: unauthenticated },
      { weight: 1, arbitrary: advertisement(protection) },
    );
    fc.assert(
      fc.property(
        configuration,
        fc.array(fc.tuple(pause, anything), { maxLength: 60 }),
        (config, story) => {
          const harness = new RegistrationHarness(config);
          let bound = false;
          for (const [ms, what] of story) {
            harness.now += ms;
            // The harness throws when it is to be woken at once again.
            const outputs = happen(harness, what);
            if (outputs.length > 40) throw new Error(`${outputs.length} outputs at once`);
            for (const output of outputs) {
              if (output.type === 'bound') {
                bound = true;
                if (output.expiresAt <= harness.now) throw new Error('bound and over');
              } else if (output.type === 'unbound') {
                bound = false;
              } else if (output.type === 'probe' && !bound) {
                throw new Error('a probe without a tunnel');
              } else if (output.type === 'prefixes' && output.prefixes.length > 16) {
                throw new Error(`${output.prefixes.length} prefixes`);
              }
            }
            const { reason, state, expiresIn } = harness.summary;
            if (reason === undefined || reason.length < 10) throw new Error(`${state}: ${reason}`);
            if (/undefined|NaN|Infinity/.test(reason)) throw new Error(reason);
            if (expiresIn !== undefined && !bound && state !== 'deregistering') {
              throw new Error(`${state} shows a binding that was not announced`);
            }
          }
          if (tooFast(harness)) throw new Error('faster than MAX_UPDATE_RATE');
          if (harness.registration.drops.size > 40) throw new Error('reasons without end');
        },
      ),
      { numRuns: 3000 },
    );
  },
);

t.test('property: what nobody has authenticated never unbinds, and costs little', async () => {
  const forged = fc.oneof(
    { weight: 4, arbitrary: unauthenticated },
    { weight: 4, arbitrary: acknowledgement(fc.constant('none')) },
    { weight: 1, arbitrary: advertisement(fc.constant('none')) },
  );
  fc.assert(
    fc.property(
      fc.constantFrom('esp' as const, 'auth-option' as const),
      fc.boolean(),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 4000 }), forged), { maxLength: 60 }),
      (kind, answers, story) => {
        const harness = RegistrationHarness.registered({
          protection: kind,
          homeAgents: listOf(HOME_AGENT),
          lifetime: 3600,
          livenessInterval: 30,
        });
        for (const [ms, what] of story) {
          const before = harness.updates.length;
          const outputs = [...harness.pass(ms), ...happen(harness, what)];
          if (ofType(outputs, 'unbound').length > 0) throw new Error('unbound');
          if (answers && harness.updates.length > before) harness.acknowledge();
          const { state, homeAgent: holder } = harness.summary;
          if (state !== 'registered' && state !== 'lost') throw new Error(state);
          if (holder !== HOME_AGENT) throw new Error(`the binding is at ${holder}`);
        }
        const most = 3 + harness.now / 1000;
        if (harness.updates.length > most) throw new Error(`${harness.updates.length} updates`);
        if (harness.icmpv6.length > most) throw new Error(`${harness.icmpv6.length} requests`);
      },
    ),
    { numRuns: 1500 },
  );
});

t.test('property: a home agent that answers binds, whatever was before', async () => {
  const anything = fc.oneof(
    { weight: 2, arbitrary: decision },
    { weight: 3, arbitrary: acknowledgement(fc.constantFrom(undefined, 'none')) },
    { weight: 3, arbitrary: unauthenticated },
  );
  fc.assert(
    fc.property(
      configuration,
      fc.array(fc.tuple(pause, anything), { maxLength: 30 }),
      (config, story) => {
        const harness = new RegistrationHarness(config);
        for (const [ms, what] of story) {
          harness.now += ms;
          happen(harness, what);
        }
        harness.handle({ type: 'move', careOfAddress: CARE_OF });
        harness.register();
        for (let round = 0; round < 400; round += 1) {
          const updates = harness.updates.length;
          const requests = harness.icmpv6.length;
          if (harness.summary.state === 'registered') break;
          harness.pass(1000);
          if (harness.icmpv6.length > requests) harness.discover([HOME_AGENT]);
          if (harness.updates.length > updates) harness.acknowledge({ lifetime: 4 });
        }
        const { state, reason } = harness.summary;
        if (state !== 'registered') throw new Error(`${state}: ${reason}`);
      },
    ),
    { numRuns: 1000 },
  );
});

t.test('a flood of replies and advertisements leaves nothing behind', async (t) => {
  const harness = new RegistrationHarness({ homeAgents: { kind: 'auto' } });
  harness.register();
  harness.discover([HOME_AGENT]);
  harness.acknowledge();
  for (let i = 0; i < 20_000; i += 1) {
    harness.discover([HOME_AGENT, SECOND_AGENT], i & 0xffff);
    harness.handle({ type: 'echo-reply', identifier: i & 0xffff, sequence: i & 0xff });
    harness.advertise([prefixInformation({ prefix: HOME_PREFIX })], {}, i & 0xffff);
  }
  t.ok(harness.registration.drops.size < 10);
  t.ok(harness.icmpv6.length <= 3, `${harness.icmpv6.length}`);
});
