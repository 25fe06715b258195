import { copyFile } from 'node:fs/promises';
import { PAPER } from '../configuration.js';
import { answers, Pinging, shapeWire } from '../measure.js';
import { until } from '../netns.js';
import { thisMachine } from '../this-machine.js';
import { chooseAccelerator } from './accelerator.js';
import { type Marks, split } from './blackout.js';
import { CountedStream } from './counted-stream.js';
import { Disk } from './disk.js';
import { type Echo, gapAround, readEchoes, statistics } from './echoes.js';
import type { Qemu } from './foreign-host.js';
import { HOME_NODES, HomeLan } from './home-lan.js';
import { type GuestOptions, VirtualHosts } from './hosts.js';
import type { VirtualMachine } from './machine.js';
import type { VmResult } from './result.js';
import { ArrivalCapture } from './wan.js';

export interface VmStoryOptions {
  /** The guest has a disk on the network. */
  readonly disk: boolean;
  /** Keep the capture of Host B's WAN here. */
  readonly capture?: string;
  /** Told what happens, a line at a time. */
  progress(line: string): void;
}

/** All but where the figure is. */
export type VmStory = Omit<VmResult, 'figure'>;

/** The paper's. */
const RATE = '100mbit';
const MEMORY_MIB = 128;
const PING_INTERVAL_MS = 100;

/** Where QEMU listens for the guest. In the range for private use (RFC 6335). */
const DESTINATION = `tcp:[${PAPER.hostB}]:49600`;
const BEFORE_MS = 5000;
const AFTER_MS = 8000;
/** Echo requests that must all be answered in the end. */
const REACHABLE = 20;

/** The paper's section 3.3: a machine of 128 MB migrates over a WAN of 100 Mbit/s. Takes everything away again. */
export async function runVmStory(options: VmStoryOptions): Promise<VmStory> {
  const { progress } = options;
  progress('building Host A, Home Agent, Host B and a correspondent, each in its namespace');
  const hosts = await VirtualHosts.build();
  try {
    const lan = await HomeLan.build(hosts.testbed);
    try {
      return await new Move(hosts, lan, options).run();
    } finally {
      await lan.remove();
    }
  } finally {
    await hosts.testbed.remove();
  }
}

/** One run of it. */
class Move {
  readonly #hosts: VirtualHosts;
  readonly #lan: HomeLan;
  readonly #options: VmStoryOptions;

  constructor(hosts: VirtualHosts, lan: HomeLan, options: VmStoryOptions) {
    this.#hosts = hosts;
    this.#lan = lan;
    this.#options = options;
  }

