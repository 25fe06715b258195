/** "kgmu": says in the file's header whose database it is (PRAGMA application_id). */
export const APPLICATION_ID = 0x6b676d75;

/**
 * What brings a database from version i to i + 1 (PRAGMA user_version). A released step is never changed: a new
 * version is a new step.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE reservation (
    name TEXT PRIMARY KEY,
    until INTEGER NOT NULL CHECK (until >= 0)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE replay_top (
    name TEXT PRIMARY KEY,
    top INTEGER NOT NULL CHECK (top >= 0)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE binding (
    home_address TEXT PRIMARY KEY,
    care_of_address TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    lifetime INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    link_local INTEGER NOT NULL,
    protection TEXT NOT NULL CHECK (protection IN ('none', 'esp', 'auth-option'))
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE registration (
    home_address TEXT PRIMARY KEY,
    home_agent TEXT NOT NULL,
    care_of_address TEXT NOT NULL,
    lifetime INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    octets BLOB NOT NULL CHECK (length(octets) = 16)
  ) STRICT, WITHOUT ROWID;
  `,
];
