import pino from 'pino';
import pretty from 'pino-pretty';

export type Logger = pino.Logger;

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** Readable lines instead of JSON; default: when stderr is a terminal. */
  readonly pretty?: boolean;
}

/**
 * A daemon's log on stderr: one JSON object a line, written before the call returns, so that the last line before a
 * crash is there too. Errors go under the key `err`.
 */
export function createLogger(options: LogOptions = {}): Logger {
  const settings: pino.LoggerOptions = {
    level: options.level ?? 'info',
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  if (options.pretty ?? process.stderr.isTTY === true) {
    const stream = pretty({
      destination: 2,
      sync: true,
      ignore: 'pid',
      translateTime: 'SYS:HH:MM:ss.l',
    });
    return pino(settings, stream);
  }
  return pino(settings, pino.destination({ dest: 2, sync: true }));
}
