import { accessSync, constants, existsSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { readCapabilities } from '../daemon/capabilities.js';
import { ConfigError } from '../daemon/config/load.js';
import { configNotes } from '../daemon/config/notes.js';
import type { HomeAgentConfig, HostConfig } from '../daemon/config/schema.js';
import { run } from '../daemon/ip-route.js';
import { missingSteps, type SetupPlan } from '../daemon/setup/plan.js';
import { makeCommands } from '../daemon/setup/resource.js';
import { readSystem, type SystemState } from '../daemon/setup/system.js';
import { planSetup } from '../daemon/setup.js';
import { loadNative } from '../datapath/native.js';
import { KagemushaError } from '../errors.js';
import { type Address, homeAgentsAnycast } from '../wire/address.js';
import { loadWithGuests } from './guest-file.js';
import { ownerOf } from './owner.js';
import { shellLine } from './shell.js';

export interface CheckArguments {
  readonly config: string;
  readonly guest?: readonly string[];
  readonly user?: string;
}

/** One line of the report. */
interface Finding {
  readonly what: string;
  /** Why it is not well; absent when it is. */
  readonly problem?: string;
  /** The commands or the advice that mend it. */
  readonly mend?: readonly string[];
}

type Config = HostConfig | HomeAgentConfig;

/** `kagemusha check`: everything a daemon with this configuration needs, and what mends what is missing. */
export async function check(options: CheckArguments): Promise<number> {
  const owner = await ownerOf(options.user);
  let config: Config;
  try {
    config = loadWithGuests(options.config, options.guest ?? [], { user: owner });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) report({ what: problem.message, problem: 'wrong' });
    return 1;
  }
  const system = await readSystem();
  const plan = planSetup(config, system, { owner });
  const findings = [
    { what: `configuration ${config.path}` },
    nodeVersion(),
    nativeBuild(),
    ...(plan.steps.some(({ resource }) => resource.kind === 'device') ? [tunDevice(owner)] : []),
    ...rights(config),
    ...systemFindings(plan, system),
    ...streamSockets(config, owner),
    ...(await reachability(config)),
  ];
  for (const finding of findings) report(finding);
  for (const note of [...configNotes(config), ...plan.notes])
    process.stdout.write(`note     ${note}\n`);
  const missing = findings.filter((finding) => finding.problem !== undefined).length;
  const verdict = missing === 0 ? 'all is well' : `${missing} of ${findings.length} to mend`;
  process.stdout.write(`${verdict}\n`);
  return missing === 0 ? 0 : 1;
}

function report({ what, problem, mend = [] }: Finding): void {
  process.stdout.write(`${(problem ?? 'ok').padEnd(8)} ${what}\n`);
  for (const line of mend) process.stdout.write(`           ${line}\n`);
}

function nodeVersion(): Finding {
  const what = `Node ${process.versions.node}`;
  if (Number(process.versions.node.split('.')[0]) >= 20) return { what };
  return { what, problem: 'old', mend: ['install Node 20 or newer'] };
}

function nativeBuild(): Finding {
  const what = 'native packet engine';
  try {
    loadNative();
    return { what };
  } catch (error) {
    if (!(error instanceof KagemushaError)) throw error;
    return { what, problem: 'missing', mend: ['npm run setup'] };
  }
}

function tunDevice(owner: number | undefined): Finding {
  const what = '/dev/net/tun, readable and writable for the user of the daemon';
  if (!existsSync('/dev/net/tun')) return { what, problem: 'missing', mend: ['sudo modprobe tun'] };
  if (mayUseTun(owner)) return { what };
  return { what, problem: 'denied', mend: ['sudo chmod 0666 /dev/net/tun'] };
}

