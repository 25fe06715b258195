import t from 'tap';
import type { StoredBinding } from '../../../src/signaling/index.js';
import { parseAddress } from '../../../src/wire/index.js';
import { drain, ofType } from '../../support/drain.js';
import {
  AgentHarness,
  messages,
  onBothHomeLinks,
  served,
} from '../../support/home-agent-harness.js';
import { CARE_OF, HOME_ADDRESS, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

const SECOND = parseAddress('2001:db8:2000::11');
const STORED: StoredBinding = {
  homeAddress: HOME_ADDRESS,
  careOfAddress: CARE_OF,
  sequence: 1000,
  lifetime: 60,
  expiresAt: 30_000,
  linkLocal: false,
  protection: 'none',
};

function restored(stored: readonly StoredBinding[], config = {}) {
  const harness = new AgentHarness(config);
  harness.agent.restore(0, stored);
  return { harness, outputs: drain(harness.agent) };
}

onBothHomeLinks(
  'RFC 6275 10.1: a stored binding is held again, without DAD or answer',
  (t, config) => {
    const { harness, outputs } = restored([STORED], config);
    t.match(outputs[0], { type: 'bind', homeAddress: HOME_ADDRESS, careOfAddress: CARE_OF });
    t.same(
      outputs.map(({ type }) => type),
      config.homeLink === 'real' ? ['bind', 'defend'] : ['bind'],
    );
    t.match(harness.bindings, [{ state: 'bound', sequence: 1000, expiresAt: 30_000 }]);
  },
);

onBothHomeLinks('RFC 6275 9.5.1: with its sequence number', (t, config) => {
  const { harness } = restored([STORED], config);
  t.match(messages(harness.update({ sequence: 1000 })), [{ status: 135, sequence: 1000 }]);
  t.match(messages(harness.update({ sequence: 1001 })), [{ status: 0 }]);
  t.match(harness.bindings, [{ expiresAt: 60_000 }]);
});

onBothHomeLinks('RFC 6275 10.3.1: until it would have ended', (t, config) => {
  const { harness } = restored([STORED], config);
  harness.pass(29_999);
  t.equal(harness.bindings.length, 1);
  t.match(ofType(harness.pass(1), 'forget'), [{ homeAddress: HOME_ADDRESS }]);
  t.same(harness.bindings, []);
});

t.test('RFC 6275 10.3.1: with the L flag the link-local address is defended again', (t) => {
  const { outputs } = restored([{ ...STORED, linkLocal: true }]);
  t.match(ofType(outputs, 'defend'), [{ homeAddress: HOME_ADDRESS }, { homeAddress: 'fe80::10' }]);
  t.end();
});

t.test('RFC 6275 9.5.2: what has ended meanwhile is forgotten, but not its number', (t) => {
  for (const protection of ['none', 'esp', 'auth-option'] as const) {
    for (const expiresAt of [0, -1, -1e12]) {
      const mobileNodes = [served({ protection })];
      const fields = { protection, authentication: 'ok', alternates: [CARE_OF] } as const;
      const { harness, outputs } = restored([{ ...STORED, protection, expiresAt }], {
        mobileNodes,
      });
      t.same(outputs, [{ type: 'forget', homeAddress: HOME_ADDRESS }]);
      t.same(harness.bindings, []);
      const older = messages(harness.update({ sequence: 1000, ...fields }));
      t.match(older, [{ status: 135, sequence: 1000 }]);
      t.match(messages(harness.register({ sequence: 1001, ...fields })), [{ status: 0 }]);
    }
  }
  t.end();
});

t.test('RFC 6275 15.3: what was bound under another protection is not held again', (t) => {
  for (const [before, now] of [
    ['none', 'esp'],
    ['esp', 'none'],
    ['auth-option', 'esp'],
    ['none', 'auth-option'],
  ] as const) {
    const mobileNodes = [served({ protection: now })];
    const { harness, outputs } = restored([{ ...STORED, protection: before }], { mobileNodes });
    t.same(outputs, [{ type: 'forget', homeAddress: HOME_ADDRESS }]);
    t.same(harness.bindings, []);
    t.equal(harness.drops('stored_binding_protection'), 1);
    const fields = { protection: now, authentication: 'ok', alternates: [CARE_OF] } as const;
    t.match(messages(harness.update({ sequence: 1000, ...fields })), [{ status: 135 }]);
    t.match(messages(harness.register({ sequence: 1001, ...fields })), [{ status: 0 }]);
  }
  t.end();
});

t.test('RFC 6275 10.3.1: what is not served any more is forgotten', (t) => {
  const { harness, outputs } = restored([STORED], { mobileNodes: [] });
  t.same(outputs, [{ type: 'forget', homeAddress: HOME_ADDRESS }]);
  t.same(harness.bindings, []);
  t.end();
});

t.test('RFC 6275 10.1: no more than there is room for', (t) => {
  const mobileNodes = [served(), served({ homeAddress: SECOND })];
  const second = { ...STORED, homeAddress: SECOND };
  const { harness, outputs } = restored([STORED, second, STORED], { mobileNodes, maxBindings: 1 });
  t.same(ofType(outputs, 'forget'), [{ type: 'forget', homeAddress: SECOND }]);
  t.equal(harness.bindings.length, 1);
  t.end();
});

t.test('RFC 6275 10.3.1: a clock that was set back makes no binding longer', (t) => {
  const { harness } = restored([{ ...STORED, expiresAt: 1e12 }]);
  t.match(harness.bindings, [{ expiresAt: 60_000 }]);
  t.end();
});

t.test('RFC 6275 9.5.5: a restored binding is asked after before it ends', (t) => {
  const { harness } = restored([STORED]);
  t.equal(messages(harness.pass(29_999)).length, 2);
  t.end();
});

t.test('RFC 6275 10.1: store and forget follow every change, before it is acknowledged', (t) => {
  const harness = new AgentHarness();
  const store = new Map<string, StoredBinding>();
  const follow = (outputs: ReturnType<AgentHarness['update']>) => {
    for (const output of outputs) {
      if (output.type === 'store') store.set(output.binding.homeAddress, output.binding);
      if (output.type === 'forget') store.delete(output.homeAddress);
      if (output.type !== 'transmit') continue;
      const { message } = output.signal;
      if (message.kind !== 'binding-acknowledgement' || message.status !== 0) continue;
      const known = store.get(HOME_ADDRESS);
      const { sequence, lifetime } = message;
      if (lifetime === 0) t.equal(known, undefined, 'gone');
      else t.match(known, { sequence, lifetime });
    }
  };
  follow(harness.register());
  follow(harness.update({ sequence: 2, source: OTHER_CARE_OF }));
  follow(harness.update({ sequence: 3, lifetime: 20 }));
  follow(harness.update({ sequence: 4, lifetime: 0 }));
  follow(harness.register({ sequence: 5 }));
  follow(harness.pass(60_000));
  t.equal(store.size, 0);
  t.end();
});
