import Database from 'better-sqlite3';
import { KagemushaError } from '../../errors.js';

/** What a database that cannot be used means for its owner, and how to go on. */
export function damaged(path: string, why: string, cause?: unknown): KagemushaError {
  const mend = `move it away (mv ${path} ${path}.damaged; rm -f ${path}-wal) and start again`;
  const lost = 'sequence numbers begin anew then, so give ESP peers with a replay window new keys';
  return new KagemushaError('STORE_DAMAGED', `${path} is damaged (${why}): ${mend}; ${lost}`, {
    cause,
  });
}

/** A failure of SQLite or of a file operation, in words for a person; anything else as it is. */
export function storeError(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  const fail = (name: string, message: string) =>
    new KagemushaError(name, `${path}${message}`, { cause: error });
  if (error instanceof KagemushaError) return error;
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    const what = ' is in use by another kagemusha';
    return fail('STORE_BUSY', `${what}; stop that one, or give each a state_directory of its own`);
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return damaged(path, String(message(error)), error);
  if (/^(SQLITE_(CANTOPEN|READONLY|PERM)|EACCES$|EPERM$|EROFS$)/.test(code)) {
    const who = `user ${process.geteuid?.() ?? 'of this process'}`;
    const mend = 'give the state_directory and what is in it to that user';
    return fail('STORE_UNWRITABLE', ` cannot be written by ${who}: ${mend}`);
  }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const mend = 'run kagemusha setup --apply, or name another state_directory';
    return fail('STORE_UNWRITABLE', ` cannot be made: its directory is not there; ${mend}`);
  }
  if (code === 'SQLITE_FULL' || code === 'ENOSPC') {
    return fail('STORE_FAILED', ': no space left on the device; make room');
  }
  if (error instanceof Database.SqliteError || code !== '') {
    return fail('STORE_FAILED', ` cannot be used: ${message(error)} (${code})`);
  }
  return error;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
