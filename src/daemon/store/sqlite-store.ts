import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import type { ProtectionKind } from '../../signaling/index.js';
import { type Address, parseAddress } from '../../wire/address.js';
import { WireError } from '../../wire/error.js';
import { openDatabase } from './open-database.js';
import { type HomeAgentBinding, type Registration, SECRET_LENGTH, type Store } from './store.js';
import { damaged, storeError } from './store-error.js';

interface BindingRow {
  readonly home_address: string;
  readonly care_of_address: string;
  readonly sequence: number;
  readonly lifetime: number;
  readonly expires_at: number;
  readonly link_local: number;
  readonly protection: ProtectionKind;
}

interface RegistrationRow {
  readonly home_address: string;
  readonly home_agent: string;
  readonly care_of_address: string;
  readonly lifetime: number;
  readonly expires_at: number;
}

/** The columns of a table, and how a row is added or replaced by its first column, the key. */
function upsert(table: string, ...columns: [key: string, ...string[]]): string {
  const values = columns.map((column) => `@${column}`);
  const others = columns.slice(1).map((column) => `${column} = excluded.${column}`);
  return `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values.join(', ')})
    ON CONFLICT (${columns[0]}) DO UPDATE SET ${others.join(', ')}`;
}

function prepare(database: Database.Database) {
  return {
    reserve: database.prepare(upsert('reservation', 'name', 'until')),
    reserved: database
      .prepare<[string], number>('SELECT until FROM reservation WHERE name = ?')
      .pluck(),
    putReplayTop: database.prepare(upsert('replay_top', 'name', 'top')),
    replayTop: database
      .prepare<[string], number>('SELECT top FROM replay_top WHERE name = ?')
      .pluck(),
    putBinding: database.prepare<[BindingRow]>(
      upsert(
        'binding',
        'home_address',
        'care_of_address',
        'sequence',
        'lifetime',
        'expires_at',
        'link_local',
        'protection',
      ),
    ),
    endBinding: database.prepare<[number, string]>(
      'UPDATE binding SET expires_at = min(expires_at, ?) WHERE home_address = ?',
    ),
    pruneBindings: database.prepare<[number]>('DELETE FROM binding WHERE expires_at < ?'),
    deleteBinding: database.prepare<[string]>('DELETE FROM binding WHERE home_address = ?'),
    bindings: database.prepare<[], BindingRow>('SELECT * FROM binding'),
    putRegistration: database.prepare<[RegistrationRow]>(
      upsert(
        'registration',
        'home_address',
        'home_agent',
        'care_of_address',
        'lifetime',
        'expires_at',
      ),
    ),
    deleteRegistration: database.prepare<[string]>(
      'DELETE FROM registration WHERE home_address = ?',
    ),
    registration: database.prepare<[string], RegistrationRow>(
      'SELECT * FROM registration WHERE home_address = ?',
    ),
    registrations: database.prepare<[], RegistrationRow>('SELECT * FROM registration'),
    putSecret: database.prepare('INSERT INTO secret (name, octets) VALUES (?, ?)'),
    secret: database.prepare<[string], Buffer>('SELECT octets FROM secret WHERE name = ?').pluck(),
  };
}

/**
 * The store in a file of SQLite. Its write-ahead log makes every change whole or not at all; the log is written to the
 * medium (fsync) where a loss of power must not undo a change, and otherwise left to the kernel, which keeps it when
 * the process dies.
 */
export class SqliteStore implements Store {
  readonly #path: string;
  readonly #database: Database.Database;
  readonly #statements: ReturnType<typeof prepare>;

  /**
   * Opens `kagemusha.db` in the state directory, or makes it.
   * @throws KagemushaError STORE_BUSY when another process has it, STORE_DAMAGED, STORE_NEWER, STORE_UNWRITABLE, STORE_FAILED
   */
  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, 'kagemusha.db');
    this.#database = openDatabase(this.#path);
    this.#statements = this.#do(() => prepare(this.#database));
  }

  reserve(name: string, until: number): void {
    this.#durably(() => this.#statements.reserve.run({ name, until }));
  }

  reserved(name: string): number | undefined {
    return this.#do(() => this.#statements.reserved.get(name));
  }

  putReplayTop(name: string, top: number): void {
    this.#do(() => this.#statements.putReplayTop.run({ name, top }));
  }

  replayTop(name: string): number | undefined {
    return this.#do(() => this.#statements.replayTop.get(name));
  }

  putBinding(binding: HomeAgentBinding): void {
    const row: BindingRow = {
      home_address: binding.homeAddress,
      care_of_address: binding.careOfAddress,
      sequence: binding.sequence,
      lifetime: binding.lifetime,
      expires_at: Math.round(binding.expiresAt),
      link_local: binding.linkLocal ? 1 : 0,
      protection: binding.protection,
    };
    this.#do(() => this.#statements.putBinding.run(row));
  }

  endBinding(homeAddress: Address, at: number): void {
    this.#do(() => this.#statements.endBinding.run(Math.floor(at), homeAddress));
  }

  pruneBindings(before: number): void {
    this.#do(() => this.#statements.pruneBindings.run(before));
  }

  deleteBinding(homeAddress: Address): void {
    this.#do(() => this.#statements.deleteBinding.run(homeAddress));
  }

  bindings(): HomeAgentBinding[] {
    return this.#do(() =>
      this.#statements.bindings.all().map((row) => ({
        homeAddress: parseAddress(row.home_address),
        careOfAddress: parseAddress(row.care_of_address),
        sequence: row.sequence,
        lifetime: row.lifetime,
        expiresAt: row.expires_at,
        linkLocal: row.link_local !== 0,
        protection: row.protection,
      })),
    );
  }

  putRegistration(registration: Registration): void {
    const row: RegistrationRow = {
      home_address: registration.homeAddress,
      home_agent: registration.homeAgent,
      care_of_address: registration.careOfAddress,
      lifetime: registration.lifetime,
      expires_at: Math.round(registration.expiresAt),
    };
    this.#do(() => this.#statements.putRegistration.run(row));
  }

  deleteRegistration(homeAddress: Address): void {
    this.#do(() => this.#statements.deleteRegistration.run(homeAddress));
  }

  registration(homeAddress: Address): Registration | undefined {
    return this.#do(() => {
      const row = this.#statements.registration.get(homeAddress);
      return row === undefined ? undefined : toRegistration(row);
    });
  }

  registrations(): Registration[] {
    return this.#do(() => this.#statements.registrations.all().map(toRegistration));
  }

  secret(name: string): Uint8Array {
    const known = this.#do(() => this.#statements.secret.get(name));
    if (known !== undefined) return Uint8Array.from(known);
    const octets = randomBytes(SECRET_LENGTH);
    this.#durably(() => this.#statements.putSecret.run(name, octets));
    return Uint8Array.from(octets);
  }

  close(): void {
    this.#do(() => this.#database.close());
  }

  #do<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof WireError) throw damaged(this.#path, error.message, error);
      throw storeError(this.#path, error);
    }
  }

  /** On the medium when it returns, and with it everything that was written before. */
  #durably(work: () => unknown): void {
    this.#do(() => {
      this.#database.pragma('synchronous = FULL');
      try {
        work();
      } finally {
        this.#database.pragma('synchronous = NORMAL');
      }
    });
  }
}

function toRegistration(row: RegistrationRow): Registration {
  return {
    homeAddress: parseAddress(row.home_address),
    homeAgent: parseAddress(row.home_agent),
    careOfAddress: parseAddress(row.care_of_address),
    lifetime: row.lifetime,
    expiresAt: row.expires_at,
  };
}
