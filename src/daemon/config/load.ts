import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import type { z } from 'zod';
import { KagemushaError } from '../../errors.js';
import { associationFaults } from './associations.js';
import { locate, type Path } from './locate.js';
import { isNotBuilt } from './not-built.js';
import { type Fault, type LoadOptions, Reading } from './reading.js';
import { homeAgentFaults, hostFaults } from './rules.js';
import {
  type HomeAgentConfig,
  type HostConfig,
  homeAgentSchema,
  hostSchema,
  toHomeAgentConfig,
  toHostConfig,
} from './schema.js';

/** One thing wrong with a configuration file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** `FILE:LINE: guest.care_of_address: what is wrong; what to write` */
  readonly message: string;
}

/** A configuration file that cannot be used; the message is its first problem. */
export class ConfigError extends KagemushaError {
  /** All of them, in the order of the file. */
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
    super('CONFIG_INVALID', `${problems[0]?.message ?? 'no problem'}${more}`, options);
    this.problems = problems;
  }
}

/** Reads the file of a VM host. @throws ConfigError */
export function loadHostConfig(path: string, options: LoadOptions = {}): HostConfig {
  return hostConfig(readDocument(path), options);
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
    : hostConfig(document, options);
}

interface Document {
  readonly path: string;
  readonly text: string;
  readonly data: Record<string, unknown>;
}

function readDocument(path: string): Document {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new ConfigError([{ line: 0, message: `${path}: ${whyUnreadable(code)}` }], { cause });
  }
  try {
    return { path, text, data: parse(text) };
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const why = cause.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '');
    const place = `${path}:${cause.line}`;
    const message = `${place}: not TOML at column ${cause.column}: ${why}`;
    throw new ConfigError([{ line: cause.line, message }], { cause });
  }
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

function hostConfig(document: Document, options: LoadOptions): HostConfig {
  if (roleOf(document) !== 'host') {
    const what = 'is the configuration of a home agent';
    const message = `${document.path}: ${what}; use it with kagemusha home-agent --config`;
    throw new ConfigError([{ line: 1, message }]);
  }
  const reading = new Reading(options);
  const config = toHostConfig(document.path, met(document, hostSchema), reading);
  const { faults, associations } = reading;
  refuse(document, [...faults, ...hostFaults(config), ...associationFaults(config, associations)]);
  return config;
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
function met<Schema extends z.ZodType>(document: Document, schema: Schema): z.output<Schema> {
  const result = schema.safeParse(document.data);
  if (result.success) return result.data;
  refuse(document, telling(result.error.issues.flatMap(faultsOf)));
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
  const unbuilt = faults.filter((fault) => isNotBuilt(fault.message));
  const guessed = faults.flatMap(({ path, message }) => {
    const near = /did you mean (\w+)\?$/.exec(message)?.[1];
    return near === undefined ? [] : [JSON.stringify([...path.slice(0, -1), near])];
  });
  return faults.filter((fault) => {
    if (fault.message.startsWith('is missing') && guessed.includes(JSON.stringify(fault.path)))
      return false;
    return !unbuilt.some((other) => other !== fault && beside(other.path, fault.path));
  });
}

/** Whether `path` lies in the inner table of which `kind` is a key (`port.kind` beside `port.path`). */
function beside(kind: Path, path: Path): boolean {
  if (kind.at(-1) !== 'kind') return false;
  const table = kind.slice(0, -1);
  return table.every((step, i) => path[i] === step) && path.length > table.length;
}

function refuse(document: Document, faults: readonly Fault[]): void {
  if (faults.length === 0) return;
  const problems = faults.map(({ path, message }) => {
    const line = locate(document.text, path);
    const place = `${document.path}:${line}: ${written(path)}`;
    const full = message.replace(/^is missing; write /, `is missing; write ${path.at(-1)} = `);
    return { line, message: `${place}: ${full}` };
  });
  throw new ConfigError(problems.toSorted((a, b) => a.line - b.line));
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
