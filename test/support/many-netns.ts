import { type ChildProcess, spawn } from 'node:child_process';
import { Netns } from '../../src/cli/demo/netns.js';

/** So many processes at a time. */
const AT_ONCE = 32;

/** Runs the lines as commands of one ip(8), inside a namespace where one is named. */
export async function ipBatch(lines: readonly string[], netns?: string): Promise<void> {
  const inside = netns === undefined ? [] : ['-n', netns];
  const child = spawn('ip', [...inside, '-batch', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.stdin.end(`${lines.join('\n')}\n`);
  const code = await ended(child);
  if (code !== 0) throw new Error(`ip -batch in ${netns ?? 'here'}: ${said.trim()}`);
}

async function ended(child: ChildProcess): Promise<number | null> {
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** Network namespaces by the hundred, made and taken away by one process each time. */
export class ManyNetns {
  readonly names: readonly string[];

  private constructor(names: readonly string[]) {
    this.names = names;
  }

  static async create(names: readonly string[]): Promise<ManyNetns> {
    await ipBatch(names.map((name) => `netns add ${name}`));
    return new ManyNetns(names);
  }

  /** Runs the lines of `linesOf` inside each. */
  async ip(linesOf: (name: string, index: number) => readonly string[]): Promise<void> {
    await this.each(async ({ name }, index) => await ipBatch(linesOf(name, index), name));
  }

  /** Does something with each of them, some at a time; the results are in their order. */
  async each<T>(work: (netns: Netns, index: number) => Promise<T>): Promise<T[]> {
    const results: T[] = [];
    const left = this.names.entries();
    const worker = async (): Promise<void> => {
      for (const [index, name] of left) results[index] = await work(Netns.named(name), index);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return results;
  }

  async remove(): Promise<void> {
    await ipBatch(this.names.map((name) => `netns del ${name}`));
  }
}
