import { PAPER_COLUMNS, PAPER_FIGURES } from '../../src/cli/demo/paper-figures.js';
import { formatBytes, formatTable } from '../../src/cli/table.js';
import { KERNEL } from './summary.js';
import type { PathResult, RowResult } from './types.js';

const NONE = '-';

/** A figure and, in brackets, its ratio to the kernel's. */
function compared(
  row: RowResult,
  measure: string,
  figure: string,
  show: (value: number) => string,
): string {
  const found = row.measures[measure];
  const value = found?.median[figure];
  if (value === undefined) return NONE;
  const ratio = found?.ratio_to_kernel?.[figure];
  return `${show(value)}${ratio === undefined ? '' : ` (${ratio.toFixed(2)})`}`;
}

const gbit = (value: number): string => value.toFixed(2);
const kilo = (value: number): string => (value / 1000).toFixed(0);
const percent = (value: number): string => `${value.toFixed(1)} %`;
const micro = (milliseconds: number): string => (milliseconds * 1000).toFixed(0);

function lines(title: string, header: readonly string[], rows: readonly (readonly string[])[]) {
  return `${title}\n${formatTable(header, rows)}\n`;
}

function wireTables(rows: readonly RowResult[]): string[] {
  const figure = (row: RowResult, measure: string, name: string, show: (v: number) => string) => {
    const value = row.measures[measure]?.median[name];
    return value === undefined ? NONE : show(value);
  };
  return [
    lines(
      'TCP, Gbit/s (÷ kernel); last two: Gbit/s for each busy core, 1 flow',
      ['', '1 flow up', '1 flow down', '8 flows up', '8 flows down', '/core up', '/core down'],
      rows.map((row) => [
        row.name,
        ...['tcp-1-up', 'tcp-1-down', 'tcp-8-up', 'tcp-8-down'].map((measure) =>
          compared(row, measure, 'gbit_per_s', gbit),
        ),
        ...['tcp-1-up', 'tcp-1-down'].map((measure) =>
          compared(row, measure, 'gbit_per_s_per_busy_core', gbit),
        ),
      ]),
    ),
    lines(
      'UDP, delivered kilopackets/s (÷ kernel) of all that one sender can send, lost; and lost of 0.8 of that rate',
      ['', '64 up', '', '64 down', '', '1400 up', '', '1400 down', ''],
      rows.map((row) => [
        row.name,
        ...['udp-64-up', 'udp-64-down', 'udp-1400-up', 'udp-1400-down'].flatMap((measure) => [
          compared(row, measure, 'delivered_pps', kilo),
          `${figure(row, measure, 'loss_percent', percent)}, ${figure(row, measure, 'paced_loss_percent', percent)}`,
        ]),
      ]),
    ),
    lines(
      'ping6, µs; added: average − kernel',
      ['', 'average', 'added', 'p50', 'p99', 'flood average', 'flood replies/s'],
      rows.map((row) => [
        row.name,
        figure(row, 'ping', 'avg_ms', micro),
        row.measures.ping?.added_to_kernel?.avg_ms === undefined
          ? NONE
          : micro(row.measures.ping.added_to_kernel.avg_ms),
        figure(row, 'ping', 'p50_ms', micro),
        figure(row, 'ping', 'p99_ms', micro),
        figure(row, 'ping-flood', 'avg_ms', micro),
        figure(row, 'ping-flood', 'replies_per_s', (value) => value.toFixed(0)),
      ]),
    ),
    lines(
      'The machine: busy cores and core seconds for a Gbit (1 flow), processor use and memory of kagemusha host',
      [
        '',
        'cores up',
        'cores down',
        's/Gbit up',
        's/Gbit down',
        'host CPU up',
        'host CPU down',
        'host RSS',
      ],
      rows.map((row) => [
        row.name,
        ...(['busy_cores', 'core_seconds_per_gbit'] as const).flatMap((name) =>
          ['tcp-1-up', 'tcp-1-down'].map((measure) => figure(row, measure, name, gbit)),
        ),
        ...['tcp-1-up', 'tcp-1-down'].map((measure) =>
          figure(row, measure, 'host_cpu_percent', percent),
        ),
        figure(row, 'memory', 'host_rss_bytes', formatBytes),
      ]),
    ),
  ];
}

/** The paper's table, a column for each of our rows. */
function shapedTables(rows: readonly RowResult[]): string[] {
  const each = (measure: string, figure: string, show: (value: number) => string): string[] =>
    rows.map((row) => {
      const value = row.measures[measure]?.median[figure];
      return value === undefined ? NONE : show(value);
    });
  const mbit = (value: number): string => `${(1000 * value).toFixed(1)} Mbit/s`;
  const share = (measure: string): string[] =>
    rows.map((row) => {
      const value = row.measures[measure]?.ratio_to_native_less_headers;
      return value === undefined ? NONE : value.toFixed(4);
    });
  const deviations = each('ping', 'stddev_ms', (value) => ` (${value.toFixed(3)})`);
  const rtt = each('ping', 'avg_ms', (value) => `${value.toFixed(3)} ms`).map((average, i) =>
    average === NONE ? NONE : `${average}${deviations[i] ?? ''}`,
  );
  const none = PAPER_COLUMNS.map(() => NONE);
  return [
    lines(
      'Beside the paper (its host: 2 cores, 2011); ÷ native: less the headers that a packet carries for the tunnel',
      ['', ...PAPER_COLUMNS, ...rows.map(({ name }) => name)],
      [
        [...PAPER_FIGURES.tcp, ...each('tcp-1-up', 'gbit_per_s', mbit)],
        ['the same, down', ...none, ...each('tcp-1-down', 'gbit_per_s', mbit)],
        ['÷ native, up', ...none, ...share('tcp-1-up')],
        ['÷ native, down', ...none, ...share('tcp-1-down')],
        [...PAPER_FIGURES.cpu, ...each('tcp-1-up', 'host_cpu_percent', percent)],
        [...PAPER_FIGURES.rtt, ...rtt],
        [...PAPER_FIGURES.memory, ...each('memory', 'host_rss_bytes', formatBytes)],
      ],
    ),
  ];
}

const PROFILE_TITLES = {
  wire: 'A wire as fast as the machine',
  shaped: 'A wire of 100 Mbit/s',
} as const;

/** The whole result for a person: medians over the rounds. */
export function describe(result: PathResult): string {
  const { machine, rounds, background_busy_cores: background } = result;
  const head = [
    `${machine.cpu}, ${machine.cores} cores for everything, ${machine.kernel}, Node ${machine.node}`,
    `medians of ${rounds} round${rounds === 1 ? '' : 's'}; the kernel's tunnel is ${result.kernel_tunnel}; ${background.toFixed(2)} cores were busy before anything ran`,
  ];
  const paths = new Map(
    result.profiles.flatMap(({ rows }) => rows).map(({ name, path }) => [name, path]),
  );
  const tables = result.profiles.flatMap(({ name, rows }) => [
    `── ${PROFILE_TITLES[name]} ──\n`,
    ...(name === 'wire' ? wireTables(rows) : shapedTables(rows)),
  ]);
  const skipped = result.skipped.map(({ name, reason }) => `not run: ${name}: ${reason}`);
  const kernelMissing = paths.has(KERNEL) ? [] : ['no ratios: the kernel row did not run'];
  return [
    ...head,
    formatTable(['row', 'path'], [...paths]),
    ...skipped,
    ...kernelMissing,
    '',
    ...tables,
  ].join('\n');
}
