import { writeSync } from 'node:fs';
import { SqliteStore } from '../../src/daemon/store/index.js';
import { ReservedCounter } from '../../src/reserved-counter.js';
import { parseAddress } from '../../src/wire/address.js';

/*
 * What store-crash.test.ts kills: takes numbers and stores bindings as fast as it can, and says each time what is done,
 * in writes that are whole when the process dies.
 */
const [, , directory = ''] = process.argv;
const store = new SqliteStore(directory);
const name = 'esp/2001:db8::10/1000';
const counter = new ReservedCounter({
  next: store.reserved(name) ?? 1,
  last: 0xffff_ffff,
  block: 8,
  reserve: (until) => store.reserve(name, until),
});
writeSync(1, `secret ${Buffer.from(store.secret('care-of')).toString('hex')}\n`);
for (let round = 0; ; round++) {
  const number = counter.take();
  writeSync(1, `number ${number}\n`);
  const homeAddress = parseAddress(`2001:db8::${(round % 50).toString(16)}`);
  if (round % 7 === 6) {
    store.deleteBinding(homeAddress);
    writeSync(1, `deleted ${homeAddress}\n`);
    continue;
  }
  store.putBinding({
    homeAddress,
    careOfAddress: parseAddress(`2001:db8:1::${(round % 0xffff).toString(16)}`),
    sequence: (number ?? 0) % 0x10000,
    lifetime: 60,
    expiresAt: 1_700_000_000_000 + round,
    linkLocal: round % 2 === 0,
  });
  writeSync(1, `stored ${homeAddress} ${(number ?? 0) % 0x10000}\n`);
}
