import { Drops } from '../drops.js';
import type { KagemushaError } from '../errors.js';
import { type Address, contains, homeAgentsAnycast } from '../wire/index.js';
import { loadHomeAgentConfig } from './config/load.js';
import type { HomeAgentConfig } from './config/schema.js';
import { refuseSecond } from './control-server.js';
import { serve } from './daemon-process.js';
import { HomeAgentDaemon } from './home-agent-daemon.js';
import { RouteWriter } from './ip-route.js';
import type { Logger } from './log.js';
import { openStore } from './open-store.js';
import { readSystem } from './setup/system.js';
import { ensureSetup } from './setup.js';
import type { Store } from './store/index.js';
import { openUplink, threadedNapiFile, uplinkGone } from './uplink.js';

/**
 * `kagemusha home-agent`: makes or checks the devices, opens them, and serves until it is told to stop.
 *
 * @throws KagemushaError CONFIG_INVALID, DAEMON_RUNNING, SETUP_MISSING, those of the store and of the engine: the first thing that is wrong
 */
export async function runHomeAgent(configPath: string, log: Logger): Promise<void> {
  const config = loadHomeAgentConfig(configPath);
  await refuseSecond(config.controlSocket);
  const drops = new Drops();
  const prepare = async (): Promise<void> => await ensureSetup(config, log);
  const store = await openStore(config.stateDirectory, prepare, drops, log);
  let daemon: HomeAgentDaemon | undefined;
  try {
    const routes = new RouteWriter();
    await removeStaleRoutes(config, store, routes);
    const threadedNapi = await threadedNapiFile(config.tunnelDevice);
    const running = new HomeAgentDaemon(config, store, drops, routes, log, (engine) =>
      openUplink(engine, config.tunnelDevice, threadedNapi),
    );
    daemon = running;
    const failed = new Promise<KagemushaError>((resolve) =>
      running.watchUplink(() => resolve(uplinkGone(config.tunnelDevice))),
    );
    // The bindings that it holds again have their routes before it says `ready`.
    await routes.settled();
    await serve(
      {
        controlSocket: config.controlSocket,
        status: () => running.status(),
        devices: () => running.devices(),
        start: () => running.start(),
        reload: async () => ({
          notes: running.reload(loadHomeAgentConfig(configPath)),
          failures: [],
        }),
        failed,
      },
      log,
    );
  } finally {
    try {
      await daemon?.close();
    } finally {
      store.close();
    }
  }
}

/**
 * Routes of bindings that a Home Agent before this one had when it was killed, and that have run out since: those home addresses may
 * be at home again.
 */
async function removeStaleRoutes(
  config: HomeAgentConfig,
  store: Store,
  routes: RouteWriter,
): Promise<void> {
  const { routes: present } = await readSystem();
  const kept = new Set<Address>([
    config.address,
    homeAgentsAnycast(config.homePrefix),
    ...store
      .bindings()
      .filter(({ expiresAt }) => expiresAt > Date.now())
      .map(({ homeAddress }) => homeAddress),
  ]);
  const stale = present.filter(
    ({ device, prefix: { address, length } }) =>
      device === config.tunnelDevice &&
      length === 128 &&
      !kept.has(address) &&
      contains(config.homePrefix, address),
  );
  await Promise.all(
    stale.map(({ prefix }) => routes.removeHomeRoute(prefix.address, config.tunnelDevice)),
  );
}
