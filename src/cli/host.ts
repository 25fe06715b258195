import { runHost } from '../daemon/host.js';
import { createLogger } from '../daemon/log.js';

export interface DaemonArguments {
  readonly config: string;
}

/** `kagemusha host`: the daemon on a VM host, until SIGTERM. */
export async function host({ config }: DaemonArguments): Promise<number> {
  await runHost(config, createLogger());
  return 0;
}
