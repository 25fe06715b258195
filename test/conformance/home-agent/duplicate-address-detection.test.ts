import t from 'tap';
import { parseAddress } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { AgentHarness, messages, served } from '../../support/home-agent-harness.js';
import { CARE_OF, HOME_ADDRESS, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

const LINK_LOCAL = parseAddress('fe80::10');
const SECOND = parseAddress('2001:db8:2000::11');

t.test('RFC 6275 10.3.1: DAD success: nothing is said or bound before it', (t) => {
  const harness = new AgentHarness();
  t.same(harness.update(), [{ type: 'probe', homeAddress: HOME_ADDRESS }]);
  t.match(harness.bindings, [{ state: 'probing' }]);
  harness.now = 1000;
  t.match(messages(harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS })), [{ status: 0 }]);
  t.end();
});

t.test(
  'RFC 6275 10.3.1: DAD success: a Home Agent that did not get to run for long believes it',
  (t) => {
    for (const type of ['unique', 'duplicate'] as const) {
      const harness = new AgentHarness();
      harness.update();
      harness.now = 60_000;
      const status = type === 'unique' ? 0 : 134;
      t.match(messages(harness.handle({ type, homeAddress: HOME_ADDRESS })), [{ status }], type);
    }
    t.end();
  },
);

t.test('RFC 6275 10.3.1: DAD success: a binding that stands is not probed again', (t) => {
  const harness = AgentHarness.bound();
  for (const source of [CARE_OF, OTHER_CARE_OF]) {
    const sequence = source === CARE_OF ? 2 : 3;
    t.same(ofType(harness.update({ sequence, source }), 'probe'), []);
  }
  t.end();
});

t.test('RFC 6275 10.3.1: DAD success: with L both addresses have to prove unique', (t) => {
  const harness = new AgentHarness();
  harness.update({ linkLocalCompatible: true });
  t.same(harness.handle({ type: 'unique', homeAddress: LINK_LOCAL }), []);
  const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  t.match(messages(outputs), [{ status: 0 }]);
  t.equal(ofType(outputs, 'defend').length, 2);
  t.end();
});

t.test(
  'RFC 6275 10.3.1: DAD success: retransmissions meanwhile bring one answer, to the first',
  (t) => {
    const harness = new AgentHarness();
    harness.update({ sequence: 7 });
    t.same(harness.update({ sequence: 7 }), []);
    t.same(harness.update({ sequence: 8 }), []);
    const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
    t.match(messages(outputs), [{ status: 0, sequence: 7 }]);
    t.equal(messages(outputs).length, 1);
    t.end();
  },
);

t.test('RFC 6275 10.3.1: DAD success: a mobile node that moves meanwhile is followed', (t) => {
  const harness = new AgentHarness();
  harness.update({ sequence: 7 });
  t.same(harness.update({ sequence: 8, source: OTHER_CARE_OF }), []);
  const outputs = harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  t.match(ofType(outputs, 'bind'), [{ careOfAddress: OTHER_CARE_OF }]);
  t.match(messages(outputs), [{ status: 0, sequence: 8 }]);
  t.end();
});

t.test('RFC 6275 10.3.1: DAD failure: status 134, nothing is bound', (t) => {
  for (const taken of [HOME_ADDRESS, LINK_LOCAL]) {
    const harness = new AgentHarness();
    harness.update({ linkLocalCompatible: true, sequence: 9 });
    const outputs = harness.handle({ type: 'duplicate', homeAddress: taken });
    t.match(messages(outputs), [{ status: 134, sequence: 9, lifetime: 0 }]);
    t.same(
      ofType(outputs, 'release').map(({ homeAddress }) => homeAddress),
      [HOME_ADDRESS, LINK_LOCAL],
    );
    t.same(ofType(outputs, 'bind'), []);
    t.same(ofType(outputs, 'store'), []);
    t.same(ofType(outputs, 'forget'), [], 'nothing was stored');
    t.same(harness.bindings, []);
  }
  t.end();
});

t.test('RFC 6275 10.3.1: DAD failure: one of two addresses is enough, even the last', (t) => {
  const harness = new AgentHarness();
  harness.update({ linkLocalCompatible: true });
  harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS });
  t.match(messages(harness.handle({ type: 'duplicate', homeAddress: LINK_LOCAL })), [
    { status: 134 },
  ]);
  t.end();
});

t.test('RFC 6275 10.3.1: DAD failure: the next attempt is probed afresh', (t) => {
  const harness = new AgentHarness();
  harness.update();
  harness.handle({ type: 'duplicate', homeAddress: HOME_ADDRESS });
  t.match(messages(harness.register({ sequence: 2 })), [{ status: 0 }]);
  t.end();
});

t.test('RFC 6275 10.3.1: DAD failure of one mobile node is none of another', (t) => {
  const harness = new AgentHarness({ mobileNodes: [served(), served({ homeAddress: SECOND })] });
  harness.update();
  harness.update({ home: SECOND });
  harness.handle({ type: 'duplicate', homeAddress: HOME_ADDRESS });
  t.match(harness.handle({ type: 'unique', homeAddress: SECOND }), [{ homeAddress: SECOND }]);
  t.match(harness.bindings, [{ homeAddress: SECOND, state: 'bound' }]);
  t.end();
});

t.test('RFC 6275 10.3.1: DAD failure after the binding stands changes nothing', (t) => {
  const harness = AgentHarness.bound();
  t.same(harness.handle({ type: 'duplicate', homeAddress: HOME_ADDRESS }), []);
  t.equal(harness.bindings.length, 1);
  t.end();
});

t.test('RFC 6275 10.3.1: a probe that is never answered: status 128 after 5 s', (t) => {
  const harness = new AgentHarness();
  harness.update();
  t.match(messages(harness.pass(5000)), [{ status: 128 }]);
  t.same(harness.bindings, []);
  t.end();
});
