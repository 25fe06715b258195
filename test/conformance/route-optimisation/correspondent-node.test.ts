import t from 'tap';
import { emitSignal } from '../../../src/signaling/index.js';
import { isAuthorized } from '../../../src/signaling/route-optimisation/authorization.js';
import { alignMobilityOptions, parseAddress } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import {
  CorrespondentHarness,
  keyOf,
  messageOf,
  PEER,
} from '../../support/route-optimisation-harness.js';
import { CARE_OF, HOME_ADDRESS, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

t.test('RFC 6275 9.4.3: a Home Test goes to the home address with the cookie that came', (t) => {
  const harness = new CorrespondentHarness();
  const [answer, ...more] = harness.answers(harness.init('home-test-init', HOME_ADDRESS));
  t.equal(more.length, 0);
  t.match(answer, { source: PEER, destination: HOME_ADDRESS });
  t.equal(answer?.routingHeader, undefined);
  t.same(messageOf(answer, 'home-test').cookie, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  t.end();
});

t.test('RFC 6275 9.4.3: to the home address even where a binding stands', (t) => {
  const harness = CorrespondentHarness.bound();
  const [answer] = harness.answers(harness.init('home-test-init', HOME_ADDRESS));
  t.equal(answer?.destination, HOME_ADDRESS);
  t.equal(answer?.routingHeader, undefined);
  t.end();
});

t.test('RFC 6275 9.4.4: a Care-of Test goes to the care-of address', (t) => {
  const harness = new CorrespondentHarness();
  const [answer] = harness.answers(harness.init('care-of-test-init', CARE_OF));
  t.match(answer, { source: PEER, destination: CARE_OF });
  t.same(messageOf(answer, 'care-of-test').cookie, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  t.end();
});

t.test('RFC 6275 9.4.1, 9.4.2: an init message with a Home Address option is ignored', (t) => {
  const harness = new CorrespondentHarness();
  for (const kind of ['home-test-init', 'care-of-test-init'] as const) {
    const signal = harness.init(kind, CARE_OF, { homeAddressOption: HOME_ADDRESS });
    t.same(harness.answers(signal), []);
  }
  t.equal(harness.correspondent.drops.get('test_with_home_address_option'), 2);
  t.end();
});

t.test('RFC 6275 5.2.5: tokens differ by address, by kind and by node', (t) => {
  const harness = new CorrespondentHarness();
  const { home, careOf } = harness.tokens();
  const same = harness.tokens(CARE_OF, HOME_ADDRESS);
  const other = new CorrespondentHarness({ randomBytes: (n) => new Uint8Array(n).fill(9) });
  t.notSame(home.keygenToken, same.home.keygenToken);
  t.notSame(home.keygenToken, same.careOf.keygenToken);
  t.notSame(careOf.keygenToken, same.careOf.keygenToken);
  t.notSame(home.keygenToken, other.tokens().home.keygenToken);
  t.end();
});

t.test('RFC 6275 9.5.2: an authorized Binding Update makes a binding and is acknowledged', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  const [answer] = harness.answers(harness.update(tokens, { sequence: 77 }));
  t.match(answer, { source: PEER, destination: CARE_OF, routingHeader: HOME_ADDRESS });
  const message = messageOf(answer, 'binding-acknowledgement');
  t.match(message, { status: 0, sequence: 77, lifetime: 420 });
  t.ok(isAuthorized(message, { kbm: keyOf(tokens), careOfAddress: CARE_OF, correspondent: PEER }));
  t.same(ofType(harness.outputs, 'bind'), [
    { type: 'bind', homeAddress: HOME_ADDRESS, careOfAddress: CARE_OF },
  ]);
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), CARE_OF);
  t.end();
});

t.test('RFC 6275 9.5.2: the driver hears of the binding before the acknowledgement leaves', (t) => {
  const harness = new CorrespondentHarness();
  const signal = harness.update(harness.tokens());
  const types = harness.handle({ type: 'signal', signal }).map(({ type }) => type);
  t.same(types, ['bind', 'transmit-in-tunnel']);
  t.end();
});

t.test('RFC 6275 9.5.2: the lifetime granted is MAX_RR_BINDING_LIFETIME at most', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  const [long] = harness.answers(harness.update(tokens, { lifetime: 3600 }));
  t.equal(messageOf(long, 'binding-acknowledgement').lifetime, 420);
  const [short] = harness.answers(harness.update(tokens, { lifetime: 40, sequence: 2 }));
  t.equal(messageOf(short, 'binding-acknowledgement').lifetime, 40);
  t.end();
});

t.test('RFC 6275 9.5.4: without the A bit an accepted update is not acknowledged', (t) => {
  const harness = new CorrespondentHarness();
  t.same(harness.answers(harness.update(harness.tokens(), { acknowledge: false })), []);
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), CARE_OF);
  t.end();
});

