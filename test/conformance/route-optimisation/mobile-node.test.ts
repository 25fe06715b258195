import t from 'tap';
import { isAuthorized } from '../../../src/signaling/route-optimisation/authorization.js';
import { alignMobilityOptions, parseAddress } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import {
  keyOf,
  messageOf,
  OptimiserHarness,
  PEER,
} from '../../support/route-optimisation-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const TOKENS = {
  home: { keygenToken: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1) },
  careOf: { keygenToken: Uint8Array.of(2, 2, 2, 2, 2, 2, 2, 2) },
};

function drops(harness: OptimiserHarness, reason: string): number {
  return harness.optimiser.drops.get(reason) ?? 0;
}

t.test('RFC 6275 11.6.1: both tests at the same time, the home test through the tunnel', (t) => {
  const harness = new OptimiserHarness();
  const outputs = harness.traffic();
  t.equal(outputs.length, 2);
  t.match(outputs[0], {
    type: 'transmit-in-tunnel',
    signal: {
      source: HOME_ADDRESS,
      destination: PEER,
      message: { kind: 'home-test-init' },
    },
  });
  t.match(outputs[1], {
    type: 'transmit',
    signal: { source: CARE_OF, destination: PEER, message: { kind: 'care-of-test-init' } },
  });
  for (const output of ofType(outputs, 'transmit-in-tunnel')) {
    t.equal(output.signal.homeAddressOption, undefined);
  }
  const home = harness.latest('home-test-init').cookie;
  const careOf = harness.latest('care-of-test-init').cookie;
  t.equal(home.length, 8);
  t.notSame(home, careOf);
  t.end();
});

t.test('RFC 6275 11.6.1: nothing while the home registration does not stand', (t) => {
  const harness = new OptimiserHarness();
  harness.handle({ type: 'unbound', reason: 'de-registered' });
  t.same(harness.traffic(), []);
  t.end();
});

t.test('RFC 6275 11.6.1: neither with the home agent nor with what cannot be routed', (t) => {
  const harness = new OptimiserHarness();
  for (const address of [HOME_AGENT, HOME_ADDRESS, CARE_OF, 'fe80::1', 'ff02::1', '::1', '::']) {
    t.same(harness.traffic(parseAddress(address)), [], address);
  }
  t.end();
});

t.test(
  'RFC 6275 11.8: tests are repeated with new cookies, backing off, then the tunnel stays',
  (t) => {
    const harness = new OptimiserHarness();
    harness.traffic();
    harness.pass(60_000);
    for (const kind of ['home-test-init', 'care-of-test-init'] as const) {
      const sent = harness.sent(kind);
      t.same(
        sent.map(({ at }) => at),
        [0, 1000, 3000, 7000],
      );
      const cookies = sent.map(({ signal }) =>
        Buffer.from(messageOf(signal, kind).cookie).toString('hex'),
      );
      t.equal(new Set(cookies).size, 4);
    }
    t.match(harness.optimiser.summary(), [{ correspondent: PEER, state: 'tunnel' }]);
    t.same(harness.types(), []);
    t.end();
  },
);

t.test('RFC 6275 11.6.2: only the cookie of the last message counts', (t) => {
  const harness = new OptimiserHarness();
  harness.traffic();
  const first = harness.homeTest();
  harness.pass(1000);
  harness.receive(first, true);
  t.equal(drops(harness, 'no_such_cookie'), 1);
  const wrong = Uint8Array.from(harness.latest('home-test-init').cookie, (o) => o ^ 1);
  harness.receive(harness.homeTest({ cookie: wrong }), true);
  t.equal(drops(harness, 'no_such_cookie'), 2);
  harness.receive(harness.homeTest(), true);
  harness.receive(harness.careOfTest());
  t.equal(harness.sent('binding-update').length, 1);
  t.end();
});

t.test('RFC 6275 11.6.2: a Home Test from the tunnel only, from the correspondent, to us', (t) => {
  const harness = new OptimiserHarness();
  harness.traffic();
  harness.receive(harness.homeTest(), false);
  t.equal(drops(harness, 'not_tunnelled'), 1);
  harness.receive(harness.homeTest({}, { destination: parseAddress('2001:db8:2000::11') }), true);
  harness.receive(
    harness.homeTest({}, { destination: CARE_OF, routingHeader: HOME_ADDRESS }),
    true,
  );
  t.equal(drops(harness, 'not_the_home_address'), 2);
  harness.receive(harness.homeTest({}, { source: parseAddress('2001:db8:6000::21') }), true);
  t.equal(drops(harness, 'not_a_correspondent'), 1);
  harness.receive(harness.careOfTest({}, { destination: OTHER_CARE_OF }));
  t.equal(drops(harness, 'not_the_care_of_address'), 1);
  harness.receive(harness.careOfTest());
  t.equal(harness.sent('binding-update').length, 0);
  t.end();
});

