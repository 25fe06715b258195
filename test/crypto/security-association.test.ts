import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Transform, withTrailer } from '../../src/crypto/esp.js';
import type { AssociationKeys } from '../../src/crypto/index.js';
import {
  InboundAssociation,
  OutboundAssociation,
  ReplayWindow,
  Secret,
} from '../../src/crypto/index.js';
import { ReservedCounter } from '../../src/reserved-counter.js';
import { counterFrom, keysFor, PAIRS } from '../support/esp-keys.js';

const SPI = 0x1000;
const AES_SHA1 = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' } as const;

function associations(algorithms: (typeof PAIRS)[number] = AES_SHA1, next = 1) {
  const keys = keysFor(algorithms);
  const window = new ReplayWindow(64);
  const tops: number[] = [];
  return {
    keys,
    window,
    tops,
    outbound: new OutboundAssociation({ spi: SPI, algorithms, keys, counter: counterFrom(next) }),
    inbound: new InboundAssociation({
      spi: SPI,
      algorithms,
      keys,
      window,
      accepted: (top) => tops.push(top),
    }),
  };
}

function sealed(outbound: OutboundAssociation, payload: Uint8Array, nextHeader = 135): Uint8Array {
  const packet = outbound.seal(nextHeader, payload);
  if (typeof packet === 'string') throw new Error(packet);
  return packet;
}

for (const pair of PAIRS) {
  t.test(`RFC 4303 3.3, 3.4: ${pair.encryption} with ${pair.authentication}, any payload`, (t) => {
    const { inbound, outbound } = associations(pair);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(255), (payload, nextHeader) => {
        const packet = sealed(outbound, payload, nextHeader);
        const opened = inbound.open(packet);
        if (typeof opened === 'string') throw new Error(opened);
        assert.deepEqual(Uint8Array.from(opened.payload), payload);
        assert.equal(opened.nextHeader, nextHeader);
        assert.equal(packet.length % 4, 0);
      }),
      { numRuns: 50 },
    );
    t.end();
  });
}

t.test('RFC 3602 2.1: each packet has an IV of its own', (t) => {
  const { outbound } = associations();
  const ivs = new Set<string>();
  for (let index = 0; index < 200; index += 1) {
    ivs.add(Buffer.from(sealed(outbound, new Uint8Array(40)).subarray(8, 24)).toString('hex'));
  }
  t.equal(ivs.size, 200);
  t.end();
});

t.test('RFC 4303 2.2: numbers start at 1, count up, and end at 2^32 - 1', (t) => {
  const { outbound } = associations();
  const numbers = [1, 2, 3].map(() =>
    Buffer.from(sealed(outbound, new Uint8Array(4))).readUInt32BE(4),
  );
  t.same(numbers, [1, 2, 3]);
  const last = associations(AES_SHA1, 2 ** 32 - 1);
  const packet = sealed(last.outbound, new Uint8Array(4));
  t.equal(Buffer.from(packet).readUInt32BE(4), 2 ** 32 - 1);
  t.equal(last.outbound.seal(135, new Uint8Array(4)), 'sequence_exhausted');
  t.not(typeof last.inbound.open(packet), 'string');
  t.end();
});

t.test('a number is reserved before it is used', (t) => {
  const reserved: number[] = [];
  const counter = new ReservedCounter({
    next: 1,
    last: 2 ** 32 - 1,
    block: 8,
    reserve: (until) => reserved.push(until),
  });
  const keys = keysFor(AES_SHA1);
  const outbound = new OutboundAssociation({ spi: SPI, algorithms: AES_SHA1, keys, counter });
  for (let index = 0; index < 9; index += 1) {
    const sequence = Buffer.from(sealed(outbound, new Uint8Array(4))).readUInt32BE(4);
    t.ok(sequence < (reserved.at(-1) ?? 0));
  }
  t.same(reserved, [9, 17]);
  t.end();
});

t.test('RFC 4303 3.4.3: a replay is refused, and so is what is too old', (t) => {
  const { inbound, outbound, window, tops } = associations();
  const first = sealed(outbound, new Uint8Array(4));
  t.not(typeof inbound.open(first), 'string');
  t.equal(inbound.open(first), 'esp_replayed');
  const second = sealed(outbound, new Uint8Array(4));
  for (let index = 0; index < 70; index += 1) inbound.open(sealed(outbound, new Uint8Array(4)));
  t.equal(window.top, 72);
  t.equal(inbound.open(second), 'esp_replayed', 'out of the window');
  t.same(tops, [1, ...Array.from({ length: 70 }, (_, index) => index + 3)]);
  t.end();
});

t.test('replay_window 0: a peer may start again at 1', (t) => {
  const keys = keysFor(AES_SHA1);
  const tops: number[] = [];
  const inbound = new InboundAssociation({
    spi: SPI,
    algorithms: AES_SHA1,
    keys,
    window: undefined,
    accepted: (top) => tops.push(top),
  });
  const peer = (next: number) =>
    new OutboundAssociation({ spi: SPI, algorithms: AES_SHA1, keys, counter: counterFrom(next) });
  t.not(typeof inbound.open(sealed(peer(5000), new Uint8Array(4))), 'string');
  t.not(typeof inbound.open(sealed(peer(1), new Uint8Array(4))), 'string');
  t.same(tops, [5000, 1]);
  t.end();
});

