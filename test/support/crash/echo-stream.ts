import type { ChildProcess } from 'node:child_process';
import { type PingResult, parsePing } from '../../../src/cli/demo/measure.js';
import { type Netns, until } from '../../../src/cli/demo/netns.js';

/** ping(8) without end, whose replies are seen as they come. */
export class EchoStream {
  readonly #child: ChildProcess;
  readonly #command: string;
  /** The last of what it printed: its sum at the end. */
  #tail = '';
  #last = 0;

  constructor(from: Netns, to: string, intervalMs: number) {
    const argv = ['ping', '-6', '-n', '-i', `${intervalMs / 1000}`, to];
    this.#command = argv.join(' ');
    this.#child = from.spawn(argv, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#tail = (this.#tail + text).slice(-2000);
      for (const [, sequence] of text.matchAll(/icmp_seq=(\d+) /g)) this.#last = Number(sequence);
    });
  }

  /** Waits for the answer to a request that was not answered yet. */
  async flows(timeoutMs: number): Promise<void> {
    const before = this.#last;
    await until('echo replies', () => (this.#last === before ? undefined : true), timeoutMs);
  }

  /** Ends it and gives what it found. */
  async stop(): Promise<PingResult> {
    const closed = new Promise<void>((resolve) => this.#child.once('close', () => resolve()));
    this.#child.kill('SIGINT');
    await closed;
    return parsePing(this.#tail, this.#command);
  }
}
