import { writeSync } from 'node:fs';
import { SqliteStore } from '../../src/daemon/store/index.js';
import { ReservedCounter } from '../../src/reserved-counter.js';
import { parseAddress } from '../../src/wire/address.js';

/*
 * What store-crash.test.ts kills: takes numbers and stores bindings as fast as it can, and says each time what is done.
 */
/** Written when it returns, also where the reader is slow (the pipe does not block). */
function say(line: string): void {
  let left: Uint8Array = Buffer.from(line);
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(1, left));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

const [, , directory = ''] = process.argv;
const store = new SqliteStore(directory);
const name = 'esp/2001:db8::10/1000';
const counter = new ReservedCounter({
  next: store.reserved(name) ?? 1,
  last: 0xffff_ffff,
  block: 8,
  reserve: (until) => store.reserve(name, until),
});
say(`secret ${Buffer.from(store.secret('care-of')).toString('hex')}\n`);
for (let round = 0; ; round++) {
  const number = counter.take();
  say(`number ${number}\n`);
  const homeAddress = parseAddress(`2001:db8::${(round % 50).toString(16)}`);
  if (round % 7 === 6) {
    store.deleteBinding(homeAddress);
    say(`deleted ${homeAddress}\n`);
    continue;
  }
  store.putBinding({
    homeAddress,
    careOfAddress: parseAddress(`2001:db8:1::${(round % 0xffff).toString(16)}`),
    sequence: (number ?? 0) % 0x10000,
    lifetime: 60,
    expiresAt: 1_700_000_000_000 + round,
    linkLocal: round % 2 === 0,
    protection: round % 3 === 0 ? 'esp' : 'none',
  });
  say(`stored ${homeAddress} ${(number ?? 0) % 0x10000}\n`);
}