t.test('RFC 6275 9.5.1: no Nonce Indices option: discarded', (t) => {
  const harness = new CorrespondentHarness();
  t.same(harness.answers(harness.update(harness.tokens(), { options: [] })), []);
  t.equal(harness.correspondent.drops.get('no_nonce_indices'), 1);
  t.end();
});

t.test('RFC 6275 9.5.1: a wrong authenticator, or none: discarded, nothing changes', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  const right = harness.update(tokens);
  const update = messageOf(right, 'binding-update');
  const wrong = [
    harness.update(tokens, {}, { kbm: new Uint8Array(20) }),
    harness.update(tokens, {}, { covered: OTHER_CARE_OF }),
    harness.update(tokens, {}, { homeAddressOption: parseAddress('2001:db8:2000::11') }),
    { ...right, source: OTHER_CARE_OF },
    { ...right, message: { ...update, lifetime: 416 } },
    { ...right, message: { ...update, sequence: 2 } },
    { ...right, message: { ...update, reserved: 1 } },
    {
      ...right,
      message: {
        ...update,
        options: alignMobilityOptions(
          update.options.filter(({ kind }) => kind === 'nonce-indices'),
        ),
      },
    },
    {
      ...right,
      message: {
        ...update,
        options: alignMobilityOptions([
          ...update.options,
          { kind: 'alternate-care-of-address', address: CARE_OF },
        ]),
      },
    },
  ];
  for (const signal of wrong) t.same(harness.answers(signal), []);
  t.equal(harness.correspondent.drops.get('not_authorized'), wrong.length);
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), undefined);
  t.equal(harness.answers(right).length, 1);
  t.end();
});

t.test('RFC 6275 9.5.1: every bit of the authenticated part counts', (t) => {
  const harness = new CorrespondentHarness();
  const signal = harness.update(harness.tokens());
  const update = messageOf(signal, 'binding-update');
  const authenticator = update.options.at(-1);
  if (authenticator?.kind !== 'binding-authorization-data') throw new Error('no authenticator');
  for (let bit = 0; bit < 96; bit += 1) {
    const octets = Uint8Array.from(authenticator.authenticator);
    octets[bit >> 3] = (octets[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const options = [
      ...update.options.slice(0, -1),
      { kind: 'binding-authorization-data' as const, authenticator: octets },
    ];
    harness.answers({ ...signal, message: { ...update, options } });
  }
  t.equal(harness.correspondent.drops.get('not_authorized'), 96);
  t.equal(harness.outputs.filter(({ type }) => type === 'bind').length, 0);
  t.end();
});

t.test('RFC 6275 6.2.7: the care-of address of an Alternate Care-of Address option counts', (t) => {
  const harness = new CorrespondentHarness();
  const { home } = harness.tokens();
  const { careOf } = harness.tokens(HOME_ADDRESS, OTHER_CARE_OF);
  const options = [
    { kind: 'alternate-care-of-address', address: OTHER_CARE_OF },
    { kind: 'nonce-indices', home: home.nonceIndex, careOf: careOf.nonceIndex },
  ] as const;
  const tokens = { home, careOf };
  const [answer] = harness.answers(
    harness.update(tokens, { options }, { covered: OTHER_CARE_OF, kbm: keyOf(tokens) }),
  );
  t.match(answer, { destination: CARE_OF, message: { status: 0 } });
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), OTHER_CARE_OF);
  t.end();
});

t.test('RFC 6275 9.5.1: a sequence number that is not newer: status 135 with the last one', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  harness.answers(harness.update(tokens, { sequence: 100 }));
  for (const sequence of [100, 99, (100 - 32_768) & 0xffff]) {
    const [answer] = harness.answers(harness.update(tokens, { sequence }));
    const message = messageOf(answer, 'binding-acknowledgement');
    t.match(message, { status: 135, sequence: 100 });
    t.ok(
      isAuthorized(message, { kbm: keyOf(tokens), careOfAddress: CARE_OF, correspondent: PEER }),
    );
  }
  const [answer] = harness.answers(harness.update(tokens, { sequence: 101 }));
  t.match(answer?.message, { status: 0 });
  t.end();
});

t.test('RFC 6275 9.5.1: sequence numbers wrap', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  harness.answers(harness.update(tokens, { sequence: 65_535 }));
  const [answer] = harness.answers(harness.update(tokens, { sequence: 0 }));
  t.match(answer?.message, { status: 0, sequence: 0 });
  t.end();
});

