import { readFileSync } from 'node:fs';
import { nameOfGuest } from '../daemon/config/guest-table.js';
import { loadConfig, loadHost, withGuest } from '../daemon/config/load.js';
import type { LoadOptions } from '../daemon/config/reading.js';
import type { HomeAgentConfig, HostConfig } from '../daemon/config/schema.js';
import { MAX_BODY } from '../daemon/http-service.js';
import { KagemushaError } from '../errors.js';

/** A document of one guest: what `guest add` sends. */
export interface GuestFile {
  readonly name: string;
  readonly file: string;
  readonly text: string;
}

/** @param named a name for a guest whose file says none @throws KagemushaError GUEST_FILE, GUEST_INVALID */
export function readGuestFile(file: string, named?: string): GuestFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new KagemushaError('GUEST_FILE', `${file} cannot be read (${code ?? cause})`, { cause });
  }
  if (Buffer.byteLength(text) > MAX_BODY) {
    throw new KagemushaError('GUEST_FILE', `${file} is longer than ${MAX_BODY} octets`);
  }
  const name = named ?? nameOfGuest(file, text);
  if (name !== undefined) return { name, file, text };
  const mend = 'write name = "vm1" into it, or give it one with --name';
  throw new KagemushaError('GUEST_FILE', `${file} says no name; ${mend}`);
}

/** A configuration as it would be with these guests added. @throws ConfigError */
export function loadWithGuests(
  path: string,
  files: readonly string[],
  options: LoadOptions,
): HostConfig | HomeAgentConfig {
  if (files.length === 0) return loadConfig(path, options);
  let loaded = loadHost(path, options);
  for (const file of files) loaded = withGuest(loaded, readGuestFile(file), options);
  return loaded.config;
}
