import t from 'tap';
import { answerEcho } from '../../src/homelink/index.js';
import type { Address, Ipv6Packet } from '../../src/wire/index.js';
import {
  alignOptions,
  emitIcmpv6,
  emitPacket,
  parseAddress,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
} from '../../src/wire/index.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, HOST_A } from '../support/testbed-addresses.js';

const DATA = new Uint8Array(56).fill(9);

function request(source: Address, home?: Address, over: Partial<Ipv6Packet> = {}): Ipv6Packet {
  return {
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source,
    destination: HOME_AGENT,
    extensions:
      home === undefined
        ? []
        : [
            {
              kind: 'destination',
              options: alignOptions([{ kind: 'home-address', address: home }]),
            },
          ],
    protocol: 58,
    payload: emitIcmpv6(
      { kind: 'echo-request', identifier: 4, sequence: 5, data: DATA },
      { source: home ?? source, destination: HOME_AGENT },
    ),
    ...over,
  };
}

function reply(packet: Ipv6Packet) {
  const back = parsePacket(emitPacket(packet));
  return { ...back, message: parseIcmpv6(back.payload, pseudoHeader(back)) };
}

t.test('RFC 4443 4.2: an echo request to our address', (t) => {
  const answer = answerEcho(request(HOST_A));
  if (answer === undefined) throw new Error('no answer');
  t.match(reply(answer), {
    source: HOME_AGENT,
    destination: HOST_A,
    extensions: [],
    message: { kind: 'echo-reply', identifier: 4, sequence: 5 },
  });
  t.equal(emitPacket(answer).length, emitPacket(request(HOST_A)).length);
  t.end();
});

t.test('RFC 6275 9.3.2: to a registered mobile node with a type 2 routing header', (t) => {
  for (const asked of [request(HOME_ADDRESS), request(CARE_OF, HOME_ADDRESS)]) {
    const answer = answerEcho(asked, CARE_OF);
    if (answer === undefined) throw new Error('no answer');
    t.match(reply(answer), {
      source: HOME_AGENT,
      destination: CARE_OF,
      extensions: [{ kind: 'routing-type-2', segmentsLeft: 1, homeAddress: HOME_ADDRESS }],
      message: { kind: 'echo-reply', identifier: 4, sequence: 5 },
    });
    t.ok(emitPacket(answer).length <= emitPacket(asked).length + 24);
  }
  t.end();
});

t.test('no answer', (t) => {
  const cases: [string, Ipv6Packet][] = [
    ['a Home Address option that nobody vouches for', request(CARE_OF, HOME_ADDRESS)],
    ['from a group', request(parseAddress('ff02::1'))],
    ['from nobody', request(parseAddress('::'))],
    ['to a group', request(HOST_A, undefined, { destination: parseAddress('ff02::1') })],
    ['a wrong checksum', request(HOST_A, undefined, { destination: CARE_OF })],
    ['not ICMPv6', request(HOST_A, undefined, { protocol: 17 })],
    [
      'a fragment',
      request(HOST_A, undefined, {
        extensions: [{ kind: 'fragment', offset: 0, more: true, identification: 1, reserved: 0 }],
      }),
    ],
    [
      'an echo reply',
      request(HOST_A, undefined, {
        payload: emitIcmpv6(
          { kind: 'echo-reply', identifier: 4, sequence: 5, data: DATA },
          { source: HOST_A, destination: HOME_AGENT },
        ),
      }),
    ],
  ];
  for (const [name, packet] of cases) t.equal(answerEcho(packet), undefined, name);
  t.end();
});
