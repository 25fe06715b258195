import t from 'tap';
import { emitSignal } from '../../../src/signaling/index.js';
import {
  emitPacket,
  parseAddress,
  parsePacket,
  upperLayerChecksum,
} from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import {
  AgentHarness,
  bindingUpdate,
  icmpv6Messages,
  messages,
} from '../../support/home-agent-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../../support/testbed-addresses.js';

/** Where the Mobility Header starts behind the Home Address option. */
const MOBILITY_HEADER = 64;
const FIELD = { payloadProtocol: 0, headerLength: 1, type: 2, reserved: 3, checksum: 4 } as const;

/** A Binding Update with octets of its Mobility Header changed, its checksum right again. */
function changed(octets: Readonly<Record<number, number>>, source = CARE_OF): Uint8Array {
  const packet = parsePacket(emitSignal(bindingUpdate({ source, alternates: [CARE_OF] })));
  const payload = packet.payload.slice();
  for (const [field, value] of Object.entries(octets)) payload[Number(field)] = value;
  payload.set([0, 0], FIELD.checksum);
  const length = (payload[FIELD.headerLength] ?? 0) * 8 + 8;
  const pseudo = { source: HOME_ADDRESS, destination: HOME_AGENT };
  const checksum = upperLayerChecksum(pseudo, 135, payload.slice(0, length));
  new DataView(payload.buffer).setUint16(FIELD.checksum, checksum);
  return emitPacket({ ...packet, payload });
}

t.test('RFC 6275 6.1.1: a sound header is heard', (t) => {
  const harness = new AgentHarness();
  t.match(harness.receive(changed({ [FIELD.reserved]: 0 })), [{ type: 'probe' }]);
  t.end();
});

t.test('RFC 6275 9.2: the checksum is verified, a wrong one is discarded in silence', (t) => {
  const harness = new AgentHarness();
  for (const at of [FIELD.checksum, FIELD.checksum + 1, 6, 8, 15, 31]) {
    const bytes = changed({ [FIELD.reserved]: 0 });
    bytes[MOBILITY_HEADER + at] = (bytes[MOBILITY_HEADER + at] ?? 0) ^ 1;
    t.same(harness.receive(bytes), []);
  }
  t.same(harness.bindings, []);
  t.end();
});

t.test('RFC 6275 6.1.1: the checksum covers the home address, not the care-of address', (t) => {
  const harness = new AgentHarness();
  const bytes = changed({ [FIELD.reserved]: 0 });
  // The last octet of the source, then of the Home Address option.
  for (const at of [23, MOBILITY_HEADER - 1]) {
    const other = bytes.slice();
    other[at] = (other[at] ?? 0) ^ 1;
    t.equal(harness.receive(other).length > 0, at === 23, `octet ${at}`);
  }
  t.end();
});

t.test('RFC 6275 9.2: an unknown MH type is answered with Binding Error 2', (t) => {
  for (const type of [8, 77, 255]) {
    const outputs = new AgentHarness().receive(changed({ [FIELD.type]: type }));
    t.match(outputs, [
      {
        type: 'transmit',
        signal: {
          source: HOME_AGENT,
          destination: CARE_OF,
          message: { kind: 'binding-error', status: 2, homeAddress: HOME_ADDRESS },
        },
      },
    ]);
  }
  t.end();
});

t.test('RFC 6275 9.2: a payload protocol other than 59 is a Parameter Problem, code 0', (t) => {
  const harness = new AgentHarness();
  const bytes = changed({ [FIELD.payloadProtocol]: 6 });
  const outputs = harness.receive(bytes);
  t.match(ofType(outputs, 'transmit-icmpv6'), [
    {
      source: HOME_AGENT,
      destination: CARE_OF,
      message: { kind: 'parameter-problem', code: 0, pointer: MOBILITY_HEADER },
    },
  ]);
  t.equal(outputs.length, 1);
  t.same(harness.bindings, []);
  t.end();
});

t.test('RFC 6275 9.2: a header length that is too small: Parameter Problem, at that field', (t) => {
  const harness = new AgentHarness();
  const bytes = changed({ [FIELD.headerLength]: 0 });
  t.match(icmpv6Messages(harness.receive(bytes)), [
    { kind: 'parameter-problem', code: 0, pointer: MOBILITY_HEADER + FIELD.headerLength },
  ]);
  t.same(harness.bindings, []);
  t.end();
});

t.test('RFC 6275 6.1.1: a header length beyond the packet is discarded in silence', (t) => {
  const harness = new AgentHarness();
  t.same(harness.receive(changed({ [FIELD.headerLength]: 200 })), []);
  t.end();
});

t.test('RFC 6275 9.2: the type is looked at before the payload protocol', (t) => {
  const bytes = changed({ [FIELD.type]: 77, [FIELD.payloadProtocol]: 6 });
  t.match(messages(new AgentHarness().receive(bytes)), [{ kind: 'binding-error', status: 2 }]);
  t.end();
});

t.test('RFC 6275 6.1.1: the reserved octet is ignored', (t) => {
  t.match(new AgentHarness().receive(changed({ [FIELD.reserved]: 255 })), [{ type: 'probe' }]);
  t.end();
});

t.test('RFC 6275 6.2.1: an unknown mobility option is skipped', (t) => {
  const harness = new AgentHarness();
  const unknown = { kind: 'unknown', type: 200, data: new Uint8Array(6) } as const;
  t.match(harness.receive(emitSignal(bindingUpdate({ options: [unknown] }))), [{ type: 'probe' }]);
  t.end();
});

t.test(
  'RFC 6275 6.1.1: message types that no home agent is the receiver of have no answer',
  (t) => {
    const harness = new AgentHarness();
    const from = { source: CARE_OF, destination: HOME_AGENT };
    const acknowledgement = {
      kind: 'binding-acknowledgement',
      status: 0,
      keyManagement: false,
      reserved: 0,
      sequence: 1,
      lifetime: 60,
      options: [],
    } as const;
    const cookie = new Uint8Array(8);
    const kinds = [
      { kind: 'binding-refresh-request', options: [] },
      { kind: 'home-test-init', cookie, options: [] },
      { kind: 'care-of-test-init', cookie, options: [] },
      { kind: 'home-test', cookie, keygenToken: cookie, nonceIndex: 0, options: [] },
      { kind: 'care-of-test', cookie, keygenToken: cookie, nonceIndex: 0, options: [] },
      acknowledgement,
      { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS, options: [] },
    ] as const;
    for (const message of kinds) {
      t.same(harness.handle({ type: 'signal', signal: { ...from, message } }), [], message.kind);
    }
    t.equal(harness.drops('unexpected_message'), kinds.length);
    t.end();
  },
);

t.test('RFC 4443 2.4: no Parameter Problem to a group, to nobody, or too often', (t) => {
  const harness = new AgentHarness();
  for (const source of ['::', 'ff02::1', 'fe80::1', '::1']) {
    const bytes = changed({ [FIELD.payloadProtocol]: 6 }, parseAddress(source));
    t.same(harness.receive(bytes), []);
  }
  const bytes = changed({ [FIELD.payloadProtocol]: 6 });
  let answers = 0;
  for (let i = 0; i < 5000; i += 1) {
    harness.now += 1;
    answers += harness.receive(bytes).length;
  }
  t.ok(answers >= 50 && answers <= 60, `${answers} in 5 s`);
  t.equal(harness.drops('icmpv6_error_limited'), 5000 - answers);
  t.end();
});
