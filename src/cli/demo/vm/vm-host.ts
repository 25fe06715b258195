import type { GuestStatus } from '../../../daemon/status.js';
import { KagemushaError } from '../../../errors.js';
import { type Netns, until } from '../netns.js';
import { type Daemon, hostStatus, startDaemon } from '../processes.js';
import { bridgeTap } from '../testbed.js';
import { type MachineOptions, tapNetdev, VirtualMachine } from './machine.js';
import { Qmp } from './qmp.js';

/** QEMU's tap, on every host. */
export const VM_TAP = 'vmtap';

/** A tap for QEMU, a port of a bridge. */
export async function plug(netns: Netns, bridge: string): Promise<void> {
  await netns.ip(`tuntap add dev ${VM_TAP} mode tap`);
  await netns.sysctl({ [`net.ipv6.conf.${VM_TAP}.disable_ipv6`]: 1 });
  await netns.ip(`link set ${VM_TAP} master ${bridge} up`);
}

/** A machine of QEMU's, and a monitor of it that is not the daemon's. */
export interface Qemu {
  readonly machine: VirtualMachine;
  readonly qmp: Qmp;
}

export interface VmHostOptions {
  readonly netns: Netns;
  /** Undefined: on the home network. */
  readonly careOf: string | undefined;
  readonly files: { readonly config: string; readonly socket: string };
  /** Where the daemon listens to QEMU. */
  readonly monitor: string;
  /** Where the files of a machine are. */
  path(name: string): string;
}

export interface AwaitOptions extends Omit<MachineOptions, 'netdev' | 'qmp'> {
  /** Whether the daemon is told before that it comes (unless said otherwise), when it is there again, or has no monitor to tell it. */
  readonly daemon?: 'told' | 'later' | 'without';
}

/** A host of virtual machines with its daemon, which has `register = "qmp"` and listens to a monitor of its own. */
export class VmHost {
  readonly #options: VmHostOptions;
  #daemon: Daemon | undefined;
  #plugged = false;

  constructor(options: VmHostOptions) {
    this.#options = options;
  }

  get netns(): Netns {
    return this.#options.netns;
  }

  get careOf(): string | undefined {
    return this.#options.careOf;
  }

  get socket(): string {
    return this.#options.files.socket;
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('it was not started');
    return this.#daemon;
  }

  async start(): Promise<void> {
    const { config, socket } = this.#options.files;
    this.#daemon = await startDaemon(this.netns, 'host', config, socket);
    // At home the guest needs no tunnel: its tap is on the home link.
    if (this.careOf === undefined) return;
    await bridgeTap(this.netns);
    if (!this.#plugged) await plug(this.netns, 'br-vm1');
    this.#plugged = true;
  }

  async guest(): Promise<GuestStatus> {
    const [guest] = (await hostStatus(this.socket)).guests;
    if (guest === undefined) throw new Error('no guest');
    return guest;
  }

  /**
   * A machine for the guest to come to, which the daemon knows of.
   * @param name of its files @param from where it listens, as `-incoming` has it: a socket of that name unless told
   */
  async awaitGuest(
    name: string,
    from = `unix:${this.#options.path(name)}`,
    { daemon = 'told', ...more }: AwaitOptions = {},
  ): Promise<Qemu> {
    const path = this.#options.path(`${name}.qmp`);
    const monitors = daemon === 'without' ? [path] : [path, this.#options.monitor];
    const options = { ...more, netdev: tapNetdev(VM_TAP), qmp: monitors };
    const machine = VirtualMachine.await(this.netns, options, from);
    const qmp = await Qmp.connect(path);
    if (daemon === 'told') await this.machineIs('awaited');
    return { machine, qmp };
  }

  /** Waits until its monitor says so. */
  async machineIs(state: string): Promise<void> {
    await until(`a machine that is ${state}`, async () => {
      const { machine } = await this.guest();
      return machine?.state === state && machine.reason === undefined ? true : undefined;
    });
  }

  /** Waits until the daemon knows that it has ended. */
  async machineIsGone(): Promise<void> {
    const gone = async () => ((await this.guest()).machine?.state === 'gone' ? true : undefined);
    await until('a machine that is gone', gone);
  }

  async bindingIs(state: string): Promise<GuestStatus> {
    let seen: unknown;
    const probe = async () => {
      const guest = await this.guest();
      seen = guest.binding;
      return guest.binding.state === state ? guest : undefined;
    };
    return await until(`a binding that is ${state}`, probe, 20_000).catch((cause: Error) => {
      const message = `${cause.message}; it is ${JSON.stringify(seen)}`;
      throw new KagemushaError('NOT_REGISTERED', message, { cause });
    });
  }
}
