import fc from 'fast-check';
import t from 'tap';
import type { GuestLinkEvent, HomeLinkDefenderEvent } from '../../src/homelink/index.js';
import { GuestLink, HomeLinkDefender } from '../../src/homelink/index.js';
import { ALL_ROUTERS, parseAddress, solicitedNode, UNSPECIFIED } from '../../src/wire/index.js';
import { ADVERTISED } from '../support/guest-link-harness.js';
import { icmpv6Frame, solicitation } from '../support/link-frames.js';
import {
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOME_ROUTER,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';
import { drive } from '../support/wake.js';

const SECOND = parseAddress('2001:db8:2000::11');

/** Milliseconds between two events: a clock that stands still, fractions, a day at once. */
const pause = fc.oneof(
  fc.constantFrom(0, 0.001, 999.999, 1000, 3000, 16_000, 86_400_000),
  fc.double({ min: 0, max: 700_000, noNaN: true }),
);

const solicited = [HOME_ADDRESS, UNSPECIFIED].map((source) => ({
  type: 'frame' as const,
  bytes: icmpv6Frame({
    source,
    destination: ALL_ROUTERS,
    message: { kind: 'router-solicitation', options: [] },
  }),
}));

const probed = {
  type: 'frame',
  bytes: icmpv6Frame({
    source: UNSPECIFIED,
    destination: solicitedNode(HOME_ADDRESS),
    message: solicitation(HOME_ADDRESS),
  }),
} as const;

t.test('property: a guest link that was ticked never wants to be woken at once again', (t) => {
  const event = fc.constantFrom<GuestLinkEvent>(
    { type: 'arrived' },
    { type: 'tick' },
    probed,
    ...solicited,
  );
  const lifetime = fc.constantFrom(0, 1, 4, 30, 9000, 0xffffffff);
  fc.assert(
    fc.property(
      lifetime,
      lifetime,
      fc.constantFrom(0, 0.5, 0.999_999),
      fc.array(fc.tuple(pause, event), { maxLength: 60 }),
      (router, prefix, random, story) => {
        const link = new GuestLink({
          homeAddresses: [HOME_ADDRESS, SECOND],
          homePrefix: HOME_PREFIX,
          homeRouter: HOME_ROUTER,
          routerMac: ROUTER_MAC,
          routerAdvertisement: {
            ...ADVERTISED,
            lifetime: Math.min(router, 9000),
            validLifetime: prefix,
            preferredLifetime: prefix,
          },
          random: () => random,
        });
        let now = 0;
        for (const [ms, happened] of story) {
          now += ms;
          drive(link, now, happened);
        }
      },
    ),
    { numRuns: 1000 },
  );
  t.end();
});

t.test('property: a defender that was ticked never wants to be woken at once again', (t) => {
  const address = fc.constantFrom(HOME_ADDRESS, SECOND, HOME_AGENT, parseAddress('fe80::10'));
  const event = fc.oneof(
    fc.record({ type: fc.constantFrom('probe', 'defend', 'release'), address }),
    fc.constantFrom<HomeLinkDefenderEvent>({ type: 'start' }, { type: 'tick' }, probed),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(pause, event), { maxLength: 60 }), (story) => {
      const defender = new HomeLinkDefender({
        mac: ROUTER_MAC,
        address: HOME_AGENT,
        homePrefix: HOME_PREFIX,
        random: () => 0.5,
      });
      let now = 0;
      for (const [ms, happened] of story) {
        now += ms;
        drive<HomeLinkDefenderEvent>(defender, now, happened);
      }
    }),
    { numRuns: 1000 },
  );
  t.end();
});
