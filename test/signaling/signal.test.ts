import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { Signal } from '../../src/signaling/index.js';
import { emitSignal, readSignal } from '../../src/signaling/index.js';
import { isNewer, nextSequence } from '../../src/signaling/sequence.js';
import type { Address } from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  attempt,
  parsePacket,
  readAddress,
  WireError,
} from '../../src/wire/index.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const UPDATE: Signal = {
  source: CARE_OF,
  destination: HOME_AGENT,
  homeAddressOption: HOME_ADDRESS,
  message: {
    kind: 'binding-update',
    sequence: 14885,
    acknowledge: true,
    homeRegistration: true,
    linkLocalCompatible: true,
    keyManagement: false,
    reserved: 0,
    lifetime: 600,
    options: alignMobilityOptions([{ kind: 'alternate-care-of-address', address: CARE_OF }]),
  },
};

const ACKNOWLEDGEMENT: Signal = {
  source: HOME_AGENT,
  destination: CARE_OF,
  routingHeader: HOME_ADDRESS,
  message: {
    kind: 'binding-acknowledgement',
    status: 0,
    keyManagement: false,
    reserved: 0,
    sequence: 14885,
    lifetime: 600,
    options: alignMobilityOptions([], 'binding-acknowledgement'),
  },
};

t.test(
  'PROTOCOL.md: the home registration that a stock home agent accepted, octet by octet',
  (t) => {
    const golden = Buffer.from(
      `6000000000383c40 20010db8300000000000000000000033 20010db8200000000000000000000001
     870201020000c910 20010db8200000000000000000000010
     3b030500a7193a25e000009601000310 20010db8300000000000000000000033`.replace(/\s/g, ''),
      'hex',
    );
    t.equal(Buffer.from(emitSignal(UPDATE)).toString('hex'), golden.toString('hex'));
    t.match(readSignal(parsePacket(golden)), UPDATE);
    t.end();
  },
);

t.test('PROTOCOL.md: and its acknowledgement', (t) => {
  const golden = Buffer.from(
    `8702020100000000 20010db8200000000000000000000010 3b010600e72600003a25009601020000`.replace(
      /\s/g,
      '',
    ),
    'hex',
  );
  t.equal(
    Buffer.from(emitSignal(ACKNOWLEDGEMENT).subarray(40)).toString('hex'),
    golden.toString('hex'),
  );
  t.same(readSignal(parsePacket(emitSignal(ACKNOWLEDGEMENT))), ACKNOWLEDGEMENT);
  t.end();
});

t.test('RFC 6275 6.1.1: the checksum covers the home address', (t) => {
  const bytes = emitSignal(UPDATE);
  bytes.set([0x11], 40 + 23);
  const result = readSignal(parsePacket(bytes));
  t.ok(result instanceof WireError && result.code === 'WIRE_CHECKSUM');
  t.end();
});

t.test('RFC 6275 9.2: a payload protocol other than 59 is told apart', (t) => {
  const bytes = emitSignal(UPDATE);
  // The checksum is kept right: 59 + 1 in one word, 1 less in another (the reserved octet's neighbour).
  bytes[64] = 60;
  const before = ((bytes[68] ?? 0) << 8) | (bytes[69] ?? 0);
  const after = before - 0x100;
  bytes.set([after >> 8, after & 255], 68);
  const result = readSignal(parsePacket(bytes));
  t.ok(result instanceof WireError && result.code === 'WIRE_PAYLOAD_PROTOCOL', String(result));
  t.end();
});

t.test('a packet without a Mobility Header is no signal', (t) => {
  const packet = parsePacket(emitSignal(UPDATE));
  t.ok(readSignal({ ...packet, protocol: 17 }) instanceof WireError);
  t.end();
});

const address = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes): Address => readAddress(bytes, 0));

t.test('property: signals survive the wire', (t) => {
  fc.assert(
    fc.property(
      address,
      address,
      fc.option(address, { nil: undefined }),
      fc.option(address, { nil: undefined }),
      fc.nat(0xffff),
      fc.nat(0xffff),
      (source, destination, home, route, sequence, units) => {
        const signal: Signal = {
          source,
          destination,
          ...(home === undefined ? {} : { homeAddressOption: home }),
          ...(route === undefined ? {} : { routingHeader: route }),
          message: {
            kind: 'binding-update',
            sequence,
            acknowledge: sequence % 2 === 0,
            homeRegistration: true,
            linkLocalCompatible: units % 2 === 0,
            keyManagement: false,
            reserved: 0,
            lifetime: 4 * units,
            options: alignMobilityOptions([{ kind: 'alternate-care-of-address', address: source }]),
          },
        };
        const back = readSignal(parsePacket(emitSignal(signal)));
        assert.deepEqual(back, signal);
      },
    ),
    { numRuns: 100 },
  );
  t.end();
});

t.test(
  'property: a mutated packet is read or refused, it never throws anything but WireError',
  (t) => {
    const golden = emitSignal(UPDATE);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(golden.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(golden.length),
        (changes, length) => {
          const bytes = golden.slice(0, length);
          for (const [at, value] of changes) if (at < length) bytes[at] = value;
          const packet = attempt(() => parsePacket(bytes));
          if (!(packet instanceof WireError)) readSignal(packet);
        },
      ),
      { numRuns: 2000 },
    );
    t.end();
  },
);

t.test('RFC 6275 9.5.1: sequence numbers are compared modulo 2^16', (t) => {
  for (const [sequence, last, newer] of [
    [1, 0, true],
    [0, 0, false],
    [0, 1, false],
    [0, 65_535, true],
    [32_767, 0, true],
    [32_768, 0, false],
    [32_769, 0, false],
    [100, 65_000, true],
    [65_000, 100, false],
  ] as const) {
    t.equal(isNewer(sequence, last), newer, `${sequence} after ${last}`);
  }
  fc.assert(
    fc.property(fc.nat(0xffff), fc.integer({ min: 1, max: 32_767 }), (last, jump) => {
      const next = (last + jump) % 0x10000;
      return isNewer(next, last) && !isNewer(last, next) && nextSequence(last) < 0x10000;
    }),
  );
  t.end();
});