t.test(
  'RFC 6275 9.5.1: nonces that are not known: 136, 137, 138, without an authenticator',
  (t) => {
    const harness = new CorrespondentHarness();
    const { home, careOf } = harness.tokens();
    const stale = <T extends { nonceIndex: number }>(token: T): T => ({
      ...token,
      nonceIndex: (token.nonceIndex + 1000) & 0xffff,
    });
    for (const [tokens, status] of [
      [{ home: stale(home), careOf }, 136],
      [{ home, careOf: stale(careOf) }, 137],
      [{ home: stale(home), careOf: stale(careOf) }, 138],
    ] as const) {
      const [answer] = harness.answers(harness.update(tokens));
      const message = messageOf(answer, 'binding-acknowledgement');
      t.match(message, { status, sequence: 1, lifetime: 0 });
      t.notOk(message.options.some(({ kind }) => kind === 'binding-authorization-data'));
    }
    t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), undefined);
    t.end();
  },
);

t.test('RFC 6275 5.2.7: a token holds MAX_TOKEN_LIFETIME, a nonce not beyond its own', (t) => {
  for (const [age, status] of [
    [210_000, 0],
    [240_000, 138],
  ] as const) {
    for (const start of [0, 29_999, 30_000]) {
      const harness = new CorrespondentHarness();
      harness.tokens();
      harness.pass(start);
      const tokens = harness.tokens();
      harness.pass(age);
      const [answer] = harness.answers(harness.update(tokens));
      t.match(answer?.message, { status }, `${age} ms after a start at ${start}`);
    }
  }
  t.end();
});

t.test('RFC 6275 9.5.1: the H bit: 131, and 139 where a binding stands', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  const [first] = harness.answers(harness.update(tokens, { homeRegistration: true, options: [] }));
  t.match(first?.message, { status: 131 });
  harness.answers(harness.update(tokens));
  const [second] = harness.answers(
    harness.update(tokens, { homeRegistration: true, options: [], sequence: 2 }),
  );
  t.match(second?.message, { status: 139 });
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), CARE_OF);
  t.end();
});

t.test('RFC 6275 9.5.3: lifetime 0 deletes; the home nonce alone counts', (t) => {
  const harness = CorrespondentHarness.bound();
  const { home, careOf } = harness.tokens();
  const tokens = { home, careOf: { ...careOf, nonceIndex: 0 } };
  const [answer] = harness.answers(harness.update(tokens, { sequence: 2, lifetime: 0 }));
  t.match(answer?.message, { status: 0, sequence: 2, lifetime: 0 });
  t.match(ofType(harness.outputs, 'unbind'), [{ homeAddress: HOME_ADDRESS }]);
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), undefined);
  t.end();
});

t.test('RFC 6275 9.5.3: from the home address itself the answer has no routing header', (t) => {
  const harness = CorrespondentHarness.bound();
  const { homeAddressOption: _, ...direct } = harness.update(
    harness.tokens(),
    { sequence: 2, lifetime: 0 },
    { source: HOME_ADDRESS },
  );
  const [answer] = harness.answers(direct);
  t.match(answer, { destination: HOME_ADDRESS, message: { status: 0 } });
  t.equal(answer?.routingHeader, undefined);
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), undefined);
  t.end();
});

t.test('RFC 6275 9.5.3: an old update does not bring a deleted binding back', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  const first = harness.update(tokens, { sequence: 1 });
  harness.answers(first);
  harness.answers(harness.update(tokens, { sequence: 2, lifetime: 0 }));
  const [answer] = harness.answers(first);
  t.match(answer?.message, { status: 135, sequence: 2 });
  t.equal(harness.correspondent.careOfAddress(HOME_ADDRESS), undefined);
  t.end();
});

t.test('RFC 6275 9.5.3: nor one that ran out within the life of its nonces', (t) => {
  const harness = new CorrespondentHarness();
  const first = harness.update(harness.tokens(), { lifetime: 8 });
  harness.answers(first);
  harness.pass(9000);
  t.match(ofType(harness.outputs, 'unbind'), [{ reason: 'expired' }]);
  const [answer] = harness.answers(first);
  t.match(answer?.message, { status: 135 });
  t.end();
});

t.test('RFC 6275 9.6: a full cache refuses newcomers with 130 and renews who is there', (t) => {
  const harness = new CorrespondentHarness({ maxBindings: 2 });
  const bind = (last: number, sequence: number) => {
    const home = parseAddress(`2001:db8:2000::${last}`);
    const tokens = harness.tokens(home);
    const signal = harness.update(tokens, { sequence }, { homeAddressOption: home });
    return messageOf(harness.answers(signal)[0], 'binding-acknowledgement').status;
  };
  t.same([bind(1, 1), bind(2, 1), bind(3, 1), bind(1, 2)], [0, 0, 130, 0]);
  t.end();
});

