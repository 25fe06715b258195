import { chmodSync, closeSync, fsyncSync, lstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { KagemushaError } from '../../errors.js';
import { APPLICATION_ID, MIGRATIONS } from './schema.js';
import { damaged, storeError } from './store-error.js';

/** Bindings and the secret of the addresses: for the daemon's user alone. */
const MODE = 0o600;
/** Milliseconds that a daemon before us may take to let go of the file. */
const BUSY_TIMEOUT = 250;

/**
 * Opens or makes the database, for this process alone until it closes it, and brings it to the version of today.
 * @throws KagemushaError STORE_BUSY, STORE_DAMAGED, STORE_NEWER, STORE_UNWRITABLE, STORE_FAILED
 */
export function openDatabase(path: string): Database.Database {
  try {
    preparePlainFile(path);
    const database = new Database(path, { fileMustExist: true, timeout: BUSY_TIMEOUT });
    try {
      prepare(path, database);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    throw storeError(path, error);
  }
}

/** SQLite makes its journals with the mode of the database, so that has the right mode before it is opened. */
function preparePlainFile(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    closeSync(openSync(path, 'wx', MODE));
    syncDirectory(dirname(path));
  } else if (!stat.isFile()) {
    const message = `${path} is not a plain file; move it away`;
    throw new KagemushaError('STORE_UNWRITABLE', message);
  } else if ((stat.mode & 0o777) !== MODE) {
    chmodSync(path, MODE);
  }
}

/** A new name is only safe from a loss of power when its directory is written too. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function prepare(path: string, database: Database.Database): void {
  // With EXCLUSIVE the first access takes a lock that the kernel takes back with the process, however that ends; and the
  // index of the write-ahead log is in memory, so there is no file that a crash can leave half written.
  database.pragma('locking_mode = EXCLUSIVE');
  const version = versionOf(path, database);
  if (version > MIGRATIONS.length) {
    const known = `this one knows up to ${MIGRATIONS.length}`;
    const what = `was written by a newer kagemusha (version ${version}, ${known})`;
    const mend = 'install that again, or name another state_directory';
    throw new KagemushaError('STORE_NEWER', `${path} ${what}; ${mend}`);
  }
  database.pragma('journal_mode = WAL');
  const check = database.pragma('quick_check(1)', { simple: true });
  if (check !== 'ok') throw damaged(path, String(check).replaceAll('\n', ' '));
  database.pragma('synchronous = FULL');
  migrate(database, version);
  database.pragma('synchronous = NORMAL');
}

/** The version of the tables; 0 for a file that nothing was written to yet. */
function versionOf(path: string, database: Database.Database): number {
  const version = Number(database.pragma('user_version', { simple: true }));
  const owner = database.pragma('application_id', { simple: true });
  const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
  if (owner === APPLICATION_ID && version > 0) return version;
  if (owner === 0 && version === 0 && tables === 0) return 0;
  throw damaged(path, 'it is the database of another program');
}

function migrate(database: Database.Database, from: number): void {
  // Takes the lock even when there is nothing to do.
  database
    .transaction(() => {
      for (const step of MIGRATIONS.slice(from)) database.exec(step);
      if (from === MIGRATIONS.length) return;
      database.pragma(`application_id = ${APPLICATION_ID}`);
      database.pragma(`user_version = ${MIGRATIONS.length}`);
    })
    .immediate();
}
