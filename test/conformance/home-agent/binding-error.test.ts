import t from 'tap';
import { emitSignal } from '../../../src/signaling/index.js';
import type { Address } from '../../../src/wire/index.js';
import { parseAddress } from '../../../src/wire/index.js';
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
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const type = 'home-address-option';

function unknown(source: Address, home?: Address, length = 2) {
  const signal = {
    source,
    destination: HOME_AGENT,
    ...(home === undefined ? {} : { homeAddressOption: home }),
    message: { kind: 'unknown', type: 77, data: new Uint8Array(length) },
  } as const;
  return { event: { type: 'signal', signal } as const, size: emitSignal(signal).length };
}

onBothHomeLinks(
  'RFC 6275 9.3.1: a Home Address option without a binding: status 1',
  (t, config) => {
    const harness = new AgentHarness(config);
    const outputs = harness.handle({ type, source: CARE_OF, homeAddress: HOME_ADDRESS });
    t.match(outputs, [
      {
        type: 'transmit',
        signal: {
          source: HOME_AGENT,
          destination: CARE_OF,
          message: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS },
        },
      },
    ]);
    t.equal(ofType(outputs, 'transmit')[0]?.signal.routingHeader, undefined, '9.3.3');
  },
);

onBothHomeLinks('RFC 6275 9.3.1: the option is only good with its care-of address', (t, config) => {
  const harness = AgentHarness.bound(config);
  t.same(harness.handle({ type, source: CARE_OF, homeAddress: HOME_ADDRESS }), []);
  const outputs = harness.handle({ type, source: OTHER_CARE_OF, homeAddress: HOME_ADDRESS });
  t.match(messages(outputs), [{ status: 1 }]);
  harness.update({ sequence: 2, source: OTHER_CARE_OF });
  t.same(harness.handle({ type, source: OTHER_CARE_OF, homeAddress: HOME_ADDRESS }), []);
});

t.test('RFC 6275 9.3.1: a binding that is still in DAD is none', (t) => {
  const harness = new AgentHarness();
  harness.update();
  const outputs = harness.handle({ type, source: CARE_OF, homeAddress: HOME_ADDRESS });
  t.match(messages(outputs), [{ status: 1 }]);
  t.end();
});

onBothHomeLinks('RFC 6275 9.2: an unknown Mobility Header type: status 2', (t, config) => {
  const harness = new AgentHarness(config);
  const { event } = unknown(CARE_OF, HOME_ADDRESS);
  t.match(messages(harness.handle(event)), [{ status: 2, homeAddress: HOME_ADDRESS }]);
  const long = unknown(CARE_OF, undefined, 18).event;
  t.match(messages(harness.handle(long)), [{ status: 2, homeAddress: '::' }], '9.3.3');
});

t.test('RFC 6275 9.3.3: no Binding Error is larger than its cause', (t) => {
  for (const [home, length] of [
    [undefined, 2],
    [undefined, 10],
    [undefined, 18],
    [undefined, 26],
    [HOME_ADDRESS, 2],
    [HOME_ADDRESS, 26],
  ] as const) {
    const harness = new AgentHarness();
    const { event, size } = unknown(CARE_OF, home, length);
    const answers = ofType(harness.handle(event), 'transmit');
    t.equal(answers.length, size < 64 ? 0 : 1, `${size} octets`);
    for (const { signal } of answers) t.ok(emitSignal(signal).length <= size);
    t.equal(harness.drops('binding_error_cause_too_small'), size < 64 ? 1 : 0);
  }
  t.end();
});

t.test('RFC 6275 9.3.3: never to a group, or nobody', (t) => {
  const harness = new AgentHarness();
  for (const source of ['ff02::1', 'ff0e::1', '::', 'fe80::1', '::1'].map(parseAddress)) {
    t.same(harness.handle(unknown(source, HOME_ADDRESS).event), []);
    t.same(harness.handle({ type, source, homeAddress: HOME_ADDRESS }), []);
  }
  t.end();
});

t.test('RFC 6275 9.3.3: limited like ICMPv6 errors, and the limit is counted', (t) => {
  const harness = new AgentHarness();
  let answers = 0;
  for (let i = 0; i < 5000; i += 1) {
    harness.now += 1;
    answers += harness.handle(unknown(CARE_OF, HOME_ADDRESS).event).length;
    answers += harness.handle({ type, source: CARE_OF, homeAddress: HOST_A }).length;
  }
  t.ok(answers >= 50 && answers <= 60, `${answers} in 5 s`);
  t.equal(harness.drops('binding_error_limited'), 10_000 - answers);
  t.match(
    messages(harness.register()),
    [{ status: 0 }],
    'registrations have nothing to do with it',
  );
  t.end();
});

t.test('RFC 6275 9.3.3: no Binding Error about a Binding Error', (t) => {
  const harness = new AgentHarness();
  const message = {
    kind: 'binding-error',
    status: 2,
    homeAddress: HOME_ADDRESS,
    options: [],
  } as const;
  const signal = {
    source: CARE_OF,
    destination: HOME_AGENT,
    homeAddressOption: HOME_ADDRESS,
    message,
  };
  t.same(harness.handle({ type: 'signal', signal }), []);
  t.end();
});

t.test('RFC 3776 3.1: none about what should be protected and is not', (t) => {
  const harness = new AgentHarness({ mobileNodes: [served({ protection: 'esp' })] });
  t.same(harness.handle(unknown(CARE_OF, HOME_ADDRESS).event), []);
  t.equal(harness.drops('unprotected'), 1);
  t.end();
});
