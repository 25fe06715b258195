import fc from 'fast-check';
import t from 'tap';
import type { HomeAgentEvent, HomeAgentOutput } from '../../../src/signaling/index.js';
import { emitSignal } from '../../../src/signaling/index.js';
import type { Address, Icmpv6Message } from '../../../src/wire/index.js';
import {
  emitIcmpv6,
  emitPacket,
  homeAgentsAnycast,
  PROTOCOL,
  parseAddress,
} from '../../../src/wire/index.js';
import { AgentHarness, bindingUpdate, served } from '../../support/home-agent-harness.js';
import { seededRandom } from '../../support/random.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const MAX_BINDINGS = 3;
const PROTECTED = parseAddress('2001:db8:2000::20');
const SIGNED = parseAddress('2001:db8:2000::30');
const address = fc.constantFrom<Address>(
  HOME_ADDRESS,
  PROTECTED,
  SIGNED,
  HOME_AGENT,
  HOST_A,
  CARE_OF,
  OTHER_CARE_OF,
  ...['2001:db8:2000::40', '2001:db8:2000::50', '2001:db8:9::1', '::', 'ff02::1', 'fe80::1'].map(
    parseAddress,
  ),
);
const protection = fc.constantFrom('none', 'none', 'esp', 'auth-option');

const update = fc
  .record({
    source: address,
    home: fc.option(address),
    alternates: fc.array(address, { maxLength: 2 }),
    sequence: fc.oneof(fc.nat(5), fc.nat(0xffff)),
    lifetime: fc.constantFrom(0, 4, 60, 262_140),
    acknowledge: fc.boolean(),
    homeRegistration: fc.constantFrom(true, true, false),
    linkLocalCompatible: fc.boolean(),
    reserved: fc.constantFrom(0, 0, 0, 0x800, 0x400, 0x200),
    protection,
    authentication: fc.constantFrom('ok', 'missing', 'failed', 'replayed'),
  })
  .map((fields): HomeAgentEvent => ({ type: 'signal', signal: bindingUpdate(fields) }));

const otherSignal = fc
  .record({
    source: address,
    home: fc.option(address),
    type: fc.constantFrom(8, 77, 255),
    length: fc.nat(4),
    protection,
  })
  .map(({ source, home, type, length, protection: given }): HomeAgentEvent => {
    const data = new Uint8Array(8 * length + 2);
    return {
      type: 'signal',
      signal: {
        source,
        destination: HOME_AGENT,
        ...(home === null ? {} : { homeAddressOption: home }),
        protection: given,
        message: { kind: 'unknown', type, data },
      },
    };
  });

const message = fc.constantFrom<Icmpv6Message>(
  { kind: 'home-agent-discovery-request', identifier: 7 },
  { kind: 'mobile-prefix-solicitation', identifier: 7 },
  { kind: 'home-agent-discovery-reply', identifier: 7, homeAgents: [HOST_A] },
);

const icmpv6 = fc.record({
  type: fc.constant('icmpv6' as const),
  source: address,
  destination: fc.constantFrom(HOME_AGENT, homeAgentsAnycast(HOME_PREFIX), HOST_A),
  homeAddress: address,
  message,
  protection,
});

const octets = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.tuple(address, fc.constantFrom(HOME_AGENT, HOST_A), fc.nat(1500)).map(([source, to, length]) =>
    emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit: 64,
      source,
      destination: to,
      extensions: [],
      protocol: PROTOCOL.ipv6,
      payload: new Uint8Array(length),
    }).slice(0, 1280),
  ),
);

const advertisement = fc.record({
  type: fc.constant('router-advertisement' as const),
  source: fc.nat(100).map((n) => parseAddress(`fe80::${n.toString(16)}`)),
  homeAgent: fc.boolean(),
  preference: fc.integer({ min: -0x8000, max: 0x7fff }),
  lifetime: fc.nat(0xffff),
  addresses: fc.array(address, { maxLength: 20 }),
});

const home = fc.constantFrom(
  HOME_ADDRESS,
  HOST_A,
  ...['2001:db8:2000::40', '2001:db8:2000::50', '2001:db8:2000::60'].map(parseAddress),
);
const careOf = fc.constantFrom(CARE_OF, OTHER_CARE_OF);

/** What a mobile node may well send. */
const sensible: fc.Arbitrary<HomeAgentEvent> = fc.oneof(
  fc
    .record({
      home,
      source: careOf,
      sequence: fc.nat(0xffff),
      lifetime: fc.constantFrom(0, 4, 60, 262_140, 262_140),
    })
    .map((fields): HomeAgentEvent => ({ type: 'signal', signal: bindingUpdate(fields) })),
  fc.record({
    type: fc.constant('icmpv6' as const),
    source: careOf,
    destination: fc.constant(HOME_AGENT),
    homeAddress: home,
    message: fc.constant<Icmpv6Message>({ kind: 'mobile-prefix-solicitation', identifier: 7 }),
    protection: fc.constant('none' as const),
  }),
  fc.record({ type: fc.constant('unique' as const), homeAddress: home }),
);

