import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { machine } from '../../bench/machine.js';

/** Keeps what a run measured, with the machine and the command, as files of bench/results have it. */
export async function record(file: string, command: string, results: unknown): Promise<void> {
  const date = new Date().toISOString();
  const text = { schemaVersion: 1, date, machine: machine(), command, results };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(text, null, 2)}\n`);
}