t.test('RFC 6275 11.6.2: a Home Test is no Care-of Test', (t) => {
  const harness = new OptimiserHarness();
  harness.traffic();
  harness.receive(harness.homeTest({ cookie: harness.latest('care-of-test-init').cookie }), true);
  t.equal(drops(harness, 'no_such_cookie'), 1);
  t.end();
});

t.test('RFC 6275 11.7.2: the Binding Update to a correspondent', (t) => {
  const harness = OptimiserHarness.updating();
  const [sent] = harness.sent('binding-update');
  t.match(sent, {
    type: 'transmit',
    signal: { source: CARE_OF, destination: PEER, homeAddressOption: HOME_ADDRESS },
  });
  const update = messageOf(sent?.signal, 'binding-update');
  t.match(update, {
    acknowledge: true,
    homeRegistration: false,
    linkLocalCompatible: false,
    keyManagement: false,
    lifetime: 420,
  });
  t.match(
    update.options.find(({ kind }) => kind === 'nonce-indices'),
    { home: 5, careOf: 6 },
  );
  t.notOk(update.options.some(({ kind }) => kind === 'alternate-care-of-address'));
  t.equal(update.options.at(-1)?.kind, 'binding-authorization-data');
  t.ok(isAuthorized(update, { kbm: keyOf(TOKENS), careOfAddress: CARE_OF, correspondent: PEER }));
  t.same(harness.types(), []);
  t.end();
});

t.test('RFC 6275 11.7.2: MAX_RR_BINDING_LIFETIME at most, in units of 4 s', (t) => {
  for (const [asked, sent] of [
    [3600, 420],
    [90, 88],
    [1, 4],
  ]) {
    const harness = OptimiserHarness.updating({ lifetime: asked ?? 0 });
    t.equal(harness.latest('binding-update').lifetime, sent);
  }
  t.end();
});

t.test('RFC 6275 11.7.3: packets go straight once the correspondent has acknowledged', (t) => {
  const harness = OptimiserHarness.updating();
  const outputs = harness.receive(harness.acknowledgement());
  t.same(outputs, [{ type: 'optimise', correspondent: PEER, careOfAddress: CARE_OF }]);
  t.same(harness.optimiser.summary(), [{ correspondent: PEER, state: 'optimised' }]);
  t.end();
});

t.test('RFC 6275 11.7.3: an acknowledgement that does not fit is ignored', (t) => {
  const harness = OptimiserHarness.updating();
  const right = harness.acknowledgement();
  const message = messageOf(right, 'binding-acknowledgement');
  const { routingHeader: _, ...bare } = right;
  const cases = [
    ['not_authorized', harness.acknowledgement({}, { kbm: new Uint8Array(20) })],
    ['not_authorized', { ...right, message: { ...message, lifetime: 4 } }],
    ['not_authorized', { ...right, message: { ...message, status: 128 } }],
    [
      'not_authorized',
      { ...right, message: { ...message, options: alignMobilityOptions([], message.kind) } },
    ],
    [
      'not_authorized',
      harness.acknowledgement({ status: 135, sequence: 9 }, { kbm: new Uint8Array(20) }),
    ],
    ['no_such_update', harness.acknowledgement({ sequence: message.sequence + 1 })],
    ['no_such_update', harness.acknowledgement({ status: 138, sequence: message.sequence + 1 })],
    ['not_the_care_of_address', harness.acknowledgement({}, { destination: OTHER_CARE_OF })],
    ['not_the_home_address', bare],
    ['not_a_correspondent', harness.acknowledgement({}, { source: HOME_AGENT })],
  ] as const;
  for (const [reason, signal] of cases) {
    const before = drops(harness, reason);
    t.same(harness.receive(signal), [], reason);
    t.equal(drops(harness, reason), before + 1, reason);
  }
  t.same(harness.types(), []);
  t.match(harness.receive(right), [{ type: 'optimise' }]);
  t.end();
});

