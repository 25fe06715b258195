import fc from 'fast-check';
import type {
  Address,
  ExtensionHeader,
  Icmpv6Message,
  Mac,
  MobilityMessage,
  MobilityOption,
  NdpOption,
  Option,
} from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  alignOptions,
  isMulticast,
  readAddress,
  readMac,
} from '../../src/wire/index.js';
import type { Frame } from './samples.js';

/** Records that the codecs must carry: every value that a field can hold. */

export const octets = (minLength: number, maxLength = minLength) =>
  fc.uint8Array({ minLength, maxLength });
const uint = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
const nonZero = (bits: number) => fc.integer({ min: 1, max: 2 ** bits - 1 });
const seconds = uint(16).map((units) => units * 4);

/** `fc.record` without its null prototype, which no parser makes. */
export function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true });
}

/** Half of them full of zero groups, where the text form has its corners. */
export const address: fc.Arbitrary<Address> = fc
  .oneof(
    octets(16),
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 0xffff, 0xfe80), { minLength: 8, maxLength: 8 })
      .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]))),
  )
  .map((bytes) => readAddress(bytes, 0));

export const unicast = address.filter((a) => !isMulticast(a));

export const mac: fc.Arbitrary<Mac> = octets(6).map((bytes) => readMac(bytes, 0));

/** A record whose reserved bits are there only when set. */
function withOptional<T extends object, K extends string, V>(
  record: fc.Arbitrary<T>,
  key: K,
  value: fc.Arbitrary<V>,
): fc.Arbitrary<T & { [P in K]?: V }> {
  return fc
    .tuple(record, fc.option(value, { nil: undefined }))
    .map(([base, extra]) =>
      extra === undefined ? base : ({ ...base, [key]: extra } as T & { [P in K]?: V }),
    );
}

const padN = record({ kind: fc.constant('padN' as const), data: octets(0, 6) });
const pad1 = fc.constant({ kind: 'pad1' as const });

const unknownOption = (known: readonly number[]) =>
  record({
    kind: fc.constant('unknown' as const),
    type: fc.integer({ min: 2, max: 255 }).filter((type) => !known.includes(type)),
    data: octets(0, 40),
  });

export const option: fc.Arbitrary<Option> = fc.oneof(
  pad1,
  padN,
  record({ kind: fc.constant('tunnel-encapsulation-limit' as const), limit: uint(8) }),
  record({ kind: fc.constant('router-alert' as const), value: uint(16) }),
  unknownOption([4, 5, 0xc9]),
);

export const homeAddress = record({ kind: fc.constant('home-address' as const), address });

export const mobilityOption: fc.Arbitrary<MobilityOption> = fc.oneof(
  pad1,
  padN,
  record({ kind: fc.constant('binding-refresh-advice' as const), interval: seconds }),
  record({ kind: fc.constant('alternate-care-of-address' as const), address }),
  record({
    kind: fc.constant('nonce-indices' as const),
    home: uint(16),
    careOf: uint(16),
  }),
  record({
    kind: fc.constant('binding-authorization-data' as const),
    authenticator: octets(0, 20),
  }),
  record({
    kind: fc.constant('mobile-node-identifier' as const),
    subtype: uint(8),
    identifier: octets(0, 40),
  }),
  record({
    kind: fc.constant('mobility-authentication' as const),
    subtype: uint(8),
    spi: uint(32),
    authenticator: octets(0, 20),
  }),
  record({
    kind: fc.constant('replay-protection' as const),
    timestamp: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
  }),
  unknownOption([2, 3, 4, 5, 8, 9, 10]),
);

type KnownMobility = Exclude<MobilityMessage, { kind: 'unknown' }>;

const mobilityOptions = (kind: KnownMobility['kind']) =>
  fc.array(mobilityOption, { maxLength: 6 }).map((options) => alignMobilityOptions(options, kind));

const testInit = (kind: 'home-test-init' | 'care-of-test-init') =>
  withOptional(
    record({ kind: fc.constant(kind), cookie: octets(8), options: mobilityOptions(kind) }),
    'reserved',
    nonZero(16),
  );

const test = (kind: 'home-test' | 'care-of-test') =>
  record({
    kind: fc.constant(kind),
    nonceIndex: uint(16),
    cookie: octets(8),
    keygenToken: octets(8),
    options: mobilityOptions(kind),
  });

