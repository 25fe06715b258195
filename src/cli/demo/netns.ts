import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { KagemushaError } from '../../errors.js';

const execFileAsync = promisify(execFile);
const MAX_OUTPUT = 64 * 1024 * 1024;

/** Runs a command to its end and gives its standard output. @throws KagemushaError COMMAND_FAILED */
export async function run(argv: readonly string[], timeoutMs = 120_000): Promise<string> {
  const [command, ...rest] = argv;
  if (command === undefined) throw new KagemushaError('COMMAND_FAILED', 'empty command');
  try {
    const options = { maxBuffer: MAX_OUTPUT, timeout: timeoutMs };
    const { stdout } = await execFileAsync(command, rest, options);
    return stdout;
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    const said = stderr?.trim().split('\n').at(-1);
    throw new KagemushaError('COMMAND_FAILED', `${argv.join(' ')}: ${said || message}`, { cause });
  }
}

/** A named network namespace (ip-netns(8)) that is taken away with `remove`. */
export class Netns {
  readonly name: string;
  readonly #children = new Set<ChildProcess>();

  private constructor(name: string) {
    this.name = name;
  }

  /** Makes the namespace and brings its loopback up. */
  static async create(name: string): Promise<Netns> {
    await run(['ip', 'netns', 'add', name]);
    const netns = new Netns(name);
    await netns.ip('link set lo up');
    return netns;
  }

  /** One that is there already. */
  static named(name: string): Netns {
    return new Netns(name);
  }

  /** `ip -n NAME …`, words separated by spaces. */
  async ip(words: string): Promise<string> {
    return await run(['ip', '-n', this.name, ...words.split(' ')]);
  }

  async sysctl(values: Record<string, string | number>): Promise<void> {
    const settings = Object.entries(values).map(([key, value]) => `${key}=${value}`);
    await this.run(['sysctl', '-qw', ...settings]);
  }

  /** Runs a command inside, to its end. */
  async run(argv: readonly string[], timeoutMs?: number): Promise<string> {
    return await run(['ip', 'netns', 'exec', this.name, ...argv], timeoutMs);
  }

  /** Starts a command inside; `remove` ends it if it still runs. `ip netns exec` becomes the command, so the process id is its own. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, ...argv], options);
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  /** Ends what was started inside and takes the namespace away. */
  async remove(): Promise<void> {
    await Promise.all([...this.#children].map(endProcess));
    await run(['ip', 'netns', 'del', this.name]);
  }
}

/** SIGTERM, then SIGKILL after two seconds; resolves when the process is gone. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000);
  await closed;
  clearTimeout(timer);
}

/** Waits until `probe` gives something other than undefined. @throws KagemushaError TIMED_OUT naming `what` */
export async function until<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 20_000,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > end)
      throw new KagemushaError('TIMED_OUT', `${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
