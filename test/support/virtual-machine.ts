import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Netns, until } from '../../src/cli/demo/netns.js';

const FILES = fileURLToPath(new URL('../../.setup/vm', import.meta.url));
const KERNEL = join(FILES, 'vmlinuz');
const INITRAMFS = join(FILES, 'initramfs.gz');
const QEMU = '/usr/bin/qemu-system-x86_64';

/** Why there can be no virtual machine here; false when there can. */
export const noVirtualMachine =
  [QEMU, KERNEL, INITRAMFS].every((file) => existsSync(file)) === false
    ? 'needs QEMU and .setup/vm (node scripts/setup.mjs test)'
    : false;

/** Of its network card: QEMU's own range. */
const MAC = '52:54:00:12:34:56';

/** What its network card is connected to: the socket at `path`, where it listens. */
export const streamNetdev = (path: string): string =>
  `stream,server=on,addr.type=unix,addr.path=${path}`;

/** A tap that is there already. */
export const tapNetdev = (device: string): string => `tap,ifname=${device},script=no,downscript=no`;

export interface MachineOptions {
  /** As QEMU has it, without its id. */
  readonly netdev: string;
  /** Paths of its monitors. */
  readonly qmp?: readonly string[];
  /** Makes QEMU's command another's, that of another user say. */
  readonly wrap?: (argv: readonly string[]) => string[];
}

/** A Linux of its own in QEMU, emulated (it runs where there is no KVM), with a shell on its console and nothing else. */
export class VirtualMachine {
  readonly #child: ChildProcess;
  #said = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (data: Buffer) => {
      this.#said += data.toString('latin1');
    });
  }

  /** Boots one; resolves when its shell answers. */
  static async boot(netns: Netns, options: MachineOptions): Promise<VirtualMachine> {
    const machine = VirtualMachine.#start(netns, options);
    await until(
      'a shell in the virtual machine',
      () => machine.#ended() || /\/ # /.test(machine.#said) || undefined,
      60_000,
    );
    await machine.run('stty -echo; PS1=');
    return machine;
  }

  /** The place that another one migrates to: it takes its state from the socket at `from`, which it makes. */
  static async await(
    netns: Netns,
    options: MachineOptions & { readonly qmp: readonly string[] },
    from: string,
  ): Promise<VirtualMachine> {
    const machine = VirtualMachine.#start(netns, options, ['-incoming', `unix:${from}`]);
    await until('a socket to migrate to', () => machine.#ended() || existsSync(from) || undefined);
    return machine;
  }

  static #start(
    netns: Netns,
    { netdev, qmp = [], wrap = (argv) => [...argv] }: MachineOptions,
    more: readonly string[] = [],
  ): VirtualMachine {
    const argv = [
      ...[QEMU, '-nodefaults', '-no-user-config', '-machine', 'q35,accel=tcg', '-m', '160'],
      ...['-display', 'none', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', KERNEL, '-initrd', INITRAMFS, '-append', 'console=ttyS0 quiet panic=-1'],
      ...['-netdev', `${netdev},id=net`],
      ...['-device', `virtio-net-pci,netdev=net,romfile=,mac=${MAC}`],
      ...qmp.flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]),
      ...more,
    ];
    const child = netns.spawn(wrap(argv), { stdio: ['pipe', 'pipe', 'inherit'] });
    return new VirtualMachine(child);
  }

  /** Runs a line of shell to its end and gives what it said. Throws when it fails. */
  async run(line: string, timeoutMs = 30_000): Promise<string> {
    this.#said = '';
    this.#child.stdin?.write(`${line}\necho END"OF"$?\n`);
    const end = /ENDOF(\d+)\r?\n/;
    await until(line, () => this.#ended() || end.test(this.#said) || undefined, timeoutMs);
    const said = this.#said.replaceAll('\r', '');
    const code = end.exec(this.#said)?.[1];
    if (code !== '0') throw new Error(`${line}: exit code ${code ?? 'none'}: ${said}`);
    return said.replace(end, '');
  }

  /** As `kill -9` does; resolves when it is gone, as it may be already. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = new Promise<void>((resolve) => this.#child.once('close', () => resolve()));
    this.#child.kill('SIGKILL');
    await closed;
  }

  /** Throws when QEMU has ended. */
  #ended(): false {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) return false;
    throw new Error(`QEMU ended (${signalCode ?? exitCode}): ${this.#said}`);
  }
}
