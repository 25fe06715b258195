import fc from 'fast-check';
import t from 'tap';
import { quotedTunnelPacket, relayedError } from '../../src/tunnel/index.js';
import type { Icmpv6Error, Icmpv6Message, Ipv6Packet } from '../../src/wire/index.js';
import { emitIcmpv6, emitPacket, parseAddress, UNSPECIFIED } from '../../src/wire/index.js';
import { HOME_ADDRESS, HOST_A } from '../support/testbed-addresses.js';
import { byScapy, ENDS, errorPacket, icmpv6Of, LABEL, toHex } from '../support/tunnel-packets.js';

/** What becomes of an error that scapy made. */
function relay(name: string, overhead = 40): Icmpv6Error | string {
  const error = icmpv6Of(byScapy(name));
  if (!('quoted' in error)) throw new Error(`${name} is no error`);
  const quoted = quotedTunnelPacket(error.quoted, ENDS, () => LABEL);
  return typeof quoted === 'string' ? quoted : relayedError(error, quoted.inner, overhead);
}

const packetOf = (error: Icmpv6Error | string) =>
  typeof error === 'string' ? error : toHex(errorPacket(error));

t.test(
  'RFC 2473 8.2: hop limit exceeded and unreachable nodes inside the tunnel are an unreachable address',
  (t) => {
    for (const name of ['timeExceeded', 'unreachable', 'prohibited']) {
      t.equal(packetOf(relay(name)), toHex(byScapy('relayedUnreachable')), name);
    }
    t.end();
  },
);

t.test(
  'RFC 2473 8.1: a Parameter Problem at the encapsulation limit is one too, another is not relayed',
  (t) => {
    t.equal(packetOf(relay('limitProblem')), toHex(byScapy('relayedLimit')));
    t.equal(relay('otherProblem'), 'relay_not_encapsulation_limit');
    const error = icmpv6Of(byScapy('limitProblem'));
    if (error.kind !== 'parameter-problem') throw new Error(error.kind);
    const inner = error.quoted.subarray(48);
    for (const [value, relayed] of [
      [0, true],
      [1, true],
      [2, false],
      [255, false],
    ] as const) {
      const quoted = error.quoted.slice();
      quoted[44] = value;
      t.equal(
        typeof relayedError({ ...error, quoted }, inner, 48) !== 'string',
        relayed,
        `${value}`,
      );
    }
    for (const pointer of [40, 42, 43, 45, 5000, 2 ** 32 - 1]) {
      t.equal(relayedError({ ...error, pointer }, inner, 48), 'relay_not_encapsulation_limit');
    }
    t.end();
  },
);

t.test('RFC 2473 8.2: Packet Too Big less the tunnel headers, never less than 1280', (t) => {
  t.equal(packetOf(relay('tooBig')), toHex(byScapy('relayedTooBig')));
  t.equal(packetOf(relay('tooBigMinimum')), toHex(byScapy('relayedTooBigMinimum')));
  t.match(relay('tooBig', 48), { message: { kind: 'packet-too-big', mtu: 1352 } });
  t.end();
});

t.test(
  'RFC 2473 7.1, 8.2: no Packet Too Big for an original packet of 1280 octets or less',
  (t) => {
    t.equal(relay('tooBigOfSmall'), 'relay_fits_minimum');
    t.equal(relay('tooBigOfFragment'), 'relay_fits_minimum');
    t.end();
  },
);

t.test('RFC 8201 4: a Packet Too Big of less than 1280 is not relayed', (t) => {
  const error = icmpv6Of(byScapy('tooBig'));
  if (error.kind !== 'packet-too-big') throw new Error(error.kind);
  const inner = error.quoted.subarray(40);
  t.equal(relayedError({ ...error, mtu: 1279 }, inner, 40), 'relay_too_big_below_minimum');
  t.equal(relayedError({ ...error, mtu: 0 }, inner, 40), 'relay_too_big_below_minimum');
  t.end();
});

t.test('RFC 2473 8.4: a nested tunnel packet is an original packet: its source is told', (t) => {
  const error = icmpv6Of(byScapy('unreachable'));
  t.match(relayedError(error, byScapy('plain'), 40), {
    destination: parseAddress('2001:db8:3000::33'),
    message: { kind: 'destination-unreachable', code: 3 },
  });
  t.end();
});

