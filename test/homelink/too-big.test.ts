import t from 'tap';
import type { Icmpv6Message, Ipv6Packet } from '../../src/wire/index.js';
import {
  ETHERTYPE_IPV6,
  emitEthernet,
  emitIcmpv6,
  emitPacket,
  parseAddress,
  parseEthernet,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { frames, GuestLinkHarness } from '../support/guest-link-harness.js';
import {
  GUEST_MAC,
  HOME_ADDRESS,
  HOME_ROUTER,
  HOST_A,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

function frameOf(packet: Partial<Ipv6Packet> = {}): Uint8Array {
  return emitEthernet({
    destination: ROUTER_MAC,
    source: GUEST_MAC,
    etherType: ETHERTYPE_IPV6,
    payload: emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit: 64,
      source: HOME_ADDRESS,
      destination: HOST_A,
      extensions: [],
      protocol: 6,
      payload: new Uint8Array(1460),
      ...packet,
    }),
  });
}

function icmpv6(message: Icmpv6Message): Partial<Ipv6Packet> {
  const payload = emitIcmpv6(message, { source: HOME_ADDRESS, destination: HOST_A });
  return { protocol: 58, payload };
}

t.test(
  'RFC 4443 3.2: Packet Too Big from the home router, quoting what fits in 1280 octets',
  (t) => {
    for (const whole of [true, false]) {
      const harness = new GuestLinkHarness();
      const bytes = whole ? frameOf() : frameOf().slice(0, 1400);
      const sent = frames(harness.handle({ type: 'too-big', bytes, mtu: 1460 }));
      t.equal(sent.length, 1);
      const [answer] = sent;
      t.match(answer, {
        sourceMac: ROUTER_MAC,
        destinationMac: GUEST_MAC,
        source: HOME_ROUTER,
        destination: HOME_ADDRESS,
        message: { kind: 'packet-too-big', mtu: 1460 },
      });
      t.equal(answer?.bytes.length, 14 + 1280);
      const { payload } = parseEthernet(bytes);
      if (answer?.message.kind === 'packet-too-big') {
        t.same(Buffer.from(answer.message.quoted), Buffer.from(payload.subarray(0, 1232)));
      }
    }
    t.end();
  },
);

t.test('a short packet is quoted whole', (t) => {
  const harness = new GuestLinkHarness();
  const bytes = frameOf({ payload: new Uint8Array(100) });
  const [answer] = frames(harness.handle({ type: 'too-big', bytes, mtu: 1280 }));
  t.equal(answer?.bytes.length, 14 + 40 + 8 + 140);
  t.end();
});

t.test('RFC 8201 4: never less than 1280', (t) => {
  const harness = new GuestLinkHarness();
  const [answer] = frames(harness.handle({ type: 'too-big', bytes: frameOf(), mtu: 600 }));
  t.match(answer?.message, { mtu: 1280 });
  t.end();
});

t.test('an echo request that is too big is told so', (t) => {
  const harness = new GuestLinkHarness();
  const data = new Uint8Array(1452);
  const bytes = frameOf(icmpv6({ kind: 'echo-request', identifier: 1, sequence: 1, data }));
  t.equal(frames(harness.handle({ type: 'too-big', bytes, mtu: 1460 })).length, 1);
  t.end();
});

const quoted = new Uint8Array(1400);
const SILENT: readonly [string, string, Partial<Ipv6Packet>][] = [
  [
    'e.1: an ICMPv6 error',
    'too_big_icmpv6_error',
    icmpv6({ kind: 'destination-unreachable', code: 0, quoted }),
  ],
  [
    'e.1: an ICMPv6 error behind an extension header',
    'too_big_icmpv6_error',
    {
      ...icmpv6({ kind: 'packet-too-big', mtu: 1280, quoted }),
      extensions: [{ kind: 'destination', options: [{ kind: 'padN', data: new Uint8Array(4) }] }],
    },
  ],
  [
    'e.2: a redirect',
    'too_big_icmpv6_error',
    icmpv6({ kind: 'redirect', target: HOST_A, destination: HOST_A, options: [] }),
  ],
  ['e.3: a multicast destination', 'too_big_multicast', { destination: parseAddress('ff0e::1') }],
  ['e.6: an unspecified source', 'too_big_source', { source: UNSPECIFIED }],
  ['e.6: a multicast source', 'too_big_source', { source: parseAddress('ff0e::1') }],
  [
    'a later fragment of ICMPv6',
    'too_big_icmpv6_error',
    {
      protocol: 58,
      extensions: [{ kind: 'fragment', offset: 1448, more: true, identification: 7, reserved: 0 }],
    },
  ],
];

for (const [name, reason, packet] of SILENT) {
  t.test(`RFC 4443 2.4 ${name}: no Packet Too Big`, (t) => {
    for (const cut of [Number.POSITIVE_INFINITY, 1400]) {
      const harness = new GuestLinkHarness();
      const bytes = frameOf(packet).slice(0, cut);
      t.same(harness.handle({ type: 'too-big', bytes, mtu: 1460 }), []);
      t.same(harness.drops(), { [reason]: 1 });
    }
    t.end();
  });
}

t.test('junk is no packet', (t) => {
  for (const bytes of [new Uint8Array(3), new Uint8Array(30), frameOf().slice(0, 20)]) {
    const harness = new GuestLinkHarness();
    t.same(harness.handle({ type: 'too-big', bytes, mtu: 1460 }), []);
    t.same(harness.drops(), { too_big_malformed: 1 });
  }
  t.end();
});

t.test('RFC 4443 2.4(f): the rate is bounded', (t) => {
  const harness = new GuestLinkHarness();
  let sent = 0;
  for (let i = 0; i < 10_000; i += 1) {
    harness.now += 0.5;
    sent += harness.handle({ type: 'too-big', bytes: frameOf(), mtu: 1460 }).length;
  }
  t.ok(sent >= 500 && sent <= 550 + 1, `${sent} in 5 s`);
  t.equal(harness.link.drops.get('too_big_limited'), 10_000 - sent);
  t.end();
});
