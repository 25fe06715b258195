import fc from 'fast-check';
import t from 'tap';
import type { ForeignLinkEvent } from '../../src/foreignlink/index.js';
import { ForeignLink } from '../../src/foreignlink/index.js';
import type { Icmpv6Message } from '../../src/wire/index.js';
import { ALL_NODES, parseAddress, solicitedNode, UNSPECIFIED } from '../../src/wire/index.js';
import {
  FAR,
  NEIGHBOR,
  neighborAdvertisement,
  OUR_MAC,
  prefixOption,
  ROUTER,
  ROUTER_STATION,
  routerAdvertisement,
  SECOND_ROUTER,
  sourceOption,
} from '../support/foreign-link-harness.js';
import { icmpv6Frame, solicitation } from '../support/link-frames.js';
import { mldQuery } from '../support/mld.js';
import { CARE_OF } from '../support/testbed-addresses.js';
import { drive } from '../support/wake.js';

const LINK_LOCAL = parseAddress('fe80::1234');
const seconds = fc.constantFrom(0, 1, 30, 1800, 0xffff);
const address = fc.constantFrom(CARE_OF, LINK_LOCAL, NEIGHBOR, ROUTER, SECOND_ROUTER, FAR);

const message: fc.Arbitrary<Icmpv6Message> = fc.oneof(
  fc
    .record({
      routerLifetime: seconds,
      reachableTime: fc.constantFrom(0, 1, 30_000, 0xffff_ffff),
      retransTimer: fc.constantFrom(0, 1, 1000, 0xffff_ffff),
      preference: fc.constantFrom('low' as const, 'medium' as const, 'high' as const),
      options: fc.constantFrom(
        [],
        [sourceOption(ROUTER_STATION)],
        [prefixOption(), { kind: 'mtu' as const, mtu: 1400 }],
        [prefixOption({ validLifetime: 3, preferredLifetime: 1 })],
        [prefixOption({ validLifetime: 0xffff_ffff, preferredLifetime: 0xffff_ffff })],
      ),
    })
    .map((of) => routerAdvertisement(of)),
  fc
    .tuple(address, fc.constantFrom(undefined, ROUTER_STATION, OUR_MAC), fc.boolean(), fc.boolean())
    .map(([target, mac, solicited, override]) =>
      neighborAdvertisement(target, mac, { solicited, override, router: override }),
    ),
  address.map((target) => solicitation(target, [])),
  fc
    .tuple(address, address)
    .map(
      ([target, destination]) => ({ kind: 'redirect', target, destination, options: [] }) as const,
    ),
);

const frame = fc
  .tuple(message, fc.constantFrom(ROUTER, SECOND_ROUTER, NEIGHBOR, UNSPECIFIED))
  .map(([one, source]): ForeignLinkEvent => {
    const probe = one.kind === 'neighbor-solicitation' && source === UNSPECIFIED;
    const answer = one.kind === 'neighbor-advertisement' && one.solicited;
    const destination = probe ? solicitedNode(one.target) : answer ? CARE_OF : ALL_NODES;
    return { type: 'frame', bytes: icmpv6Frame({ message: one, source, destination }) };
  });

const event: fc.Arbitrary<ForeignLinkEvent> = fc.oneof(
  { weight: 4, arbitrary: frame },
  fc.constant<ForeignLinkEvent>({ type: 'start' }),
  fc.record({ type: fc.constant('add' as const), address, optimistic: fc.boolean() }),
  fc.record({ type: fc.constant('carrier' as const), on: fc.boolean() }),
  fc
    .uint8Array({ minLength: 60, maxLength: 90 })
    .map((bytes): ForeignLinkEvent => ({ type: 'unsent', bytes })),
  fc.record({ type: fc.constant('remove' as const), address }),
  fc.record({ type: fc.constant('destinations' as const), addresses: fc.array(address) }),
  fc.constant<ForeignLinkEvent>({ type: 'frame', bytes: mldQuery({ version: 2 }) }),
  fc.uint8Array({ maxLength: 90 }).map((bytes): ForeignLinkEvent => ({ type: 'frame', bytes })),
);

/** Milliseconds between two events: a clock that stands still, fractions, a day at once. */
const pause = fc.oneof(
  fc.constantFrom(0, 0.001, 999.999, 1000, 5000, 60_000, 86_400_000),
  fc.double({ min: 0, max: 100_000, noNaN: true }),
);

t.test('property: a foreign link that was ticked never wants to be woken at once again', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 0.5, 0.999_999),
      fc.option(fc.constantFrom(ROUTER, NEIGHBOR), { nil: undefined }),
      fc.array(fc.tuple(pause, event), { maxLength: 60 }),
      (random, router, story) => {
        const link = new ForeignLink({
          mac: OUR_MAC,
          random: () => random,
          ...(router === undefined ? {} : { router }),
        });
        let now = 0;
        for (const [gap, next] of story) {
          now += gap;
          drive(link, now, next);
        }
      },
    ),
  );
  t.pass('no spin');
  t.end();
});
