import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const KAGEMUSHA = fileURLToPath(new URL('../../bin/kagemusha', import.meta.url));

/** Node as a user starts it, without what the test runner loads into its children. */
export const COMMAND = ['env', '-u', 'NODE_OPTIONS', process.execPath, KAGEMUSHA] as const;

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `bin/kagemusha` to its end; `wrap` is put before it. */
export function kagemusha(words: readonly string[], wrap: readonly string[] = []): Promise<Said> {
  const [program = '', ...argv] = [...wrap, ...COMMAND, ...words];
  return new Promise((resolve) => {
    const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      err += text;
    });
    child.once('close', (code) => resolve({ code, out, err }));
  });
}
