import fc from 'fast-check';
import t from 'tap';
import type { HomeAgentOutput, StoredBinding } from '../../src/signaling/index.js';
import type { Address } from '../../src/wire/index.js';
import { parseAddress } from '../../src/wire/index.js';
import { AgentHarness } from '../support/home-agent-harness.js';
import { CARE_OF, HOME_ADDRESS, OTHER_CARE_OF } from '../support/testbed-addresses.js';

const SECOND = parseAddress('2001:db8:2000::11');
const OTHERS = [HOME_ADDRESS, SECOND, parseAddress('fe80::10'), parseAddress('fe80::11')];

/** What the daemon makes of the outputs: tunnels, defended addresses, probes that run. */
class Effects {
  readonly tunnels = new Map<Address, Address>();
  readonly defended = new Set<Address>();
  readonly probed = new Set<Address>();
  /** what a restart would find */
  readonly store = new Map<Address, StoredBinding>();

  apply(outputs: readonly HomeAgentOutput[]): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'bind':
          this.tunnels.set(output.homeAddress, output.careOfAddress);
          break;
        case 'unbind':
          if (!this.tunnels.delete(output.homeAddress)) throw new Error('unbound without a bind');
          break;
        case 'probe':
          this.probed.add(output.homeAddress);
          break;
        case 'defend':
          this.defended.add(output.homeAddress);
          break;
        case 'release':
          this.defended.delete(output.homeAddress);
          this.probed.delete(output.homeAddress);
          break;
        case 'store':
          this.store.set(output.binding.homeAddress, output.binding);
          break;
        case 'forget':
          if (!this.store.delete(output.homeAddress)) throw new Error('forgotten, never stored');
          break;
        case 'transmit': {
          const { message, routingHeader } = output.signal;
          if (message.kind !== 'binding-acknowledgement' || message.status !== 0) break;
          // RFC 6275 10.4.1: who is told that it is bound has its tunnel and its defender by then.
          if (message.lifetime === 0 || routingHeader === undefined) break;
          if (!this.tunnels.has(routingHeader)) throw new Error('acknowledged before the tunnel');
          if (!this.defended.has(routingHeader)) throw new Error('acknowledged undefended');
          if (this.store.get(routingHeader)?.sequence !== message.sequence) {
            throw new Error('acknowledged before it was stored');
          }
        }
      }
    }
  }
}

t.test('property: tunnels and defended addresses are those of the binding cache, always', (t) => {
  const event = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('update' as const),
        home: fc.constantFrom(HOME_ADDRESS, SECOND),
        source: fc.constantFrom(CARE_OF, OTHER_CARE_OF),
        sequence: fc.nat(5),
        lifetime: fc.constantFrom(0, 4, 60),
        linkLocalCompatible: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('answer' as const),
        type: fc.constantFrom('unique', 'unique', 'duplicate'),
        homeAddress: fc.constantFrom(...OTHERS),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(30_000) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('jump' as const), ms: fc.nat(86_400_000) }),
    },
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), (story) => {
      let harness = new AgentHarness({ allow: 'any' });
      const effects = new Effects();
      for (const happened of story) {
        switch (happened.kind) {
          case 'update': {
            const { kind: _, ...fields } = happened;
            effects.apply(harness.update(fields));
            break;
          }
          case 'answer': {
            const { type, homeAddress } = happened;
            // Only what runs is answered: a released probe is forgotten by the home link.
            if (!effects.probed.delete(homeAddress)) break;
            effects.apply(harness.handle({ type, homeAddress }));
            break;
          }
          case 'restart': {
            // Killed and started again: nothing is left but the clock and the store.
            const { now } = harness;
            harness = new AgentHarness({ allow: 'any' });
            harness.now = now;
            effects.tunnels.clear();
            effects.defended.clear();
            effects.probed.clear();
            harness.agent.restore(now, effects.store.values());
            effects.apply(harness.handle({ type: 'tick' }));
            break;
          }
          case 'wait':
            effects.apply(harness.pass(happened.ms));
            break;
          case 'jump':
            harness.now += happened.ms;
            effects.apply(harness.handle({ type: 'tick' }));
        }
        const bound = harness.bindings.filter(({ state }) => state === 'bound');
        const expected = new Map(bound.map((b) => [b.homeAddress, b.careOfAddress] as const));
        if (expected.size !== effects.tunnels.size) throw new Error('tunnels');
        for (const [home, careOf] of expected) {
          if (effects.tunnels.get(home) !== careOf) throw new Error(`tunnel of ${home}`);
          if (effects.store.get(home)?.careOfAddress !== careOf)
            throw new Error(`store of ${home}`);
          if (!effects.defended.has(home)) throw new Error(`${home} undefended`);
        }
        if (effects.store.size !== expected.size) throw new Error('stored');
        if (effects.defended.size > 2 * bound.length) throw new Error('defended without binding');
        if (harness.bindings.some(({ expiresAt }) => expiresAt <= harness.now)) {
          throw new Error('outlived its lifetime');
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.end();
});
