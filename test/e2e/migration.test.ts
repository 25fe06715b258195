import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { buildTestbed, type Testbed } from '../../src/cli/demo/testbed.js';
import { answers, end, homeIs, twenty } from '../support/journey.js';
import { captureOn, tsharkFields } from '../support/judge.js';
import { Qmp } from '../support/qmp.js';
import { noVirtualMachine, tapNetdev, VirtualMachine } from '../support/virtual-machine.js';

/** A tap for QEMU, a port of a bridge. */
async function plug(netns: Netns, device: string, bridge: string): Promise<void> {
  await netns.ip(`tuntap add dev ${device} mode tap`);
  await netns.sysctl({ [`net.ipv6.conf.${device}.disable_ipv6`]: 1 });
  await netns.ip(`link set ${device} master ${bridge} up`);
}

/** A machine of QEMU's: the test's own monitor, and one for the daemon. */
interface Qemu {
  readonly machine: VirtualMachine;
  readonly qmp: Qmp;
}

/** Host A on the home link, where nobody knows of Mobile IPv6, and Host B with the daemon; the guest is a virtual machine. */
class Hosts {
  readonly testbed: Testbed;
  /** The monitor that Host B's daemon listens to. */
  readonly monitor: string;
  #count = 0;

  private constructor(testbed: Testbed, monitor: string) {
    this.testbed = testbed;
    this.monitor = monitor;
  }

  static async build(t: Test): Promise<Hosts> {
    const testbed = await buildTestbed({ register: 'qmp', protection: 'none' });
    t.teardown(() => testbed.remove());
    const monitor = join(testbed.files.run, 'daemon.qmp');
    await testbed.configure({ guest: `qmp = "${monitor}"` });
    // The testbed's own guest has the same home address.
    await testbed.hostA.ip('link set vm1 down');
    await testbed.startHomeAgent();
    await plug(testbed.hostA, 'vma', 'home0');
    return new Hosts(testbed, monitor);
  }

  path(name: string): string {
    return join(this.testbed.directory, name);
  }

  /** The guest, booted at home, with its address. */
  async boot(): Promise<Qemu> {
    const qmp = this.path('a.qmp');
    const machine = await VirtualMachine.boot(this.testbed.hostA, {
      netdev: tapNetdev('vma'),
      qmp: [qmp],
    });
    await machine.run(
      `ip link set lo up; ip link set eth0 up; ip -6 addr add ${PAPER.guest}/64 dev eth0`,
    );
    await machine.run(`ip -6 route add default via ${PAPER.homeRouter} dev eth0`);
    await answers(this.testbed.hostA, PAPER.guest);
    return { machine, qmp: await Qmp.connect(qmp) };
  }

  /** Host B's machine, for the guest to come to; `from`: the socket by which it comes. */
  async awaitGuest(): Promise<Qemu & { readonly from: string }> {
    this.#count += 1;
    const from = this.path(`migration${this.#count}`);
    const qmp = this.path(`b${this.#count}.qmp`);
    const options = { netdev: tapNetdev('vmb'), qmp: [qmp, this.monitor] };
    const machine = await VirtualMachine.await(this.testbed.hostB, options, from);
    return { machine, from, qmp: await Qmp.connect(qmp) };
  }

  /** Waits until Host B's monitor says so. */
  async machineIs(state: string): Promise<void> {
    await until(`a machine that is ${state}`, async () => {
      const machine = (await this.testbed.hostStatus()).guests[0]?.machine;
      return machine?.state === state && machine.reason === undefined ? true : undefined;
    });
  }
}

const skip = noVirtualMachine;

t.test(
  'a machine migrates to Host B, which registers it when it runs there',
  { skip, timeout: 240_000 },
  async (t) => {
    const hosts = await Hosts.build(t);
    const { testbed } = hosts;
    const { hostA, hostB, files } = testbed;
    const host = await testbed.startHost();
    await plug(hostB, 'vmb', 'br-vm1');
    t.match((await testbed.hostStatus()).guests[0], {
      binding: { state: 'idle' },
      machine: { state: 'unknown', reason: `waiting for QEMU's monitor at ${hosts.monitor}` },
    });
    const home = await hosts.boot();
    const there = await hosts.awaitGuest();
    await hosts.machineIs('awaited');

    // A migration that is cancelled: nothing was said in the guest's name.
    const capture = await captureOn(hostB, 'wan0', hosts.path('wan.pcap'), 'ip6');
    await home.qmp.do('migrate-set-parameters', { 'max-bandwidth': 1_000_000 });
    await home.qmp.do('migrate', { uri: `unix:${there.from}` });
    await home.qmp.event('MIGRATION', 'active');
    await home.qmp.do('migrate_cancel');
    await home.qmp.event('MIGRATION', 'cancelled');
    await there.machine.kill();
    await answers(hostA, PAPER.guest);

    const again = await hosts.awaitGuest();
    await hosts.machineIs('awaited');
    await home.qmp.do('migrate-set-parameters', { 'max-bandwidth': 1_000_000_000 });
    await home.qmp.do('migrate', { uri: `unix:${again.from}` });
    await home.qmp.event('MIGRATION', 'completed');
    const resume = await again.qmp.event('RESUME');
    await testbed.registered();
    await answers(hostA, PAPER.guest);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'echoes from home');
    t.match(
      await again.machine.run(`ping6 -c 5 -i 0.1 ${PAPER.hostA}`),
      / 0% packet loss/,
      'and from the guest, which has its address',
    );
    await home.machine.kill();
    await capture.stop();
    const updates = await tsharkFields(capture.file, 'mip6.mhtype == 5', ['frame.time_epoch']);
    const [first = ''] = updates[0] ?? [];
    const trigger = Number(first) * 1000 - resume.at;
    t.comment(`RESUME to Binding Update: ${trigger.toFixed(2)} ms`);
    t.ok(trigger > -1 && trigger < 1000, 'and no other came before');

    // The daemon ends and starts again: the monitor says that the machine runs here.
    await end(host, 'SIGKILL');
    await testbed.startHost();
    await hosts.machineIs('running');
    await testbed.registered();
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'after a restart of the daemon');

    // By hand, as a script of another hypervisor would.
    const kagemusha = (...words: string[]) => hostB.run(nodeCommand(KAGEMUSHA, ...words));
    t.match(await kagemusha('release', 'vm1', '--socket', files.hostSocket), /^vm1: released;/);
    t.match((await testbed.hostStatus()).guests[0]?.binding, { state: 'idle' });
    const { bindings } = await homeAgentStatus(files.homeAgentSocket);
    t.equal(bindings.length, 1, 'the Home Agent was told nothing');
    t.equal((await ping(hostA, PAPER.guest, 1, 500)).received, 0, 'and no packet passes here');
    t.match(await kagemusha('adopt', 'vm1', '--socket', files.hostSocket), /^vm1: registered/);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'adopted again');

    // The machine ends.
    await again.qmp.do('quit');
    await homeIs(testbed, 'no registration', ({ state }) => state === 'idle');
  },
);
