import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Netns, run } from '../../src/cli/demo/netns.js';

const SOURCE = fileURLToPath(new URL('../e2e/flood.c', import.meta.url));

/** What flood.c is told; see there. */
export interface FloodOptions {
  readonly kind: 'bu' | 'ba' | 'esp-bu' | 'esp-ba' | 'mix';
  readonly source: string;
  readonly destination: string;
  readonly homeAddress: string;
  readonly sequence: 'random' | 'constant' | 'counting';
  /** The constant, or where counting starts. */
  readonly start?: number;
  readonly spi?: number;
  /** packets a second */
  readonly rate: number;
  readonly seconds: number;
}

/** What it achieved. */
export interface FloodResult {
  readonly sent: number;
  readonly failed: number;
  readonly seconds: number;
  readonly rate: number;
}

/** Compiles the generator into `directory`; gives the program's path. */
export async function buildFlood(directory: string): Promise<string> {
  const program = join(directory, 'flood');
  await run(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, SOURCE]);
  return program;
}

/** Runs the generator in `netns` until its seconds are over. */
export async function flood(
  netns: Netns,
  program: string,
  options: FloodOptions,
): Promise<FloodResult> {
  const { homeAddress, start = 1, spi = 256, ...rest } = options;
  const words = { ...rest, 'home-address': homeAddress, start, spi };
  const argv = Object.entries(words).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return JSON.parse(await netns.run([program, ...argv])) as FloodResult;
}
