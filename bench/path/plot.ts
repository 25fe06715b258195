// `node build/bench/bench/path/plot.js [FILE.json [FILE.svg]]`: draws bench/results/path.svg from bench/results/path.json anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { barCharts, type Chart } from './svg.js';
import type { PathResult, RowResult } from './types.js';

const DIRECTIONS = ['up', 'down'] as const;

/** The result as a picture (SVG): throughput, packets, round trips, and the paper's wire. */
export function plot(result: PathResult): string {
  const { machine, rounds, date } = result;
  const head = [
    'kagemusha: path benchmark',
    `${machine.cpu}, ${machine.cores} cores for both ends and all between, ${machine.kernel}; medians of ${rounds} rounds, ${date.slice(0, 10)}`,
  ];
  const charts = result.profiles.flatMap(({ name, rows }) =>
    name === 'wire' ? wireCharts(rows) : shapedCharts(rows),
  );
  return barCharts(head, charts);
}

function chart(
  rows: readonly RowResult[],
  words: Pick<Chart, 'title' | 'unit' | 'digits'>,
  groups: readonly (readonly [name: string, measure: string, figure: string])[],
  factor = 1,
): Chart {
  return {
    ...words,
    groups: groups.map(([name, measure, figure]) => ({
      name,
      bars: rows.map((row) => {
        const value = row.measures[measure]?.median[figure];
        return { label: row.name, value: value === undefined ? undefined : value * factor };
      }),
    })),
  };
}

function wireCharts(rows: readonly RowResult[]): Chart[] {
  const tcp = DIRECTIONS.flatMap((direction) =>
    [1, 8].map(
      (flows) =>
        [
          `${flows} flow${flows > 1 ? 's' : ''} ${direction}`,
          `tcp-${flows}-${direction}`,
          'gbit_per_s',
        ] as const,
    ),
  );
  const perCore = DIRECTIONS.map(
    (direction) => [direction, `tcp-1-${direction}`, 'gbit_per_s_per_busy_core'] as const,
  );
  const udp = [64, 1400].flatMap((octets) =>
    DIRECTIONS.map(
      (direction) =>
        [`${octets} octets ${direction}`, `udp-${octets}-${direction}`, 'delivered_pps'] as const,
    ),
  );
  return [
    chart(rows, { title: 'TCP', unit: 'Gbit/s', digits: 1 }, tcp),
    chart(rows, { title: 'TCP, 1 flow', unit: 'Gbit/s for each busy core', digits: 1 }, perCore),
    chart(rows, { title: 'UDP delivered', unit: 'kilopackets/s', digits: 0 }, udp, 1e-3),
    chart(
      rows,
      { title: 'ping6', unit: 'µs', digits: 0 },
      [
        ['average', 'ping', 'avg_ms'],
        ['p50', 'ping', 'p50_ms'],
        ['p99', 'ping', 'p99_ms'],
        ['flood, average', 'ping-flood', 'avg_ms'],
      ],
      1000,
    ),
  ];
}

function shapedCharts(rows: readonly RowResult[]): Chart[] {
  const tcp = DIRECTIONS.map(
    (direction) => [direction, `tcp-1-${direction}`, 'gbit_per_s'] as const,
  );
  const words = { title: 'TCP, 1 flow, on a wire of 100 Mbit/s', unit: 'Mbit/s', digits: 1 };
  return [chart(rows, words, tcp, 1000)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from = 'bench/results/path.json', to = from.replace(/\.json$/, '.svg')] =
    process.argv.slice(2);
  writeFileSync(to, `${plot(JSON.parse(readFileSync(from, 'utf8')) as PathResult)}\n`);
  process.stderr.write(`written: ${to}\n`);
}
