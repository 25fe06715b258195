import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { shapeWire } from '../../src/cli/demo/measure.js';
import { machine } from '../machine.js';
import { type Bed, buildBed, forget } from './bed.js';
import {
  type Amounts,
  BusyCores,
  type Measure,
  QUICK_MEASURES,
  SHAPED_MEASURES,
  WIRE_MEASURES,
} from './measures.js';
import { NotHere, type Row, rowsOf, type Turn } from './rows.js';
import { significant } from './statistics.js';
import { summarise } from './summary.js';
import type { Figures, PathResult, Profile, Run, Skipped } from './types.js';

export interface PathOptions {
  readonly rows: readonly Row[];
  readonly profiles: readonly Profile[];
  readonly rounds: number;
  /** Short runs of a few measures: shows that all works, and no more. */
  readonly quick: boolean;
  /** How to get such a result. */
  readonly command: string;
  /** Told what happens, a line at a time. */
  progress(line: string): void;
}

const FULL: Amounts = {
  tcpSeconds: 3,
  omitSeconds: 1,
  udpSeconds: 2,
  pacedSeconds: 1,
  pings: 300,
  floodSeconds: 1,
};
const QUICK: Amounts = {
  tcpSeconds: 1,
  omitSeconds: 0,
  udpSeconds: 1,
  pacedSeconds: 1,
  pings: 50,
  floodSeconds: 1,
};
const SHAPED_RATE = '100mbit';
/** How long the machine is watched before anything runs, milliseconds. */
const BACKGROUND = 2000;

/** Runs the rows in turns, A B C A B C …, in namespaces that are made here and taken away. Needs a sandbox's rights. */
export async function runPath(options: PathOptions): Promise<PathResult> {
  const began = performance.now();
  const where = machine();
  const before = new BusyCores();
  await sleep(options.quick ? BACKGROUND / 10 : BACKGROUND);
  const background = before.sinceThen();
  if (background > 0.1) {
    options.progress(
      `${background.toFixed(2)} cores are busy with something else: the figures will say little`,
    );
  }
  options.progress('building correspondent, router and host, each in its namespace');
  const bed = await buildBed();
  const runs: Run[] = [];
  const skipped = new Map<string, string>();
  try {
    for (const profile of options.profiles) {
      if (profile === 'shaped') await shapeWire([bed.router, bed.host], SHAPED_RATE);
      await rounds(bed, profile, options, runs, skipped);
      if (profile === 'shaped') await shapeWire([bed.router, bed.host], undefined);
    }
    return {
      schemaVersion: 1,
      date: new Date().toISOString(),
      machine: where,
      versions: versions(),
      command: options.command,
      kernel_tunnel: bed.kernel.kind,
      background_busy_cores: significant(background, 2),
      rounds: options.rounds,
      seconds: Math.round((performance.now() - began) / 1000),
      profiles: options.profiles.map((name) => ({
        name,
        rows: summarise(name, rowsOf(name, options.rows), runs),
      })),
      skipped: [...skipped].map(([name, reason]): Skipped => ({ name, reason })),
      runs,
    };
  } finally {
    await bed.remove();
  }
}

function measuresOf(profile: Profile, quick: boolean): readonly Measure[] {
  if (profile === 'shaped') return SHAPED_MEASURES;
  return quick ? QUICK_MEASURES : WIRE_MEASURES;
}

async function rounds(
  bed: Bed,
  profile: Profile,
  options: PathOptions,
  runs: Run[],
  skipped: Map<string, string>,
): Promise<void> {
  const measures = measuresOf(profile, options.quick);
  const amounts = options.quick ? QUICK : FULL;
  for (let round = 1; round <= options.rounds; round++) {
    for (const row of rowsOf(profile, options.rows).filter(({ name }) => !skipped.has(name))) {
      const turn = await begin(bed, row, skipped);
      if (turn === undefined) {
        options.progress(`${row.name}: not here: ${skipped.get(row.name)}`);
        continue;
      }
      try {
        await reachable(turn);
        for (const { name, title, run } of measures) {
          const again = (cause: Error): void =>
            options.progress(`${row.name}: ${title}: once more: ${cause.message}`);
          const { figures, command } = await twice(() => run(bed, turn, amounts), again);
          const rounded = Object.entries(figures).map(([key, value]) => [
            key,
            significant(value, 6),
          ]);
          runs.push({
            profile,
            round,
            row: row.name,
            measure: name,
            figures: Object.fromEntries(rounded),
            command,
          });
          const place = `${profile} ${round}/${options.rounds} ${row.name}`;
          options.progress(`${place}: ${title}: ${told(figures)}`);
        }
      } finally {
        await turn.end();
        await forget(bed);
      }
    }
  }
}

async function begin(bed: Bed, row: Row, skipped: Map<string, string>): Promise<Turn | undefined> {
  try {
    return await row.begin(bed);
  } catch (error) {
    if (!(error instanceof NotHere)) throw error;
    skipped.set(row.name, error.message);
    return undefined;
  }
}

/** Does it once more where it fails: a run of many minutes shall not end with one lost datagram of iperf3's. */
async function twice<T>(work: () => Promise<T>, told: (cause: Error) => void): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    told(cause);
    return await work();
  }
}

/** Path MTU discovery and Neighbor Discovery are done when full-size packets pass both ways. */
async function reachable({ guest, address }: Turn): Promise<void> {
  await guest.run([
    'ping',
    '-6',
    '-n',
    '-q',
    '-i',
    '0.02',
    '-c',
    '5',
    '-W',
    '2',
    '-s',
    '1200',
    address,
  ]);
}

/** The figures that a person waits for. */
function told(figures: Figures): string {
  const units: Readonly<Record<string, (value: number) => string>> = {
    gbit_per_s: (value) => `${value.toFixed(value < 1 ? 4 : 2)} Gbit/s`,
    delivered_pps: (value) => `${(value / 1000).toFixed(0)} kpps`,
    loss_percent: (value) => `${value.toFixed(1)} % lost`,
    paced_loss_percent: (value) => `paced ${value.toFixed(2)} %`,
    busy_cores: (value) => `${value.toFixed(2)} cores`,
    avg_ms: (value) => `${(1000 * value).toFixed(0)} µs`,
    p99_ms: (value) => `p99 ${(1000 * value).toFixed(0)} µs`,
    host_rss_bytes: (value) => `${(value / 1e6).toFixed(0)} MB`,
  };
  const shown = Object.entries(figures).flatMap(([name, value]) => units[name]?.(value) ?? []);
  return shown.join(', ') || 'no daemon';
}

function versions(): Record<string, string> {
  const first = (program: string, word: string): string =>
    spawnSync(program, [word], { encoding: 'utf8' }).stdout.split('\n')[0]?.trim() ?? '';
  return {
    node: process.version,
    iperf3: first('iperf3', '--version'),
    ping: first('ping', '-V'),
    iproute2: first('ip', '-V'),
  };
}
