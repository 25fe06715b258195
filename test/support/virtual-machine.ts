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

  /**
   * Boots one whose network card is the stream socket at `socket`; resolves when its shell answers.
   *
   * @param wrap makes QEMU's command another's, that of another user say
   */
  static async boot(
    netns: Netns,
    socket: string,
    wrap: (argv: readonly string[]) => string[] = (argv) => [...argv],
  ): Promise<VirtualMachine> {
    const argv = [
      ...[QEMU, '-nodefaults', '-no-user-config', '-machine', 'q35,accel=tcg', '-m', '160'],
      ...['-display', 'none', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', KERNEL, '-initrd', INITRAMFS, '-append', 'console=ttyS0 quiet panic=-1'],
      ...['-netdev', `stream,id=net,server=on,addr.type=unix,addr.path=${socket}`],
      ...['-device', `virtio-net-pci,netdev=net,romfile=,mac=${MAC}`],
    ];
    const child = netns.spawn(wrap(argv), { stdio: ['pipe', 'pipe', 'inherit'] });
    const machine = new VirtualMachine(child);
    await until(
      'a shell in the virtual machine',
      () => machine.#ended() || /\/ # /.test(machine.#said) || undefined,
      60_000,
    );
    await machine.run('stty -echo; PS1=');
    return machine;
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

  /** As `kill -9` does; resolves when it is gone. */
  async kill(): Promise<void> {
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