t.test('RFC 6275 11.8: an unanswered Binding Update is repeated with new sequence numbers', (t) => {
  const harness = OptimiserHarness.updating();
  const first = harness.latest('binding-update').sequence;
  harness.pass(20_000);
  const sent = harness.sent('binding-update');
  t.same(
    sent.map(({ at }) => at),
    [0, 1000, 3000, 7000],
  );
  t.same(
    sent.map(({ signal }) => messageOf(signal, 'binding-update').sequence),
    [first, first + 1, first + 2, first + 3],
  );
  t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /does not acknowledge/ }]);
  t.end();
});

t.test(
  'RFC 6275 11.7.3: an acknowledgement of an earlier copy counts, its lifetime from then',
  (t) => {
    const harness = OptimiserHarness.updating();
    const answer = harness.acknowledgement({ lifetime: 40 });
    harness.pass(1500);
    harness.receive(answer);
    t.same(harness.types(), ['optimise']);
    harness.handle({ type: 'tick' });
    harness.now = 39_999;
    t.same(harness.types(), ['optimise']);
    t.end();
  },
);

t.test('RFC 6275 11.7.3: status 135: on from the number that the correspondent knows', (t) => {
  const harness = OptimiserHarness.updating();
  harness.receive(harness.acknowledgement({ status: 135, sequence: 4711 }));
  t.equal(harness.latest('binding-update').sequence, 4712);
  t.match(harness.receive(harness.acknowledgement()), [{ type: 'optimise' }]);
  t.end();
});

t.test('RFC 6275 11.7.3: status 136, 137, 138: only what expired is asked for again', (t) => {
  for (const [status, home, careOf] of [
    [136, 2, 1],
    [137, 1, 2],
    [138, 2, 2],
  ] as const) {
    const harness = OptimiserHarness.updating();
    harness.receive(harness.acknowledgement({ status }));
    t.equal(harness.sent('home-test-init').length, home, `${status}`);
    t.equal(harness.sent('care-of-test-init').length, careOf, `${status}`);
  }
  t.end();
});

t.test('RFC 6275 11.7.3: answers that say "again" for ever count as a refusal', (t) => {
  const harness = OptimiserHarness.updating();
  for (let i = 0; i < 10; i += 1) {
    harness.receive(harness.acknowledgement({ status: 135, sequence: 1000 * i }));
  }
  t.equal(harness.sent('binding-update').length, 4);
  t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /sequence/ }]);
  t.end();
});

t.test(
  'RFC 6275 11.7.3: any other refusal: the tunnel, and the correspondent is left alone',
  (t) => {
    for (const status of [128, 129, 130, 131, 132, 133, 139, 255]) {
      const harness = OptimiserHarness.updating();
      harness.receive(harness.acknowledgement({ status }));
      t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /refused/ }], `${status}`);
      harness.pass(200_000);
      harness.traffic();
      t.equal(harness.sent('home-test-init').length, 1);
    }
    t.end();
  },
);

t.test(
  'RFC 6275 11.7.2: a binding in use is renewed in time, without new tests if tokens hold',
  (t) => {
    const harness = OptimiserHarness.optimised({ lifetime: 100 });
    harness.pass(60_000);
    harness.traffic();
    harness.pass(9000);
    t.equal(harness.sent('binding-update').length, 2);
    t.equal(harness.sent('home-test-init').length, 1);
    harness.receive(harness.acknowledgement({ lifetime: 100 }));
    harness.pass(60_000);
    t.same(harness.types(), ['optimise']);
    t.end();
  },
);

t.test('RFC 6275 11.7.2: an idle binding runs out; then the tunnel carries everything', (t) => {
  const harness = OptimiserHarness.optimised();
  harness.pass(419_000);
  t.same(harness.types(), ['optimise']);
  harness.pass(1000);
  t.same(harness.types(), ['optimise', 'revert', 'forget']);
  t.equal(harness.sent('binding-update').length, 1);
  t.same(harness.optimiser.summary(), []);
  t.equal(harness.optimiser.wakeAt(), undefined);
  t.end();
});

t.test('RFC 6275 5.2.7: a binding in use keeps a fresh home token at hand', (t) => {
  const harness = OptimiserHarness.optimised();
  harness.pass(100_000);
  harness.traffic();
  harness.pass(80_000);
  t.same(
    harness.sent('home-test-init').map(({ at }) => at),
    [0, 180_000],
  );
  harness.pass(10_000);
  t.same(harness.types(), ['optimise']);
  t.end();
});

