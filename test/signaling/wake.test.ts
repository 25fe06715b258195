import fc from 'fast-check';
import t from 'tap';
import type { HomeAgentEvent, MobileNodeEvent } from '../../src/signaling/index.js';
import { HomeAgent, MobileNode } from '../../src/signaling/index.js';
import { alignMobilityOptions } from '../../src/wire/index.js';
import { bindingUpdate } from '../support/home-agent-harness.js';
import { bindingAcknowledgement, unreachable } from '../support/mobile-node-harness.js';
import { sequenceFrom } from '../support/sequence.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  OTHER_CARE_OF,
} from '../support/testbed-addresses.js';
import { drive } from '../support/wake.js';

/** Milliseconds between two events: a clock that stands still, fractions, a day at once. */
const pause = fc.oneof(
  fc.constantFrom(0, 0.001, 999.999, 1000, 1500, 4000, 86_400_000),
  fc.double({ min: 0, max: 40_000, noNaN: true }),
);
const lifetime = fc.constantFrom(0, 4, 8, 60, 262_140);
const careOfAddress = fc.constantFrom(CARE_OF, OTHER_CARE_OF);

/** `behind`: how far an acknowledged number lies behind the next one. */
const nodeEvent = fc.oneof(
  fc.constantFrom<MobileNodeEvent>({ type: 'register' }, { type: 'deregister' }, { type: 'tick' }),
  fc.record({ type: fc.constant('move' as const), careOfAddress }),
  fc.constant<MobileNodeEvent>({ type: 'path-error', error: unreachable() }),
  fc.record({
    type: fc.constant('acknowledge' as const),
    behind: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 3 }) }, fc.nat(0xffff)),
    status: fc.constantFrom(0, 0, 0, 1, 128, 132, 133, 135, 135),
    lifetime,
    advice: fc.constantFrom(undefined, 0, 4, 40, 262_140),
    destination: careOfAddress,
  }),
);

t.test('property: a mobile node that was ticked never wants to be woken at once again', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(4, 8, 60, 262_140),
      fc.nat(0xffff),
      fc.constantFrom(0, 0.5, 0.999_999),
      fc.array(fc.tuple(pause, nodeEvent), { maxLength: 60 }),
      (asked, initialSequence, random, story) => {
        const node = new MobileNode({
          homeAddress: HOME_ADDRESS,
          homeAgent: HOME_AGENT,
          careOfAddress: CARE_OF,
          lifetime: asked,
          sequence: sequenceFrom(initialSequence),
          random: () => random,
        });
        let now = 0;
        for (const [ms, event] of story) {
          now += ms;
          if (event.type !== 'acknowledge') {
            drive<MobileNodeEvent>(node, now, event);
            continue;
          }
          const { behind, status, advice, destination } = event;
          const sequence = (node.sequence - behind + 0x10000) & 0xffff;
          const options = alignMobilityOptions(
            advice === undefined ? [] : [{ kind: 'binding-refresh-advice', interval: advice }],
            'binding-acknowledgement',
          );
          const signal = bindingAcknowledgement(
            { sequence, status, lifetime: event.lifetime, options },
            { destination },
          );
          drive<MobileNodeEvent>(node, now, { type: 'signal', signal });
        }
      },
    ),
    { numRuns: 1500 },
  );
  t.end();
});

const update = fc
  .record({
    source: careOfAddress,
    sequence: fc.nat(4),
    lifetime,
    linkLocalCompatible: fc.boolean(),
  })
  .map((fields): HomeAgentEvent => ({ type: 'signal', signal: bindingUpdate(fields) }));

t.test('property: a home agent that was ticked never wants to be woken at once again', (t) => {
  const agentEvent = fc.oneof(
    update,
    fc.constantFrom<HomeAgentEvent>(
      { type: 'unique', homeAddress: HOME_ADDRESS },
      { type: 'duplicate', homeAddress: HOME_ADDRESS },
      { type: 'home-address-option', source: OTHER_CARE_OF, homeAddress: HOME_ADDRESS },
      { type: 'tick' },
    ),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(pause, agentEvent), { maxLength: 60 }), (story) => {
      const agent = new HomeAgent({
        address: HOME_AGENT,
        homePrefix: HOME_PREFIX,
        maxLifetime: 262_140,
        allow: 'any',
        mobileNodes: [],
        maxBindings: 2,
      });
      let now = 0;
      for (const [ms, event] of story) {
        now += ms;
        drive(agent, now, event);
      }
    }),
    { numRuns: 1500 },
  );
  t.end();
});