const event: fc.Arbitrary<HomeAgentEvent> = fc.oneof(
  { weight: 20, arbitrary: sensible },
  { weight: 6, arbitrary: update },
  { weight: 1, arbitrary: otherSignal },
  { weight: 2, arbitrary: icmpv6 },
  { weight: 1, arbitrary: advertisement },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('home-address-option' as const),
      source: address,
      homeAddress: address,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('not-mobility' as const),
      bytes: octets,
      pointer: fc.nat(1500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('unbound' as const), bytes: octets }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom('unique', 'unique', 'duplicate'),
      homeAddress: address,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(600_000, 100, 0).map(
      (lifetime): HomeAgentEvent => ({
        type: 'prefixes-changed',
        prefixes: [
          {
            prefix: HOME_PREFIX,
            validLifetime: lifetime,
            preferredLifetime: lifetime / 2,
            onLink: true,
            autonomous: true,
          },
        ],
      }),
    ),
  },
);

const pause = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 0.001, 100) },
  { weight: 1, arbitrary: fc.constantFrom(999.999, 1000, 4000, 600_000, 86_400_000) },
  { weight: 1, arbitrary: fc.double({ min: 0, max: 40_000, noNaN: true }) },
);

const happenings = fc.array(fc.tuple(pause, event), { minLength: 20, maxLength: 100 });

/** Octets of what an output sends, without protection. */
function size(output: HomeAgentOutput): number {
  if (output.type === 'transmit') return emitSignal(output.signal).length;
  if (output.type !== 'transmit-icmpv6') return 0;
  const { source, destination, routingHeader } = output;
  const pseudo = { source, destination: routingHeader ?? destination };
  return 40 + (routingHeader === undefined ? 0 : 24) + emitIcmpv6(output.message, pseudo).length;
}

/** Octets of what came, the least that the event can stand for; undefined: nobody outside can make it. */
function cause(happened: HomeAgentEvent): number | undefined {
  switch (happened.type) {
    case 'signal':
      return emitSignal(happened.signal).length;
    case 'home-address-option':
      return 40 + 24;
    case 'not-mobility':
    case 'unbound':
      return happened.bytes.length;
    case 'icmpv6':
      return 40 + 24 + 8;
    default:
      return undefined;
  }
}

for (const homeLink of ['real', 'virtual'] as const) {
  t.test(`property: whatever happens on a ${homeLink} home link, limits are kept`, (t) => {
    fc.assert(
      fc.property(happenings, fc.nat(), (story, seed) => {
        const harness = new AgentHarness({
          homeLink,
          allow: 'any',
          maxBindings: MAX_BINDINGS,
          maxLifetime: 262_140,
          random: seededRandom(seed),
          mobileNodes: [
            served(),
            served({ homeAddress: PROTECTED, protection: 'esp' }),
            served({ homeAddress: SIGNED, protection: 'auth-option' }),
          ],
        });
        /** octets that came as solicitations of a home address, less the advertisements that left */
        const credit = new Map<Address, number>();
        for (const [ms, happened] of story) {
          harness.now += ms;
          harness.handle({ type: 'tick' });
          if (happened.type === 'icmpv6' && happened.homeAddress !== undefined) {
            const { homeAddress } = happened;
            credit.set(homeAddress, (credit.get(homeAddress) ?? 0) + (cause(happened) ?? 0));
          }
          const outputs = harness.handle(happened);
          const sent = outputs.filter((output) => size(output) > 0);
          // One packet in, one packet out: what is probed, bound or stored is no packet.
          if (sent.length > 1) throw new Error(`${sent.length} answers`);
          for (const output of sent) checkSize(happened, output, credit);
          const { sequences, homeAgents } = harness.agent.memory;
          if (harness.bindings.length > MAX_BINDINGS) throw new Error('too many bindings');
          // Of listed nodes, and of strangers.
          if (sequences > 2 * MAX_BINDINGS) throw new Error('too many sequence numbers');
          if (homeAgents > 16) throw new Error('too many home agents');
          harness.handle({ type: 'tick' });
          const at = harness.agent.wakeAt();
          if (at !== undefined && !(at > harness.now)) throw new Error('spins');
        }
        if (harness.agent.drops.size > 40) throw new Error('unbounded reasons');
        harness.pass(300_000_000);
        if (harness.bindings.length > 0) throw new Error('a binding outlived its lifetime');
        if (harness.agent.wakeAt() !== undefined) throw new Error('never sleeps');
      }),
      { numRuns: 600 },
    );
    t.end();
  });
}

/**
 * Whoever has no key gets no more octets than he sent: in one answer, or of prefixes, in all. The reply of home agent discovery
 * has its form from RFC 6275 6.6 and is bounded otherwise.
 */
function checkSize(
  happened: HomeAgentEvent,
  output: HomeAgentOutput,
  credit: Map<Address, number>,
): void {
  const came = cause(happened);
  if (came === undefined) return;
  if (output.type !== 'transmit-icmpv6' || happened.type !== 'icmpv6') {
    if (size(output) > came) throw new Error(`${size(output)} octets for ${came}`);
    return;
  }
  if (output.destination !== happened.source) throw new Error('reflected');
  if (output.message.kind === 'home-agent-discovery-reply' || happened.protection === 'esp') return;
  const left = (credit.get(happened.homeAddress ?? HOST_A) ?? 0) - size(output);
  if (left < 0) throw new Error(`${-left} octets for nothing`);
  credit.set(happened.homeAddress ?? HOST_A, left);
}
