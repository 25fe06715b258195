import { spawnSync } from 'node:child_process';

/** What one line of bench/native/*.bench.cc says. */
export interface NativeResult {
  readonly name: string;
  readonly nanoseconds: number;
  /** what takes that long: a call, a segment, a packet */
  readonly operation: string;
  /** as printed: `2.9 M trains/s`, `33.9 GB/s` */
  readonly rates: readonly string[];
}

const FIGURE = /(\d+(?:\.\d+)?) ((?:M )?[A-Za-z]+\/s|ns(?: an? \w+)?)(?= {2}|$)/g;

/** Builds the engine's benchmarks, optimised, and runs them. */
export function nativeBenchmarks(): NativeResult[] {
  process.stderr.write('· native: *.bench.cc\n');
  const made = spawnSync('make', ['-s', '-C', 'native/test', 'bench'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (made.status !== 0) throw new Error('make -C native/test bench failed');
  return made.stdout.trimEnd().split('\n').map(readLine);
}

/** `name   figure unit   figure unit …`; one of the units is `ns`, or `ns a packet`. */
function readLine(line: string): NativeResult {
  const figures = [...line.matchAll(FIGURE)];
  const [first] = figures;
  const time = figures.find(([, , unit]) => unit?.startsWith('ns'));
  if (first === undefined || time === undefined) {
    throw new Error(`a line of the native benchmarks that is not understood: ${line}`);
  }
  return {
    name: `native: ${line.slice(0, first.index).trim().replace(/ +/g, ' ')}`,
    nanoseconds: Number(time[1]),
    operation: /ns an? (\w+)/.exec(time[0])?.[1] ?? 'call',
    rates: figures.filter((figure) => figure !== time).map(([text]) => text),
  };
}
