import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { HomeAgentBinding, Registration, Store } from '../../src/daemon/store/index.js';
import {
  espReplayTop,
  espSequence,
  MemoryStore,
  mobilitySequence,
  SqliteStore,
} from '../../src/daemon/store/index.js';
import { storeError } from '../../src/daemon/store/store-error.js';
import { KagemushaError } from '../../src/errors.js';
import { parseAddress } from '../../src/wire/address.js';

const home = parseAddress('2001:db8:2000::10');
const peer = parseAddress('2001:db8:2000::1');
const binding: HomeAgentBinding = {
  homeAddress: home,
  careOfAddress: parseAddress('2001:db8:3000::44'),
  sequence: 65_535,
  lifetime: 262_140,
  expiresAt: 1_763_820_000_123,
  linkLocal: true,
  protection: 'esp',
};
const registration: Registration = {
  homeAddress: home,
  homeAgent: parseAddress('2001:db8:2000::1'),
  careOfAddress: parseAddress('2001:db8:3000::44'),
  lifetime: 60,
  expiresAt: 1_763_820_000_456,
};

function exercise(t: Test, store: Store): void {
  t.equal(store.reserved('mh/a'), undefined);
  store.reserve('mh/a', 64);
  store.reserve('esp/a', 2 ** 32);
  t.equal(store.reserved('mh/a'), 64);
  t.equal(store.reserved('esp/a'), 2 ** 32, 'one past the last number of ESP: all used');
  store.reserve('mh/a', 3);
  t.equal(store.reserved('mh/a'), 3, 'a counter that wraps goes back');

  t.equal(store.replayTop('w'), undefined);
  store.putReplayTop('w', 2 ** 32 - 1);
  t.equal(store.replayTop('w'), 2 ** 32 - 1);

  t.same(store.bindings(), []);
  store.putBinding(binding);
  store.putBinding({ ...binding, sequence: 0, linkLocal: false });
  t.strictSame(store.bindings(), [{ ...binding, sequence: 0, linkLocal: false }]);
  store.putBinding({ ...binding, protection: 'auth-option' });
  t.strictSame(store.bindings(), [{ ...binding, protection: 'auth-option' }]);
  store.deleteBinding(home);
  store.deleteBinding(home);
  t.same(store.bindings(), []);

  store.putBinding({ ...binding, expiresAt: 5000 });
  store.endBinding(peer, 3000);
  store.endBinding(home, 6000);
  t.strictSame(store.bindings(), [{ ...binding, expiresAt: 5000 }], 'it had ended before');
  store.endBinding(home, 4000.9);
  t.strictSame(store.bindings(), [{ ...binding, expiresAt: 4000 }], 'its number is kept');
  store.pruneBindings(4000);
  t.equal(store.bindings().length, 1);
  store.putBinding({ ...binding, homeAddress: peer, expiresAt: 9000 });
  store.pruneBindings(4000.5);
  t.strictSame(store.bindings(), [{ ...binding, homeAddress: peer, expiresAt: 9000 }]);
  store.deleteBinding(peer);

  store.putRegistration(registration);
  t.strictSame(store.registrations(), [registration]);
  store.deleteRegistration(home);
  t.same(store.registrations(), []);

  const secret = store.secret('care-of');
  t.equal(secret.length, 16);
  t.strictSame(store.secret('care-of'), secret);
  t.notSame(store.secret('another'), secret);
}

/** What opening the store of a directory says. */
function refusal(directory: string): KagemushaError {
  try {
    new SqliteStore(directory).close();
  } catch (error) {
    if (error instanceof KagemushaError) return error;
    throw error;
  }
  throw new Error('it was opened');
}

t.test('both stores keep what they are told', async (t) => {
  exercise(t, new MemoryStore());
  const store = new SqliteStore(t.testdir());
  exercise(t, store);
  store.close();
});

t.test('everything is there in the next life', async (t) => {
  const directory = t.testdir();
  const first = new SqliteStore(directory);
  first.reserve(espSequence(home, 1000, 'abc'), 129);
  first.putReplayTop(espReplayTop(home, 1001, 'abc', peer), 77);
  first.putBinding({ ...binding, expiresAt: binding.expiresAt + 0.25 });
  first.putRegistration(registration);
  const secret = first.secret('care-of');
  first.close();
  const second = new SqliteStore(directory);
  t.equal(second.reserved('esp-out/2001:db8:2000::10/1000/abc'), 129);
  t.equal(second.replayTop('esp-in/2001:db8:2000::10/1001/abc/2001:db8:2000::1'), 77);
  t.equal(second.reserved(mobilitySequence(home)), undefined);
  t.strictSame(second.bindings(), [binding], 'times are whole milliseconds');
  t.strictSame(second.registrations(), [registration]);
  t.strictSame(second.secret('care-of'), secret);
  second.close();
});

t.test('the file and its log are for their user alone', async (t) => {
  const directory = t.testdir();
  const path = join(directory, 'kagemusha.db');
  const mode = (file: string) => (statSync(file).mode & 0o777).toString(8);
  const store = new SqliteStore(directory);
  t.equal(mode(path), '600');
  t.equal(mode(`${path}-wal`), '600');
  store.close();
  chmodSync(path, 0o644);
  new SqliteStore(directory).close();
  t.equal(mode(path), '600', 'mended');
});

