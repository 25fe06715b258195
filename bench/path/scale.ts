import { setTimeout as sleep } from 'node:timers/promises';
import { withIperfServer } from '../../src/cli/demo/measure.js';
import type { Netns } from '../../src/cli/demo/netns.js';
import {
  type Daemon,
  homeAgentStatus,
  hostStatus,
  residentBytes,
} from '../../src/cli/demo/processes.js';
import { CORRESPONDENT, ManyGuests } from '../../test/support/many-guests.js';
import { type Machine, machine } from '../machine.js';
import { BusyCores, ProcessorUse } from './measures.js';
import { tcpFigures } from './parse.js';
import { median, significant } from './statistics.js';
import type { Figures } from './types.js';

/** Guests that send at the same time, each with one TCP flow; or the flows of one guest. */
const FLOWS = 16;
const FIRST_PORT = 5201;
/** So many guests are looked at while nothing moves, besides all of them. */
const IDLE_GUESTS = 100;

export interface ScaleOptions {
  readonly guests: number;
  readonly rounds: number;
  readonly quick: boolean;
  readonly command: string;
  progress(line: string): void;
}

/** What one or many guests cost the two daemons. */
export interface Standing {
  readonly guests: number;
  /** per cent of a core, octets */
  readonly figures: Figures;
}

export interface ScaleRun {
  readonly round: number;
  /** registered at the host */
  readonly guests: number;
  /** of them, sending or receiving; where it is one, with all the flows */
  readonly senders: number;
  readonly direction: 'up' | 'down';
  readonly figures: Figures;
}

/** bench/results/scale.json */
export interface ScaleResult {
  readonly schemaVersion: 1;
  readonly date: string;
  readonly machine: Machine;
  readonly command: string;
  readonly guests: number;
  readonly flows: number;
  readonly seconds: number;
  readonly idle_seconds: number;
  readonly standing: readonly Standing[];
  /** what each guest beyond the first, and beyond some, adds to what is resident */
  readonly kib_per_guest: Figures;
  /** many guests ÷ one, medians of the ratios of each round; of `ns_per_packet` the inverse: 1 is as good, less is worse */
  readonly many_to_one: Readonly<Record<'up' | 'down', Figures>>;
  readonly runs: readonly ScaleRun[];
}

/**
 * Two hosts with a Home Agent each: one has one guest registered, the other all of them. Both stand all the while; the flows run on
 * them in turns.
 */
export async function runScale(options: ScaleOptions): Promise<ScaleResult> {
  const began = performance.now();
  const where = machine();
  const { guests: most, rounds, quick, progress } = options;
  const idleSeconds = quick ? 2 : 10;
  const beds: ManyGuests[] = [];
  try {
    const one = await ManyGuests.build(1, 'o');
    beds.push(one);
    await grow(one, 1);
    const many = await ManyGuests.build(most, 'n');
    beds.push(many);
    const standing: Standing[] = [];
    for (const count of [...new Set([1, Math.min(IDLE_GUESTS, most), most])]) {
      progress(`${count} guests: their devices, registration and namespaces`);
      await grow(many, count);
      const figures = await stand(many, idleSeconds, quick);
      progress(`${count} guests: ${told(figures)}`);
      standing.push({ guests: count, figures });
    }
    const runs: ScaleRun[] = [];
    const step = Math.max(1, Math.floor(most / FLOWS));
    const senders = many.netns.filter((_, i) => i % step === 0).slice(0, FLOWS);
    for (let round = 1; round <= rounds; round++) {
      for (const direction of ['up', 'down'] as const) {
        for (const [bed, from] of [
          [one, one.netns],
          [many, senders],
        ] as const) {
          const figures = await flows(bed, from, direction, quick ? 1 : 4);
          runs.push({ round, guests: bed.netns.length, senders: from.length, direction, figures });
          progress(
            `${round}/${rounds} ${direction}, ${FLOWS} flows of ${from.length} of ${bed.netns.length} guests: ${told(figures)}`,
          );
        }
      }
    }
    return {
      schemaVersion: 1,
      date: new Date().toISOString(),
      machine: where,
      command: options.command,
      guests: most,
      flows: FLOWS,
      seconds: Math.round((performance.now() - began) / 1000),
      idle_seconds: idleSeconds,
      standing,
      kib_per_guest: perGuest(standing),
      many_to_one: { up: manyToOne(runs, 'up'), down: manyToOne(runs, 'down') },
      runs,
    };
  } finally {
    for (const bed of beds.reverse()) await bed.remove();
  }
}

async function grow(bed: ManyGuests, count: number): Promise<void> {
  await bed.configure(count);
  await bed.registered(count);
  await bed.plug(count);
}

function daemonsOf({ daemon, agent }: ManyGuests): Readonly<Record<string, Daemon>> {
  return { host: daemon, home_agent: agent };
}

/** Memory, and processor time while nothing moves. */
async function stand(bed: ManyGuests, seconds: number, quick: boolean): Promise<Figures> {
  // What registration and the guests' first words leave to do, a collection of garbage too, is done by then.
  await sleep(quick ? 2000 : 15_000);
  const use = new ProcessorUse(daemonsOf(bed));
  await sleep(1000 * seconds);
  const figures: Record<string, number> = { ...use.sinceThen() };
  for (const [role, { pid }] of Object.entries(daemonsOf(bed))) {
    figures[`${role}_rss_bytes`] = residentBytes(pid);
  }
  return rounded(figures);
}