t.test('a forged packet changes no state, whatever its number', (t) => {
  const { inbound, outbound, window, tops } = associations();
  inbound.open(sealed(outbound, new Uint8Array(40)));
  const golden = sealed(outbound, new Uint8Array(40));
  for (let bit = 0; bit < golden.length * 8; bit += 1) {
    const forged = Uint8Array.from(golden);
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const reason = inbound.open(forged);
    const expected = bit < 32 ? ['esp_spi'] : ['esp_icv', 'esp_replayed'];
    if (typeof reason !== 'string' || !expected.includes(reason)) t.fail(`bit ${bit}: ${reason}`);
  }
  t.equal(window.top, 1);
  t.same(tops, [1]);
  t.not(typeof inbound.open(golden), 'string', 'the true packet still passes');
  t.end();
});

t.test('a packet cut at every length is refused, and one that is longer', (t) => {
  for (const pair of PAIRS) {
    const { inbound, outbound, window } = associations(pair);
    const golden = sealed(outbound, new Uint8Array(33));
    for (let length = 0; length < golden.length; length += 1) {
      const reason = inbound.open(golden.subarray(0, length));
      if (reason !== 'esp_truncated' && reason !== 'esp_icv') t.fail(`${length}: ${reason}`);
    }
    for (let more = 1; more < 64; more += 1) {
      const reason = inbound.open(Buffer.concat([golden, new Uint8Array(more)]));
      if (reason !== 'esp_truncated' && reason !== 'esp_icv') t.fail(`+${more}: ${reason}`);
    }
    t.equal(window.top, 0);
    t.not(typeof inbound.open(golden), 'string');
  }
  t.end();
});

t.test('bounded work: what no signaling message can be is not even hashed', (t) => {
  const { inbound, outbound } = associations();
  t.equal(inbound.open(sealed(outbound, new Uint8Array(8000))), 'esp_oversized');
  t.not(typeof inbound.open(sealed(outbound, new Uint8Array(2048))), 'string');
  t.end();
});

/** A packet whose ICV is right around any plaintext: what a faulty peer could send. */
function around(keys: AssociationKeys, plain: Uint8Array, sequence = 1): Uint8Array {
  const transform = new Transform(AES_SHA1, keys);
  const iv = new Uint8Array(16);
  const head = new Uint8Array(8);
  const view = new DataView(head.buffer);
  view.setUint32(0, SPI);
  view.setUint32(4, sequence);
  const covered = Buffer.concat([head, iv, transform.encrypt(iv, plain)]);
  return Buffer.concat([covered, transform.icv(covered)]);
}

t.test('RFC 4303 2.4: padding is checked, its length too', (t) => {
  const { inbound, keys, window } = associations();
  const good = withTrailer(new Uint8Array(24), 135, 16);
  t.same([...good.subarray(24)], [1, 2, 3, 4, 5, 6, 6, 135]);
  for (let index = 24; index < 30; index += 1) {
    const plain = Uint8Array.from(good);
    plain[index] = 0;
    t.equal(inbound.open(around(keys, plain)), 'esp_padding', `octet ${index}`);
  }
  for (let length = 0; length < 256; length += 1) {
    if (length <= 6) continue;
    const plain = Uint8Array.from(good);
    plain[30] = length;
    t.equal(inbound.open(around(keys, plain)), 'esp_padding', `length ${length}`);
  }
  t.equal(window.top, 0);
  t.not(typeof inbound.open(around(keys, good)), 'string');
  t.end();
});

t.test('RFC 4303 2.4: a sender may pad up to 255 octets, and send no payload at all', (t) => {
  const { inbound, keys } = associations();
  const padded = new Uint8Array(272);
  for (let index = 0; index < 255; index += 1) padded[15 + index] = index + 1;
  padded.set([255, 135], 270);
  const opened = inbound.open(around(keys, padded));
  t.match(opened, { nextHeader: 135, sequence: 1 });
  t.equal(typeof opened === 'string' ? -1 : opened.payload.length, 15);
  const empty = inbound.open(around(keys, withTrailer(new Uint8Array(0), 59, 16), 2));
  t.match(empty, { nextHeader: 59, payload: new Uint8Array(0) });
  t.end();
});

t.test('what the caller refuses inside moves no window', (t) => {
  const { inbound, outbound, window } = associations();
  const packet = sealed(outbound, Uint8Array.of(1, 2, 3, 4));
  t.equal(
    inbound.open(packet, () => 'checksum'),
    'checksum',
  );
  t.equal(window.top, 0);
  t.not(typeof inbound.open(packet), 'string');
  t.end();
});

t.test('an association is not made of wrong parts, and says so without the key', (t) => {
  const keys = keysFor(AES_SHA1);
  const make = (spi: number, encryption: Secret) =>
    new OutboundAssociation({
      spi,
      algorithms: AES_SHA1,
      keys: { ...keys, encryption },
      counter: counterFrom(1),
    });
  for (const spi of [0, 1, 255, -1, 2 ** 32, 300.5]) {
    t.throws(() => make(spi, keys.encryption), RangeError, `SPI ${spi}`);
  }
  t.throws(() => make(256, new Secret(new Uint8Array(17).fill(0xee))), {
    message: 'aes-128-cbc takes a key of 16 octets, not of 17',
  });
  t.end();
});
