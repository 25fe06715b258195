import t from 'tap';
import {
  AgentHarness,
  messages,
  onBothHomeLinks,
  served,
} from '../../support/home-agent-harness.js';
import { HOME_ADDRESS, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

onBothHomeLinks('RFC 6275 9.5.1: not greater: status 135 with the last number', (t, config) => {
  const harness = AgentHarness.bound(config, { sequence: 1000 });
  for (const sequence of [1000, 999, 0, (1000 - 32_767) & 0xffff, (1000 + 32_768) & 0xffff]) {
    const outputs = harness.update({ sequence, source: OTHER_CARE_OF });
    t.match(messages(outputs), [{ status: 135, sequence: 1000, lifetime: 0 }], `${sequence}`);
    t.equal(outputs.length, 1);
  }
  t.match(harness.bindings, [{ sequence: 1000 }]);
});

onBothHomeLinks('RFC 6275 9.5.1: greater by 1 to 32767 is accepted', (t, config) => {
  for (const ahead of [1, 2, 1000, 32_767]) {
    const harness = AgentHarness.bound(config, { sequence: 1000 });
    t.match(messages(harness.update({ sequence: (1000 + ahead) & 0xffff })), [{ status: 0 }]);
  }
});

onBothHomeLinks('RFC 6275 9.5.1: compared modulo 2^16', (t, config) => {
  for (const [last, next, status] of [
    [65_535, 0, 0],
    [65_535, 32_766, 0],
    [65_535, 32_767, 135],
    [0, 65_535, 135],
    [0, 32_767, 0],
    [0, 32_768, 135],
    [40_000, 100, 0],
    [100, 40_000, 135],
  ] as const) {
    const harness = AgentHarness.bound(config, { sequence: last });
    t.match(messages(harness.update({ sequence: next })), [{ status }], `${last}, then ${next}`);
  }
});

onBothHomeLinks('RFC 6275 9.5.1: wraps: 65534, 65535, 0, 1', (t, config) => {
  const harness = AgentHarness.bound(config, { sequence: 65_533 });
  for (const sequence of [65_534, 65_535, 0, 1]) {
    t.match(messages(harness.update({ sequence })), [{ status: 0, sequence }]);
  }
});

t.test('RFC 6275 9.5.1: the first number is any', (t) => {
  for (const sequence of [0, 1, 32_768, 65_535]) {
    t.match(messages(new AgentHarness().register({ sequence })), [{ status: 0, sequence }]);
  }
  t.end();
});

onBothHomeLinks('RFC 6275 9.5.1: with 135 a restarted mobile node is in at once', (t, config) => {
  const harness = AgentHarness.bound(config, { sequence: 1000 });
  const [refused] = messages(harness.update({ sequence: 3 }));
  if (refused?.kind !== 'binding-acknowledgement') throw new Error('no acknowledgement');
  const sequence = (refused.sequence + 1) & 0xffff;
  t.match(messages(harness.update({ sequence })), [{ status: 0 }]);
});

onBothHomeLinks('RFC 6275 9.5.1: also before de-registration', (t, config) => {
  const harness = AgentHarness.bound(config, { sequence: 1000 });
  t.match(messages(harness.update({ sequence: 1000, lifetime: 0 })), [{ status: 135 }]);
  t.equal(harness.bindings.length, 1);
});

onBothHomeLinks('RFC 6275 9.5.1, 15.3: what was recorded or held back', (t, config) => {
  for (const protection of ['none', 'esp', 'auth-option'] as const) {
    const mobileNodes = [served({ protection })];
    const fields = { protection, authentication: 'ok', alternates: [OTHER_CARE_OF] } as const;
    const harness = AgentHarness.bound({ ...config, mobileNodes }, { sequence: 1000, ...fields });
    harness.update({ sequence: 1001, lifetime: 0, ...fields });
    for (const sequence of [1000, 1001]) {
      const outputs = harness.update({ sequence, ...fields });
      t.match(messages(outputs), [{ status: 135, sequence: 1001 }]);
      t.equal(outputs.length, 1);
    }
    t.match(messages(harness.register({ sequence: 1002, ...fields })), [{ status: 0 }]);
    t.equal(harness.agent.memory.sequences, 0, 'the binding knows it again');
  }
});

t.test('RFC 6275 9.5.1, 15.3: nor when there was no binding to de-register, or DAD failed', (t) => {
  const harness = new AgentHarness();
  t.match(messages(harness.update({ sequence: 8, lifetime: 0 })), [{ status: 133 }]);
  t.match(messages(harness.update({ sequence: 7 })), [{ status: 135, sequence: 8 }]);
  harness.update({ sequence: 9 });
  harness.handle({ type: 'duplicate', homeAddress: HOME_ADDRESS });
  t.match(messages(harness.update({ sequence: 9 })), [{ status: 135, sequence: 9 }]);
  t.match(messages(harness.register({ sequence: 10 })), [{ status: 0 }]);
  t.end();
});

t.test('RFC 6275 9.5.1, 15.3: nor when another configuration ended the binding', (t) => {
  const harness = AgentHarness.bound({}, { sequence: 1000 });
  for (const mobileNodes of [[], [served()]]) harness.reconfigure({ mobileNodes });
  t.same(harness.bindings, []);
  t.match(messages(harness.update({ sequence: 1000 })), [{ status: 135, sequence: 1000 }]);
  t.end();
});

t.test('RFC 6275 9.5.1, 15.3: nor when the binding ran out, or DAD was broken off', (t) => {
  const harness = AgentHarness.bound({}, { sequence: 1000 });
  harness.pass(61_000);
  t.match(messages(harness.update({ sequence: 1000 })), [{ status: 135, sequence: 1000 }]);
  const other = new AgentHarness();
  other.update({ sequence: 7 });
  other.update({ sequence: 8, lifetime: 0 });
  t.match(messages(other.update({ sequence: 7 })), [{ status: 135, sequence: 8 }]);
  t.end();
});

t.test(
  'RFC 6275 9.5.1: numbers of ended bindings are kept for the longest lifetime, and few',
  (t) => {
    const harness = AgentHarness.bound({}, { sequence: 1000 });
    harness.update({ sequence: 1001, lifetime: 0 });
    harness.pass(262_139_999);
    t.match(messages(harness.update({ sequence: 1000 })), [{ status: 135 }]);
    harness.pass(2);
    t.match(harness.update({ sequence: 1000 }), [{ type: 'probe' }]);
    const many = new AgentHarness({ allow: 'any', maxBindings: 3, homeLink: 'virtual' });
    for (let host = 0x20; host < 0x40; host += 1) {
      const home = `2001:db8:2000::${host.toString(16)}` as typeof HOME_ADDRESS;
      many.update({ home, sequence: 1 });
      many.update({ home, sequence: 2, lifetime: 0 });
      t.ok(many.agent.memory.sequences <= 3);
    }
    t.end();
  },
);

t.test(
  'RFC 6275 9.5.1: with allow = "any" strangers do not drive out those that are listed',
  (t) => {
    const harness = new AgentHarness({ allow: 'any', maxBindings: 3, homeLink: 'virtual' });
    harness.update({ sequence: 1 });
    harness.update({ sequence: 1000, lifetime: 0 });
    for (let host = 0x20; host < 0x40; host += 1) {
      const home = `2001:db8:2000::${host.toString(16)}` as typeof HOME_ADDRESS;
      harness.update({ home, sequence: 1 });
      harness.update({ home, sequence: 2, lifetime: 0 });
    }
    t.equal(harness.agent.memory.sequences, 4, 'one listed, three strangers');
    t.match(messages(harness.update({ sequence: 1000 })), [{ status: 135, sequence: 1000 }]);
    t.end();
  },
);
