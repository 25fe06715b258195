import { copyFile } from 'node:fs/promises';
import { PAPER } from '../configuration.js';
import { Pinging, shapeWire } from '../measure.js';
import { until } from '../netns.js';
import { Disk } from './disk.js';
import { type Echo, readEchoes } from './echoes.js';
import type { VirtualHosts } from './hosts.js';
import { type Migration, report, type VmStory } from './report.js';
import { onStage, type Stage, type StageOptions } from './stage.js';
import type { Qemu } from './vm-host.js';
import { ArrivalCapture } from './wan.js';

export interface VmStoryOptions extends StageOptions {
  /** Keep the capture of Host B's WAN here. */
  readonly capture?: string;
}

/** The paper's. */
const WAN_BPS = 100_000_000;
const PING_INTERVAL_MS = 100;

/** Where QEMU listens for the guest. In the range for private use (RFC 6335). */
const DESTINATION = `tcp:[${PAPER.hostB}]:49600`;
const BEFORE_MS = 5000;
const AFTER_MS = 8000;

/** The paper's section 3.3: a machine of 128 MB migrates over a WAN of 100 Mbit/s. Takes everything away again. */
export async function runVmStory(options: VmStoryOptions): Promise<VmStory> {
  return await onStage(options, async (stage) => await act(stage, options));
}

async function act(stage: Stage, { capture: keep, progress }: VmStoryOptions): Promise<VmStory> {
  const { hosts, fleet, lan, home, stream, disk } = stage;
  const { testbed } = hosts;
  const hostB = fleet.b;
  progress(
    `WAN and Host A's cable at ${WAN_BPS / 1e6} Mbit/s; the correspondent pings ${PAPER.guest}`,
  );
  await shapeWire([testbed.homeAgent, testbed.hostB], `${WAN_BPS}bit`);
  await lan.shape(`${WAN_BPS}bit`);
  const pinging = new Pinging(lan.correspondent, PAPER.guest, PING_INTERVAL_MS, ['-D', '-O']);
  const echoes = (): Echo[] => readEchoes(pinging.output, PING_INTERVAL_MS);
  await echoesFor(echoes, BEFORE_MS);

  const capture = await ArrivalCapture.start(testbed.hostB, (name) => hosts.path(name));
  const there = await hostB.awaitGuest('arrival', DESTINATION, stage.machine);
  progress(`QEMU migrates it to Host B, ${DESTINATION}`);
  const migration = await migrate(hosts, home, there);
  await home.machine.kill();
  const recordsBefore = disk === undefined ? 0 : await Disk.written(there.machine);
  const bytesBefore = stream.report.bytes;
  const stood = (migration.resume - migration.stop).toFixed(0);
  progress(`it runs on Host B, ${stood} ms after it stopped on Host A`);
  const guest = await hostB.bindingIs('registered');
  progress(`registered with the Home Agent, status ${guest.binding.status}`);
  await until('an echo from the guest', () =>
    echoes().some(({ sentAt, rtt }) => sentAt > migration.resume && rtt !== undefined)
      ? true
      : undefined,
  );
  await stream.goesOn();
  await echoesFor(echoes, AFTER_MS);
  const streamed = stream.report;
  await pinging.stop();
  const seen = await capture.read();
  if (keep !== undefined) await copyFile(capture.file, keep);
  const checked = await disk?.check(there.machine, recordsBefore);
  await stream.close();
  await there.machine.kill();
  await disk?.close();
  return report({
    stage,
    migration,
    seen,
    guest,
    ping: { command: pinging.command, interval: PING_INTERVAL_MS, echoes: echoes() },
    stream: { before: bytesBefore, report: streamed },
    capture: {
      command: capture.command,
      ...(keep === undefined ? {} : { file: keep }),
    },
    ...(checked === undefined ? {} : { disk: checked }),
  });
}

/** The migration, with QEMU's own times and figures. */
async function migrate(hosts: VirtualHosts, home: Qemu, there: Qemu): Promise<Migration> {
  const before = home.qmp.events.length;
  const copy = Date.now();
  await hosts.migrate(home, DESTINATION);
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
  return {
    copy,
    stop,
    resume,
    uri: DESTINATION,
    wanBps: WAN_BPS,
    hypervisor: `QEMU ${major}.${minor}.${micro}`,
    octets: said.ram?.transferred ?? Number.NaN,
    totalMs: said['total-time'] ?? Number.NaN,
    downtimeMs: said.downtime ?? Number.NaN,
  };
}

/** Waits until echo requests have left over such a time. */
async function echoesFor(echoes: () => readonly Echo[], ms: number): Promise<void> {
  const begun = Date.now();
  await until('echo requests', () =>
    (echoes().at(-1)?.sentAt ?? begun) - begun > ms ? true : undefined,
  );
}
