import t from 'tap';
import { emitSignal } from '../../src/signaling/index.js';
import { alignMobilityOptions } from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import {
  bindingAcknowledgement,
  NodeHarness,
  unreachable,
} from '../support/mobile-node-harness.js';
import { sequenceFrom } from '../support/sequence.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOST_A,
  OTHER_CARE_OF,
} from '../support/testbed-addresses.js';

t.test(
  'RFC 6275 11.7.1: a home registration has A, H, L, the home address and the care-of address',
  (t) => {
    const harness = new NodeHarness();
    const [output] = ofType(harness.register(), 'transmit');
    t.match(output?.signal, {
      source: CARE_OF,
      destination: HOME_AGENT,
      homeAddressOption: HOME_ADDRESS,
      message: {
        kind: 'binding-update',
        sequence: 100,
        acknowledge: true,
        homeRegistration: true,
        linkLocalCompatible: true,
        keyManagement: false,
        lifetime: 60,
      },
    });
    t.match(
      harness.latest.options.filter(({ kind }) => kind === 'alternate-care-of-address'),
      [{ address: CARE_OF }],
    );
    t.match(harness.node.summary(0), { state: 'registering' });
    t.end();
  },
);

t.test('RFC 6275 6.1.7: the lifetime asked for is in units of 4 s', (t) => {
  for (const [asked, sent] of [
    [1, 4],
    [61, 60],
    [600, 600],
    [999_999, 262_140],
  ] as const) {
    const harness = new NodeHarness({ lifetime: asked });
    harness.register();
    t.equal(harness.latest.lifetime, sent);
  }
  t.end();
});

t.test(
  'RFC 6275 11.8: the first registration waits 1.5 s, then doubles up to 32 s and goes on for ever',
  (t) => {
    const harness = new NodeHarness();
    harness.register();
    harness.pass(200_000);
    t.same(
      harness.sentAt.slice(0, 9),
      [0, 1500, 4500, 10_500, 22_500, 46_500, 78_500, 110_500, 142_500],
    );
    t.end();
  },
);

t.test('RFC 6275 11.8: a refresh waits 1 s, then doubles', (t) => {
  const harness = NodeHarness.registered();
  harness.pass(59_999);
  t.same(harness.sentAt, [0, 30_000, 31_000, 33_000, 37_000, 45_000]);
  t.end();
});

t.test(
  'RFC 6275 11.8: a retransmitted Binding Update has a new sequence number, modulo 2^16',
  (t) => {
    const harness = new NodeHarness({ sequence: sequenceFrom(65_534) });
    harness.register();
    harness.pass(10_500);
    t.same(
      harness.updates.map(({ update }) => update.sequence),
      [65_534, 65_535, 0, 1],
    );
    t.end();
  },
);

t.test('RFC 6275 11.8: not more than MAX_UPDATE_RATE updates within a second', (t) => {
  const harness = new NodeHarness();
  for (let i = 0; i < 50; i += 1) {
    harness.register();
    harness.handle({ type: 'move', careOfAddress: i % 2 === 0 ? OTHER_CARE_OF : CARE_OF });
    harness.pass(50);
  }
  harness.pass(5000);
  const times = harness.sentAt;
  t.ok(times.length > 3);
  times.forEach((at, index) => {
    const third = times[index + 3];
    if (third !== undefined) t.ok(third - at >= 1000, `${at} to ${third}`);
  });
  t.end();
});

t.test('RFC 6275 11.7.3: an acknowledgement confirms, with the lifetime granted', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.pass(1000);
  const outputs = harness.acknowledge({ lifetime: 40 });
  t.same(outputs, [
    {
      type: 'bound',
      homeAgent: HOME_AGENT,
      careOfAddress: CARE_OF,
      lifetime: 40,
      expiresAt: 40_000,
    },
  ]);
  t.match(harness.node.state, {
    kind: 'registered',
    binding: { careOfAddress: CARE_OF, lifetime: 40, expiresAt: 40_000, status: 0 },
    refreshAt: 20_000,
  });
  t.match(harness.node.summary(1000), {
    state: 'registered',
    homeAgent: HOME_AGENT,
    reason: 'registered with the home agent 2001:db8:2000::1, next refresh in 19 s',
    status: 0,
    lifetime: 40,
    expiresIn: 39,
  });
  t.end();
});

