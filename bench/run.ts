// `npm run bench`: every micro-benchmark, one table, and bench/results/micro.json. Runs in the root of the checkout.
//
//   npm run bench               half a minute
//   npm run bench -- --quick    about ten seconds, writes nothing: to see that it runs
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { formatTable } from '../src/cli/table.js';
import type { CaseResult } from './harness.js';
import { machine } from './machine.js';
import type { NativeResult } from './native.js';
import { nativeBenchmarks } from './native.js';

const FILES = ['wire.bench.js', 'signaling.bench.js', 'protection.bench.js', 'store.bench.js'];
const RESULTS = 'bench/results';

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

const { quick } = parseArgs({ options: { quick: { type: 'boolean', default: false } } }).values;
const words = quick ? ['--quick'] : [];
const where = machine();
const typescript = FILES.flatMap((file) => benchmarksOf(file, words));
const native = nativeBenchmarks();

const rows = [...typescript, ...native].map(rowOf);
process.stdout.write(`${formatTable(['benchmark', 'time', 'rate', 'spread'], rows)}\n`);

if (!quick) {
  const record = {
    schemaVersion: 1,
    date: new Date().toISOString(),
    machine: where,
    command: 'npm run bench',
    results: { typescript, native },
  };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}/micro.json`, `${JSON.stringify(record, null, 2)}\n`);
  process.stderr.write(`written: ${RESULTS}/micro.json\n`);
}
