import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import type { MobilityMessage } from '../../src/wire/index.js';
import {
  emitEthernet,
  emitIcmpv6,
  emitMobility,
  emitOptions,
  formatPrefix,
  parseAddress,
  parseEthernet,
  parseIcmpv6,
  parseMac,
  parseMobility,
  parseOptions,
  parsePrefix,
  readAddress,
  writeAddress,
  writeMac,
} from '../../src/wire/index.js';
import {
  address,
  frame,
  icmpv6Message,
  mac,
  mobilityMessage,
  octets,
  option,
  record,
} from './arbitraries.js';
import type { Upper } from './samples.js';
import { compose, dissect } from './samples.js';

const RUNS = { numRuns: 500 };
const pseudo = { source: parseAddress('2001:db8::1'), destination: parseAddress('fe80::ffff:2') };

/** The same octets inside a larger, shared buffer, where the engine's ring has them: byteOffset must be heeded. */
function elsewhere(bytes: Uint8Array, lead: number): Uint8Array {
  const whole = new Uint8Array(new SharedArrayBuffer(lead + bytes.length + 9)).fill(0xee);
  whole.set(bytes, lead);
  return whole.subarray(lead, lead + bytes.length);
}

function roundTrip<T>(
  records: fc.Arbitrary<T>,
  emit: (record: T) => Uint8Array,
  parse: (bytes: Uint8Array) => T,
): void {
  fc.assert(
    fc.property(records, fc.integer({ min: 0, max: 9 }), (record, lead) =>
      isDeepStrictEqual(parse(elsewhere(emit(record), lead)), record),
    ),
    RUNS,
  );
}

t.test('options: parse after emit is the identity (RFC 8200 4.2)', async (t) => {
  roundTrip(fc.array(option), emitOptions, (bytes) => parseOptions(bytes));
  t.pass();
});

t.test('Mobility Header: parse after emit is the identity (RFC 6275 6.1, 6.2)', async (t) => {
  const emit = (message: MobilityMessage) => emitMobility(message, pseudo);
  roundTrip(mobilityMessage, emit, (bytes) => parseMobility(bytes, pseudo));
  t.pass();
});

t.test('ICMPv6 and NDP: parse after emit is the identity (RFC 4443, RFC 4861)', async (t) => {
  roundTrip(
    icmpv6Message,
    (message) => emitIcmpv6(message, pseudo),
    (bytes) => parseIcmpv6(bytes, pseudo),
  );
  t.pass();
});

t.test(
  'packets with all extension headers: the identity (RFC 8200 4, RFC 6275 6.3, 6.4)',
  async (t) => {
    const raw = octets(0, 60).map((payload): Upper => ({ protocol: 17, payload }));
    const upper: fc.Arbitrary<Upper> = fc.oneof(
      raw,
      mobilityMessage.map((mobility) => ({ mobility })),
      icmpv6Message.map((icmpv6) => ({ icmpv6 })),
    );
    const packets = record({ frame, upper }).filter(
      // What a later fragment carries is data.
      ({ frame, upper }) =>
        'payload' in upper || !frame.extensions.some((h) => h.kind === 'fragment' && h.offset > 0),
    );
    roundTrip(packets, ({ frame, upper }) => compose(frame, upper), dissect);
    t.pass();
  },
);

t.test('Ethernet frames and MAC addresses: the identity (RFC 2464)', async (t) => {
  const frames = record({
    destination: mac,
    source: mac,
    etherType: fc.integer({ min: 0, max: 0xffff }),
    payload: octets(0, 100),
  });
  roundTrip(frames, emitEthernet, parseEthernet);
  fc.assert(
    fc.property(mac, (value) => {
      const into = new Uint8Array(8);
      writeMac(value, into, 1);
      return parseMac(value.toUpperCase()) === value && into[0] === 0 && into[7] === 0;
    }),
    RUNS,
  );
  t.pass();
});

t.test('addresses: text and octets say the same (RFC 5952)', async (t) => {
  fc.assert(
    fc.property(address, fc.integer({ min: 0, max: 5 }), (value, offset) => {
      const into = new Uint8Array(offset + 16);
      writeAddress(value, into, offset);
      return readAddress(into, offset) === value && parseAddress(value.toUpperCase()) === value;
    }),
    RUNS,
  );
  fc.assert(
    fc.property(octets(16), fc.integer({ min: 0, max: 128 }), (bytes, length) => {
      const network = bytes.map((octet, index) => {
        const bits = Math.min(8, Math.max(0, length - 8 * index));
        return octet & (0xff << (8 - bits));
      });
      const prefix = { address: readAddress(network, 0), length };
      return isDeepStrictEqual(parsePrefix(formatPrefix(prefix)), prefix);
    }),
    RUNS,
  );
  t.pass();
});

t.test('addresses: written as the WHATWG URL serializer writes them (RFC 5952 4)', async (t) => {
  fc.assert(
    fc.property(
      address.filter((value) => !value.includes('.')),
      (value) => new URL(`http://[${value}]/`).hostname === `[${value}]`,
    ),
    RUNS,
  );
  t.pass();
});