t.test('a granted lifetime longer than asked is cut to what was asked', (t) => {
  const harness = new NodeHarness({ lifetime: 60 });
  harness.register();
  t.match(harness.acknowledge({ lifetime: 6000 }), [{ type: 'bound', lifetime: 60 }]);
  t.end();
});

t.test('status 1: accepted, prefix discovery necessary', (t) => {
  const harness = new NodeHarness();
  harness.register();
  t.match(harness.acknowledge({ status: 1 }), [{ type: 'bound' }]);
  t.match(harness.node.summary(0), { state: 'registered', status: 1 });
  t.end();
});

t.test('an accepting acknowledgement with lifetime 0 grants nothing', (t) => {
  const harness = NodeHarness.registered();
  harness.pass(30_000);
  t.match(harness.acknowledge({ lifetime: 0 }), [{ type: 'unbound' }]);
  t.match(harness.node.summary(harness.now), { state: 'rejected', status: 0 });
  harness.pass(30_000);
  t.equal(harness.updates.length, 3, 'and it asks again later');
  t.end();
});

t.test('DAD: the one acknowledgement for the first of several updates is accepted', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.pass(5000);
  t.equal(harness.updates.length, 3);
  t.match(harness.acknowledge({ sequence: 100 }), [{ type: 'bound', careOfAddress: CARE_OF }]);
  t.equal(harness.node.state.kind, 'registered');
  t.match(harness.node.state, { binding: { expiresAt: 60_000 } }, 'from the first update on');
  t.end();
});

t.test('an acknowledgement confirms only the care-of address of its own update', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  t.equal(harness.updates.length, 2);
  t.match(harness.acknowledge({ sequence: 100 }), [
    { type: 'bound', careOfAddress: CARE_OF, lifetime: 60 },
  ]);
  t.equal(harness.node.state.kind, 'refreshing', 'the move still waits for its own');
  harness.pass(1500);
  t.equal(harness.updates.length, 3);
  t.match(harness.acknowledge({}, { destination: OTHER_CARE_OF }), [
    { type: 'bound', careOfAddress: OTHER_CARE_OF },
  ]);
  t.equal(harness.node.state.kind, 'registered');
  t.end();
});

t.test('an acknowledgement that was overtaken by a newer one is ignored', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.acknowledge({}, { destination: OTHER_CARE_OF });
  t.same(harness.acknowledge({ sequence: 100 }), []);
  t.equal(harness.node.drops.get('no_such_update'), 1);
  t.match(harness.node.state, { kind: 'registered', binding: { careOfAddress: OTHER_CARE_OF } });
  t.end();
});

t.test('updates that wait for an acknowledgement are bounded', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.pass(3_600_000);
  t.ok(harness.updates.length > 100);
  t.same(harness.acknowledge({ sequence: 100 }), []);
  t.match(harness.acknowledge(), [{ type: 'bound' }]);
  t.end();
});

t.test('RFC 6275 11.7.3: an acknowledgement that is not ours changes nothing', (t) => {
  const cases = [
    ['not_the_home_agent', {}, { source: HOST_A }],
    ['not_the_care_of_address', {}, { destination: OTHER_CARE_OF }],
    ['not_the_home_address', {}, { routingHeader: HOST_A }],
    ['no_such_update', { sequence: 99 }, {}],
    ['not_the_care_of_address', { status: 135, sequence: 7 }, { destination: OTHER_CARE_OF }],
  ] as const;
  for (const [reason, fields, addresses] of cases) {
    const harness = new NodeHarness();
    harness.register();
    const before = harness.node.state;
    t.same(harness.acknowledge(fields, addresses), []);
    t.equal(harness.node.state, before);
    t.equal(harness.node.drops.get(reason), 1, reason);
  }
  const harness = new NodeHarness();
  harness.register();
  const { routingHeader: _, ...unrouted } = bindingAcknowledgement({ sequence: 100 });
  t.same(harness.handle({ type: 'signal', signal: unrouted }), []);
  t.equal(harness.node.drops.get('not_the_home_address'), 1, 'RFC 6275 6.4: no routing header');
  t.end();
});

