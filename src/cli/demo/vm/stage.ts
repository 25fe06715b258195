import { PAPER } from '../configuration.js';
import { answers } from '../measure.js';
import { chooseAccelerator } from './accelerator.js';
import { CountedStream } from './counted-stream.js';
import { Disk } from './disk.js';
import { Fleet } from './fleet.js';
import { HOME_NODES, HomeLan } from './home-lan.js';
import { type GuestOptions, VirtualHosts } from './hosts.js';
import type { VirtualMachine } from './machine.js';
import type { Qemu } from './vm-host.js';

const MEMORY_MIB = 128;

export interface StageOptions {
  /** The guest has a disk on the network. */
  readonly disk: boolean;
  /** Told what happens, a line at a time. */
  progress(line: string): void;
}

/** The hosts, and a guest at home that has a TCP stream, and perhaps a disk, in use. */
export interface Stage {
  readonly hosts: VirtualHosts;
  readonly fleet: Fleet;
  readonly lan: HomeLan;
  readonly home: Qemu;
  /** What the machine at the destination must be like. */
  readonly machine: GuestOptions & Required<Pick<GuestOptions, 'accelerator' | 'memoryMib'>>;
  /** As the guest calls it. */
  readonly kernel: string;
  readonly stream: CountedStream;
  readonly disk: Disk | undefined;
}

/** Sets the stage for `act` and takes everything away again. */
export async function onStage<T>(
  options: StageOptions,
  act: (stage: Stage) => Promise<T>,
): Promise<T> {
  options.progress(
    'building Host A, Home Agent, Host B and a correspondent, each in its namespace',
  );
  const away: (() => Promise<void>)[] = [];
  try {
    const hosts = await VirtualHosts.build();
    away.unshift(() => hosts.testbed.remove());
    const lan = await HomeLan.build(hosts.testbed);
    away.unshift(() => lan.remove());
    const fleet = await Fleet.build(hosts);
    away.unshift(() => fleet.remove());
    return await act(await prepare(fleet, lan, options));
  } finally {
    for (const remove of away) await remove();
  }
}

async function prepare(
  fleet: Fleet,
  lan: HomeLan,
  { disk: wanted, progress }: StageOptions,
): Promise<Stage> {
  const { correspondent, storage } = lan;
  const { hosts } = fleet;
  const { testbed } = hosts;
  const choosing = chooseAccelerator(testbed.hostA);
  progress('starting kagemusha home-agent and, on Host A and Host B, kagemusha host');
  await testbed.startHomeAgent();
  await fleet.a.start();
  await fleet.b.start();
  const accelerator = await choosing;
  const disk = wanted
    ? await Disk.serve(storage, HOME_NODES.storage, hosts.path('disk.raw'))
    : undefined;
  const drive = disk === undefined ? {} : { drive: disk.drive };
  const machine = { accelerator, memoryMib: MEMORY_MIB, ...drive };
  const how = accelerator === 'kvm' ? 'KVM' : 'software emulation, no KVM that works here';
  const disks = disk === undefined ? '' : `, disk ${disk.url}`;
  progress(`booting a virtual machine of ${MEMORY_MIB} MB on Host A (${how}${disks})`);
  const home = await fleet.boot(machine);
  await fillMemory(home.machine);
  const kernel = (await home.machine.run('uname -sr')).trim();
  await disk?.startWriting(home.machine);
  await answers(correspondent, PAPER.guest);
  const stream = await CountedStream.open(home.machine, correspondent, HOME_NODES.correspondent);
  return { hosts, fleet, lan, home, machine, kernel, stream, disk };
}

/** As in a machine that has been up for a while, few of its pages are empty: QEMU does not copy those. */
async function fillMemory(machine: VirtualMachine): Promise<void> {
  await machine.run('mkdir /fill; mount -t tmpfs -o size=100% tmpfs /fill');
  const free = "$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)";
  const dd = `dd if=/dev/urandom of=/fill/pages bs=1M count=$((${free} - 16)) 2>/dev/null`;
  await machine.run(dd, 60_000);
}
