import { median, significant } from './statistics.js';
import type { Figures, Profile, RowResult, Run, Summary } from './types.js';

/** What the compared ends are called. */
export const KERNEL = 'kernel';
export const NATIVE = 'native';

/** A full-size packet on the wire, and what of it is not TCP's payload (IPv6, TCP with timestamps). Octets. */
const WIRE = 1500;
const TCP_IP_HEADERS = 40 + 32;

/** What a tunnel of so many octets a packet leaves of TCP's throughput on a wire that is full. */
export function shareLeftByHeaders(overhead: number): number {
  return (WIRE - overhead - TCP_IP_HEADERS) / (WIRE - TCP_IP_HEADERS);
}

/** A row, as far as the summary needs to know it. */
export interface SummarisedRow {
  readonly name: string;
  readonly path: string;
  readonly overhead: number;
}

/** Medians of every figure, and of its ratios and differences to the kernel's of the same round. Rows that did not run are left out. */
export function summarise(
  profile: Profile,
  rows: readonly SummarisedRow[],
  runs: readonly Run[],
): RowResult[] {
  const mine = runs.filter((run) => run.profile === profile);
  return rows.flatMap((row) => {
    const names = new Set(mine.filter((run) => run.row === row.name).map((run) => run.measure));
    if (names.size === 0) return [];
    const measures = [...names].map((name): [string, Summary] => [name, summary(row, name, mine)]);
    return [{ name: row.name, path: row.path, measures: Object.fromEntries(measures) }];
  });
}

function summary(row: SummarisedRow, measure: string, runs: readonly Run[]): Summary {
  const of = (name: string): Run[] =>
    runs.filter((run) => run.row === name && run.measure === measure);
  const own = of(row.name);
  const figures = [...new Set(own.flatMap((run) => Object.keys(run.figures)))];
  const each = (value: (figure: string) => number): Figures =>
    Object.fromEntries(
      figures
        .map((figure): [string, number] => [figure, significant(value(figure))])
        .filter(([, number]) => Number.isFinite(number)),
    );
  const against = (
    name: string,
    figure: string,
    compare: (own: number, other: number) => number,
  ): number =>
    median(
      own.flatMap((run) => {
        const other = of(name).find(({ round }) => round === run.round)?.figures[figure];
        const mine = run.figures[figure];
        return mine === undefined || other === undefined ? [] : [compare(mine, other)];
      }),
    );
  const left = shareLeftByHeaders(row.overhead);
  const share = against(NATIVE, 'gbit_per_s', (mine, native) => mine / (native * left));
  const compared = row.name !== KERNEL && of(KERNEL).length > 0;
  const ratio = each((figure) => against(KERNEL, figure, (mine, kernel) => mine / kernel));
  const added = each((figure) =>
    figure.endsWith('_ms') ? against(KERNEL, figure, (mine, kernel) => mine - kernel) : Number.NaN,
  );
  return {
    median: each((figure) => median(own.flatMap((run) => run.figures[figure] ?? []))),
    ...(compared && Object.keys(ratio).length > 0 ? { ratio_to_kernel: ratio } : {}),
    ...(compared && Object.keys(added).length > 0 ? { added_to_kernel: added } : {}),
    ...(row.name !== NATIVE && Number.isFinite(share)
      ? { ratio_to_native_less_headers: significant(share) }
      : {}),
  };
}
