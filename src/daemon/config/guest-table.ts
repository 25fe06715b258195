import type { AddedGuest } from './added-guests.js';
import { ConfigError, parseToml } from './config-error.js';
import { locate, type Path } from './locate.js';

/** What a document of one guest says, and where in the document its table is. */
export interface GuestTable {
  readonly table: Readonly<Record<string, unknown>>;
  readonly path: Path;
}

/**
 * Reads a document of one guest: the keys of one `[[guest]]` table, under that header or without any. The name that it is called by
 * stands for one that it does not say.
 *
 * @throws ConfigError GUEST_INVALID
 */
export function guestTable({ name, file, text }: AddedGuest): GuestTable {
  const { table, path } = tableOf(file, text);
  if (typeof table.name === 'string' && table.name !== name) {
    const line = locate(text, [...path, 'name']);
    const mend = `write "${name}", or take it away`;
    throw invalid(file, line, `guest.name: "${table.name}" is not "${name}"; ${mend}`);
  }
  return { table: { name, ...table }, path };
}

/** The name that a document of one guest gives itself. @throws ConfigError GUEST_INVALID */
export function nameOfGuest(file: string, text: string): string | undefined {
  const { name } = tableOf(file, text).table;
  return typeof name === 'string' ? name : undefined;
}

function tableOf(file: string, text: string): GuestTable {
  const data = parsed(file, text);
  const { guest, ...others } = data;
  if (guest === undefined && !('host' in data)) return { table: data, path: [] };
  const tables = Array.isArray(guest) ? guest : [guest];
  const [only] = tables;
  if (Object.keys(others).length > 0 || tables.length !== 1 || !isTable(only)) {
    const line = locate(text, Object.keys(others).slice(0, 1));
    throw invalid(file, line, 'is more than one guest; write the keys of one [[guest]] table');
  }
  return { table: only, path: Array.isArray(guest) ? ['guest', 0] : ['guest'] };
}

function parsed(file: string, text: string): Record<string, unknown> {
  try {
    return parseToml(file, text);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems, { code: 'GUEST_INVALID', cause: error.cause });
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Date);
}

function invalid(file: string, line: number, what: string): ConfigError {
  return new ConfigError([{ line, message: `${file}:${line}: ${what}` }], {
    code: 'GUEST_INVALID',
  });
}
