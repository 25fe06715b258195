import { execFile, spawn } from 'node:child_process';
import { KagemushaError } from '../errors.js';
import type { Address } from '../wire/address.js';

/** The directories of system programs, which an ordinary user's PATH may lack. */
export const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;
const TIMEOUT_MS = 20_000;
const MAX_OUTPUT = 256 * 1024 * 1024;

/**
 * Runs a system command to its end, without a shell, and gives its standard output.
 * @throws KagemushaError IP_COMMAND_FAILED with the command and what it said
 */
export function run(argv: readonly string[]): Promise<string> {
  const [program = '', ...words] = argv;
  return new Promise((resolve, reject) => {
    const options = {
      timeout: TIMEOUT_MS,
      maxBuffer: MAX_OUTPUT,
      env: { ...process.env, PATH, LC_ALL: 'C' },
    };
    execFile(program, words, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(failed(argv, error, stderr));
    });
  });
}

function failed(argv: readonly string[], error: Error & { code?: unknown }, stderr: string) {
  const said = stderr
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '');
  const why =
    error.code === 'ENOENT'
      ? 'no such program; install iproute2 and procps'
      : (said ?? error.message);
  return new KagemushaError('IP_COMMAND_FAILED', `${argv.join(' ')}: ${why}`, { cause: error });
}

/** Runs `ip -j …` and gives its JSON; `ip` prints nothing at all for an empty list. */
export async function runJson(argv: readonly string[]): Promise<unknown[]> {
  const text = (await run(argv)).trim();
  if (text === '') return [];
  try {
    const answer: unknown = JSON.parse(text);
    return Array.isArray(answer) ? answer : [answer];
  } catch (cause) {
    throw new KagemushaError('IP_COMMAND_FAILED', `${argv.join(' ')}: not JSON`, { cause });
  }
}

interface Pending {
  readonly line: string;
  /** Failing like this is as good as done. */
  readonly harmless: RegExp | undefined;
  readonly resolve: () => void;
  readonly reject: (error: KagemushaError) => void;
}

/**
 * Host routes for home addresses, as bindings come and go. What is asked for while `ip -batch` runs goes into the next
 * batch, so that a storm of registrations costs few processes and the kernel sees the changes in order.
 */
export class RouteWriter {
  #waiting: Pending[] = [];
  #busy: Promise<void> | undefined;

  /** Routes a home address into `device`. @throws KagemushaError IP_COMMAND_FAILED */
  addHomeRoute(homeAddress: Address, device: string): Promise<void> {
    return this.#queue(`route replace ${homeAddress}/128 dev ${device}`);
  }

  /** Takes the route away; one that is not there is no error. @throws KagemushaError IP_COMMAND_FAILED */
  removeHomeRoute(homeAddress: Address, device: string): Promise<void> {
    return this.#queue(
      `route del ${homeAddress}/128 dev ${device}`,
      /No such process|Cannot find device/,
    );
  }

  /** Resolves when everything asked for so far is done. */
  async settled(): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
  }

  #queue(line: string, harmless?: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, harmless, resolve, reject });
      this.#busy ??= this.#work();
    });
  }

  async #work(): Promise<void> {
    // The bindings of one tick share a batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const failures = await runBatch(batch.map(({ line }) => line));
      for (const [i, { line, harmless, resolve, reject }] of batch.entries()) {
        const said = failures.get(i);
        if (said === undefined || harmless?.test(said)) resolve();
        else reject(new KagemushaError('IP_COMMAND_FAILED', `ip -6 ${line}: ${said}`));
      }
    }
    this.#busy = undefined;
  }
}

/** Runs the lines in one `ip -6 -batch`; gives what was said about each line that failed, by its index. */
function runBatch(lines: readonly string[]): Promise<Map<number, string>> {
  const all = (said: string) => new Map(lines.map((_, i) => [i, said]));
  return new Promise((resolve) => {
    const child = spawn('ip', ['-6', '-force', '-batch', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { ...process.env, PATH, LC_ALL: 'C' },
      timeout: TIMEOUT_MS,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', (error) => resolve(all(error.message)));
    child.once('close', (code) => {
      const failures = batchFailures(stderr);
      if (code !== 0 && failures.size === 0) resolve(all(stderr.trim() || `exit code ${code}`));
      else resolve(failures);
    });
    // An `ip` that ended early tells so by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(`${lines.join('\n')}\n`);
  });
}

/** `ip -force -batch` writes the reason and then `Command failed -:LINE`, lines counted from 1. */
function batchFailures(stderr: string): Map<number, string> {
  const failures = new Map<number, string>();
  let said: string[] = [];
  for (const line of stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line);
    if (failed === null) {
      if (line.trim() !== '') said.push(line.trim());
    } else {
      failures.set(Number(failed[1]) - 1, said.join(' ') || 'failed');
      said = [];
    }
  }
  return failures;
}