t.test('RFC 6275 11.6.1: after a move the tunnel at once, a care-of test, an update', (t) => {
  const harness = OptimiserHarness.optimised();
  const outputs = harness.bound(OTHER_CARE_OF);
  t.match(outputs, [
    { type: 'revert', correspondent: PEER },
    { type: 'transmit', signal: { source: OTHER_CARE_OF } },
  ]);
  t.equal(harness.sent('home-test-init').length, 1);
  harness.receive(harness.careOfTest({}, { destination: OTHER_CARE_OF }));
  t.match(harness.sent('binding-update').at(-1)?.signal, { source: OTHER_CARE_OF });
  const answer = harness.acknowledgement({}, { destination: OTHER_CARE_OF });
  t.same(harness.receive(answer), [
    { type: 'optimise', correspondent: PEER, careOfAddress: OTHER_CARE_OF },
  ]);
  t.end();
});

t.test('RFC 6275 11.6.1: a confirmation with the same care-of address changes nothing', (t) => {
  const harness = OptimiserHarness.optimised();
  t.same(harness.bound(), []);
  t.end();
});

t.test(
  'RFC 6275 11.7.2: the end of the home registration is told, proved by the home token',
  (t) => {
    const harness = OptimiserHarness.optimised();
    harness.handle({ type: 'unbound', reason: 'de-registered' });
    const update = harness.latest('binding-update');
    t.equal(update.lifetime, 0);
    t.ok(
      isAuthorized(update, {
        kbm: keyOf(TOKENS, true),
        careOfAddress: HOME_ADDRESS,
        correspondent: PEER,
      }),
    );
    t.same(harness.types(), ['optimise', 'revert', 'forget']);
    harness.receive(harness.acknowledgement({ lifetime: 0 }));
    harness.pass(60_000);
    t.equal(harness.sent('binding-update').length, 2);
    t.same(harness.optimiser.summary(), []);
    t.end();
  },
);

t.test('RFC 6275 11.7.2: where nobody acknowledges the end, four attempts', (t) => {
  const harness = OptimiserHarness.optimised();
  harness.handle({ type: 'unbound', reason: 'de-registered' });
  harness.pass(60_000);
  t.equal(harness.sent('binding-update').length, 5);
  t.same(harness.optimiser.summary(), []);
  t.end();
});

t.test(
  'RFC 6275 11.7.4: a Binding Refresh Request is answered by an update, at most each 10 s',
  (t) => {
    const harness = OptimiserHarness.optimised();
    const kind = 'binding-refresh-request';
    const message = { kind, options: alignMobilityOptions([], kind) } as const;
    const request = { source: PEER, destination: CARE_OF, routingHeader: HOME_ADDRESS, message };
    harness.receive(request);
    t.equal(harness.sent('binding-update').length, 2);
    harness.receive(harness.acknowledgement());
    harness.receive(request);
    t.equal(harness.sent('binding-update').length, 2);
    t.equal(drops(harness, 'restart_limited'), 1);
    harness.pass(10_000);
    harness.receive(request);
    t.equal(harness.sent('binding-update').length, 3);
    t.same(harness.types(), ['optimise']);
    t.end();
  },
);

function bindingError(status: number, homeAddress = HOME_ADDRESS) {
  const kind = 'binding-error';
  const message = { kind, status, homeAddress, options: alignMobilityOptions([], kind) } as const;
  return { source: PEER, destination: CARE_OF, message };
}

t.test('RFC 6275 11.3.6: Binding Error 1: the tunnel at once, and a new registration', (t) => {
  const harness = OptimiserHarness.optimised();
  harness.receive(bindingError(1));
  t.same(harness.types(), ['optimise', 'forget', 'revert']);
  t.equal(harness.sent('binding-update').length, 2);
  harness.receive(harness.acknowledgement());
  harness.receive(bindingError(1));
  t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /again and again/ }]);
  t.end();
});

t.test('RFC 6275 11.3.6: a Binding Error about another home address is ignored', (t) => {
  const harness = OptimiserHarness.optimised();
  harness.receive(bindingError(1, parseAddress('2001:db8:2000::11')));
  t.equal(drops(harness, 'not_the_home_address'), 1);
  t.same(harness.types(), ['optimise']);
  t.end();
});

t.test('RFC 6275 11.3.6: Binding Error 2: the correspondent supports none of this', (t) => {
  const harness = new OptimiserHarness();
  harness.traffic();
  harness.receive(bindingError(2, parseAddress('::')));
  t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /does not know/ }]);
  t.end();
});

