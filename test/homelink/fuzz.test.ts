import fc from 'fast-check';
import t from 'tap';
import { HomeLinkDefender } from '../../src/homelink/index.js';
import type { Address, Icmpv6Message } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  parseAddress,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { drain } from '../support/drain.js';
import { GuestLinkHarness } from '../support/guest-link-harness.js';
import { icmpv6Frame, read, SLLA } from '../support/link-frames.js';
import {
  GUEST_LINK_LOCAL,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOME_ROUTER,
  HOST_A,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const address = fc.constantFrom<Address>(
  HOME_ADDRESS,
  HOME_ROUTER,
  HOST_A,
  HOME_AGENT,
  GUEST_LINK_LOCAL,
  UNSPECIFIED,
  ALL_NODES,
  ALL_ROUTERS,
  solicitedNode(HOST_A),
  solicitedNode(HOME_ADDRESS),
  parseAddress('2001:db8:9::1'),
);

const message: fc.Arbitrary<Icmpv6Message> = fc.oneof(
  fc.record({
    kind: fc.constant('neighbor-solicitation' as const),
    target: address,
    options: fc.constantFrom([], [SLLA]),
  }),
  fc.record({
    kind: fc.constant('neighbor-advertisement' as const),
    router: fc.boolean(),
    solicited: fc.boolean(),
    override: fc.boolean(),
    target: address,
    options: fc.constant([]),
  }),
  fc.record({
    kind: fc.constant('router-solicitation' as const),
    options: fc.constantFrom([], [SLLA]),
  }),
  fc.record({
    kind: fc.constant('echo-request' as const),
    identifier: fc.nat(0xffff),
    sequence: fc.nat(0xffff),
    data: fc.uint8Array({ maxLength: 64 }),
  }),
  fc.record({
    kind: fc.constant('unknown' as const),
    type: fc.constantFrom(0, 1, 127, 130, 143, 144, 147, 200, 255),
    code: fc.nat(255),
    body: fc.uint8Array({ minLength: 4, maxLength: 64 }),
  }),
);

/** A sound frame, a few octets of it changed, or junk. */
const frame = fc.oneof(
  fc
    .tuple(message, address, address)
    .map(([content, source, destination]) =>
      icmpv6Frame({ message: content, source, destination }),
    ),
  fc
    .tuple(message, address, address, fc.array(fc.tuple(fc.nat(150), fc.nat(255))), fc.nat(200))
    .map(([content, source, destination, changes, length]) => {
      const bytes = icmpv6Frame({ message: content, source, destination }).slice(0, length);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
  fc.uint8Array({ maxLength: 200 }),
);

t.test('property: no frame makes the guest link throw or say more than one word', (t) => {
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 20 }), (story) => {
      const harness = new GuestLinkHarness();
      for (const bytes of story) {
        const outputs = harness.frame(bytes);
        if (outputs.length > 2) throw new Error('babbles');
        const answers = outputs.filter((output) => output.type === 'frame');
        if (answers.length > 1) throw new Error('answers twice');
        for (const answer of answers) {
          // Sound by its own parser, from the router, and but for an RA not larger than the question with its option.
          const { sourceMac, hopLimit, message: said } = read(answer.bytes);
          if (sourceMac !== ROUTER_MAC || hopLimit !== 255) throw new Error('forged');
          const limit = said.kind === 'router-advertisement' ? 118 : bytes.length + 8;
          if (answer.bytes.length > limit) throw new Error(`${answer.bytes.length} octets`);
        }
        harness.handle({ type: 'too-big', bytes, mtu: 1460 });
      }
      if (harness.link.drops.size > 30) throw new Error('unbounded reasons');
    }),
    { numRuns: 1000 },
  );
  t.end();
});

t.test('property: no frame makes the defender throw or say more than one word', (t) => {
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 20 }), (story) => {
      const defender = new HomeLinkDefender({
        mac: ROUTER_MAC,
        address: HOME_AGENT,
        homePrefix: HOME_PREFIX,
        random: () => 0.5,
      });
      defender.handle(0, { type: 'start' });
      defender.handle(0, { type: 'probe', address: HOME_ADDRESS });
      defender.handle(0, { type: 'defend', address: HOST_A });
      drain(defender);
      for (const bytes of story) {
        defender.handle(1, { type: 'frame', bytes });
        if (drain(defender).length > 1) throw new Error('babbles');
      }
      if (defender.drops.size > 20) throw new Error('unbounded reasons');
    }),
    { numRuns: 1000 },
  );
  t.end();
});
