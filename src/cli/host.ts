import { runHost } from '../daemon/host.js';
import { createLogger, type LogLevel } from '../daemon/log.js';

export interface DaemonArguments {
  readonly config: string;
  readonly logLevel?: LogLevel;
}

/** `kagemusha host`: the daemon on a VM host, until SIGTERM. */
export async function host({ config, logLevel = 'info' }: DaemonArguments): Promise<number> {
  await runHost(config, createLogger({ level: logLevel }));
  return 0;
}
