import { parse, TomlError } from 'smol-toml';
import { KagemushaError } from '../../errors.js';

/** One thing wrong with a configuration file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** `FILE:LINE: guest.care_of_address: what is wrong; what to write` */
  readonly message: string;
}

/** A configuration that cannot be used; the message is its first problem. */
export class ConfigError extends KagemushaError {
  /** All of them, in the order of the file. */
  readonly problems: readonly ConfigProblem[];

  /** @param options `code`: CONFIG_INVALID unless told */
  constructor(problems: readonly ConfigProblem[], options: ErrorOptions & { code?: string } = {}) {
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
    const { code = 'CONFIG_INVALID', ...rest } = options;
    super(code, `${problems[0]?.message ?? 'no problem'}${more}`, rest);
    this.problems = problems;
  }
}

/** @param file what the text is called in complaints @throws ConfigError */
export function parseToml(file: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const why = cause.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '');
    const message = `${file}:${cause.line}: not TOML at column ${cause.column}: ${why}`;
    throw new ConfigError([{ line: cause.line, message }], { cause });
  }
}