t.test('RFC 6275 11.3.5: Parameter Problem code 1: the tunnel, remembered for ten minutes', (t) => {
  const harness = new OptimiserHarness();
  harness.traffic();
  const error = {
    kind: 'parameter-problem',
    code: 1,
    pointer: 6,
    quoted: new Uint8Array(48),
  } as const;
  harness.handle({ type: 'path-error', correspondent: PEER, error });
  t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /does not support/ }]);
  for (let minute = 1; minute < 10; minute += 1) {
    harness.pass(60_000);
    harness.traffic();
  }
  t.equal(harness.sent('home-test-init').length, 1);
  harness.pass(60_000);
  t.equal(harness.sent('home-test-init').length, 2);
  t.end();
});

t.test('fall back: any error from the straight way reverts at once, but not for ever', (t) => {
  const quoted = new Uint8Array(48);
  for (const error of [
    { kind: 'destination-unreachable', code: 1, quoted },
    { kind: 'time-exceeded', code: 0, quoted },
    { kind: 'packet-too-big', mtu: 1280, quoted },
    { kind: 'parameter-problem', code: 2, pointer: 42, quoted },
  ] as const) {
    const harness = OptimiserHarness.optimised();
    const outputs = harness.handle({ type: 'path-error', correspondent: PEER, error });
    t.match(outputs, [{ type: 'revert', correspondent: PEER }], error.kind);
    harness.pass(30_000);
    harness.traffic();
    harness.pass(30_000);
    const expected = error.kind === 'parameter-problem' ? 'tunnel' : 'testing';
    const [summary] = harness.optimiser.summary();
    t.equal(summary?.state === 'tunnel' ? 'tunnel' : 'testing', expected, error.kind);
  }
  t.end();
});

t.test('what still comes straight is welcome until the binding has run out', (t) => {
  const harness = OptimiserHarness.optimised({ lifetime: 40 });
  const error = {
    kind: 'destination-unreachable',
    code: 0,
    quoted: new Uint8Array(48),
  } as const;
  harness.handle({ type: 'path-error', correspondent: PEER, error });
  t.same(harness.types(), ['optimise', 'revert']);
  harness.pass(40_000);
  t.same(harness.types(), ['optimise', 'revert', 'forget']);
  t.end();
});

t.test('nothing comes back on the straight way: the tunnel within 26 s, for ten minutes', (t) => {
  const harness = OptimiserHarness.optimised();
  const send = () => harness.handle({ type: 'correspondent', address: PEER });
  for (let round = 0; round < 3; round += 1) {
    harness.pass(10_000);
    if (harness.optimiser.summary()[0]?.state === 'optimised') send();
  }
  t.same(harness.types(), ['optimise', 'revert']);
  t.match(harness.optimiser.summary(), [{ state: 'tunnel', reason: /nothing comes back/ }]);
  t.end();
});

t.test('what is answered is not silence, however seldom it is sent', (t) => {
  const harness = OptimiserHarness.optimised();
  // The engine tells of what is sent each 10 s at most, of what is heard each 5 s.
  for (const gap of [10_000, 60_000, 20_000, 100_000]) {
    harness.pass(gap);
    harness.traffic();
    harness.pass(5000);
  }
  t.same(harness.types(), ['optimise']);
  t.end();
});

t.test('correspondents are bounded, and begun at a limited rate', (t) => {
  const harness = new OptimiserHarness();
  const address = (i: number) => parseAddress(`2001:db8:9000::${i.toString(16)}`);
  for (let i = 0; i < 100; i += 1) harness.traffic(address(i + 1));
  t.equal(harness.optimiser.summary().length, 4);
  t.equal(drops(harness, 'correspondents_full'), 12);
  t.equal(drops(harness, 'correspondents_limited'), 84);
  harness.pass(30_000);
  harness.traffic(address(200));
  const known = harness.optimiser.summary();
  t.equal(known.length, 4);
  t.ok(known.some(({ correspondent }) => correspondent === address(200)));
  t.end();
});

t.test('never woken for nothing', (t) => {
  const harness = OptimiserHarness.optimised();
  for (let i = 0; i < 200; i += 1) {
    const at = harness.optimiser.wakeAt();
    if (at === undefined) break;
    t.ok(at > harness.now || i === 0, `${at} after ${harness.now}`);
    harness.now = Math.max(harness.now, at);
    if (i % 3 === 0) harness.traffic();
    harness.handle({ type: 'tick' });
  }
  t.end();
});