t.test('an acknowledgement of a lifetime that is over already binds nothing', (t) => {
  const harness = new NodeHarness({ lifetime: 4 });
  harness.register();
  harness.pass(4000);
  t.same(harness.acknowledge({ sequence: 100, lifetime: 4 }), []);
  t.equal(harness.node.drops.get('acknowledged_too_late'), 1);
  t.end();
});

t.test('RFC 6275 11.7.1: the binding is refreshed before it runs out', (t) => {
  const cases = [
    [4, 2],
    [60, 30],
    [240, 120],
    [600, 480],
    [3600, 3480],
  ] as const;
  for (const [lifetime, after] of cases) {
    const harness = NodeHarness.registered({ lifetime });
    harness.pass(1000 * after - 1);
    t.equal(harness.updates.length, 1);
    harness.pass(1);
    t.equal(harness.updates.length, 2, `${lifetime} s is refreshed after ${after} s`);
    t.match(harness.acknowledge({ lifetime }), [{ type: 'bound', careOfAddress: CARE_OF }]);
  }
  t.end();
});

t.test('refreshes of many guests are spread', (t) => {
  const harness = NodeHarness.registered({ random: () => 0.999 });
  t.match(harness.node.state, { kind: 'registered', refreshAt: 27_003 });
  t.end();
});

t.test(
  'RFC 6275 6.2.4: Binding Refresh Advice is followed when it is shorter than the lifetime',
  (t) => {
    for (const [interval, expected] of [
      [12, 12_000],
      [60, 30_000],
      [0, 30_000],
      [48, 30_000],
    ] as const) {
      const harness = new NodeHarness();
      harness.register();
      const options = alignMobilityOptions(
        [{ kind: 'binding-refresh-advice', interval }],
        'binding-acknowledgement',
      );
      harness.acknowledge({ options });
      t.match(harness.node.state, { kind: 'registered', refreshAt: expected });
    }
    t.end();
  },
);

t.test(
  'a refresh that nobody answers: bound until the lifetime ends, then registering afresh',
  (t) => {
    const harness = NodeHarness.registered();
    t.same(ofType(harness.pass(59_999), 'unbound'), []);
    t.match(harness.node.summary(harness.now), { state: 'lost', expiresIn: 1 });
    t.equal(ofType(harness.pass(1), 'unbound').length, 1);
    t.match(harness.node.summary(harness.now), { state: 'registering' });
    const before = harness.updates.length;
    harness.pass(4500);
    t.same(harness.sentAt.slice(before - 1), [60_000, 61_500, 64_500]);
    t.match(harness.acknowledge(), [{ type: 'bound' }]);
    t.end();
  },
);

t.test('a tick that comes hours late', (t) => {
  const harness = NodeHarness.registered();
  harness.now = 10_000_000;
  const outputs = harness.handle({ type: 'tick' });
  t.equal(ofType(outputs, 'unbound').length, 1);
  t.equal(ofType(outputs, 'transmit').length, 1);
  t.end();
});

t.test('register while registered refreshes at once and keeps the binding', (t) => {
  const harness = NodeHarness.registered();
  harness.pass(5000);
  const outputs = harness.register();
  t.equal(ofType(outputs, 'transmit').length, 1);
  t.equal(ofType(outputs, 'unbound').length, 0);
  t.match(harness.node.summary(5000), { state: 'registered' });
  t.end();
});

