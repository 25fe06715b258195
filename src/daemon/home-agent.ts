import { loadHomeAgentConfig } from './config/load.js';
import { refuseSecond } from './control-server.js';
import { serve } from './daemon-process.js';
import { HomeAgentDaemon } from './home-agent-daemon.js';
import { RouteWriter } from './ip-route.js';
import type { Logger } from './log.js';
import { ensureSetup } from './setup.js';
import { threadedNapiFile } from './uplink.js';

/**
 * `kagemusha home-agent`: makes or checks the devices, opens them, and serves until it is told to stop.
 *
 * @throws KagemushaError CONFIG_INVALID, SETUP_MISSING, DAEMON_RUNNING and those of the engine: the first thing that is wrong
 */
export async function runHomeAgent(configPath: string, log: Logger): Promise<void> {
  const config = loadHomeAgentConfig(configPath);
  await refuseSecond(config.controlSocket);
  await ensureSetup(config, log);
  const threadedNapi = await threadedNapiFile(config.tunnelDevice);
  const daemon = new HomeAgentDaemon(config, new RouteWriter(), log, threadedNapi);
  try {
    await serve(
      {
        controlSocket: config.controlSocket,
        status: () => daemon.status(),
        devices: () => daemon.devices(),
        start: () => daemon.start(),
        reload: async () => daemon.reload(loadHomeAgentConfig(configPath)),
      },
      log,
    );
  } finally {
    await daemon.close();
  }
}
