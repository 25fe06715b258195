import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { type AddedGuest, readAddedGuests } from './added-guests.js';
import { associationFaults } from './associations.js';
import { ConfigError, type ConfigProblem, parseToml } from './config-error.js';
import { guestTable } from './guest-table.js';
import { locate, type Path } from './locate.js';
import { type Association, type Fault, type LoadOptions, Reading } from './reading.js';
import { homeAgentFaults, hostFaults } from './rules.js';
import {
  type HomeAgentConfig,
  type HostConfig,
  homeAgentSchema,
  hostSchema,
  toHomeAgentConfig,
  toHostConfig,
} from './schema.js';

export { ConfigError, type ConfigProblem } from './config-error.js';

/** Where the table of a guest stands. */
export interface GuestPlace {
  readonly file: string;
  readonly text: string;
  /** Of the table in the text. */
  readonly path: Path;
  /** Over the control socket, not by the configuration file. */
  readonly added: boolean;
}

/** The configuration of a host with what a change of one guest needs to know of the others. */
export interface LoadedHost {
  readonly config: HostConfig;
  /** In the order of the guests in `config`. */
  readonly places: readonly GuestPlace[];
  /** Their paths begin with `guest` and the number of the guest. */
  readonly associations: readonly Association[];
}

/** Reads the file of a VM host, and the guests that were added to it over its control socket. @throws ConfigError */
export function loadHostConfig(path: string, options: LoadOptions = {}): HostConfig {
  return loadHost(path, options).config;
}

/** As {@link loadHostConfig}, with the places of the guests. @throws ConfigError */
export function loadHost(path: string, options: LoadOptions = {}): LoadedHost {
  return hostConfig(readDocument(path), options);
}

/**
 * The configuration with a guest added, or changed where there is one of that name. Of the others nothing is read again.
 *
 * @param file what the text is called in complaints
 * @throws ConfigError GUEST_INVALID for what is wrong with the guest itself, GUEST_CONFLICT for what another one has already
 */
export function withGuest(
  loaded: LoadedHost,
  { name, file, text }: AddedGuest,
  options: LoadOptions = {},
): LoadedHost {
  const { table, path } = guestTable({ name, file, text });
  const place: GuestPlace = { file, text, path, added: true };
  const document = { ...documentOf(loaded.config.path, [place]), data: { guest: [table] } };
  const reading = new Reading(options);
  const meant = toHostConfig(file, met(document, hostSchema, 'GUEST_INVALID'), reading);
  const alone = { ...loaded.config, guests: meant.guests };
  const { faults, associations } = reading;
  const own = [...faults, ...hostFaults(alone), ...associationFaults(alone, associations)];
  refuse(document, own, 'GUEST_INVALID');
  const others = withoutGuest(loaded, name);
  const index = others.config.guests.length;
  const all: LoadedHost = {
    config: { ...loaded.config, guests: [...others.config.guests, ...meant.guests] },
    places: [...others.places, place],
    associations: [...others.associations, ...associations.map((one) => renumbered(one, index))],
  };
  const between = [...hostFaults(all.config), ...associationFaults(all.config, all.associations)];
  refuse(documentOf(loaded.config.path, all.places), between, 'GUEST_CONFLICT');
  return all;
}

/** The configuration without the guest of that name; the same when there is none. */
export function withoutGuest(loaded: LoadedHost, name: string): LoadedHost {
  const index = loaded.config.guests.findIndex((guest) => guest.name === name);
  if (index < 0) return loaded;
  const guests = loaded.config.guests.toSpliced(index, 1);
  return {
    config: { ...loaded.config, guests },
    places: loaded.places.toSpliced(index, 1),
    associations: loaded.associations.flatMap((one) => {
      const number = Number(one.path[1]);
      return number === index ? [] : [number < index ? one : renumbered(one, number - 1)];
    }),
  };
}

function renumbered(association: Association, index: number): Association {
  return { ...association, path: ['guest', index, ...association.path.slice(2)] };
}

/** `FILE:LINE` of a guest's table. */
export function placeOf({ file, text, path }: GuestPlace): string {
  return `${file}:${locate(text, path)}`;
}

/** Reads the file of a Home Agent. @throws ConfigError */
export function loadHomeAgentConfig(path: string, options: LoadOptions = {}): HomeAgentConfig {
  return homeAgentConfig(readDocument(path), options);
}

/** Reads a file of either role, told apart by its tables. @throws ConfigError */
export function loadConfig(path: string, options: LoadOptions = {}): HostConfig | HomeAgentConfig {
  const document = readDocument(path);
  return roleOf(document) === 'home-agent'
    ? homeAgentConfig(document, options)
    : hostConfig(document, options).config;
}

/** Where the keys of a configuration stand. */
interface Places {
  readonly path: string;
  find(path: Path): { readonly file: string; readonly line: number };
}

interface Document extends Places {
  readonly text: string;
  readonly data: Record<string, unknown>;
}

/** A configuration whose guests stand here and there. @param text of the file, where there is one */
function documentOf(path: string, places: readonly GuestPlace[], text = ''): Places {
  return {
    path,
    find: (key) => {
      const place = key[0] === 'guest' ? places[Number(key[1])] : undefined;
      if (place === undefined) return { file: path, line: locate(text, key) };
      const { file, text: its, path: table } = place;
      return { file, line: locate(its, [...table, ...key.slice(2)]) };
    },
  };
}

function readDocument(path: string): Document {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new ConfigError([{ line: 0, message: `${path}: ${whyUnreadable(code)}` }], { cause });
  }
  return { ...documentOf(path, [], text), text, data: parseToml(path, text) };
}

