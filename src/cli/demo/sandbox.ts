import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { requireTun } from '../../daemon/tun-device.js';
import { KagemushaError } from '../../errors.js';

/** In the environment of the process that already runs inside the sandbox: the folder of its files. */
const MARK = 'KAGEMUSHA_SANDBOX';
const FOLDER = 'kagemusha-';

/** True in a process that {@link enterSandbox} started. */
export function insideSandbox(): boolean {
  return process.env[MARK] !== undefined;
}

/**
 * Inside the sandbox: ends it when the process that made it is gone, by `kill -9` also. That process holds the other end of
 * standard input and never writes.
 */
export function endWithMaker(): void {
  process.stdin.once('end', () => {
    const directory = process.env[MARK] ?? '';
    // Only ever a folder that enterSandbox made, whatever the environment says.
    if (basename(directory).startsWith(FOLDER)) rmSync(directory, { recursive: true, force: true });
    process.exit(1);
  });
  process.stdin.resume();
  process.stdin.unref();
}

/**
 * The command that runs `argv` in network, mount and process namespaces of its own; for an ordinary user inside a
 * user namespace too. Whatever is made in there ends with its first process, by `kill -9` also: the kernel takes the
 * namespaces back and `--kill-child` the processes.
 */
export function sandboxCommand(argv: readonly string[]): [string, ...string[]] {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  // ip-netns(8) keeps its names in /run/netns: a tmpfs there makes them ours alone.
  const prepare = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"';
  return [
    'unshare',
    ...user,
    ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['sh', '-c', prepare, 'sh', ...argv],
  ];
}

/**
 * Runs `argv` in the sandbox with this process's output streams and gives its exit code; SIGINT, SIGTERM and SIGHUP end
 * everything in it.
 *
 * @throws KagemushaError TUN_UNAVAILABLE, SANDBOX_FAILED
 */
export async function enterSandbox(argv: readonly string[]): Promise<number> {
  requireTun();
  const [command, ...rest] = sandboxCommand(argv);
  // Files outlive namespaces: they are in a folder that this process takes away.
  const directory = mkdtempSync(join(tmpdir(), FOLDER));
  const child = spawn(command, rest, {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, [MARK]: directory, TMPDIR: directory },
    // Ctrl-C reaches this process only; it then ends the sandbox as a whole.
    detached: true,
  });
  return await new Promise<number>((resolve, reject) => {
    const ended: { by?: NodeJS.Signals } = {};
    const stop = (signal: NodeJS.Signals): void => {
      ended.by = signal;
      child.kill('SIGKILL');
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
    child.once('error', (cause) =>
      reject(
        new KagemushaError(
          'SANDBOX_FAILED',
          `cannot run unshare (${cause.message}); install util-linux`,
        ),
      ),
    );
    child.once('close', (code) => {
      rmSync(directory, { recursive: true, force: true });
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
      if (ended.by !== undefined) {
        process.stderr.write(`\nstopped by ${ended.by}; everything it made is gone\n`);
        resolve(130);
      } else {
        resolve(code ?? 1);
      }
    });
  });
}