t.test('a second one is refused, in this process and in another', async (t) => {
  const directory = t.testdir();
  const store = new SqliteStore(directory);
  const message = /kagemusha.db is in use by another kagemusha; stop that one, or give each/;
  t.match(refusal(directory), { code: 'STORE_BUSY', message });
  const script = `const db = new (require('better-sqlite3'))(process.argv[1], { timeout: 0 });
    try { db.prepare('SELECT * FROM binding').all() } catch (e) { console.log(e.code) }`;
  const words = ['-e', script, join(directory, 'kagemusha.db')];
  const { stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  t.equal(stdout, 'SQLITE_BUSY\n');
  store.reserve('still/works', 1);
  store.close();
  new SqliteStore(directory).close();
});

t.test('a file that is no database, or one of others', async (t) => {
  const garbage = t.testdir({ 'kagemusha.db': 'x'.repeat(8192) });
  t.match(refusal(garbage), {
    code: 'STORE_DAMAGED',
    message: /kagemusha.db is damaged \(file is not a database\): move it away \(mv /,
  });
  const foreign = t.testdir();
  const other = new Database(join(foreign, 'kagemusha.db'));
  other.exec('CREATE TABLE cookies (x)');
  other.close();
  const before = readFileSync(join(foreign, 'kagemusha.db'));
  t.match(refusal(foreign), { code: 'STORE_DAMAGED', message: /the database of another program/ });
  t.strictSame(readFileSync(join(foreign, 'kagemusha.db')), before, 'untouched');
  const directory = t.testdir({ 'kagemusha.db': {} });
  t.match(refusal(directory), { code: 'STORE_UNWRITABLE', message: /is not a plain file/ });
  const empty = t.testdir({ 'kagemusha.db': '' });
  new SqliteStore(empty).close();
});

t.test('a damaged file', async (t) => {
  const make = (damage: (path: string) => void): string => {
    const directory = t.testdir();
    const store = new SqliteStore(directory);
    for (let i = 0; i < 500; i++) {
      store.putBinding({ ...binding, homeAddress: parseAddress(`2001:db8::${i.toString(16)}`) });
    }
    store.close();
    damage(join(directory, 'kagemusha.db'));
    return directory;
  };
  const torn = make((path) => truncateSync(path, Math.floor(statSync(path).size / 2)));
  t.match(refusal(torn), { code: 'STORE_DAMAGED', message: /is damaged \(/ });
  const overwritten = make((path) => {
    const octets = readFileSync(path);
    octets.fill(0xa5, 4096 * 2);
    writeFileSync(path, octets);
  });
  t.match(refusal(overwritten), { code: 'STORE_DAMAGED' });
  const wrongValue = make((path) => {
    const database = new Database(path);
    database.exec("UPDATE binding SET care_of_address = 'nonsense' WHERE home_address LIKE '%::1'");
    database.close();
  });
  const store = new SqliteStore(wrongValue);
  t.throws(() => store.bindings(), { code: 'STORE_DAMAGED', message: /"nonsense" is not an IPv6/ });
  store.close();
});

t.test('a file of a newer version is left alone', async (t) => {
  const directory = t.testdir();
  new SqliteStore(directory).close();
  const database = new Database(join(directory, 'kagemusha.db'));
  database.pragma('user_version = 7');
  database.close();
  t.match(refusal(directory), {
    code: 'STORE_NEWER',
    message: /was written by a newer kagemusha \(version 7, this one knows up to 1\); install that/,
  });
});

t.test('a directory that is not there, or not ours', async (t) => {
  t.match(refusal(join(t.testdir(), 'nowhere')), {
    code: 'STORE_UNWRITABLE',
    message: /its directory is not there; run kagemusha setup --apply/,
  });
  const directory = t.testdir({ closed: {}, theirs: {} });
  const theirs = join(directory, 'theirs');
  new SqliteStore(theirs).close();
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, 'shut'), { mode: 0o500 });
  const root = process.geteuid?.() === 0;
  try {
    if (root) process.seteuid?.(65534);
    const message = /kagemusha.db cannot be written by user \d+: give the state_directory/;
    t.match(refusal(join(directory, root ? 'closed' : 'shut')), {
      code: 'STORE_UNWRITABLE',
      message,
    });
    if (root) t.match(refusal(theirs), { code: 'STORE_UNWRITABLE', message });
  } finally {
    if (root) process.seteuid?.(0);
  }
});

t.test('what SQLite may say later', async (t) => {
  const said = (code: string) => storeError('/x', new Database.SqliteError('words', code));
  t.match(said('SQLITE_FULL'), { code: 'STORE_FAILED', message: /^\/x: no space left/ });
  t.match(said('SQLITE_IOERR_FSYNC'), { code: 'STORE_FAILED', message: /words \(SQLITE_IOERR_FS/ });
  t.match(said('SQLITE_CORRUPT_VTAB'), { code: 'STORE_DAMAGED' });
  const bug = new TypeError('of ours');
  t.equal(storeError('/x', bug), bug);
});
