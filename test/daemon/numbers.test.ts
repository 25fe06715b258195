import t from 'tap';
import { Secret } from '../../src/crypto/index.js';
import type { EspConfig } from '../../src/daemon/config/schema.js';
import { espFloor, espNumbers } from '../../src/daemon/numbers.js';
import { MemoryStore } from '../../src/daemon/store/index.js';
import { parseAddress } from '../../src/wire/index.js';

const HOME = parseAddress('2001:db8:2000::10');
/** The replay window of the examples. */
const WINDOW = 1024;

function esp(fill: number, changes: Partial<EspConfig> = {}): EspConfig {
  const key = (length: number) => new Secret(new Uint8Array(length).fill(fill));
  return {
    kind: 'esp',
    encryption: 'aes-128-cbc',
    authentication: 'hmac-sha1-96',
    spiOut: 1000,
    spiIn: 1001,
    replayWindow: WINDOW,
    keyFile: '/keys',
    keys: { encryption: key(16), authentication: key(20) },
    keyId: String(fill),
    ...changes,
  };
}

t.test(
  'the next host of a guest goes on where the first one is, within a replay window',
  async (t) => {
    const first = espNumbers(new MemoryStore(), HOME, esp(7));
    const numbers = Array.from({ length: 300 }, () => first.take() ?? 0);
    const next = espNumbers(new MemoryStore(), HOME, esp(7)).take() ?? 0;
    t.ok(next > (numbers.at(-1) ?? 0) - WINDOW, 'even after a burst');
    t.equal(new Set(numbers).size, numbers.length);
  },
);

t.test('RFC 4303 3.3.3: no number comes twice under one key, whatever the restarts', async (t) => {
  const store = new MemoryStore();
  const seen = new Set<number>();
  for (let life = 0; life < 20; life += 1) {
    const counter = espNumbers(store, HOME, esp(7));
    for (let n = 0; n < 10; n += 1) {
      const number = counter.take() ?? 0;
      t.notOk(seen.has(number));
      seen.add(number);
    }
  }
});

t.test('who has not the key cannot tell the numbers from the clock', async (t) => {
  const now = Date.now();
  const floors = [esp(7), esp(8), esp(7, { spiOut: 1002 })].map((security) =>
    espFloor(security, now),
  );
  t.equal(new Set(floors).size, floors.length);
  for (const floor of floors) t.ok(floor > 0 && floor < 2 ** 32);
  t.equal(espFloor(esp(7), now + 30_000), (floors[0] ?? 0) + 30, 'one a second');
  const largest = espFloor(esp(7), Date.UTC(2093, 0, 1));
  t.ok(largest < 2 ** 32, 'there are enough of them');
});
