import fc from 'fast-check';
import t from 'tap';
import {
  addressBytes,
  internetChecksum,
  parseAddress,
  upperLayerChecksum,
} from '../../src/wire/index.js';
import { address, octets } from './arbitraries.js';

/** RFC 1071 4.1, word by word, the carry put back after each. */
function naive(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

/** RFC 8200 8.1, the pseudo-header written out. */
function pseudoOctets(source: Uint8Array, destination: Uint8Array, protocol: number, n: number) {
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(n, 0);
  tail[7] = protocol;
  return Buffer.concat([source, destination, tail]);
}

t.test('the example of RFC 1071 3', async (t) => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  t.equal(internetChecksum(bytes), 0xffff - 0xddf2);
});

t.test('equals the naive sum, with a seed for what comes before (RFC 1071 2)', async (t) => {
  fc.assert(
    fc.property(octets(2), octets(0, 300), ([high = 0, low = 0], bytes) => {
      const whole = Uint8Array.of(high, low, ...bytes);
      return (
        internetChecksum(bytes) === naive(bytes) &&
        internetChecksum(bytes, high * 256 + low) === naive(whole)
      );
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test('equals the naive sum over a written-out pseudo-header (RFC 8200 8.1)', async (t) => {
  const protocol = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(address, address, protocol, octets(0, 100), (source, destination, proto, bytes) => {
      const head = pseudoOctets(
        addressBytes(source),
        addressBytes(destination),
        proto,
        bytes.length,
      );
      const whole = naive(Buffer.concat([head, bytes]));
      return upperLayerChecksum({ source, destination }, proto, bytes) === whole;
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test('sums of 64 KiB and more do not overflow', async (t) => {
  const pseudo = { source: parseAddress('ffff::ffff'), destination: parseAddress('ffff::ffff') };
  for (const length of [65535, 65536, 200_001]) {
    const bytes = new Uint8Array(length).fill(0xff);
    const source = addressBytes(pseudo.source);
    const head = pseudoOctets(source, source, 58, length);
    t.equal(internetChecksum(bytes), naive(bytes));
    t.equal(upperLayerChecksum(pseudo, 58, bytes), naive(Buffer.concat([head, bytes])));
  }
});
