import { runHomeAgent } from '../daemon/home-agent.js';
import { createLogger } from '../daemon/log.js';
import type { DaemonArguments } from './host.js';

/** `kagemusha home-agent`: a Home Agent, until SIGTERM. */
export async function homeAgent({ config }: DaemonArguments): Promise<number> {
  await runHomeAgent(config, createLogger());
  return 0;
}
