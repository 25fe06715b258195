import pino from 'pino';
import pretty from 'pino-pretty';

export type Logger = pino.Logger;

export interface LogOptions {
  /** Readable lines instead of JSON; default: when stderr is a terminal. */
  readonly pretty?: boolean;
}

/**
 * A daemon's log on stderr: one JSON object a line, written before the call returns, so that the last line before a
 * crash is there too. Errors go under the key `err`.
 */
export function createLogger(options: LogOptions = {}): Logger {
  const settings: pino.LoggerOptions = {
    level: 'info',
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  if (options.pretty ?? process.stderr.isTTY === true) {
    const stream = pretty({
      destination: 2,
      sync: true,
      singleLine: true,
      ignore: 'pid',
      translateTime: 'SYS:HH:MM:ss.l',
    });
    return pino(settings, stream);
  }
  return pino(settings, pino.destination({ dest: 2, sync: true }));
}