t.test('what is no error is not relayed', (t) => {
  const messages: Icmpv6Message[] = [
    { kind: 'echo-request', identifier: 1, sequence: 2, data: new Uint8Array(8) },
    { kind: 'unknown', type: 5, code: 0, body: new Uint8Array(60) },
  ];
  for (const message of messages) {
    t.equal(relayedError(message, byScapy('inner'), 40), 'relay_not_an_error');
  }
  const unreachable = icmpv6Of(byScapy('unreachable'));
  for (let length = 0; length < 40; length += 1) {
    t.equal(relayedError(unreachable, byScapy('inner').subarray(0, length), 40), 'error_malformed');
  }
  t.end();
});

function inner(packet: Partial<Ipv6Packet>): Uint8Array {
  return emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source: HOME_ADDRESS,
    destination: HOST_A,
    extensions: [],
    protocol: 17,
    payload: new Uint8Array(1400),
    ...packet,
  });
}

function icmpv6(message: Icmpv6Message): Partial<Ipv6Packet> {
  const payload = emitIcmpv6(message, { source: HOME_ADDRESS, destination: HOST_A });
  return { protocol: 58, payload };
}

const quoted = new Uint8Array(1400);
const destination = parseAddress('ff0e::1');
const fragment = {
  kind: 'fragment' as const,
  offset: 1448,
  more: true,
  identification: 7,
  reserved: 0,
};
const SILENT: readonly [string, string, Partial<Ipv6Packet>][] = [
  [
    '2.4(e.1): an ICMPv6 error',
    'error_icmpv6_error',
    icmpv6({ kind: 'time-exceeded', code: 0, quoted }),
  ],
  [
    '2.4(e.2): a redirect',
    'error_icmpv6_error',
    icmpv6({ kind: 'redirect', target: HOST_A, destination: HOST_A, options: [] }),
  ],
  ['2.4(e.3): a multicast destination', 'error_multicast', { destination }],
  ['2.4(e.6): an unspecified source', 'error_source', { source: UNSPECIFIED }],
  ['2.4(e.6): a multicast source', 'error_source', { source: destination }],
  [
    '2.4(e.1): a later fragment of ICMPv6',
    'error_icmpv6_error',
    { protocol: 58, extensions: [fragment] },
  ],
];
for (const [name, reason, packet] of SILENT) {
  t.test(`RFC 4443 ${name}: nothing is relayed`, (t) => {
    const about = inner(packet);
    // A small one is no cause for a Packet Too Big anyway.
    for (const error of [
      'unreachable',
      'timeExceeded',
      ...(about.length > 1280 ? ['tooBig'] : []),
    ]) {
      for (const cut of [Number.POSITIVE_INFINITY, 1232, 88]) {
        const message = icmpv6Of(byScapy(error));
        t.equal(relayedError(message, about.slice(0, cut), 40), reason);
      }
    }
    t.end();
  });
}

t.test('an inner packet whose headers are cut off may be an error: nothing is relayed', (t) => {
  const options = [{ kind: 'padN' as const, data: new Uint8Array(60) }];
  const bytes = inner({ extensions: [{ kind: 'destination', options }] });
  const message = icmpv6Of(byScapy('unreachable'));
  t.equal(typeof relayedError(message, bytes, 40), 'object');
  t.equal(relayedError(message, bytes.slice(0, 70), 40), 'error_malformed');
  t.end();
});

t.test(
  'property: no error is larger than 1280 octets, goes elsewhere than to the inner source, or throws',
  (t) => {
    const samples = ['inner', 'plain', 'limited', 'probe', 'tooBig'].map(byScapy);
    const errors = ['tooBig', 'unreachable', 'timeExceeded', 'limitProblem'].map((name) =>
      icmpv6Of(byScapy(name)),
    );
    fc.assert(
      fc.property(
        ...[
          fc.constantFrom(...samples),
          fc.constantFrom(...errors),
          fc.nat(1600),
          fc.constantFrom(40, 48),
        ],
        fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 6 }),
        (sample, error, length, overhead, flips) => {
          const bytes = sample.slice(0, length);
          for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
          const got = relayedError(error, bytes, overhead);
          if (typeof got === 'string') return;
          const packet = errorPacket(got);
          if (packet.length > 1280) throw new Error(`${packet.length} octets`);
          if (toHex(packet.subarray(24, 40)) !== toHex(bytes.subarray(8, 24)))
            throw new Error('to another');
          if (!toHex(bytes).startsWith(toHex(packet.subarray(48))))
            throw new Error('quotes another');
        },
      ),
      { seed: 24_73, numRuns: 3000 },
    );
    t.end();
  },
);
