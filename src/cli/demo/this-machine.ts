import { availableParallelism, cpus, machine, release } from 'node:os';

/** What a result was measured on. */
export interface ThisMachine {
  kernel: string;
  architecture: string;
  cpu: string;
  cores: number;
  node: string;
}

export function thisMachine(): ThisMachine {
  return {
    kernel: `Linux ${release()}`,
    architecture: machine(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    node: process.version,
  };
}