/** All flows at the same time, each a client of its own, in turn from the namespaces of `from`. */
async function flows(
  bed: ManyGuests,
  from: readonly Netns[],
  direction: 'up' | 'down',
  seconds: number,
): Promise<Figures> {
  const words = ['-c', CORRESPONDENT, '-t', `${seconds}`, '-C', 'cubic'];
  if (direction === 'down') words.push('-R');
  const before = await packets(bed);
  const ready = barrier(FLOWS);
  let use: { readonly busy: BusyCores; readonly daemons: ProcessorUse } | undefined;
  const outputs = await Promise.all(
    Array.from({ length: FLOWS }, async (_, i) => {
      const client = from[i % from.length];
      if (client === undefined) throw new Error('no guest that sends');
      const one = async (run: Parameters<Parameters<typeof withIperfServer>[1]>[0]) => {
        await ready();
        use ??= { busy: new BusyCores(), daemons: new ProcessorUse(daemonsOf(bed)) };
        return await run(client, words);
      };
      return await withIperfServer(bed.homeAgent, one, FIRST_PORT + i);
    }),
  );
  if (use === undefined) throw new Error('no flow ran');
  const busyCores = use.busy.sinceThen();
  const daemons = use.daemons.sinceThen();
  const after = await packets(bed);
  const rate = outputs.reduce((sum, { output }) => sum + (tcpFigures(output).gbit_per_s ?? 0), 0);
  const perPacket = (role: 'host' | 'home_agent'): number =>
    (1e9 * secondsOf(daemons, role, use?.busy.seconds ?? 0)) / (after[role] - before[role]);
  return rounded({
    gbit_per_s: rate,
    busy_cores: busyCores,
    ...daemons,
    host_ns_per_packet: perPacket('host'),
    home_agent_ns_per_packet: perPacket('home_agent'),
  });
}

function secondsOf(use: Figures, role: string, seconds: number): number {
  return ((use[`${role}_cpu_percent`] ?? Number.NaN) / 100) * seconds;
}

/** Payload packets that each daemon has carried, both ways. */
async function packets({
  daemon,
  agent,
}: ManyGuests): Promise<Record<'host' | 'home_agent', number>> {
  const { guests } = await hostStatus(daemon.socket);
  const { bindings } = await homeAgentStatus(agent.socket);
  const sum = (all: typeof guests | typeof bindings): number =>
    all.reduce((total, { traffic }) => total + traffic.toHome.packets + traffic.toGuest.packets, 0);
  return { host: sum(guests), home_agent: sum(bindings) };
}

/** Resolves for all when it was called so many times. */
function barrier(count: number): () => Promise<void> {
  let left = count;
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async () => {
    left -= 1;
    if (left === 0) open();
    await opened;
  };
}

/** KiB by daemon, between each standing but the last, and the last: what is added first is also the process getting warm. */
export function perGuest(standing: readonly Standing[]): Figures {
  const last = standing.at(-1);
  if (last === undefined) return {};
  const each = (role: string) =>
    standing.slice(0, -1).map(({ guests, figures }): [string, number] => {
      const name = `${role}_rss_bytes`;
      const octets = (last.figures[name] ?? Number.NaN) - (figures[name] ?? Number.NaN);
      return [`${role}_beyond_${guests}`, octets / 1024 / (last.guests - guests)];
    });
  return rounded(Object.fromEntries([...each('host'), ...each('home_agent')]));
}

/** Medians over the rounds of many ÷ one; of costs, which are better when they are less, one ÷ many. */
export function manyToOne(runs: readonly ScaleRun[], direction: 'up' | 'down'): Figures {
  const mine = runs.filter((run) => run.direction === direction);
  const fewest = Math.min(...mine.map(({ guests }) => guests));
  const ratio = (name: string, invert: boolean): number =>
    median(
      mine
        .filter(({ guests }) => guests > fewest)
        .flatMap((many) => {
          const one = mine.find(({ guests, round }) => guests === fewest && round === many.round);
          const [a, b] = [many.figures[name], one?.figures[name]];
          return a === undefined || b === undefined ? [] : [invert ? b / a : a / b];
        }),
    );
  return rounded({
    gbit_per_s: ratio('gbit_per_s', false),
    host_ns_per_packet: ratio('host_ns_per_packet', true),
    home_agent_ns_per_packet: ratio('home_agent_ns_per_packet', true),
  });
}

function rounded(figures: Figures): Figures {
  return Object.fromEntries(
    Object.entries(figures)
      .map(([name, value]): [string, number] => [name, significant(value)])
      .filter(([, value]) => Number.isFinite(value)),
  );
}

function told(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

/** For a person. */
export function describeScale(result: ScaleResult): string {
  const lines = [
    ...result.standing.map(
      ({ guests, figures }) => `${guests} guests, nothing moves: ${told(figures)}`,
    ),
    `KiB resident for each guest: ${told(result.kib_per_guest)}`,
    ...(['up', 'down'] as const).map(
      (direction) =>
        `${result.flows} of ${result.guests} guests ÷ one guest with ${result.flows} flows, ${direction}: ${told(result.many_to_one[direction])}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
