import { execFileSync } from 'node:child_process';
import { arch, cpus, loadavg, release } from 'node:os';

/** Where figures come from. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly architecture: string;
  readonly node: string;
  readonly compiler: string;
  /** runnable processes on average over the minute before: what else the machine was doing */
  readonly load: number;
}

export function machine(): Machine {
  const [version = ''] = execFileSync(process.env.CXX ?? 'g++', ['--version'], {
    encoding: 'utf8',
  }).split('\n');
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: `Linux ${release()}`,
    architecture: arch(),
    node: process.version,
    compiler: version,
    load: loadavg()[0] ?? 0,
  };
}
