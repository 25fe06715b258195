import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../../src/checkout.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { noVirtualMachine } from '../../src/cli/demo/vm/machine.js';
import { ORDINARY_USER } from './ordinary-user.js';

/** libvirt's programs and schemas, unpacked: scripts/test-libvirt.mjs. */
export const LIBVIRT = join(CHECKOUT, '.setup/libvirt');

/** Debian's number of the user that QEMU runs as. */
const QEMU_USER = 64055;

/** Why there can be no libvirt here; false when there can. */
export const noLibvirt =
  noVirtualMachine ||
  (!existsSync(LIBVIRT) && 'needs .setup/libvirt (node scripts/setup.mjs test)') ||
  (!/^\s+0\s+0\s+4294967295$/m.test(readFileSync('/proc/self/uid_map', 'utf8')) &&
    "needs root: QEMU runs as a user of libvirt's");

/**
 * libvirt sees what was unpacked and what it is told to be; nobody else does. The shell waits for the QEMUs that it leaves behind, else it
 * waits half a minute for each; they end with it.
 */
const ENTER = `set -e
mkdir -p "$DIR/etc" "$DIR/etc.work" "$DIR/var" "$DIR/var.work" "$DIR/run" /run/libvirt /run/kagemusha-qemu
mount -t overlay overlay -o lowerdir="$LIBVIRT/usr":/usr /usr
mount -t overlay overlay -o lowerdir="$LIBVIRT/etc":/etc,upperdir="$DIR/etc",workdir="$DIR/etc.work" /etc
mount -t overlay overlay -o lowerdir=/var,upperdir="$DIR/var",workdir="$DIR/var.work" /var
mount --bind "$DIR/run" /run/libvirt
mount --bind "$DIR/qemu" /run/kagemusha-qemu
grep -q '^libvirt-qemu:' /etc/passwd || echo "libvirt-qemu:x:${QEMU_USER}:${QEMU_USER}::/nonexistent:/usr/sbin/nologin" >>/etc/passwd
grep -q '^libvirt-qemu:' /etc/group || echo "libvirt-qemu:x:${QEMU_USER}:" >>/etc/group
mkdir -p /var/log/libvirt/qemu /etc/libvirt/hooks/qemu.d
cp "$DIR/qemu.conf" "$DIR/libvirtd.conf" /etc/libvirt/
cp "$DIR/note" /etc/libvirt/hooks/qemu
cp "$HOOK" /etc/libvirt/hooks/qemu.d/kagemusha
hostname "$NAME"
libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid &
wait $!`;

/** A libvirt of a host's own, with the example's hook and folder of monitors. */
export class Libvirt {
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  /**
   * Resolves when it answers.
   *
   * @param directory its files; short, since a socket is in it
   * @param control the socket of the daemon that the hook tells
   */
  static async start(netns: Netns, directory: string, control: string): Promise<Libvirt> {
    for (const name of ['', 'qemu', 'bin']) mkdirSync(join(directory, name), { recursive: true });
    const libvirt = (name: string): string => join(directory, name);
    const tmpfiles = readFileSync(join(CHECKOUT, 'examples/libvirt/tmpfiles.conf'), 'utf8');
    const mode = /^d \S+ (\d+) libvirt-qemu kagemusha /m.exec(tmpfiles)?.[1] ?? '';
    chownSync(libvirt('qemu'), QEMU_USER, ORDINARY_USER);
    chmodSync(libvirt('qemu'), Number.parseInt(mode, 8));
    writeFileSync(
      libvirt('qemu.conf'),
      `user = "libvirt-qemu"\ngroup = "libvirt-qemu"\nsecurity_driver = "none"\nremember_owner = 0\n` +
        `cgroup_controllers = []\nstdio_handler = "file"\nnamespaces = []\n`,
    );
    writeFileSync(
      libvirt('libvirtd.conf'),
      `auth_unix_rw = "none"\nhost_uuid = "${crypto.randomUUID()}"\n`,
    );
    const script = (name: string, line: string): void => {
      writeFileSync(libvirt(name), `#!/bin/sh\n${line}\n`);
      chmodSync(libvirt(name), 0o755);
    };
    const calls = `echo "$(date +%s.%N) $*" >>${libvirt('calls')}`;
    script('note', calls);
    script('bin/kagemusha', `exec ${join(CHECKOUT, 'bin/kagemusha')} --socket ${control} "$@"`);
    writeFileSync(libvirt('calls'), '');
    const child = netns.spawn(
      [
        ...['unshare', '--mount', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc'],
        ...['sh', '-c', ENTER],
      ],
      {
        stdio: ['ignore', 'ignore', openSync(libvirt('log'), 'a')],
        env: {
          ...process.env,
          PATH: `${libvirt('bin')}:${process.env.PATH}:/usr/sbin:/sbin`,
          DIR: directory,
          NAME: netns.name,
          LIBVIRT,
          HOOK: join(CHECKOUT, 'examples/libvirt/hooks/qemu'),
        },
      },
    );
    const made = new Libvirt(child, directory);
    await until(
      'libvirt',
      async () => {
        if (child.exitCode !== null)
          throw new Error(`libvirtd ended: ${readFileSync(libvirt('log'), 'utf8').slice(-500)}`);
        return await made.virsh(netns, 'list').catch(() => undefined);
      },
      60_000,
    );
    return made;
  }

  /** Of the guest's monitor, as others than libvirt see it. */
  static monitor(directory: string): string {
    return join(directory, 'qemu/vm1.qmp');
  }

  /** How another libvirt is told of this one. */
  get uri(): string {
    return `qemu+unix:///system?socket=${join(this.#directory, 'run/libvirt-sock')}`;
  }

  async virsh(netns: Netns, ...words: string[]): Promise<string> {
    const enter = ['nsenter', '-t', String(this.#child.pid), '-m', '-u'];
    return await netns.run([...enter, 'virsh', '-q', '-c', this.uri, ...words], 60_000);
  }

  /** What it told its hooks: milliseconds since 1970, and the words. */
  get calls(): readonly { readonly at: number; readonly words: string }[] {
    const lines = readFileSync(join(this.#directory, 'calls'), 'utf8').trim().split('\n');
    return lines.filter(Boolean).map((line) => {
      const [seconds = '', ...words] = line.split(' ');
      return { at: Number(seconds) * 1000, words: words.join(' ') };
    });
  }
}
