// `npm run bench`: the micro-benchmarks and the path benchmark; bench/README.md says what there is. Runs in the root of the checkout.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { endWithMaker, enterSandbox, insideSandbox } from '../src/cli/demo/sandbox.js';
import { KagemushaError } from '../src/errors.js';
import { microBenchmarks } from './micro.js';
import { describeMoves, runMoves } from './moves.js';
import {
  type BenchOptions,
  benchOptions,
  MOST_GUESTS,
  MOST_MOVES,
  type Part,
  USAGE,
} from './options.js';
import { plot } from './path/plot.js';
import { ROWS } from './path/rows.js';
import { runPath } from './path/run-path.js';
import { describeScale, runScale } from './path/scale.js';
import { describe } from './path/table.js';

const RESULTS = 'bench/results';
/** Rows of a quick run that names none. */
const QUICK_ROWS = ['native', 'kernel', 'tun', 'packet', 'packet-bypass'];
/** Minutes after which a part is ended as a whole, whatever it does. */
const LIMIT = 30;

const words = process.argv.slice(2);
process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof KagemushaError)) throw error;
  process.stderr.write(`bench: ${error.code}: ${error.message}\n`);
  return 1;
});

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = benchOptions(
      words,
      ROWS.map(({ name }) => name),
    );
  } catch (error) {
    if (!(error instanceof KagemushaError)) throw error;
    process.stderr.write(`${error.message}\n${USAGE}\n`);
    return 2;
  }
  for (const part of options.parts) {
    const code = await run(part, options);
    if (code !== 0) return code;
  }
  return 0;
}

async function run(part: Part, options: BenchOptions): Promise<number> {
  if (part === 'micro') {
    const result = microBenchmarks(options.quick);
    if (!options.quick) write('micro.json', JSON.stringify(result, null, 2));
    return 0;
  }
  if (!insideSandbox()) {
    const self = fileURLToPath(import.meta.url);
    // What was said of `--only` before stands in the way of nothing: the last one counts.
    return await enterSandbox([process.execPath, self, ...words, '--only', part]);
  }
  endWithMaker();
  setTimeout(() => {
    process.stderr.write(`not done within ${LIMIT} minutes\n`);
    process.exit(1);
  }, LIMIT * 60_000).unref();
  if (part === 'path') await pathPart(options);
  else if (part === 'scale') await scalePart(options);
  else await movesPart(options);
  return 0;
}

async function pathPart(options: BenchOptions): Promise<void> {
  const { quick, rounds, profiles } = options;
  const chosen = options.rows ?? (quick ? QUICK_ROWS : undefined);
  const result = await runPath({
    rows: ROWS.filter(({ name }) => chosen?.includes(name) ?? true),
    profiles,
    rounds,
    quick,
    command: ['npm run bench --', ...words].join(' '),
    progress,
  });
  process.stdout.write(`${describe(result)}\n`);
  if (quick || options.rows !== undefined || profiles.length < 2) {
    progress('a part of the whole: nothing is written');
    return;
  }
  write('path.json', JSON.stringify(result, null, 2));
  write('path.svg', plot(result));
}

async function scalePart({ guests, rounds, quick }: BenchOptions): Promise<void> {
  const command = ['npm run bench --', ...words].join(' ');
  const result = await runScale({ guests, rounds, quick, command, progress });
  process.stdout.write(describeScale(result));
  if (quick || guests < MOST_GUESTS) progress('a part of the whole: nothing is written');
  else write('scale.json', JSON.stringify(result, null, 2));
}

async function movesPart({ moves, quick }: BenchOptions): Promise<void> {
  const command = ['npm run bench --', ...words].join(' ');
  const result = await runMoves({ moves, departures: quick ? 1 : 5, command, progress });
  process.stdout.write(describeMoves(result));
  if (quick || moves < MOST_MOVES) progress('a part of the whole: nothing is written');
  else write('moves.json', JSON.stringify(result, null, 2));
}

function progress(line: string): void {
  process.stderr.write(`· ${line}\n`);
}

function write(name: string, text: string): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}/${name}`, `${text}\n`);
  process.stderr.write(`written: ${RESULTS}/${name}\n`);
}