const knownMobility: fc.Arbitrary<KnownMobility> = fc.oneof(
  withOptional(
    record({
      kind: fc.constant('binding-refresh-request' as const),
      options: mobilityOptions('binding-refresh-request'),
    }),
    'reserved',
    nonZero(16),
  ),
  testInit('home-test-init'),
  testInit('care-of-test-init'),
  test('home-test'),
  test('care-of-test'),
  record({
    kind: fc.constant('binding-update' as const),
    sequence: uint(16),
    acknowledge: fc.boolean(),
    homeRegistration: fc.boolean(),
    linkLocalCompatible: fc.boolean(),
    keyManagement: fc.boolean(),
    reserved: uint(12),
    lifetime: seconds,
    options: mobilityOptions('binding-update'),
  }),
  record({
    kind: fc.constant('binding-acknowledgement' as const),
    status: uint(8),
    keyManagement: fc.boolean(),
    reserved: uint(7),
    sequence: uint(16),
    lifetime: seconds,
    options: mobilityOptions('binding-acknowledgement'),
  }),
  withOptional(
    record({
      kind: fc.constant('binding-error' as const),
      status: uint(8),
      homeAddress: address,
      options: mobilityOptions('binding-error'),
    }),
    'reserved',
    nonZero(8),
  ),
);

const unknownMobility = withOptional(
  record({
    kind: fc.constant('unknown' as const),
    type: fc.integer({ min: 8, max: 255 }),
    data: fc.integer({ min: 0, max: 20 }).chain((n) => octets(8 * n + 2)),
  }),
  'payloadProtocol',
  uint(8).filter((protocol) => protocol !== 59),
);

export const mobilityMessage: fc.Arbitrary<MobilityMessage> = fc.oneof(
  withOptional(knownMobility, 'headerReserved', nonZero(8)),
  withOptional(unknownMobility, 'headerReserved', nonZero(8)),
);

const prefixInformation = withOptional(
  withOptional(
    record({
      kind: fc.constant('prefix-information' as const),
      prefix: record({ address, length: fc.integer({ min: 0, max: 128 }) }),
      onLink: fc.boolean(),
      autonomous: fc.boolean(),
      routerAddress: fc.boolean(),
      validLifetime: uint(32),
      preferredLifetime: uint(32),
    }),
    'reserved',
    nonZero(5),
  ),
  'reserved2',
  nonZero(32),
);

export const ndpOption: fc.Arbitrary<NdpOption> = fc.oneof(
  record({ kind: fc.constant('source-link-layer-address' as const), mac }),
  record({ kind: fc.constant('target-link-layer-address' as const), mac }),
  prefixInformation,
  withOptional(
    record({ kind: fc.constant('mtu' as const), mtu: uint(32) }),
    'reserved',
    nonZero(16),
  ),
  withOptional(
    record({
      kind: fc.constant('home-agent-information' as const),
      preference: fc.integer({ min: -0x8000, max: 0x7fff }),
      lifetime: uint(16),
    }),
    'reserved',
    nonZero(16),
  ),
  record({
    kind: fc.constant('unknown' as const),
    type: uint(8).filter((type) => ![1, 2, 3, 5, 8].includes(type)),
    data: fc.integer({ min: 0, max: 6 }).chain((n) => octets(8 * n + 6)),
  }),
  // A link-layer address of another kind of link (RFC 4861 4.6.1)
  record({
    kind: fc.constant('unknown' as const),
    type: fc.constantFrom(1, 2),
    data: octets(14),
  }),
);

const ndpOptions = fc.array(ndpOption, { maxLength: 5 });

const error = (kind: 'destination-unreachable' | 'time-exceeded') =>
  withOptional(
    record({ kind: fc.constant(kind), code: uint(8), quoted: octets(0, 80) }),
    'reserved',
    nonZero(32),
  );

const echo = (kind: 'echo-request' | 'echo-reply') =>
  withOptional(
    record({
      kind: fc.constant(kind),
      identifier: uint(16),
      sequence: uint(16),
      data: octets(0, 80),
    }),
    'code',
    nonZero(8),
  );

