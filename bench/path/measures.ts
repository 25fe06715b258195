import { readFileSync } from 'node:fs';
import { parsePing, withIperfServer } from '../../src/cli/demo/measure.js';
import type { Netns } from '../../src/cli/demo/netns.js';
import { cpuSeconds, type Daemon, residentBytes } from '../../src/cli/demo/processes.js';
import { requestStatus } from '../../src/daemon/control-client.js';
import type { Bed } from './bed.js';
import { busySeconds, deviceCounts, replyTimes, tcpFigures, udpFigures } from './parse.js';
import type { Turn } from './rows.js';
import { median, percentile } from './statistics.js';
import type { Figures } from './types.js';

/** How much of each. */
export interface Amounts {
  /** Seconds of a TCP run that count. */
  readonly tcpSeconds: number;
  /** Seconds before them: slow start. */
  readonly omitSeconds: number;
  readonly udpSeconds: number;
  /** Of the UDP run that is no overload. */
  readonly pacedSeconds: number;
  /** Echo requests, 10 ms apart. */
  readonly pings: number;
  readonly floodSeconds: number;
}

/** Milliseconds between echo requests. */
const PING_INTERVAL = 10;

export interface Measured {
  readonly figures: Figures;
  readonly command: string;
}

export interface Measure {
  readonly name: string;
  readonly title: string;
  run(bed: Bed, turn: Turn, amounts: Amounts): Promise<Measured>;
}

const DIRECTIONS = ['up', 'down'] as const;
type Direction = (typeof DIRECTIONS)[number];

function tcp(flows: number, direction: Direction): Measure {
  return {
    name: `tcp-${flows}-${direction}`,
    title: `TCP, ${flows === 1 ? '1 flow' : `${flows} flows`}, ${direction}`,
    run: async (bed, turn, { tcpSeconds, omitSeconds }) =>
      await withIperfServer(bed.correspondent, async (run) => {
        const words = ['-c', turn.address, '-t', `${tcpSeconds}`, '-O', `${omitSeconds}`];
        words.push('-C', 'cubic', ...(flows > 1 ? ['-P', `${flows}`] : []));
        if (direction === 'down') words.push('-R');
        const { result, use } = await watched(bed, turn, async () => await run(turn.guest, words));
        const figures = tcpFigures(result.output);
        const rate = figures.gbit_per_s ?? Number.NaN;
        const efficiency = {
          gbit_per_s_per_busy_core: rate / (use.busy_cores ?? Number.NaN),
          core_seconds_per_gbit: (use.busy_cores ?? Number.NaN) / rate,
        };
        return { figures: { ...figures, ...use, ...efficiency }, command: result.command };
      }),
  };
}

/** Of what is delivered under overload; what a path then carries without loss. */
const PACE = 0.8;

/** As many datagrams as one sender can send, and how many of them arrive; then so few that they should all arrive, and what is lost. */
function udp(octets: number, direction: Direction): Measure {
  return {
    name: `udp-${octets}-${direction}`,
    title: `UDP, ${octets} octets, ${direction}`,
    run: async (bed, turn, { udpSeconds, pacedSeconds }) => {
      const send = async (bitsPerSecond: number, seconds: number) =>
        await withIperfServer(bed.correspondent, async (run) => {
          const words = ['-c', turn.address, '-u', '-b', `${bitsPerSecond}`, '-l', `${octets}`];
          words.push('-t', `${seconds}`, '--get-server-output');
          if (direction === 'down') words.push('-R');
          const { result, use } = await watched(bed, turn, () => run(turn.guest, words));
          const figures = udpFigures(result.output, direction === 'down');
          return { figures, use, command: result.command };
        });
      const { figures, use, command } = await send(0, udpSeconds);
      const bits = Math.round(PACE * 8 * octets * (figures.delivered_pps ?? 0));
      const paced = await send(Math.max(1, bits), pacedSeconds);
      return {
        figures: {
          ...figures,
          ...use,
          paced_offered_pps: paced.figures.offered_pps ?? Number.NaN,
          paced_loss_percent: paced.figures.loss_percent ?? Number.NaN,
        },
        command: `${command}; ${paced.command}`,
      };
    },
  };
}

const PING: Measure = {
  name: 'ping',
  title: 'ping6',
  run: async (_, { guest, address }, { pings }) => {
    const argv = ['ping', '-6', '-n', '-c', `${pings}`, '-i', `${PING_INTERVAL / 1000}`, '-W', '1'];
    const command = [...argv, address].join(' ');
    const output = await guest.run(['sh', '-c', `${command} || test $? = 1`]);
    const times = replyTimes(output);
    const { sent, received, stddev_ms } = parsePing(output, command);
    return {
      command,
      figures: {
        avg_ms: times.reduce((sum, time) => sum + time, 0) / times.length,
        stddev_ms,
        p50_ms: median(times),
        p99_ms: percentile(times, 99),
        sent,
        received,
      },
    };
  },
};

