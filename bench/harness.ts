import Benchmark from 'benchmark';

/** What one case measured. */
export interface CaseResult {
  readonly name: string;
  readonly ops_per_second: number;
  /** half the width of the 95 % confidence interval of the mean, in per cent of it */
  readonly relative_margin_percent: number;
  readonly samples: number;
}

/** Seconds: of a whole case at least, of one sample at least. */
const FULL = { maxTime: 1, minTime: 0.04 } as const;
const QUICK = { maxTime: 0.08, minTime: 0.01 } as const;

/** What a case works out goes here, so that the compiler cannot leave the work out. */
export let kept: unknown;

/**
 * Measures the cases one after another; progress goes to standard error. With `--quick` on the command line each gets
 * a tenth of the time.
 * @throws whatever a case throws
 */
export function suite(name: string, cases: Readonly<Record<string, () => void>>): CaseResult[] {
  const time = process.argv.includes('--quick') ? QUICK : FULL;
  return Object.entries(cases).map(([title, work]) => measure(`${name}: ${title}`, work, time));
}

/** The end of a benchmark file: its results, for whoever started it. */
export function report(results: readonly CaseResult[]): void {
  process.stdout.write(`${JSON.stringify(results)}\n`);
}

function measure(name: string, work: () => unknown, time: Benchmark.Options): CaseResult {
  process.stderr.write(`· ${name}\n`);
  const fn = () => {
    kept = work();
  };
  const { error, hz, stats } = new Benchmark(name, fn, time).run();
  // The library keeps what a case throws to itself.
  if (error) throw error;
  return {
    name,
    ops_per_second: hz,
    relative_margin_percent: stats.rme,
    samples: stats.sample.length,
  };
}