export const icmpv6Message: fc.Arbitrary<Icmpv6Message> = fc.oneof(
  error('destination-unreachable'),
  error('time-exceeded'),
  withOptional(
    record({
      kind: fc.constant('packet-too-big' as const),
      mtu: uint(32),
      quoted: octets(0, 80),
    }),
    'code',
    nonZero(8),
  ),
  record({
    kind: fc.constant('parameter-problem' as const),
    code: uint(8),
    pointer: uint(32),
    quoted: octets(0, 80),
  }),
  echo('echo-request'),
  echo('echo-reply'),
  withOptional(
    record({ kind: fc.constant('home-agent-discovery-request' as const), identifier: uint(16) }),
    'reserved',
    nonZero(16),
  ),
  withOptional(
    record({
      kind: fc.constant('home-agent-discovery-reply' as const),
      identifier: uint(16),
      homeAgents: fc.array(address, { maxLength: 5 }),
    }),
    'reserved',
    nonZero(16),
  ),
  withOptional(
    record({ kind: fc.constant('mobile-prefix-solicitation' as const), identifier: uint(16) }),
    'reserved',
    nonZero(16),
  ),
  withOptional(
    record({
      kind: fc.constant('mobile-prefix-advertisement' as const),
      identifier: uint(16),
      managed: fc.boolean(),
      other: fc.boolean(),
      options: ndpOptions,
    }),
    'reserved',
    nonZero(14),
  ),
  withOptional(
    record({ kind: fc.constant('router-solicitation' as const), options: ndpOptions }),
    'reserved',
    nonZero(32),
  ),
  withOptional(
    record({
      kind: fc.constant('router-advertisement' as const),
      hopLimit: uint(8),
      managed: fc.boolean(),
      other: fc.boolean(),
      homeAgent: fc.boolean(),
      preference: fc.constantFrom('low', 'medium', 'high', 'reserved'),
      routerLifetime: uint(16),
      reachableTime: uint(32),
      retransTimer: uint(32),
      options: ndpOptions,
    }),
    'reserved',
    nonZero(3),
  ),
  withOptional(
    record({
      kind: fc.constant('neighbor-solicitation' as const),
      target: address,
      options: ndpOptions,
    }),
    'reserved',
    nonZero(32),
  ),
  withOptional(
    record({
      kind: fc.constant('neighbor-advertisement' as const),
      router: fc.boolean(),
      solicited: fc.boolean(),
      override: fc.boolean(),
      target: address,
      options: ndpOptions,
    }),
    'reserved',
    nonZero(29),
  ),
  withOptional(
    record({
      kind: fc.constant('redirect' as const),
      target: address,
      destination: address,
      options: ndpOptions,
    }),
    'reserved',
    nonZero(32),
  ),
  record({
    kind: fc.constant('unknown' as const),
    type: uint(8).filter(
      (type) => ![1, 2, 3, 4, 128, 129, 133, 134, 135, 136, 137, 144, 145, 146, 147].includes(type),
    ),
    code: uint(8),
    body: octets(0, 80),
  }),
);

const optionsHeader = (kind: 'hop-by-hop' | 'destination') =>
  record({ kind: fc.constant(kind), options: fc.array(option, { maxLength: 5 }) }).map(
    (header) => ({ ...header, options: alignOptions(header.options) }),
  );

const route2 = withOptional(
  record({
    kind: fc.constant('routing-type-2' as const),
    segmentsLeft: uint(1),
    homeAddress: address,
  }),
  'reserved',
  nonZero(32),
);

const fragment = (offset: fc.Arbitrary<number>) =>
  record({
    kind: fc.constant('fragment' as const),
    offset,
    more: fc.boolean(),
    identification: uint(32),
    reserved: uint(10),
  });

const optional = <T extends ExtensionHeader>(header: fc.Arbitrary<T>) =>
  fc.array(header, { maxLength: 1 });

/** At most one Home Address option, one type 2 routing header; a later fragment ends the chain. */
const extensions: fc.Arbitrary<ExtensionHeader[]> = fc
  .tuple(
    optional(optionsHeader('hop-by-hop')),
    fc.array(optionsHeader('destination'), { maxLength: 2 }),
    optional(
      homeAddress.map((hao) => ({
        kind: 'destination' as const,
        options: alignOptions([hao]),
      })),
    ),
    optional(route2),
    fc.array(
      record({
        kind: fc.constant('routing' as const),
        routingType: uint(8).filter((type) => type !== 2),
        segmentsLeft: uint(8),
        data: fc.integer({ min: 0, max: 8 }).chain((n) => octets(8 * n + 4)),
      }),
      { maxLength: 1 },
    ),
    optional(fragment(fc.constant(0))),
    optional(fragment(fc.integer({ min: 1, max: 0x1fff }).map((units) => units * 8))),
  )
  .map((headers) => headers.flat());

export const frame: fc.Arbitrary<Frame> = record({
  trafficClass: uint(8),
  flowLabel: uint(20),
  hopLimit: uint(8),
  source: address,
  destination: address,
  extensions,
});
