import { join } from 'node:path';
import { KagemushaError } from '../../../errors.js';
import { PAPER } from '../configuration.js';
import { answers } from '../measure.js';
import { buildTestbed, type Testbed, type TestbedOptions } from '../testbed.js';
import { type MachineOptions, tapNetdev, VirtualMachine } from './machine.js';
import { Qmp } from './qmp.js';
import { plug, type Qemu, VM_TAP, VmHost } from './vm-host.js';

/** What may be chosen of a machine that is plugged in. */
export interface GuestOptions extends Omit<MachineOptions, 'netdev' | 'qmp'> {
  /** Paths of further monitors, that of a daemon say. */
  readonly monitors?: readonly string[];
}

/** Octets a second that no wire here reaches. */
const AS_FAST_AS_IT_GOES = 1_000_000_000;

/**
 * The paper's testbed with a virtual machine for a guest: Host A on the home link, where nobody knows of Mobile IPv6, and Host B,
 * whose daemon has `register = "qmp"`. Who built it takes its testbed away.
 */
export class VirtualHosts {
  readonly testbed: Testbed;
  readonly hostB: VmHost;

  private constructor(testbed: Testbed, hostB: VmHost) {
    this.testbed = testbed;
    this.hostB = hostB;
  }

  /** Builds it; starts no daemon. */
  static async build(options: TestbedOptions = {}): Promise<VirtualHosts> {
    const testbed = await buildTestbed({ ...options, register: 'qmp' });
    try {
      const { files, hostA, hostB } = testbed;
      const monitor = join(files.run, 'b.qmp');
      await testbed.configure({ guest: `qmp = "${monitor}"` });
      // The testbed's own guest has the same home address.
      await hostA.ip('link set vm1 down');
      await plug(hostA, 'home0');
      const path = (name: string): string => join(testbed.directory, name);
      const at = { config: files.host, socket: files.hostSocket };
      const host = { netns: hostB, careOf: PAPER.careOf, files: at, monitor, path };
      return new VirtualHosts(testbed, new VmHost(host));
    } catch (error) {
      await testbed.remove();
      throw error;
    }
  }

  path(name: string): string {
    return join(this.testbed.directory, name);
  }

  /** The guest, booted at home, with its address. */
  async boot({ monitors = [], ...options }: GuestOptions = {}): Promise<Qemu> {
    const qmp = this.path('a.qmp');
    const machine = await VirtualMachine.boot(this.testbed.hostA, {
      ...options,
      netdev: tapNetdev(VM_TAP),
      qmp: [qmp, ...monitors],
    });
    await machine.run(
      `ip link set lo up; ip link set eth0 up; ip -6 addr add ${PAPER.guest}/64 dev eth0`,
    );
    await machine.run(`ip -6 route add default via ${PAPER.homeRouter} dev eth0`);
    await answers(this.testbed.hostA, PAPER.guest);
    return { machine, qmp: await Qmp.connect(qmp) };
  }

  /**
   * Migrates it, as fast as it goes unless told, and waits until all of it is there.
   * @param to as `migrate` of QEMU has it @throws KagemushaError MIGRATION_FAILED
   */
  async migrate(
    { qmp }: Qemu,
    to: string,
    parameters: object = { 'max-bandwidth': AS_FAST_AS_IT_GOES },
  ): Promise<void> {
    await qmp.do('migrate-set-parameters', parameters);
    const before = qmp.events.length;
    await qmp.do('migrate', { uri: to });
    const { data } = await qmp.event('MIGRATION', /^(completed|failed)$/, before);
    if (data.status !== 'failed') return;
    const said = (await qmp.do('query-migrate')) as { 'error-desc'?: string };
    throw new KagemushaError(
      'MIGRATION_FAILED',
      `QEMU: ${said['error-desc'] ?? 'no reason given'}`,
    );
  }
}
