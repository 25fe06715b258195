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

/** Commands of one process: enough to be quick, and few enough for its time and its arguments. */
const BATCH = 100;

/**
 * Runs system commands one after the other, in few processes: neighbouring `ip` and `sysctl -qw` go together.
 * @throws KagemushaError IP_COMMAND_FAILED with the first one that failed; what stands behind it was not run
 */
export async function runAll(commands: readonly (readonly string[])[]): Promise<void> {
  for (const group of grouped(commands)) {
    const [only, second] = group;
    if (only === undefined) continue;
    if (second === undefined) await run(only);
    else if (only[0] === 'ip') await runIp(group);
    else await runSysctl(group);
  }
}

/** What makes neighbours run in one process; undefined: each has its own. */
function family([program, flag]: readonly string[]): string | undefined {
  if (program === 'ip') return flag?.startsWith('-') === true ? `ip ${flag}` : 'ip';
  return program === 'sysctl' && flag === '-qw' ? 'sysctl' : undefined;
}

function grouped(commands: readonly (readonly string[])[]): (readonly string[])[][] {
  const groups: (readonly string[])[][] = [];
  let last: string | undefined;
  for (const command of commands) {
    const kind = family(command);
    const group = groups.at(-1);
    if (kind !== undefined && kind === last && group !== undefined && group.length < BATCH) {
      group.push(command);
    } else {
      groups.push([command]);
    }
    last = kind;
  }
  return groups;
}

async function runIp(commands: readonly (readonly string[])[]): Promise<void> {
  const flags = commands[0]?.[1] === '-6' ? ['-6'] : [];
  const lines = commands.map((words) => words.slice(1 + flags.length).join(' '));
  const [failure] = await runBatch(flags, lines);
  if (failure === undefined) return;
  const [index, said] = failure;
  throw new KagemushaError('IP_COMMAND_FAILED', `${commands[index]?.join(' ')}: ${said}`);
}

async function runSysctl(commands: readonly (readonly string[])[]): Promise<void> {
  try {
    await run(['sysctl', '-qw', ...commands.flatMap((words) => words.slice(2))]);
  } catch {
    // Which of them failed; the others may well be done twice.
    for (const command of commands) await run(command);
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
      const failures = await runBatch(
        ['-6', '-force'],
        batch.map(({ line }) => line),
      );
      for (const [i, { line, harmless, resolve, reject }] of batch.entries()) {
        const said = failures.get(i);
        if (said === undefined || harmless?.test(said)) resolve();
        else reject(new KagemushaError('IP_COMMAND_FAILED', `ip -6 ${line}: ${said}`));
      }
    }
    this.#busy = undefined;
  }
}

/** Runs the lines in one `ip -batch`; gives what was said about each line that failed, by its index: with `-force` all, else the first. */
function runBatch(
  flags: readonly string[],
  lines: readonly string[],
): Promise<Map<number, string>> {
  const all = (said: string) => new Map(lines.map((_, i) => [i, said]));
  return new Promise((resolve) => {
    const child = spawn('ip', [...flags, '-batch', '-'], {
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