  async run(): Promise<VmStory> {
    const { correspondent, storage } = this.#lan;
    const { testbed, hostB } = this.#hosts;
    const { progress } = this.#options;
    const choosing = chooseAccelerator(testbed.hostA);
    progress('starting kagemusha home-agent and, on Host B, kagemusha host');
    await testbed.startHomeAgent();
    await hostB.start();
    const accelerator = await choosing;
    const disk = this.#options.disk
      ? await Disk.serve(storage, HOME_NODES.storage, this.#hosts.path('disk.raw'))
      : undefined;
    const options: GuestOptions = {
      accelerator,
      memoryMib: MEMORY_MIB,
      ...(disk === undefined ? {} : { drive: disk.drive }),
    };
    const how = accelerator === 'kvm' ? 'KVM' : 'software emulation, no KVM that works here';
    const disks = disk === undefined ? '' : `, disk ${disk.url}`;
    progress(`booting a virtual machine of ${MEMORY_MIB} MB on Host A (${how}${disks})`);
    const home = await this.#hosts.boot(options);
    await fillMemory(home.machine);
    const kernel = (await home.machine.run('uname -sr')).trim();
    await disk?.startWriting(home.machine);
    await answers(correspondent, PAPER.guest);
    const stream = await CountedStream.open(home.machine, correspondent, HOME_NODES.correspondent);

    progress(`WAN and Host A's cable at ${RATE}; the correspondent pings ${PAPER.guest}`);
    await shapeWire([testbed.homeAgent, testbed.hostB], RATE);
    await this.#lan.shape(RATE);
    const pinging = new Pinging(correspondent, PAPER.guest, PING_INTERVAL_MS, ['-D', '-O']);
    const command = `ping -6 -n -D -O -i ${PING_INTERVAL_MS / 1000} ${PAPER.guest}`;
    const echoes = (): Echo[] => readEchoes(pinging.output, PING_INTERVAL_MS);
    await echoesFor(echoes, BEFORE_MS);

    const capture = await ArrivalCapture.start(testbed.hostB, (name) => this.#hosts.path(name));
    const there = await hostB.awaitGuest('arrival', DESTINATION, options);
    const written = disk === undefined ? 0 : await Disk.written(home.machine);
    const bytesBefore = stream.report.bytes;
    progress(`QEMU migrates it to Host B, ${DESTINATION}`);
    const { copy, stop, resume, figures } = await this.#migrate(home, there);
    await home.machine.kill();
    progress(`it runs on Host B, ${(resume - stop).toFixed(0)} ms after it stopped on Host A`);
    const guest = await hostB.bindingIs('registered');
    progress(`registered with the Home Agent, status ${guest.binding.status}`);
    await answers(correspondent, PAPER.guest);
    await stream.goesOn();
    await echoesFor(echoes, AFTER_MS);
    const bytesAfter = stream.report.bytes - bytesBefore;
    const { error, longestGapMs } = stream.report;
    await pinging.stop();
    const seen = await capture.read();
    if (this.#options.capture !== undefined) await copyFile(capture.file, this.#options.capture);
    const intact = await disk?.check(there.machine, written);
    await stream.close();
    await there.machine.kill();
    await disk?.close();

    const marks: Marks = { copy, stop, resume, ...seen };
    const all = echoes();
    const blackout = split(marks);
    const back = stop + blackout.total_ms;
    return {
      schemaVersion: 1,
      date: new Date().toISOString(),
      command: `kagemusha demo --vm${disk === undefined ? '' : ' --disk'} --json`,
      virtual_machine: {
        hypervisor: figures.hypervisor,
        accelerator,
        memory_mib: MEMORY_MIB,
        kernel,
      },
      migration: {
        uri: DESTINATION,
        wan: RATE,
        octets: figures.octets,
        total_ms: figures.total,
        downtime_ms: figures.downtime,
      },
      marks: {
        stop_ms: stop - copy,
        resume_ms: resume - copy,
        binding_update_ms: seen.update - copy,
        binding_acknowledgement_ms: seen.acknowledgement - copy,
        first_packet_ms: seen.first - copy,
      },
      blackout,
      binding: {
        state: guest.binding.state,
        status: guest.binding.status,
        homeAddress: PAPER.guest,
        careOfAddress: PAPER.careOf,
        homeAgent: PAPER.homeAgent,
        protection: guest.protection,
        arrival:
          guest.arrival === undefined
            ? undefined
            : { trigger_ms: guest.arrival.trigger, answer_ms: guest.arrival.answer },
      },
      ping: {
        command,
        interval_ms: PING_INTERVAL_MS,
        reachable_after:
          all.length > REACHABLE && all.slice(-REACHABLE).every(({ rtt }) => rtt !== undefined),
        gap_ms: gapAround(all, stop),
        before: statistics(all.filter(({ sentAt }) => sentAt < copy)),
        copy: statistics(all.filter(({ sentAt }) => sentAt >= copy && sentAt < stop)),
        after: statistics(all.filter(({ sentAt }) => sentAt >= back)),
        echoes: all.map(({ sentAt, rtt }) => ({ at_ms: sentAt - copy, rtt_ms: rtt ?? null })),
      },
      tcp: {
        alive: error === undefined && bytesAfter > 0,
        bytes_before_move: bytesBefore,
        bytes_after_move: bytesAfter,
        longest_gap_ms: longestGapMs,
        ...(error === undefined ? {} : { error }),
      },
      ...(intact === undefined ? {} : { disk: intact }),
      capture: {
        binding_update: seen.packets.protected_binding_update,
        binding_acknowledgement: seen.packets.protected_binding_acknowledgement,
        first_packet: seen.packets.first_packet,
        command: capture.command,
        ...(this.#options.capture === undefined ? {} : { file: this.#options.capture }),
      },
      machine: thisMachine(),
    };
  }

  /** The migration, with QEMU's own times of STOP and RESUME (milliseconds since 1970). */
  async #migrate(home: Qemu, there: Qemu) {
    const before = home.qmp.events.length;
    const copy = Date.now();
    await this.#hosts.migrate(home, DESTINATION);
    const { at: stop } = await home.qmp.event('STOP', undefined, before);
    const { at: resume } = await there.qmp.event('RESUME');
    const said = (await home.qmp.do('query-migrate')) as {
      'total-time'?: number;
      downtime?: number;
      ram?: { transferred?: number };
    };
    const version = (await home.qmp.do('query-version')) as {
      qemu: { major: number; minor: number; micro: number };
    };
    const { major, minor, micro } = version.qemu;
    const figures = {
      hypervisor: `QEMU ${major}.${minor}.${micro}`,
      octets: said.ram?.transferred ?? Number.NaN,
      total: said['total-time'] ?? Number.NaN,
      downtime: said.downtime ?? Number.NaN,
    };
    return { copy, stop, resume, figures };
  }
}

/** As in a machine that has been up for a while, few of its pages are empty: QEMU does not copy those. */
async function fillMemory(machine: VirtualMachine): Promise<void> {
  await machine.run('mkdir /fill; mount -t tmpfs -o size=100% tmpfs /fill');
  await machine.run(
    "free=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo); dd if=/dev/urandom of=/fill/pages bs=1M count=$((free - 16)) 2>/dev/null",
    60_000,
  );
}

/** Waits until echo requests have left over such a time. */
async function echoesFor(echoes: () => readonly Echo[], ms: number): Promise<void> {
  const begun = Date.now();
  await until('echo requests', () =>
    (echoes().at(-1)?.sentAt ?? begun) - begun > ms ? true : undefined,
  );
}
