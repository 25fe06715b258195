import t from 'tap';
import { KagemushaError } from '../../src/errors.js';
import type { ExtensionHeader, Ipv6Packet, Option } from '../../src/wire/index.js';
import {
  alignOptions,
  attempt,
  emitEthernet,
  emitOptions,
  emitPacket,
  homeAddressOption,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseMac,
  parseOptions,
  parsePacket,
  pseudoHeader,
  type2HomeAddress,
  WireError,
} from '../../src/wire/index.js';

const HOME_ADDRESS = parseAddress('2001:db8:2000::10');
const CARE_OF = parseAddress('2001:db8:3000::33');
const HOME_AGENT = parseAddress('2001:db8:2000::1');

function packet(extensions: readonly ExtensionHeader[], more: Partial<Ipv6Packet> = {}) {
  return {
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source: CARE_OF,
    destination: HOME_AGENT,
    extensions,
    protocol: PROTOCOL.noNext,
    payload: new Uint8Array(),
    ...more,
  };
}

const hao: Option = { kind: 'home-address', address: HOME_ADDRESS };
const destination = (...options: Option[]): ExtensionHeader => ({
  kind: 'destination',
  options: alignOptions(options),
});
const route = (segmentsLeft: number): ExtensionHeader => ({
  kind: 'routing-type-2',
  segmentsLeft,
  homeAddress: HOME_ADDRESS,
});

/** A packet's octets with one of them changed. */
function changed(extensions: readonly ExtensionHeader[], at: number, to: number): Uint8Array {
  const bytes = emitPacket(packet(extensions));
  bytes[at] = to;
  return bytes;
}

t.test('WireError is a KagemushaError whose one line names the place', async (t) => {
  const error = attempt(() => parsePacket(new Uint8Array(7)));
  t.type(error, WireError);
  t.type(error, KagemushaError);
  t.match(error, {
    name: 'WireError',
    code: 'WIRE_TRUNCATED',
    offset: 0,
    message: 'IPv6 header: needs 40 octets, has 7 (at offset 0)',
  });
});

t.test('attempt lets programming errors go on', async (t) => {
  t.equal(
    attempt(() => 7),
    7,
  );
  t.throws(() =>
    attempt(() => {
      throw new TypeError('a slip');
    }),
  );
});

t.test('the payload of a frame and of a packet is a view, not a copy', async (t) => {
  const mac = parseMac('02:00:00:00:00:01');
  const inner = emitPacket(packet([], { payload: Uint8Array.of(1, 2, 3) }));
  const frame = emitEthernet({ destination: mac, source: mac, etherType: 0x86dd, payload: inner });
  const { payload } = parsePacket(parseEthernet(frame).payload);
  t.equal(payload.buffer, frame.buffer);
  t.same(payload, Uint8Array.of(1, 2, 3));
});

t.test('options own their octets: they outlive the ring slot', async (t) => {
  const bytes = Buffer.from(emitOptions([{ kind: 'unknown', type: 9, data: Uint8Array.of(7) }]));
  const options = parseOptions(bytes);
  bytes.fill(0);
  t.same(options, [{ kind: 'unknown', type: 9, data: Uint8Array.of(7) }]);
});

t.test('the fixed header (RFC 8200 3)', async (t) => {
  t.match(
    attempt(() => parsePacket(changed([], 0, 0x45))),
    {
      code: 'WIRE_MALFORMED',
      offset: 0,
      message: /version 4/,
    },
  );
  t.match(
    attempt(() => parsePacket(changed([], 5, 1))),
    { code: 'WIRE_TRUNCATED', offset: 40 },
  );
  for (const wrong of [
    { trafficClass: 256 },
    { flowLabel: 0x100000 },
    { hopLimit: -1 },
    { hopLimit: 1.5 },
    { protocol: 256 },
  ]) {
    t.match(
      attempt(() => emitPacket(packet([], wrong))),
      { code: 'WIRE_RANGE' },
    );
  }
});

t.test('hop-by-hop options come first or not at all (RFC 8200 4.1)', async (t) => {
  const hop: ExtensionHeader = { kind: 'hop-by-hop', options: alignOptions([]) };
  const bytes = emitPacket(packet([destination(), hop].slice(0, 1)));
  bytes[40] = PROTOCOL.hopByHop;
  const chained = new Uint8Array(bytes.length + 8);
  chained.set(bytes);
  chained.set([PROTOCOL.noNext, 0, 1, 4], bytes.length);
  chained[5] = 16;
  t.match(
    attempt(() => parsePacket(chained)),
    { code: 'WIRE_MALFORMED' },
  );
  t.match(
    attempt(() => emitPacket(packet([destination(), hop]))),
    { code: 'WIRE_RANGE' },
  );
  t.match(parsePacket(emitPacket(packet([hop, destination()]))), {
    extensions: [{ kind: 'hop-by-hop' }, { kind: 'destination' }],
  });
});

t.test('options are padded to where they want to start (RFC 8200 4.2, RFC 6275 6.3)', async (t) => {
  const kinds = (options: readonly Option[]) => alignOptions(options).map(({ kind }) => kind);
  t.same(kinds([hao]), ['padN', 'home-address'], 'HAO at 8n + 6');
  t.same(kinds([{ kind: 'router-alert', value: 0 }]), ['router-alert', 'padN']);
  t.same(kinds([]), ['padN']);
  t.same(kinds([{ kind: 'tunnel-encapsulation-limit', limit: 1 }, hao]), [
    'tunnel-encapsulation-limit',
    'pad1',
    'home-address',
  ]);
  const aligned = alignOptions([{ kind: 'unknown', type: 9, data: new Uint8Array(3) }, hao]);
  t.same(alignOptions(aligned), aligned, 'padding is not piled up');
  t.equal((emitOptions(aligned).length + 2) % 8, 0);
  t.match(
    attempt(() => emitPacket(packet([{ kind: 'destination', options: [hao] }]))),
    {
      code: 'WIRE_RANGE',
      message: /alignOptions/,
    },
  );
});