t.test('RFC 6275 11.7.4: a Binding Refresh Request is answered by a Binding Update', (t) => {
  const harness = NodeHarness.registered();
  harness.pass(5000);
  const request = {
    source: HOME_AGENT,
    destination: CARE_OF,
    routingHeader: HOME_ADDRESS,
    message: { kind: 'binding-refresh-request', options: [] },
  } as const;
  t.equal(ofType(harness.handle({ type: 'signal', signal: request }), 'transmit').length, 1);
  t.equal(harness.node.state.kind, 'refreshing');
  t.end();
});

t.test('what is not authenticated asks and never drops', (t) => {
  const bindingError = {
    source: HOME_AGENT,
    destination: CARE_OF,
    message: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS, options: [] },
  } as const;
  const causes = {
    'RFC 6275 11.3.6: Binding Error 1': { type: 'signal', signal: bindingError },
    'destination unreachable': { type: 'path-error', error: unreachable() },
  } as const;
  for (const [name, cause] of Object.entries(causes)) {
    t.test(name, (t) => {
      const harness = NodeHarness.registered();
      harness.pass(5000);
      const outputs = harness.handle(cause);
      t.equal(ofType(outputs, 'transmit').length, 1, 'it asks at once');
      t.equal(ofType(outputs, 'unbound').length, 0);
      t.match(harness.node.summary(5000), { state: 'registered' });
      t.same(harness.handle(cause), [], 'while it asks, it does not ask again');
      harness.acknowledge();
      t.same(harness.handle(cause), [], 'nor more than once a second');
      t.equal(harness.node.drops.get('probe_limited'), 1);
      harness.pass(1000);
      t.equal(ofType(harness.handle(cause), 'transmit').length, 1);
      t.end();
    });
  }
  t.test('a flood of it for an hour', (t) => {
    const harness = NodeHarness.registered();
    for (let second = 0; second < 3600; second += 1) {
      for (let i = 0; i < 3; i += 1) harness.handle({ type: 'path-error', error: unreachable() });
      if (harness.node.state.kind === 'refreshing') harness.acknowledge();
      harness.pass(1000);
    }
    t.ok(harness.updates.length <= 3602, `${harness.updates.length} updates`);
    t.same(ofType(harness.outputs, 'unbound'), []);
    t.end();
  });
  t.end();
});

t.test('Binding Errors and path errors that are not about us are counted and ignored', (t) => {
  const harness = NodeHarness.registered();
  const error = (status: number, homeAddress = HOME_ADDRESS) =>
    harness.handle({
      type: 'signal',
      signal: {
        source: HOME_AGENT,
        destination: CARE_OF,
        message: { kind: 'binding-error', status, homeAddress, options: [] },
      },
    });
  t.same(error(1, HOST_A), []);
  t.same(error(2), [], 'status 2: it does not know what we never send');
  t.same(
    harness.handle({ type: 'path-error', error: unreachable(OTHER_CARE_OF) }),
    [],
    'quotes a packet of somebody else',
  );
  t.same(
    harness.handle({
      type: 'path-error',
      error: { kind: 'destination-unreachable', code: 0, quoted: new Uint8Array(39) },
    }),
    [],
  );
  t.same(
    harness.handle({
      type: 'path-error',
      error: { kind: 'packet-too-big', mtu: 1280, quoted: new Uint8Array(48) },
    }),
    [],
  );
  t.equal(harness.node.state.kind, 'registered');
  t.same(Object.fromEntries(harness.node.drops), {
    not_the_home_address: 1,
    binding_error_unusable: 1,
    path_error_unusable: 3,
  });
  t.end();
});

t.test('an unreachable home agent is named in the summary', (t) => {
  const harness = new NodeHarness();
  harness.register();
  t.match(harness.node.summary(0).reason, /no answer yet from the home agent 2001:db8:2000::1/);
  harness.handle({ type: 'path-error', error: unreachable(CARE_OF, HOME_AGENT, 0) });
  t.match(harness.node.summary(0).reason, /no route to the home agent/);
  t.equal(harness.updates.length, 1, 'the retransmission timer goes on as it was');
  t.end();
});

