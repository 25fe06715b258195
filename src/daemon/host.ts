import { CareOfAddresses } from './care-of-addresses.js';
import { loadHostConfig } from './config/load.js';
import { refuseSecond } from './control-server.js';
import { serve } from './daemon-process.js';
import { HostDaemon } from './host-daemon.js';
import type { Logger } from './log.js';
import { ensureSetup } from './setup.js';
import { SqliteStore } from './store/index.js';
import { threadedNapiFile } from './uplink.js';

/**
 * `kagemusha host`: makes or checks the devices, opens them, and serves until it is told to stop.
 *
 * @throws KagemushaError CONFIG_INVALID, SETUP_MISSING, DAEMON_RUNNING and those of the engine: the first thing that is wrong
 */
export async function runHost(configPath: string, log: Logger): Promise<void> {
  const config = loadHostConfig(configPath);
  await refuseSecond(config.controlSocket);
  await ensureSetup(config, log);
  const napi = await threadedNapiFile(config.uplink.device);
  const store = new SqliteStore(config.stateDirectory);
  const careOf = new CareOfAddresses(store, log);
  const daemon = new HostDaemon(config, store, await careOf.choose(config), log, napi);
  try {
    careOf.watch((chosen) => daemon.moveTo(chosen));
    await serve(
      {
        controlSocket: config.controlSocket,
        guests: daemon,
        status: () => daemon.status(),
        devices: () => daemon.devices(),
        start: () => daemon.start(),
        reload: async () => {
          const changed = loadHostConfig(configPath);
          await ensureSetup(changed, log);
          daemon.reload(changed, await careOf.choose(changed));
        },
      },
      log,
    );
  } finally {
    careOf.close();
    daemon.close();
    store.close();
  }
}