t.test('a known option with a wrong length is malformed', async (t) => {
  for (const bytes of [
    [0xc9, 4, 1, 2, 3, 4], // RFC 6275 6.3: 16
    [4, 2, 0, 0], // RFC 2473 4.1.1: 1
    [0, 5, 1, 0], // RFC 2711 2.1: 2
  ]) {
    t.match(
      attempt(() => parseOptions(Uint8Array.from(bytes))),
      { code: 'WIRE_MALFORMED' },
    );
  }
  t.match(
    attempt(() => parseOptions(Uint8Array.of(0, 9, 3, 1))),
    {
      code: 'WIRE_TRUNCATED',
      offset: 1,
    },
  );
  t.match(
    attempt(() => parseOptions(Uint8Array.of(9))),
    { code: 'WIRE_TRUNCATED', offset: 0 },
  );
});

t.test('an option that its fields cannot carry is not emitted', async (t) => {
  const refused: Option[] = [
    { kind: 'unknown', type: 0, data: new Uint8Array() },
    { kind: 'unknown', type: 256, data: new Uint8Array() },
    { kind: 'unknown', type: 9, data: new Uint8Array(256) },
    { kind: 'router-alert', value: 65536 },
    { kind: 'tunnel-encapsulation-limit', limit: 256 },
  ];
  for (const option of refused) {
    t.match(
      attempt(() => emitOptions([option])),
      { code: 'WIRE_RANGE' },
    );
  }
  const big: Option = { kind: 'unknown', type: 9, data: new Uint8Array(254) };
  t.match(
    attempt(() => emitPacket(packet([destination(...new Array<Option>(9).fill(big))]))),
    {
      code: 'WIRE_RANGE',
    },
  );
});

t.test('one Home Address option at most (RFC 6275 6.3)', async (t) => {
  const twice = [destination(hao), destination(hao)];
  t.match(
    attempt(() => emitPacket(packet(twice))),
    { code: 'WIRE_RANGE' },
  );
  const bytes = emitPacket(packet(twice.slice(0, 1)));
  const doubled = new Uint8Array(bytes.length + 24);
  doubled.set(bytes);
  doubled.set(bytes.subarray(40), 64);
  doubled[40] = PROTOCOL.destination;
  doubled[5] = 48;
  t.match(
    attempt(() => parsePacket(doubled)),
    { code: 'WIRE_MALFORMED' },
  );
  t.equal(homeAddressOption(packet([destination(), destination(hao)])), HOME_ADDRESS);
  t.equal(homeAddressOption(packet([])), undefined);
  t.equal(
    homeAddressOption(packet([{ kind: 'hop-by-hop', options: alignOptions([hao]) }])),
    undefined,
    'it is a destination option',
  );
});

t.test(
  'the type 2 routing header holds one address, 0 or 1 segments left (RFC 6275 6.4.1)',
  async (t) => {
    t.match(
      attempt(() => parsePacket(changed([route(1)], 43, 2))),
      {
        code: 'WIRE_MALFORMED',
        offset: 43,
      },
    );
    const long = emitPacket(
      packet([{ kind: 'routing', routingType: 3, segmentsLeft: 1, data: new Uint8Array(36) }]),
    );
    long[42] = 2;
    t.match(
      attempt(() => parsePacket(long)),
      { code: 'WIRE_MALFORMED', offset: 41 },
    );
    t.match(
      attempt(() => emitPacket(packet([route(2)]))),
      { code: 'WIRE_RANGE' },
    );
    t.match(
      attempt(() => emitPacket(packet([route(1), route(1)]))),
      { code: 'WIRE_RANGE' },
    );
    t.equal(type2HomeAddress(packet([route(0)])), HOME_ADDRESS);
    t.equal(type2HomeAddress(packet([])), undefined);
  },
);

t.test('the pseudo-header has the home address (RFC 6275 6.1.1, RFC 8200 8.1)', async (t) => {
  t.same(pseudoHeader(packet([])), { source: CARE_OF, destination: HOME_AGENT });
  t.same(pseudoHeader(packet([destination(hao)])), {
    source: HOME_ADDRESS,
    destination: HOME_AGENT,
  });
  t.same(pseudoHeader(packet([route(1)])), { source: CARE_OF, destination: HOME_ADDRESS });
  t.same(pseudoHeader(packet([route(0)])), { source: CARE_OF, destination: HOME_AGENT });
});

t.test('a later fragment carries data, not headers (RFC 8200 4.5)', async (t) => {
  const fragment = (offset: number): ExtensionHeader => ({
    kind: 'fragment',
    offset,
    more: true,
    identification: 7,
    reserved: 0,
  });
  const later = { protocol: PROTOCOL.destination, payload: Uint8Array.of(1, 2, 3) };
  t.match(parsePacket(emitPacket(packet([fragment(8)], later))), later);
  t.match(
    attempt(() => emitPacket(packet([fragment(8), destination()]))),
    { code: 'WIRE_RANGE' },
  );
  t.match(parsePacket(emitPacket(packet([fragment(0), destination(hao)]))), {
    extensions: [{ kind: 'fragment' }, { kind: 'destination' }],
  });
  for (const offset of [4, -8, 65536]) {
    t.match(
      attempt(() => emitPacket(packet([fragment(offset)]))),
      { code: 'WIRE_RANGE' },
    );
  }
});
