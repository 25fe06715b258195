import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../../../checkout.js';
import { KagemushaError } from '../../../errors.js';
import { type Netns, until } from '../netns.js';

const FILES = join(CHECKOUT, '.setup', 'vm');
const KERNEL = join(FILES, 'vmlinuz');
const INITRAMFS = join(FILES, 'initramfs.gz');
// The console belongs to the shell: of the kernel's messages only those of its end are there.
const BOOT = 'console=ttyS0 quiet loglevel=1 panic=-1';
const QEMU = '/usr/bin/qemu-system-x86_64';

/** Why there can be no virtual machine here; false when there can. */
export const noVirtualMachine = [QEMU, KERNEL, INITRAMFS].every((file) => existsSync(file))
  ? false
  : 'needs QEMU and .setup/vm (node scripts/setup.mjs vm)';

/** Of its network card: QEMU's own range. */
export const MAC = '52:54:00:12:34:56';

/** What its network card is connected to: the socket at `path`, where it listens. */
export const streamNetdev = (path: string): string =>
  `stream,server=on,addr.type=unix,addr.path=${path}`;

/** A tap that is there already. */
export const tapNetdev = (device: string): string => `tap,ifname=${device},script=no,downscript=no`;

export type Accelerator = 'kvm' | 'tcg';

export interface MachineOptions {
  /** As QEMU has it, without its id. */
  readonly netdev: string;
  /** Paths of its monitors. */
  readonly qmp?: readonly string[];
  /** Software emulation unless told: it runs everywhere. Both ends of a migration have the same. */
  readonly accelerator?: Accelerator;
  /** 160 unless told. */
  readonly memoryMib?: number;
  /** A disk, as QEMU's `-drive` has it, without its interface. */
  readonly drive?: string;
  /** Makes QEMU's command another's, that of another user say. */
  readonly wrap?: (argv: readonly string[]) => string[];
  /** What QEMU complains of is not shown. */
  readonly quiet?: boolean;
  /** How long its shell may take to answer, 60 s unless told. */
  readonly bootTimeoutMs?: number;
}

/** A Linux of its own in QEMU, with a shell on its console and nothing else. */
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
    try {
      await until(
        'a shell in the virtual machine',
        () => machine.#ended() || /\/ # /.test(machine.#said) || undefined,
        options.bootTimeoutMs ?? 60_000,
      );
      await machine.run('stty -echo; PS1=');
      return machine;
    } catch (error) {
      await machine.kill();
      throw error;
    }
  }

  /**
   * The place that another one migrates to. It listens by the time that its monitor answers.
   * @param from as QEMU's `-incoming` has it
   */
  static await(netns: Netns, options: MachineOptions, from: string): VirtualMachine {
    return VirtualMachine.#start(netns, options, ['-incoming', from]);
  }

  static #start(
    netns: Netns,
    options: MachineOptions,
    more: readonly string[] = [],
  ): VirtualMachine {
    const { netdev, qmp = [], drive, wrap = (argv) => [...argv] } = options;
    const machine = `q35,accel=${options.accelerator ?? 'tcg'}`;
    const argv = [
      ...[QEMU, '-nodefaults', '-no-user-config', '-machine', machine],
      ...['-m', `${options.memoryMib ?? 160}`],
      ...['-display', 'none', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', KERNEL, '-initrd', INITRAMFS, '-append', BOOT],
      ...['-netdev', `${netdev},id=net`],
      ...['-device', `virtio-net-pci,netdev=net,romfile=,mac=${MAC}`],
      ...(drive === undefined ? [] : ['-drive', `${drive},if=virtio`]),
      ...qmp.flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]),
      ...more,
    ];
    const complaints = options.quiet === true ? 'ignore' : 'inherit';
    const child = netns.spawn(wrap(argv), { stdio: ['pipe', 'pipe', complaints] });
    return new VirtualMachine(child);
  }

  /** Runs a line of shell to its end and gives what it said. @throws KagemushaError MACHINE_COMMAND when it fails */
  async run(line: string, timeoutMs = 30_000): Promise<string> {
    this.#said = '';
    this.#child.stdin?.write(`${line}\necho END"OF"$?\n`);
    const end = /ENDOF(\d+)\r?\n/;
    await until(line, () => this.#ended() || end.test(this.#said) || undefined, timeoutMs);
    const said = this.#said.replaceAll('\r', '');
    const code = end.exec(this.#said)?.[1];
    if (code !== '0') {
      const message = `in the virtual machine, ${line}: exit code ${code ?? 'none'}: ${said}`;
      throw new KagemushaError('MACHINE_COMMAND', message);
    }
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
    throw new KagemushaError('QEMU_ENDED', `QEMU ended (${signalCode ?? exitCode}): ${this.#said}`);
  }
}