t.test('RFC 6275 9.5.5, 6.1: a binding in use gets two refresh requests, an idle one none', (t) => {
  const busy = CorrespondentHarness.bound();
  const idle = CorrespondentHarness.bound();
  busy.pass(390_000);
  idle.pass(390_000);
  busy.handle({ type: 'correspondent', address: HOME_ADDRESS });
  const requests = ofType(busy.pass(29_000), 'transmit-in-tunnel');
  t.equal(requests.length, 2);
  t.match(requests[0]?.signal, {
    destination: HOME_ADDRESS,
    routingHeader: undefined,
    message: { kind: 'binding-refresh-request' },
  });
  t.equal(ofType(idle.pass(29_000), 'transmit-in-tunnel').length, 0);
  t.match(ofType(idle.pass(2000), 'unbind'), [{ reason: 'expired' }]);
  t.end();
});

t.test('RFC 6275 9.3.1: a Home Address option without this binding: Binding Error 1', (t) => {
  const harness = CorrespondentHarness.bound();
  const event = { type: 'home-address-option', homeAddress: HOME_ADDRESS } as const;
  t.same(harness.handle({ ...event, source: CARE_OF }), []);
  const [output] = ofType(
    harness.handle({ ...event, source: OTHER_CARE_OF }),
    'transmit-in-tunnel',
  );
  t.match(output?.signal, {
    source: PEER,
    destination: OTHER_CARE_OF,
    message: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS },
  });
  t.end();
});

t.test('RFC 6275 9.3.3: no Binding Error to a multicast or link-local source', (t) => {
  const harness = new CorrespondentHarness();
  for (const source of ['ff02::1', 'fe80::1', '::']) {
    const outputs = harness.handle({
      type: 'home-address-option',
      source: parseAddress(source),
      homeAddress: HOME_ADDRESS,
    });
    t.same(outputs, []);
  }
  t.end();
});

t.test('RFC 6275 9.2: an unknown MH type: Binding Error 2', (t) => {
  const harness = new CorrespondentHarness();
  const message = { kind: 'unknown', type: 99, data: new Uint8Array(10) } as const;
  const [answer] = harness.answers({ source: CARE_OF, destination: PEER, message });
  t.match(answer?.message, { kind: 'binding-error', status: 2, homeAddress: '::' });
  t.end();
});

t.test('RFC 6275 9.3.4: persistent unreachables delete the binding, a single one does not', (t) => {
  const harness = CorrespondentHarness.bound();
  const event = { type: 'unreachable', careOfAddress: CARE_OF } as const;
  harness.handle(event);
  harness.pass(31_000);
  t.same(harness.handle(event), []);
  t.same(harness.handle(event), []);
  t.match(harness.handle(event), [{ type: 'unbind', homeAddress: HOME_ADDRESS }]);
  t.end();
});

t.test('floods: answers are limited by kind and the cache stays empty', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  let answers = 0;
  for (let i = 0; i < 1000; i += 1) {
    const source = parseAddress(`2001:db8:9000::${i.toString(16)}`);
    answers += harness.answers(harness.init('home-test-init', source)).length;
    const forged = { ...tokens, home: { ...tokens.home, nonceIndex: i } };
    answers += harness.answers(harness.update(forged, {}, { source })).length;
    answers += ofType(
      harness.handle({ type: 'home-address-option', source, homeAddress: HOME_ADDRESS }),
      'transmit-in-tunnel',
    ).length;
  }
  t.ok(answers <= 3 * 20, `${answers}`);
  t.equal(ofType(harness.outputs, 'bind').length, 0);
  t.end();
});

t.test('answers to what nobody proved are no larger than their cause', (t) => {
  const harness = new CorrespondentHarness();
  const { home, careOf } = harness.tokens();
  const causes = [
    harness.update({ home: { ...home, nonceIndex: 1 }, careOf }),
    harness.update({ home, careOf }, { homeRegistration: true, options: [] }),
  ];
  for (const cause of causes) {
    const [answer] = harness.answers(cause);
    if (answer === undefined) throw new Error('no answer');
    t.ok(emitSignal(answer).length <= emitSignal(cause).length);
  }
  // The formats of RFC 6275 6.1.3 and 6.1.5 alone make 8 octets more.
  const init = harness.init('home-test-init', HOME_ADDRESS);
  const [test] = harness.answers(init);
  if (test === undefined) throw new Error('no answer');
  t.equal(emitSignal(test).length - emitSignal(init).length, 8);
  t.end();
});

t.test('a mobile node cannot bind the address that it speaks to', (t) => {
  const harness = new CorrespondentHarness();
  const tokens = harness.tokens();
  t.same(harness.answers(harness.update(tokens, {}, { homeAddressOption: PEER })), []);
  t.equal(harness.correspondent.drops.get('circular_care_of_address'), 1);
  t.end();
});
