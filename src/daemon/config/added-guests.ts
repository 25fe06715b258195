import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { KagemushaError } from '../../errors.js';
import { ConfigError } from './config-error.js';

/** A guest that was added over the control socket: the document that says what it is, as it was sent. */
export interface AddedGuest {
  readonly name: string;
  /** What the document is called in complaints: its path, or `request`. */
  readonly file: string;
  readonly text: string;
}

const SUFFIX = '.toml';
/** No name of a guest begins with a dot. */
const UNFINISHED = /^\..*\.new$/;

const directoryOf = (stateDirectory: string) => join(stateDirectory, 'guests');

/** Where the document of a guest is kept. @param name that met the schema: no path */
export const addedGuestFile = (stateDirectory: string, name: string) =>
  join(directoryOf(stateDirectory), `${name}${SUFFIX}`);

/** Those that a state directory has, by name. @throws ConfigError when it may not be read */
export function readAddedGuests(stateDirectory: string): AddedGuest[] {
  const directory = directoryOf(stateDirectory);
  try {
    return readdirSync(directory)
      .filter((entry) => entry.endsWith(SUFFIX) && !entry.startsWith('.'))
      .sort()
      .map((entry) => {
        const file = join(directory, entry);
        return { name: entry.slice(0, -SUFFIX.length), file, text: readFileSync(file, 'utf8') };
      });
  } catch (cause) {
    const { code, path = directory } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' && path === directory) return [];
    const why = `cannot be read (${code ?? 'unknown error'}); run as the user of the daemon`;
    throw new ConfigError([{ line: 0, message: `${path}: ${why}` }], { cause });
  }
}

/**
 * Keeps the document of a guest in place of the one before it: whole or not at all, and on the medium when this returns.
 * @throws KagemushaError GUEST_UNWRITABLE
 */
export function keepAddedGuest(stateDirectory: string, name: string, text: string): void {
  changing(stateDirectory, (directory) => {
    if (mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined) sync(stateDirectory);
    // What a process left that ended while it wrote.
    for (const entry of readdirSync(directory)) {
      if (UNFINISHED.test(entry)) rmSync(join(directory, entry), { force: true });
    }
    const unfinished = join(directory, `.${name}.new`);
    try {
      const file = openSync(unfinished, 'wx', 0o600);
      try {
        writeFileSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(unfinished, addedGuestFile(stateDirectory, name));
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    }
  });
}

/** The document is gone when this returns. @throws KagemushaError GUEST_UNWRITABLE */
export function forgetAddedGuest(stateDirectory: string, name: string): void {
  changing(stateDirectory, () => rmSync(addedGuestFile(stateDirectory, name), { force: true }));
}

/** A change of names is only safe from a loss of power when the directory is written too. */
function changing(stateDirectory: string, change: (directory: string) => void): void {
  const directory = directoryOf(stateDirectory);
  try {
    change(directory);
    sync(directory);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message = `${directory} cannot be written (${code ?? cause}); the guests stay as they are`;
    throw new KagemushaError('GUEST_UNWRITABLE', message, { cause });
  }
}

function sync(directory: string): void {
  const opened = openSync(directory, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
