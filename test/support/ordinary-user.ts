import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/cli/demo/netns.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** An account without any right of its own: Debian's `nobody`. */
export const ORDINARY_USER = 65534;

export interface OrdinaryUser {
  /** The command that runs `argv` as that user: no capability but the one given, and none to be had. */
  wrap(argv: readonly string[]): string[];
  remove(): Promise<void>;
}

/**
 * What an ordinary user's machine gives him, in a mount namespace that only his command sees: /dev/net/tun as
 * ordinary distributions have it (0666), and this checkout at a place that he may read, wherever it was cloned.
 *
 * @param capability the one that he is given (setpriv(1): `net_raw`)
 */
export async function ordinaryUser(capability?: string): Promise<OrdinaryUser> {
  const directory = await mkdtemp(join(tmpdir(), 'kgtest-user-'));
  const node = join(directory, 'tun');
  const checkout = join(directory, 'checkout');
  await chmod(directory, 0o755);
  await mkdir(checkout);
  await run(['mknod', '-m', '0666', node, 'c', '10', '200']);
  await chmod(node, 0o666);
  const script = `mount --bind ${node} /dev/net/tun && mount --bind ${ROOT} ${checkout} && exec "$@"`;
  const id = `${ORDINARY_USER}`;
  const rights = capability === undefined ? '-all' : `-all,+${capability}`;
  return {
    wrap: (argv) => [
      ...['unshare', '--mount', 'sh', '-c', script, 'sh'],
      ...['setpriv', '--reuid', id, '--regid', id, '--clear-groups'],
      ...['--bounding-set', rights, '--inh-caps', rights, '--ambient-caps', rights],
      '--no-new-privs',
      ...['env', 'HOME=/nonexistent', 'TMPDIR=/tmp'],
      ...argv.map((word) => word.replace(ROOT, checkout)),
    ],
    remove: async () => await rm(directory, { recursive: true, force: true }),
  };
}
