import { notifySocket, shortenSlice } from '../datapath/index.js';
import { KagemushaError } from '../errors.js';
import { controlRoutes, type GuestHandlers } from './control-routes.js';
import { createControlServer } from './control-server.js';
import type { Logger } from './log.js';
import { createMetrics } from './metrics.js';
import { createNotifier } from './notify.js';
import type { CaptureDevice, DaemonStatus, ReloadAnswer } from './status.js';

/** Microseconds: about as long as it takes to send a Binding Update. */
const TURN = 1000;

/** What the process needs of a daemon, whichever it is. */
export interface Role {
  readonly controlSocket: string;
  readonly guests?: GuestHandlers;
  status(): DaemonStatus;
  devices(): readonly CaptureDevice[];
  /** Begins its work; the devices are ready. */
  start(): void;
  /** Reads the configuration again and follows it. @throws KagemushaError when it is not good; nothing has changed then */
  reload(): Promise<ReloadAnswer>;
  /** Why it cannot go on. */
  readonly failed: Promise<KagemushaError>;
}

/**
 * Runs a daemon until SIGTERM or SIGINT: opens its control socket, says `ready` (log line, sd_notify), reloads on SIGHUP.
 * Bindings and devices are left as they are at the end.
 *
 * @throws KagemushaError DAEMON_RUNNING, CONTROL_SOCKET, and why it could not go on
 */
export async function serve(role: Role, log: Logger): Promise<void> {
  const notifier = createNotifier(notifySocket);
  const metrics = createMetrics(() => role.status());
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  // One after the other: the file that was written last is the one that holds.
  let reloading: Promise<unknown> = Promise.resolve();
  const reload = (): Promise<ReloadAnswer> => {
    notifier.reloading();
    const read = reloading.then(async () => await readAgain(role, log));
    reloading = read.catch(() => {}).then(() => notifier.ready());
    return read;
  };
  const server = await createControlServer({
    socketPath: role.controlSocket,
    routes: controlRoutes({
      status: () => role.status(),
      devices: () => role.devices(),
      metrics: async () => await metrics.scrape(),
      reload,
      ...(role.guests === undefined ? {} : { guests: role.guests }),
    }),
    onFailure: (error) => log.error({ err: error }, 'a request to the control socket failed'),
  });
  // What went wrong is in the log.
  process.on('SIGHUP', () => void reload().catch(() => {}));
  // Asleep for most of the time, and awaited when it wakes: a guest's processors may be busy beside it.
  shortenSlice(TURN);
  role.start();
  log.info({ socket: role.controlSocket }, 'ready');
  notifier.ready();
  const end = await Promise.race([stopped, role.failed]);
  const failed = end instanceof KagemushaError ? end : undefined;
  if (failed === undefined) log.info({ signal: end }, 'stopping; bindings and devices stay');
  notifier.stopping();
  await reloading;
  await server.close();
  if (failed !== undefined) throw failed;
}

async function readAgain(role: Role, log: Logger): Promise<ReloadAnswer> {
  try {
    const answer = await role.reload();
    log.info('configuration read again');
    return answer;
  } catch (error) {
    if (error instanceof KagemushaError) {
      log.error({ code: error.code }, `${error.message}; the running configuration stays`);
    } else {
      log.error({ err: error }, 'the configuration could not be followed');
    }
    throw error;
  }
}