function whyUnreadable(code: string | undefined): string {
  if (code === 'ENOENT') return 'no such file; name the configuration with --config FILE';
  if (code === 'EACCES') return 'permission denied; run as a user that may read it';
  if (code === 'EISDIR') return 'is a directory, not a configuration file';
  return `cannot be read (${code ?? 'unknown error'})`;
}

function roleOf({ path, data }: Document): 'host' | 'home-agent' {
  if ('host' in data || 'guest' in data) return 'host';
  if ('home_agent' in data || 'mobile_node' in data) return 'home-agent';
  const message = `${path}: has neither a [host] nor a [home_agent] table; see the README for examples`;
  throw new ConfigError([{ line: 1, message }]);
}

function hostConfig(document: Document, options: LoadOptions): LoadedHost {
  if (roleOf(document) !== 'host') {
    const what = 'is the configuration of a home agent';
    const message = `${document.path}: ${what}; use it with kagemusha home-agent --config`;
    throw new ConfigError([{ line: 1, message }]);
  }
  // The file alone tells where the others are.
  const alone = met(document, hostSchema);
  const { host, guest } = alone;
  const added = readAddedGuests(options.stateDirectory ?? host.state_directory);
  const own = guest.map((_, i) => placeIn(document, i));
  refuseTwins(added, new Map(guest.map(({ name }, i) => [name, own[i]])));
  const tables = added.map(guestTable);
  const places: GuestPlace[] = [
    ...own,
    ...added.map(({ file, text }, i) => ({ file, text, path: tables[i]?.path ?? [], added: true })),
  ];
  const others = tables.map(({ table }) => table);
  const written = Array.isArray(document.data.guest) ? document.data.guest : [];
  const whole: Document = {
    ...document,
    ...documentOf(document.path, places, document.text),
    data: { ...document.data, guest: [...written, ...others] },
  };
  const reading = new Reading(options);
  const meant = added.length === 0 ? alone : met(whole, hostSchema);
  const config = toHostConfig(document.path, meant, reading);
  const { faults, associations } = reading;
  refuse(whole, [...faults, ...hostFaults(config), ...associationFaults(config, associations)]);
  return { config, places, associations };
}

function placeIn({ path: file, text }: Document, index: number): GuestPlace {
  return { file, text, path: ['guest', index], added: false };
}

/** A guest that was added and then written into the file too: whoever did that has to say which one it is to be. */
function refuseTwins(
  added: readonly AddedGuest[],
  own: ReadonlyMap<string, GuestPlace | undefined>,
): void {
  const problems = added.flatMap(({ name, file }): ConfigProblem[] => {
    const twin = own.get(name);
    if (twin === undefined) return [];
    const mend = `take it out of one of the two (kagemusha guest remove ${name}, or delete this file)`;
    const message = `${file}:1: guest.name: "${name}" is in ${placeOf(twin)} too; ${mend}`;
    return [{ line: 1, message }];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

function homeAgentConfig(document: Document, options: LoadOptions): HomeAgentConfig {
  if (roleOf(document) !== 'home-agent') {
    const what = 'is the configuration of a host';
    const message = `${document.path}: ${what}; use it with kagemusha host --config`;
    throw new ConfigError([{ line: 1, message }]);
  }
  const reading = new Reading(options);
  const config = toHomeAgentConfig(document.path, met(document, homeAgentSchema), reading);
  const { faults, associations } = reading;
  const between = [...homeAgentFaults(config), ...associationFaults(config, associations)];
  refuse(document, [...faults, ...between]);
  return config;
}

/** The document as the schema gives it back. @throws ConfigError with everything the schema refuses */
function met<Schema extends z.ZodType>(
  document: Places & Pick<Document, 'data'>,
  schema: Schema,
  code?: string,
): z.output<Schema> {
  const result = schema.safeParse(document.data);
  if (result.success) return result.data;
  refuse(document, telling(result.error.issues.flatMap(faultsOf)), code);
  throw result.error;
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const messages = issue.message.split('\n');
  return issue.keys.map((key, i) => ({
    path: [...path, key],
    message: messages[i] ?? 'unknown key',
  }));
}

/** Leaves out what only follows from another fault. */
function telling(faults: readonly Fault[]): Fault[] {
  const guessed = faults.flatMap(({ path, message }) => {
    const near = /did you mean (\w+)\?$/.exec(message)?.[1];
    return near === undefined ? [] : [JSON.stringify([...path.slice(0, -1), near])];
  });
  return faults.filter(
    ({ message, path }) =>
      !(message.startsWith('is missing') && guessed.includes(JSON.stringify(path))),
  );
}

function refuse(places: Places, faults: readonly Fault[], code?: string): void {
  if (faults.length === 0) return;
  const problems = faults.map(({ path, message }) => {
    const { file, line } = places.find(path);
    const place = `${file}:${line}: ${written(path)}`;
    const full = message.replace(/^is missing; write /, `is missing; write ${path.at(-1)} = `);
    return { elsewhere: file === places.path ? 0 : 1, line, message: `${place}: ${full}` };
  });
  const ordered = problems.toSorted((a, b) => a.elsewhere - b.elsewhere || a.line - b.line);
  throw new ConfigError(
    ordered.map(({ line, message }) => ({ line, message })),
    code === undefined ? {} : { code },
  );
}

/** `guest.home_addresses[1]`: the keys as they stand in the file; which `[[guest]]` it is, the line tells. */
function written(path: Path): string {
  return path
    .filter((step, i) => typeof step === 'string' || i === path.length - 1)
    .map((step) => {
      if (typeof step === 'number') return `[${step}]`;
      return /^[A-Za-z0-9_-]+$/.test(step) ? step : JSON.stringify(step);
    })
    .join('.')
    .replaceAll('.[', '[');
}
