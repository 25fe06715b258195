import { spawnSync } from 'node:child_process';
import { formatTable } from '../src/cli/table.js';
import type { CaseResult } from './harness.js';
import { machine } from './machine.js';
import type { NativeResult } from './native.js';
import { nativeBenchmarks } from './native.js';

const FILES = ['wire.bench.js', 'signaling.bench.js', 'protection.bench.js', 'store.bench.js'];

/** Each file in a process of its own: what one makes the compiler believe does not slow down the next. */
function benchmarksOf(file: string, words: readonly string[]): CaseResult[] {
  const path = new URL(file, import.meta.url).pathname;
  const ran = spawnSync(process.execPath, [path, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (ran.status !== 0) throw new Error(`${file} failed`);
  return JSON.parse(ran.stdout);
}

function duration(nanoseconds: number): string {
  return nanoseconds < 1000
    ? `${nanoseconds.toFixed(1)} ns`
    : `${(nanoseconds / 1000).toFixed(2)} µs`;
}

function rowOf(result: CaseResult | NativeResult): string[] {
  if ('nanoseconds' in result) {
    const { name, nanoseconds, operation, rates } = result;
    const time = `${duration(nanoseconds)}${operation === 'call' ? '' : ` a ${operation}`}`;
    return [name, time, rates.join(', '), ''];
  }
  const { name, ops_per_second, relative_margin_percent, samples } = result;
  return [
    name,
    duration(1e9 / ops_per_second),
    `${Math.round(ops_per_second).toLocaleString('en')} /s`,
    `± ${relative_margin_percent.toFixed(1)} %, ${samples} samples`,
  ];
}

/** Every micro-benchmark in turn; a table on standard output. Gives what bench/results/micro.json holds. */
export function microBenchmarks(quick: boolean) {
  const words = quick ? ['--quick'] : [];
  const where = machine();
  const typescript = FILES.flatMap((file) => benchmarksOf(file, words));
  const native = nativeBenchmarks();
  const rows = [...typescript, ...native].map(rowOf);
  process.stdout.write(`${formatTable(['benchmark', 'time', 'rate', 'spread'], rows)}\n\n`);
  return {
    schemaVersion: 1,
    date: new Date().toISOString(),
    machine: where,
    command: 'npm run bench -- --only micro',
    results: { typescript, native },
  };
}
