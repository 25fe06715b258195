import t from 'tap';
import type { Address } from '../../../src/wire/index.js';
import { emitPacket, PROTOCOL, parseAddress } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { AgentHarness, onBothHomeLinks } from '../../support/home-agent-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

/** A packet of the home address in a tunnel packet. */
function tunnelled(source: Address, length = 100, destination = HOME_AGENT): Uint8Array {
  const inner = {
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source: HOME_ADDRESS,
    destination: HOST_A,
    extensions: [],
    protocol: PROTOCOL.udp,
    payload: new Uint8Array(length),
  };
  return emitPacket({
    ...inner,
    source,
    destination,
    protocol: PROTOCOL.ipv6,
    payload: emitPacket(inner),
  });
}

onBothHomeLinks(
  'RFC 6275 10.4.5: the tunnel is that of the primary care-of address',
  (t, config) => {
    const harness = new AgentHarness(config);
    t.match(ofType(harness.register(), 'bind'), [
      { homeAddress: HOME_ADDRESS, careOfAddress: CARE_OF },
    ]);
    t.match(ofType(harness.update({ sequence: 2, source: OTHER_CARE_OF }), 'bind'), [
      { homeAddress: HOME_ADDRESS, careOfAddress: OTHER_CARE_OF },
    ]);
    t.match(ofType(harness.update({ sequence: 3, lifetime: 0 }), 'unbind'), [
      { homeAddress: HOME_ADDRESS },
    ]);
  },
);

onBothHomeLinks('RFC 6275 10.4.5: from another address: unreachable, code 4', (t, config) => {
  const harness = AgentHarness.bound(config);
  const bytes = tunnelled(OTHER_CARE_OF);
  t.match(harness.handle({ type: 'unbound', bytes }), [
    {
      type: 'transmit-icmpv6',
      source: HOME_AGENT,
      destination: OTHER_CARE_OF,
      message: { kind: 'destination-unreachable', code: 4, quoted: bytes.slice(0, -48) },
    },
  ]);
  t.equal(harness.bindings.length, 1);
});

t.test('RFC 4443 2.4: the error is no larger than its cause, nor than 1280 octets', (t) => {
  for (const length of [0, 1, 100, 1180, 1400]) {
    const bytes = tunnelled(OTHER_CARE_OF, length);
    const [error] = ofType(
      new AgentHarness().handle({ type: 'unbound', bytes: bytes.slice(0, 1280) }),
      'transmit-icmpv6',
    );
    if (error?.message.kind !== 'destination-unreachable') throw new Error('no error');
    const size = 40 + 8 + error.message.quoted.length;
    t.ok(size <= Math.min(1280, bytes.length), `${size} for ${bytes.length}`);
  }
  t.end();
});

t.test('RFC 4443 2.4: no error to a group or nobody, about others’ packets, or too often', (t) => {
  const harness = new AgentHarness();
  for (const source of ['::', 'ff02::1', 'fe80::1', '::1']) {
    const bytes = tunnelled(parseAddress(source));
    t.same(harness.handle({ type: 'unbound', bytes }), []);
  }
  t.equal(harness.drops('source_not_routable'), 4);
  t.same(harness.handle({ type: 'unbound', bytes: tunnelled(CARE_OF, 9, HOST_A) }), []);
  for (const length of [0, 1, 39, 47]) {
    t.same(harness.handle({ type: 'unbound', bytes: tunnelled(CARE_OF).slice(0, length) }), []);
  }
  let answers = 0;
  for (let i = 0; i < 5000; i += 1) {
    harness.now += 1;
    answers += harness.handle({ type: 'unbound', bytes: tunnelled(CARE_OF) }).length;
  }
  t.ok(answers >= 50 && answers <= 60, `${answers} in 5 s`);
  t.end();
});
