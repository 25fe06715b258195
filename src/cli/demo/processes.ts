import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../../checkout.js';
import { requestStatus } from '../../daemon/control-client.js';
import type { HomeAgentStatus, HostStatus } from '../../daemon/status.js';
import { KagemushaError } from '../../errors.js';
import { endProcess, type Netns, until } from './netns.js';

/** `bin/kagemusha` of this checkout, as a new user would start it. */
export const KAGEMUSHA = join(CHECKOUT, 'bin', 'kagemusha');

/**
 * A command that runs a script of this checkout. NODE_OPTIONS holds what a debugger or a test runner hooks into its own
 * processes: not into these, which may belong to another user.
 */
export function nodeCommand(script: string, ...words: string[]): string[] {
  return ['env', '-u', 'NODE_OPTIONS', process.execPath, script, ...words];
}

/** A running daemon. */
export interface Daemon {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly socket: string;
  /** Everything it logged so far. */
  readonly log: string;
  /** Asks it to stop and waits until it has. */
  stop(): Promise<void>;
}

/**
 * Starts `kagemusha ROLE --config FILE` in a namespace and waits until its control socket answers. `wrap` makes the command another
 * (under setpriv(1), say).
 *
 * @throws KagemushaError DAEMON_FAILED with the last line the daemon said
 */
export async function startDaemon(
  netns: Netns,
  role: 'host' | 'home-agent',
  configuration: string,
  socket: string,
  wrap: (argv: readonly string[]) => readonly string[] = (argv) => argv,
): Promise<Daemon> {
  const logFile = `${configuration}.log`;
  const child = netns.spawn(wrap(nodeCommand(KAGEMUSHA, role, '--config', configuration)), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr?.pipe(createWriteStream(logFile));
  const log = (): string => readFileSync(logFile, 'utf8');
  await until(`${role} ready`, async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      const said = log().trim().split('\n').at(-1);
      throw new KagemushaError('DAEMON_FAILED', `kagemusha ${role} ended: ${said}`);
    }
    return await requestStatus(socket).catch(() => undefined);
  });
  return {
    process: child,
    pid: child.pid ?? 0,
    socket,
    get log() {
      return log();
    },
    stop: async () => await endProcess(child),
  };
}

/** The status of a host's daemon. @throws KagemushaError DAEMON_STRANGE when it is none */
export async function hostStatus(socket: string): Promise<HostStatus> {
  const status = await requestStatus(socket);
  if (status.role === 'host') return status;
  throw new KagemushaError('DAEMON_STRANGE', `${socket} belongs to a home agent`);
}

/** The status of a home agent's daemon. @throws KagemushaError DAEMON_STRANGE when it is none */
export async function homeAgentStatus(socket: string): Promise<HomeAgentStatus> {
  const status = await requestStatus(socket);
  if (status.role === 'home-agent') return status;
  throw new KagemushaError('DAEMON_STRANGE', `${socket} belongs to a host`);
}

/** Processor time that a process has used, in seconds (proc(5), utime + stime). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks / 100; // USER_HZ, as every Linux that Node runs on shows it
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * 1024;
}

/** True when a program can be started. */
export async function installed(program: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const child = spawn('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    child.once('close', (code) => resolve(code === 0));
  });
}
