import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfigurationOptions } from '../../src/cli/demo/configuration.js';
import { PAPER, prepareFiles, writeConfigurations } from '../../src/cli/demo/configuration.js';
import { endProcess, type Netns, until } from '../../src/cli/demo/netns.js';
import {
  type Daemon,
  hostStatus,
  KAGEMUSHA,
  nodeCommand,
  startDaemon,
} from '../../src/cli/demo/processes.js';
import { ConfigError, loadHostConfig } from '../../src/daemon/config/load.js';
import { KagemushaError } from '../../src/errors.js';
import type { Bed } from './bed.js';
import { NotHere, type Turn } from './rows.js';

/** How a row of ours differs. */
export interface OurRow {
  /** Its own: nothing that a neighbour remembers of one row is wrong in the next. */
  readonly careOf: string;
  /** Of the host, as TOML. */
  readonly uplink?: string;
  /** More lines for the host's table. */
  readonly host?: string;
  /** Whose the far end of the tunnel is, the kernel's unless told. */
  readonly homeAgent?: 'ours' | 'kernel';
}

/** A host's daemon, started for each turn; the tap is the guest's interface. */
export function ourRow(row: OurRow): (bed: Bed) => Promise<Turn> {
  return async (bed) => await begin(bed, row);
}

async function begin(bed: Bed, row: OurRow): Promise<Turn> {
  const directory = await bed.folder();
  const files = await prepareFiles(directory);
  const options: ConfigurationOptions = {
    register: 'start',
    lifetime: 3600,
    protection: 'none',
    careOfAddress: row.careOf,
    ...(row.uplink === undefined ? {} : { hostUplink: row.uplink }),
    ...(row.host === undefined ? {} : { host: row.host }),
  };
  await writeConfigurations(files, options);
  requireBuilt(files.host);
  const { router, host } = bed;
  const backs: (() => Promise<void>)[] = [];
  const end = async (): Promise<void> => {
    for (const back of backs.toReversed()) await back();
  };
  try {
    const guest = await bed.netns('g');
    backs.push(async () => await guest.remove());
    const daemons: Record<string, Daemon> = {};
    if (row.homeAgent === 'ours') {
      const agent = await startDaemon(router, 'home-agent', files.homeAgent, files.homeAgentSocket);
      daemons.home_agent = agent;
      backs.push(async () => await stopDaemon(router, agent, files.homeAgent));
    } else {
      backs.push(await bed.kernel.far(router, row.careOf));
      backs.push(await respond(router));
    }
    const daemon = await startDaemon(host, 'host', files.host, files.hostSocket);
    daemons.host = daemon;
    backs.push(async () => await stopDaemon(host, daemon, files.host));
    await plugTap(host, guest);
    await until('registration', async () => {
      const [one] = (await hostStatus(daemon.socket)).guests;
      return one?.binding.state === 'registered' ? true : undefined;
    });
    return { guest, address: PAPER.hostA, daemons, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** What the daemon would say of its configuration. @throws NotHere with its first complaint */
function requireBuilt(configuration: string): void {
  try {
    loadHostConfig(configuration);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [first] = error.problems;
    throw new NotHere(first?.message.replace(/^.*\.toml:\d+: /, '') ?? error.message);
  }
}

/** The tap itself is the guest's interface: for a single run it may be moved. */
async function plugTap(host: Netns, guest: Netns): Promise<void> {
  await host.ip(`link set kgtap0 netns ${guest.name}`);
  await guest.ip('link set kgtap0 name eth0');
  await guest.sysctl({ 'net.ipv6.conf.eth0.disable_ipv6': 0 });
  await guest.ip(`address add ${PAPER.guest}/64 dev eth0 nodad`);
  await guest.ip('link set eth0 up');
  await guest.ip(`-6 route add default via ${PAPER.homeRouter} dev eth0`);
}

/** Stops it and takes its devices, routes and proxy entries away. */
async function stopDaemon(netns: Netns, daemon: Daemon, configuration: string): Promise<void> {
  await daemon.stop();
  await netns.run(nodeCommand(KAGEMUSHA, 'setup', '--config', configuration, '--undo'));
}

const RESPONDER = fileURLToPath(
  new URL(`responder-main${extname(import.meta.url)}`, import.meta.url),
);

/** Has the Binding Updates at the router's end of the wire answered; gives what ends that. */
async function respond(router: Netns): Promise<() => Promise<void>> {
  const argv = [process.execPath, ...process.execArgv, RESPONDER, 'wan0', PAPER.homeAgent];
  const child = router.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  let ready = false;
  child.stdout?.once('data', () => {
    ready = true;
  });
  await until('the responder', () => {
    if (child.exitCode !== null) {
      throw new KagemushaError('RESPONDER_FAILED', `it ended with ${child.exitCode}`);
    }
    return ready ? true : undefined;
  });
  return async () => await endProcess(child);
}
