import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { KagemushaError } from '../../errors.js';

/** Bigger files are not key files. */
const MAX_SIZE = 65_536;

/** @throws KagemushaError KEY_FILE */
export function refuse(place: string, why: string): never {
  throw new KagemushaError('KEY_FILE', `${place} ${why}`);
}

/**
 * Reads a file that holds keys: the file that was opened, not what the path means a moment later.
 *
 * @param user the user id of the daemon, who must be able to read it; who else may, apart from root, is refused
 * @param make how such a file is made, for the complaint that there is none
 * @throws KagemushaError KEY_FILE saying what is wrong and what to do
 */
export function readPrivate(
  path: string,
  user: number,
  make: string,
): { text: string; identity: string } {
  let file: number;
  try {
    // A FIFO must not hang the daemon.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') refuse(path, `is not there; ${make}`);
    if (code === 'EACCES') {
      const mend = `run chown ${user} ${path} && chmod 0600 ${path}, and let that user into its directory`;
      refuse(path, `may not be read by user ${process.geteuid?.() ?? user}; ${mend}`);
    }
    refuse(path, `cannot be read (${code ?? 'unknown error'})`);
  }
  try {
    const stat = fstatSync(file);
    refuseOthers(path, stat, user);
    if (stat.size > MAX_SIZE) refuse(path, 'is too big for a key file');
    return { text: readFileSync(file, 'utf8'), identity: `${stat.dev}:${stat.ino}` };
  } finally {
    closeSync(file);
  }
}

function refuseOthers(path: string, stat: Stats, user: number): void {
  if (!stat.isFile()) refuse(path, 'is not a plain file');
  if (stat.uid !== 0 && stat.uid !== user) {
    const who = `belongs to user ${stat.uid}, who could change it`;
    refuse(path, `${who}; run chown ${user} ${path}`);
  }
  if ((stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    refuse(path, `is open to group or others (mode ${mode}); run chmod 0600 ${path}`);
  }
  if (stat.uid !== user && user !== process.geteuid?.()) {
    refuse(path, `cannot be read by user ${user}; run chown ${user} ${path}`);
  }
}