t.test('de-registration', (t) => {
  t.test('RFC 6275 11.7.1: lifetime 0, acknowledged', (t) => {
    const harness = NodeHarness.registered();
    harness.handle({ type: 'deregister' });
    t.match(harness.latest, { lifetime: 0, sequence: 101, homeRegistration: true });
    t.match(harness.node.summary(0), { state: 'deregistering' });
    t.match(harness.acknowledge({ lifetime: 0 }), [{ type: 'unbound', reason: 'de-registered' }]);
    t.same(harness.node.state, { kind: 'idle' });
    t.end();
  });
  t.test('status 133: there was nothing to de-register', (t) => {
    const harness = NodeHarness.registered();
    harness.handle({ type: 'deregister' });
    t.match(harness.acknowledge({ status: 133, lifetime: 0 }), [{ reason: 'de-registered' }]);
    t.end();
  });
  t.test('five attempts, then idle', (t) => {
    const harness = NodeHarness.registered({ lifetime: 600 });
    harness.handle({ type: 'deregister' });
    const outputs = harness.pass(100_000);
    t.same(harness.sentAt.slice(1), [0, 1000, 3000, 7000, 15_000]);
    t.equal(ofType(outputs, 'unbound').length, 1);
    t.same(harness.node.state, { kind: 'idle' });
    t.equal(harness.node.wakeAt(), undefined);
    t.end();
  });
  t.test('a late acknowledgement of the registration does not undo it', (t) => {
    const harness = new NodeHarness();
    harness.register();
    harness.handle({ type: 'deregister' });
    t.same(harness.acknowledge({ sequence: 100 }), []);
    t.equal(harness.node.state.kind, 'deregistering');
    t.end();
  });
  t.test('a refusal ends it too', (t) => {
    const harness = NodeHarness.registered();
    harness.handle({ type: 'deregister' });
    t.match(harness.acknowledge({ status: 129 }), [{ type: 'unbound', reason: /refused/ }]);
    t.end();
  });
  t.test('the binding runs out meanwhile', (t) => {
    const harness = NodeHarness.registered({ lifetime: 4 });
    harness.pass(1000);
    harness.handle({ type: 'deregister' });
    t.match(ofType(harness.pass(60_000), 'unbound'), [{ reason: /ran out/ }]);
    t.same(harness.node.state, { kind: 'idle' });
    t.end();
  });
  t.test('registering again gives it up', (t) => {
    const harness = NodeHarness.registered();
    harness.handle({ type: 'deregister' });
    const outputs = harness.register();
    t.equal(ofType(outputs, 'unbound').length, 1);
    t.equal(harness.latest.lifetime, 60);
    t.same(harness.acknowledge({ sequence: 101, lifetime: 0 }), [], 'the old answer is void');
    t.match(harness.acknowledge(), [{ type: 'bound' }]);
    t.end();
  });
  t.test('of nothing', (t) => {
    const harness = new NodeHarness();
    t.same(harness.handle({ type: 'deregister' }), []);
    t.match(harness.node.summary(0), { state: 'idle', reason: /nothing has asked/ });
    t.end();
  });
  t.end();
});

t.test('a move while idle or de-registering sends nothing by itself', (t) => {
  const harness = new NodeHarness();
  t.same(harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF }), []);
  harness.register();
  t.equal(harness.updates[0]?.signal.source, OTHER_CARE_OF);
  t.same(harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF }), [], 'nor does no move');
  t.end();
});

t.test('every signal it sends is a packet', (t) => {
  const harness = new NodeHarness();
  harness.register();
  for (const { signal } of harness.updates) t.equal(emitSignal(signal).length, 40 + 24 + 32);
  t.end();
});
