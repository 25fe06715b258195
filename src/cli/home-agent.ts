import { runHomeAgent } from '../daemon/home-agent.js';
import { createLogger } from '../daemon/log.js';
import type { DaemonArguments } from './host.js';

/** `kagemusha home-agent`: a Home Agent, until SIGTERM. */
export async function homeAgent({ config, logLevel = 'info' }: DaemonArguments): Promise<number> {
  await runHomeAgent(config, createLogger({ level: logLevel }));
  return 0;
}