function mayUseTun(owner: number | undefined): boolean {
  if (owner !== process.getuid?.()) return (statSync('/dev/net/tun').mode & 0o006) === 0o006;
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What the daemon of each role must be allowed to do, beyond what setup gives it. */
function rights(config: Config): Finding[] {
  const { netAdmin, netRaw } = readCapabilities();
  const needed: Right[] = config.role === 'host' ? hostRights(config) : homeAgentRights(config);
  if (needed.length === 0) {
    const what = netAdmin
      ? 'rights: this user may also make what is missing'
      : 'rights: none needed once the devices below are there';
    return [{ what }];
  }
  const names = [...new Set(needed.map(({ capability }) => capability))];
  const capabilities = names.map((name) => `+${name}`).join(',');
  const mend = [
    `run it as root, or: sudo setpriv --reuid $USER --init-groups --inh-caps ${capabilities} --ambient-caps ${capabilities} kagemusha ${config.role} …`,
  ];
  return needed.map(({ what, capability }): Finding => {
    const there = capability === 'net_admin' ? netAdmin : netRaw;
    const full = `right to ${what} (CAP_${capability.toUpperCase()})`;
    return there ? { what: full } : { what: full, problem: 'missing', mend };
  });
}

/** A capability of the daemon, and what for. */
interface Right {
  readonly what: string;
  readonly capability: 'net_admin' | 'net_raw';
}

function hostRights({ guests, uplink }: HostConfig): Right[] {
  const packet = uplink.kind === 'packet';
  const auto = !packet && guests.some(({ careOfAddress }) => careOfAddress === 'auto');
  const links = new Set([
    ...(packet ? [uplink.device] : []),
    ...guests.flatMap(({ homeLink }) => homeLink?.device ?? []),
  ]);
  return [
    ...(auto
      ? [{ what: 'make routes for care_of_address = "auto"', capability: 'net_admin' as const }]
      : []),
    ...[...links].map((link): Right => ({ what: `listen on ${link}`, capability: 'net_raw' })),
  ];
}

function homeAgentRights({ homeLink }: HomeAgentConfig): Right[] {
  const routes: Right = { what: 'change routes', capability: 'net_admin' };
  if (homeLink === undefined) return [routes];
  return [routes, { what: `listen on ${homeLink}`, capability: 'net_raw' }];
}

function systemFindings(plan: SetupPlan, system: SystemState): Finding[] {
  const missing = new Set(missingSteps(plan, system));
  const steps = plan.steps.map((step): Finding => {
    const what = step.describe;
    if (!missing.has(step)) return { what };
    const mend = makeCommands(step.resource, system).map((command) => `sudo ${shellLine(command)}`);
    return { what, problem: 'missing', mend };
  });
  const obstacles = plan.obstacles.map((what): Finding => ({ what, problem: 'wrong' }));
  return [...obstacles, ...steps];
}

/** The sockets of QEMU's that there are already. */
function streamSockets(config: Config, owner: number | undefined): Finding[] {
  if (config.role !== 'host') return [];
  return config.guests.flatMap(({ name, port }) =>
    port.kind === 'qemu-stream' ? [streamSocket(name, port.path, owner)] : [],
  );
}

function streamSocket(guest: string, path: string, owner: number | undefined): Finding {
  const what = `socket ${path} of guest ${guest}`;
  const user = owner === undefined ? 'the user of the daemon' : `user ${owner}`;
  let stat: Stats;
  try {
    stat = statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { what: `${what}: QEMU is not there yet` };
    const mend = [`let ${user} into ${dirname(path)}: chmod o+x, or setfacl -m u:USER:x`];
    return { what: `${what} (${code ?? 'unreadable'})`, problem: 'denied', mend };
  }
  if (!stat.isSocket()) {
    const mend = ['name the addr.path of -netdev stream,server=on,addr.type=unix'];
    return { what: `${what} is no socket`, problem: 'wrong', mend };
  }
  if (mayConnect(path, stat, owner)) return { what };
  const mend = [`sudo setfacl -m u:${owner ?? 'USER'}:rw ${shellLine([path])}`];
  return { what: `${what}, writable for ${user}`, problem: 'denied', mend };
}

/** A process may connect to a socket that it may write (unix(7)). */
function mayConnect(path: string, stat: Stats, owner: number | undefined): boolean {
  if (owner !== process.getuid?.()) {
    return (
      owner === 0 || (stat.uid === owner && (stat.mode & 0o200) !== 0) || (stat.mode & 0o002) !== 0
    );
  }
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether this host knows a way to the Home Agents of its guests. */
async function reachability(config: Config): Promise<Finding[]> {
  // The routes of the kernel are none of a packet uplink's.
  if (config.role !== 'host' || config.uplink.kind === 'packet') return [];
  const homeAgents = config.guests.flatMap(({ homeAgents, homePrefix }) =>
    homeAgents.kind === 'list' ? homeAgents.addresses : [homeAgentsAnycast(homePrefix)],
  );
  return await Promise.all([...new Set(homeAgents)].map(routeTo));
}

async function routeTo(homeAgent: Address): Promise<Finding> {
  const what = `route to the home agent ${homeAgent}`;
  try {
    await run(['ip', '-6', 'route', 'get', homeAgent]);
    return { what };
  } catch {
    const mend = ['sudo ip -6 route add default via ROUTER dev INTERFACE'];
    return { what, problem: 'missing', mend };
  }
}