const FLOOD: Measure = {
  name: 'ping-flood',
  title: 'ping6 -f',
  run: async (_, { guest, address }, { floodSeconds }) => {
    const argv = ['ping', '-6', '-n', '-q', '-f', '-c', '1000000', '-w', `${floodSeconds}`];
    const command = [...argv, address].join(' ');
    const output = await guest.run(['sh', '-c', `${command} || test $? = 1`]);
    const { sent, received, avg_ms } = parsePing(output, command);
    const seconds = Number(/time (\d+)ms/.exec(output)?.[1] ?? Number.NaN) / 1000;
    const figures = { avg_ms, replies_per_s: received / seconds, sent, received };
    return { command, figures };
  },
};

/** Of the daemons after all that went before, and what they say of their own memory. */
const MEMORY: Measure = {
  name: 'memory',
  title: 'memory',
  run: async (_, { daemons }) => {
    const figures: Record<string, number> = {};
    for (const [role, { pid, socket }] of Object.entries(daemons)) {
      figures[`${role}_rss_bytes`] = residentBytes(pid);
      const status: object = await requestStatus(socket);
      const told = 'memory' in status ? status.memory : undefined;
      if (typeof told !== 'object') continue;
      for (const [name, value] of Object.entries(told ?? {})) {
        if (typeof value === 'number') figures[`${role}_${name}`] = value;
      }
    }
    return { figures, command: 'VmRSS in /proc/PID/status; memory in GET /v1/status' };
  },
};

const both = (of: (direction: Direction) => Measure): Measure[] => DIRECTIONS.map(of);

/** On a wire as fast as the machine. */
export const WIRE_MEASURES: readonly Measure[] = [
  ...both((direction) => tcp(1, direction)),
  ...both((direction) => tcp(8, direction)),
  ...both((direction) => udp(64, direction)),
  ...both((direction) => udp(1400, direction)),
  PING,
  FLOOD,
  MEMORY,
];

/** The paper's: it measured TCP, ping6, processor and memory. */
export const SHAPED_MEASURES: readonly Measure[] = [
  ...both((direction) => tcp(1, direction)),
  PING,
  MEMORY,
];

/** A look at whether all works. */
export const QUICK_MEASURES: readonly Measure[] = [
  ...both((direction) => tcp(1, direction)),
  udp(64, 'up'),
  PING,
  FLOOD,
  MEMORY,
];

/** Does `work` and gives what it used: of the machine, of the daemons, and of the wire. */
async function watched<T>(
  { host }: Bed,
  { daemons }: Turn,
  work: () => Promise<T>,
): Promise<{ result: T; use: Figures }> {
  const before = await counts(host);
  const processors = new ProcessorUse(daemons);
  const busy = new BusyCores();
  const result = await work();
  const busyCores = busy.sinceThen();
  const processes = processors.sinceThen();
  const after = await counts(host);
  const packets = after.packets - before.packets;
  const use = {
    busy_cores: busyCores,
    wire_octets_per_packet: (after.octets - before.octets) / packets,
    ...processes,
  };
  return { result, use };
}

async function counts(netns: Netns) {
  return deviceCounts(await netns.run(['cat', '/proc/net/dev']), 'wan0');
}

/** Counts the cores that are busy from when it is made. */
export class BusyCores {
  readonly #began = performance.now();
  readonly #busy = busySeconds(readFileSync('/proc/stat', 'utf8'));
  #seconds = Number.NaN;

  /** Seconds that the last answer is about. */
  get seconds(): number {
    return this.#seconds;
  }

  sinceThen(): number {
    const busy = busySeconds(readFileSync('/proc/stat', 'utf8')) - this.#busy;
    this.#seconds = (performance.now() - this.#began) / 1000;
    return busy / this.#seconds;
  }
}

/** Counts the processor time of daemons from when it is made. */
export class ProcessorUse {
  readonly #began = performance.now();
  readonly #daemons: readonly (readonly [role: string, pid: number, at: number])[];

  constructor(daemons: Readonly<Record<string, Daemon>>) {
    this.#daemons = Object.entries(daemons).map(([role, { pid }]) => [role, pid, cpuSeconds(pid)]);
  }

  /** Per cent of a core, by role. */
  sinceThen(): Figures {
    const seconds = (performance.now() - this.#began) / 1000;
    const percents = this.#daemons.map(([role, pid, at]): [string, number] => [
      `${role}_cpu_percent`,
      (100 * (cpuSeconds(pid) - at)) / seconds,
    ]);
    return Object.fromEntries(percents);
  }
}
