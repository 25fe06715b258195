import t from 'tap';
import { ofType } from '../../support/drain.js';
import {
  AgentHarness,
  messages,
  onBothHomeLinks,
  served,
} from '../../support/home-agent-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

onBothHomeLinks('RFC 6275 10.3.2: lifetime 0 from a foreign link', (t, config) => {
  const harness = AgentHarness.bound(config);
  const outputs = harness.update({ sequence: 2, lifetime: 0 });
  t.same(
    outputs.map(({ type }) => type),
    config.homeLink === 'real'
      ? ['release', 'unbind', 'forget', 'transmit']
      : ['unbind', 'forget', 'transmit'],
    'the address is let go before the mobile node is told',
  );
  t.match(ofType(outputs, 'transmit'), [
    {
      signal: {
        source: HOME_AGENT,
        destination: CARE_OF,
        routingHeader: HOME_ADDRESS,
        message: { status: 0, sequence: 2, lifetime: 0, keyManagement: false },
      },
    },
  ]);
  t.same(harness.bindings, []);
});

onBothHomeLinks('RFC 6275 9.5.1: the home address as care-of address', (t, config) => {
  const harness = AgentHarness.bound(config);
  const outputs = harness.update({ sequence: 2, alternates: [HOME_ADDRESS], lifetime: 60 });
  t.match(messages(outputs), [{ status: 0, lifetime: 0 }]);
  t.same(harness.bindings, []);
});

onBothHomeLinks('RFC 6275 9.5.3: from another care-of address too', (t, config) => {
  const harness = AgentHarness.bound(config);
  const outputs = harness.update({ sequence: 2, source: OTHER_CARE_OF, lifetime: 0 });
  t.match(ofType(outputs, 'transmit'), [{ signal: { destination: OTHER_CARE_OF } }]);
  t.same(harness.bindings, []);
});

onBothHomeLinks('RFC 6275 10.3.2, 9.5.4: from home, without a routing header', (t, config) => {
  for (const alternates of [[], [HOME_ADDRESS]]) {
    const harness = AgentHarness.bound(config);
    const fields = { source: HOME_ADDRESS, home: null, alternates };
    const outputs = harness.update({ sequence: 2, lifetime: 0, ...fields });
    const [answer] = ofType(outputs, 'transmit');
    t.match(answer?.signal, { destination: HOME_ADDRESS, message: { status: 0, lifetime: 0 } });
    t.equal(answer?.signal.routingHeader, undefined);
    t.same(harness.bindings, []);
  }
});

onBothHomeLinks('RFC 6275 10.3.2: an answer whatever the A flag says', (t, config) => {
  const harness = AgentHarness.bound(config);
  const outputs = harness.update({ sequence: 2, lifetime: 0, acknowledge: false });
  t.match(messages(outputs), [{ status: 0 }]);
});

onBothHomeLinks('RFC 6275 10.3.2: of what is not bound: status 133', (t, config) => {
  for (const fields of [
    { lifetime: 0 },
    { alternates: [HOME_ADDRESS] },
    { home: null, source: HOME_ADDRESS, lifetime: 0 },
  ]) {
    t.match(messages(new AgentHarness(config).update(fields)), [{ status: 133, lifetime: 0 }]);
  }
});

t.test('RFC 6275 10.3.2: while DAD runs it ends that: status 133', (t) => {
  const harness = new AgentHarness();
  harness.update({ sequence: 7 });
  const outputs = harness.update({ sequence: 8, lifetime: 0 });
  t.match(outputs, [{ type: 'release' }, { signal: { message: { status: 133 } } }]);
  t.same(harness.handle({ type: 'unique', homeAddress: HOME_ADDRESS }), []);
  t.end();
});

t.test('RFC 6275 10.3.2: with L both addresses are let go', (t) => {
  const harness = new AgentHarness();
  harness.register({ linkLocalCompatible: true });
  t.equal(ofType(harness.update({ sequence: 2, lifetime: 0 }), 'release').length, 2);
  t.end();
});

onBothHomeLinks('RFC 6275 10.3.2: afterwards the mobile node may register again', (t, config) => {
  const harness = AgentHarness.bound(config);
  harness.update({ sequence: 2, lifetime: 0 });
  t.match(messages(harness.register({ sequence: 3 })), [{ status: 0 }]);
});

t.test('RFC 3776 3.1: protected, from home: no Alternate Care-of Address is needed', (t) => {
  const protection = 'esp';
  const config = { mobileNodes: [served({ protection })] };
  const harness = AgentHarness.bound(config, { protection, alternates: [CARE_OF] });
  const home = { source: HOME_ADDRESS, home: null } as const;
  const outputs = harness.update({ sequence: 2, lifetime: 0, protection, ...home });
  t.match(ofType(outputs, 'transmit'), [{ signal: { destination: HOME_ADDRESS } }]);
  t.same(harness.bindings, []);
  t.end();
});
