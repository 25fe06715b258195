import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import {
  attempt,
  emitPacket,
  isAddress,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseMac,
  parsePacket,
  parsePrefix,
  pseudoHeader,
  upperLayerChecksum,
  WireError,
} from '../../src/wire/index.js';
import { octets } from './arbitraries.js';
import { compose, dissect, SAMPLES } from './samples.js';

// Tens of thousands of errors are made here; their stacks would take most of the time.
Error.stackTraceLimit = 0;

const VALID = Object.values(SAMPLES).map(({ frame, upper }) => compose(frame, upper));
const valid = fc.constantFrom(...VALID);
const SLOWEST = 500; // ms for one packet: hundreds of times what it takes, far below what a loop that grows would

/** Decodes; anything but a record or a WireError goes up and fails the test, and so does taking long. */
function decode(bytes: Uint8Array): ReturnType<typeof dissect> | WireError {
  const start = performance.now();
  const result = attempt(() => dissect(bytes));
  const took = performance.now() - start;
  if (took > SLOWEST) throw new Error(`${bytes.length} octets took ${took} ms`);
  return result;
}

/** Makes the upper-layer checksum right again, so that a mutation reaches the code behind the check. */
function rechecksum(bytes: Uint8Array): Uint8Array {
  const packet = attempt(() => parsePacket(bytes));
  if (packet instanceof WireError) return bytes;
  const { protocol, payload } = packet;
  const mobility = protocol === PROTOCOL.mobility;
  if (!mobility && protocol !== PROTOCOL.icmpv6) return bytes;
  const length = mobility ? ((payload[1] ?? 0) + 1) * 8 : payload.length;
  const covered = payload.subarray(0, length);
  const field = mobility ? 4 : 2;
  if (covered.length < field + 2) return bytes;
  covered.fill(0, field, field + 2);
  const checksum = upperLayerChecksum(pseudoHeader(packet), protocol, covered);
  covered.set([checksum >> 8, checksum & 255], field);
  return bytes;
}

/** What parsed is emitted again as it was, reserved bits, unknown options and padding included. */
function survives(bytes: Uint8Array): boolean {
  const first = decode(bytes);
  if (first instanceof WireError) return first.offset >= 0 && !first.message.includes('\n');
  const again = compose(first.frame, first.upper);
  if (!isDeepStrictEqual(decode(again), first)) return false;
  const { payload, protocol } = parsePacket(bytes);
  const behindMobility =
    protocol === PROTOCOL.mobility && payload.length > ((payload[1] ?? 0) + 1) * 8;
  if (behindMobility) return true;
  return Buffer.compare(again, bytes.subarray(0, again.length)) === 0;
}

const mutations = fc.array(fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) }), {
  minLength: 1,
  maxLength: 6,
});

function mutate(bytes: Uint8Array, changes: readonly { at: number; to: number }[]): Uint8Array {
  const changed = Uint8Array.from(bytes);
  for (const { at, to } of changes) changed[at % changed.length] = to;
  return changed;
}

t.test('random octets parse or give a WireError', async (t) => {
  fc.assert(
    fc.property(octets(0, 200), (bytes) => {
      decode(bytes);
      attempt(() => parseEthernet(bytes));
      if (bytes.length > 40) {
        bytes[0] = 0x60;
        bytes.set([0, bytes.length - 40], 4);
      }
      return survives(rechecksum(bytes));
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test(
  'mutated packets parse or give a WireError; what parses survives byte for byte',
  async (t) => {
    fc.assert(
      fc.property(valid, mutations, (bytes, changes) =>
        survives(rechecksum(mutate(bytes, changes))),
      ),
      { numRuns: 10000 },
    );
    t.pass();
  },
);

t.test('each octet of each packet set to corner values', async (t) => {
  let parsed = 0;
  for (const bytes of VALID) {
    for (let at = 0; at < bytes.length; at++) {
      for (const to of [0, 1, 4, 59, 128, 255]) {
        const changed = rechecksum(mutate(bytes, [{ at, to }]));
        if (!survives(changed)) t.fail(`${Buffer.from(changed).toString('hex')} does not survive`);
        parsed += decode(changed) instanceof WireError ? 0 : 1;
      }
    }
  }
  t.ok(parsed > 1000, 'many of them get through, so that the loop is worth its while');
});

t.test('every truncation of every packet gives WIRE_TRUNCATED (RFC 8200 3)', async (t) => {
  const codes = new Set<string>();
  for (const bytes of VALID) {
    for (let length = 0; length < bytes.length; length++) {
      const result = decode(bytes.subarray(0, length));
      codes.add(result instanceof WireError ? result.code : `parsed at ${length}`);
    }
  }
  t.same([...codes], ['WIRE_TRUNCATED']);
});

t.test('every truncation with a payload length to match parses or gives a WireError', async (t) => {
  for (const bytes of VALID) {
    for (let length = 40; length < bytes.length; length++) {
      const cut = bytes.slice(0, length);
      cut.set([(length - 40) >> 8, (length - 40) & 255], 4);
      if (!survives(rechecksum(cut))) t.fail(`${Buffer.from(cut).toString('hex')}`);
    }
  }
  t.pass();
});

t.test('octets behind the payload length are link padding (RFC 8200 3)', async (t) => {
  for (const bytes of VALID) {
    const padded = new Uint8Array(bytes.length + 6).fill(0xff);
    padded.set(bytes);
    if (!isDeepStrictEqual(decode(padded), decode(bytes))) t.fail('padding shows');
  }
  t.pass();
});

t.test('the largest and most nested packets are read at once', async (t) => {
  const first = VALID[0] ?? new Uint8Array();
  const maximal = (next: number, fill: (rest: Uint8Array) => void) => {
    const bytes = new Uint8Array(40 + 65528);
    bytes.set(first.subarray(0, 40));
    bytes.set([0xff, 0xf8, next], 4);
    fill(bytes.subarray(40));
    return rechecksum(bytes);
  };
  const chain = maximal(PROTOCOL.destination, (rest) => {
    for (let at = 0; at < rest.length; at += 8) rest.set([PROTOCOL.destination, 0], at);
    rest.set([PROTOCOL.noNext], rest.length - 8);
  });
  const pads = maximal(PROTOCOL.destination, (rest) => {
    for (let at = 0; at + 2048 <= rest.length; at += 2048) {
      rest.set([PROTOCOL.destination, 255], at);
    }
    rest.set([PROTOCOL.noNext], 31 * 2048 - 2048);
  });
  const neighbors = maximal(PROTOCOL.icmpv6, (rest) => {
    rest.set([133]);
    for (let at = 8; at < rest.length; at += 8) rest.set([1, 1], at);
  });
  for (const bytes of [chain, pads, neighbors]) t.notOk(decode(bytes) instanceof WireError);
  t.ok(survives(chain) && survives(pads) && survives(neighbors));
});

t.test('text that is no address gives a WireError', async (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom('0', 'f', ':', '::', '.', '1', '/', '%') }),
  );
  fc.assert(
    fc.property(text, (value) => {
      const results = [parseAddress, parsePrefix, parseMac].map((parse) =>
        attempt(() => parse(value)),
      );
      const [parsed] = results;
      return isAddress(value) === !(parsed instanceof WireError);
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test('a packet larger than the payload length field gives WIRE_RANGE (RFC 8200 3)', async (t) => {
  const [bytes = new Uint8Array()] = VALID;
  const packet = { ...parsePacket(bytes), extensions: [], payload: new Uint8Array(65536) };
  const result = attempt(() => emitPacket(packet));
  t.match(result, { code: 'WIRE_RANGE', offset: 4 });
});
