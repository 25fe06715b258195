import { Drops } from '../drops.js';
import type { KagemushaError } from '../errors.js';
import { CareOfAddresses } from './care-of-addresses.js';
import { loadHost } from './config/load.js';
import type { HostConfig } from './config/schema.js';
import { refuseSecond } from './control-server.js';
import { serve } from './daemon-process.js';
import { HostChanges } from './host-changes.js';
import { HostDaemon, systemDevices } from './host-daemon.js';
import { LinkMonitor } from './link-monitor.js';
import type { Logger } from './log.js';
import { openStore } from './open-store.js';
import { PeerClient } from './peers/peer-client.js';
import { peerRoutes } from './peers/peer-routes.js';
import { PeerService } from './peers/peer-service.js';
import { ensureSetup } from './setup.js';
import { uplinkOpener } from './uplink.js';
import { goOnWithoutRights } from './without-rights.js';

/**
 * `kagemusha host`: makes or checks the devices, opens them, and serves until it is told to stop.
 *
 * @throws KagemushaError CONFIG_INVALID, SETUP_MISSING, DAEMON_RUNNING, STORE_BUSY and those of the engine: the first thing that is
 *   wrong; UPLINK_GONE later
 */
export async function runHost(configPath: string, log: Logger): Promise<void> {
  const loaded = loadHost(configPath);
  const { config } = loaded;
  goOnWithoutRights(config);
  await refuseSecond(config.controlSocket);
  const drops = new Drops();
  const prepare = async (): Promise<void> => await ensureSetup(config, log);
  const store = await openStore(config.stateDirectory, prepare, drops, log);
  const careOf = new CareOfAddresses(store, log);
  let daemon: HostDaemon | undefined;
  let changes: HostChanges | undefined;
  let link: LinkMonitor | undefined;
  let peerService: PeerService | undefined;
  try {
    const peers = peersOf(config);
    const devices = systemDevices(config, await uplinkOpener(config, store));
    const host = new HostDaemon(
      config,
      store,
      drops,
      await careOf.choose(config),
      log,
      devices,
      peers,
    );
    daemon = host;
    const failed = new Promise<KagemushaError>((resolve) => host.watchUplink(resolve));
    if (config.peering !== undefined) {
      peerService = new PeerService(config.peering, peerRoutes(host.handOver), log);
    }
    if (config.uplink.kind === 'packet') link = watchLink(config.uplink.device, host, log);
    careOf.watch((chosen) => host.moveTo(chosen));
    host.watchAddresses((left) => careOf.retire(left));
    const following = new HostChanges(loaded, host, careOf, log);
    changes = following;
    await serve(
      {
        controlSocket: config.controlSocket,
        guests: {
          bind: async (guest) => await host.bind(guest),
          unbind: (guest) => host.unbind(guest),
          adopt: async (guest, state) => await host.adopt(guest, state),
          release: (guest) => host.release(guest),
          ping: async (guest, count, size) => await host.ping(guest, count, size),
          put: async (guest, text) => await following.put(guest, text),
          remove: async (guest) => await following.remove(guest),
        },
        status: () => host.status(),
        devices: () => host.devices(),
        start: () => host.start(),
        reload: async () => await following.reload(),
        failed,
      },
      log,
    );
  } finally {
    link?.close();
    await peerService?.close();
    await changes?.close();
    await careOf.close();
    daemon?.close();
    store.close();
  }
}

function peersOf({ peering }: HostConfig): PeerClient[] {
  if (peering === undefined) return [];
  return peering.peers.map((peer) => new PeerClient(peering, peer));
}

function watchLink(device: string, host: HostDaemon, log: Logger): LinkMonitor {
  return new LinkMonitor(device, {
    onChange: (state) => host.onLink(state),
    onError: ({ message }) => log.warn(`${device} cannot be watched: ${message}`),
  });
}
