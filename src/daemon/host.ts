import { Drops } from '../drops.js';
import { CareOfAddresses } from './care-of-addresses.js';
import { loadHostConfig } from './config/load.js';
import { refuseSecond } from './control-server.js';
import { serve } from './daemon-process.js';
import { HostDaemon, systemDevices } from './host-daemon.js';
import type { Logger } from './log.js';
import { openStore } from './open-store.js';
import { ensureSetup } from './setup.js';
import { threadedNapiFile } from './uplink.js';

/**
 * `kagemusha host`: makes or checks the devices, opens them, and serves until it is told to stop.
 *
 * @throws KagemushaError CONFIG_INVALID, SETUP_MISSING, DAEMON_RUNNING, STORE_BUSY and those of the engine: the first thing that is
 *   wrong
 */
export async function runHost(configPath: string, log: Logger): Promise<void> {
  const config = loadHostConfig(configPath);
  await refuseSecond(config.controlSocket);
  const drops = new Drops();
  const prepare = async (): Promise<void> => await ensureSetup(config, log);
  const store = await openStore(config.stateDirectory, prepare, drops, log);
  const careOf = new CareOfAddresses(store, log);
  let daemon: HostDaemon | undefined;
  try {
    const napi = await threadedNapiFile(config.uplink.device);
    const devices = systemDevices(config, napi);
    const host = new HostDaemon(config, store, drops, await careOf.choose(config), log, devices);
    daemon = host;
    careOf.watch((chosen) => host.moveTo(chosen));
    host.watchAddresses((left) => careOf.retire(left));
    await serve(
      {
        controlSocket: config.controlSocket,
        guests: host,
        status: () => host.status(),
        devices: () => host.devices(),
        start: () => host.start(),
        reload: async () => {
          // Only guests change while it runs: the system is prepared for them and for nothing else.
          const read = loadHostConfig(configPath);
          const changed = { ...config, guests: read.guests };
          await ensureSetup(changed, log);
          host.reload(read, await careOf.choose(changed));
        },
      },
      log,
    );
  } finally {
    await careOf.close();
    daemon?.close();
    store.close();
  }
}
