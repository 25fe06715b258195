import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import { type Daemon, hostStatus, startDaemon } from '../../src/cli/demo/processes.js';
import {
  bridgeTap,
  buildTestbed,
  type Testbed,
  type TestbedOptions,
  wireForeign,
} from '../../src/cli/demo/testbed.js';
import type { GuestStatus } from '../../src/daemon/status.js';
import { answers } from './journey.js';
import { Qmp } from './qmp.js';
import { tapNetdev, VirtualMachine } from './virtual-machine.js';

/** The second foreign network, where Host C is. */
const SECOND = { device: 'wan1', router: '2001:db8:4000::1', address: '2001:db8:4000::3' };
const SECOND_CARE_OF = '2001:db8:4000::44';

/** A tap for QEMU, a port of a bridge. */
async function plug(netns: Netns, device: string, bridge: string): Promise<void> {
  await netns.ip(`tuntap add dev ${device} mode tap`);
  await netns.sysctl({ [`net.ipv6.conf.${device}.disable_ipv6`]: 1 });
  await netns.ip(`link set ${device} master ${bridge} up`);
}

/** A machine of QEMU's, and the test's own monitor of it. */
export interface Qemu {
  readonly machine: VirtualMachine;
  readonly qmp: Qmp;
}

/** A foreign host with its daemon, which listens to a monitor of its own. */
export class ForeignHost {
  readonly netns: Netns;
  readonly careOf: string;
  readonly #files: { readonly config: string; readonly socket: string };
  readonly #monitor: string;
  readonly #path: (name: string) => string;
  #daemon: Daemon | undefined;
  #plugged = false;

  constructor(
    netns: Netns,
    careOf: string,
    files: { readonly config: string; readonly socket: string },
    monitor: string,
    path: (name: string) => string,
  ) {
    this.netns = netns;
    this.careOf = careOf;
    this.#files = files;
    this.#monitor = monitor;
    this.#path = path;
  }

  get socket(): string {
    return this.#files.socket;
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('it was not started');
    return this.#daemon;
  }

  async start(): Promise<void> {
    this.#daemon = await startDaemon(this.netns, 'host', this.#files.config, this.#files.socket);
    await bridgeTap(this.netns);
    if (!this.#plugged) await plug(this.netns, 'vmtap', 'br-vm1');
    this.#plugged = true;
  }

  async guest(): Promise<GuestStatus> {
    const [guest] = (await hostStatus(this.#files.socket)).guests;
    if (guest === undefined) throw new Error('no guest');
    return guest;
  }

  /** A machine for the guest to come to. @param from makes the socket by which it comes */
  async awaitGuest(from: string): Promise<Qemu> {
    const qmp = this.#path(`${from}.qmp`);
    const options = { netdev: tapNetdev('vmtap'), qmp: [qmp, this.#monitor] };
    const machine = await VirtualMachine.await(this.netns, options, this.#path(from));
    await this.machineIs('awaited');
    return { machine, qmp: await Qmp.connect(qmp) };
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

  async bindingIs(state: string): Promise<void> {
    let seen: unknown;
    const probe = async () => {
      const { binding } = await this.guest();
      seen = binding;
      return binding.state === state ? true : undefined;
    };
    await until(`a binding that is ${state}`, probe, 20_000).catch((cause: Error) => {
      throw new Error(`${cause.message}; it is ${JSON.stringify(seen)}`, { cause });
    });
  }
}

/**
 * The paper's testbed with a virtual machine for a guest: Host A on the home link, where nobody knows of Mobile IPv6, and foreign hosts
 * whose daemons have `register = "qmp"`.
 */
export class VirtualHosts {
  readonly testbed: Testbed;
  readonly hostB: ForeignHost;

  private constructor(testbed: Testbed, hostB: ForeignHost) {
    this.testbed = testbed;
    this.hostB = hostB;
  }

  static async build(t: Test, options: TestbedOptions = {}): Promise<VirtualHosts> {
    const testbed = await buildTestbed({ ...options, register: 'qmp' });
    t.teardown(() => testbed.remove());
    const { files, hostA, hostB } = testbed;
    const monitor = join(files.run, 'b.qmp');
    await testbed.configure({ guest: `qmp = "${monitor}"` });
    // The testbed's own guest has the same home address.
    await hostA.ip('link set vm1 down');
    await testbed.startHomeAgent();
    await plug(hostA, 'vmtap', 'home0');
    const path = (name: string): string => join(testbed.directory, name);
    const at = { config: files.host, socket: files.hostSocket };
    return new VirtualHosts(testbed, new ForeignHost(hostB, PAPER.careOf, at, monitor, path));
  }

  /** Another foreign host, on another network. */
  async hostC(t: Test): Promise<ForeignHost> {
    const { testbed } = this;
    const netns = await Netns.create(`${testbed.hostB.name}c`);
    t.teardown(() => netns.remove());
    await wireForeign(testbed.homeAgent, netns, SECOND);
    const socket = this.path('c.sock');
    const monitor = this.path('c.qmp');
    const config = this.path('c.toml');
    const text = (await readFile(testbed.files.host, 'utf8'))
      .replace(testbed.files.hostSocket, socket)
      .replace(/^state_directory = .*$/m, `state_directory = "${this.path('c')}"`)
      .replace(/^qmp = .*$/m, `qmp = "${monitor}"`)
      .replace(`"${PAPER.careOf}"`, `"${SECOND_CARE_OF}"`);
    await writeFile(config, text);
    const files = { config, socket };
    return new ForeignHost(netns, SECOND_CARE_OF, files, monitor, (name) => this.path(name));
  }

  path(name: string): string {
    return join(this.testbed.directory, name);
  }

  /** The guest, booted at home, with its address. */
  async boot(): Promise<Qemu> {
    const qmp = this.path('a.qmp');
    const machine = await VirtualMachine.boot(this.testbed.hostA, {
      netdev: tapNetdev('vmtap'),
      qmp: [qmp],
    });
    await machine.run(
      `ip link set lo up; ip link set eth0 up; ip -6 addr add ${PAPER.guest}/64 dev eth0`,
    );
    await machine.run(`ip -6 route add default via ${PAPER.homeRouter} dev eth0`);
    await answers(this.testbed.hostA, PAPER.guest);
    return { machine, qmp: await Qmp.connect(qmp) };
  }

  /** Migrates it, as fast as it goes, and waits until all of it is there. */
  async migrate({ qmp }: Qemu, from: string): Promise<void> {
    await qmp.do('migrate-set-parameters', { 'max-bandwidth': 1_000_000_000 });
    const before = qmp.events.length;
    await qmp.do('migrate', { uri: `unix:${this.path(from)}` });
    await qmp.event('MIGRATION', 'completed', before);
  }
}
