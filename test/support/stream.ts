import type { ChildProcess } from 'node:child_process';
import { endProcess, type Netns, until } from '../../src/cli/demo/netns.js';

/** What a stream found. */
export interface StreamResult {
  readonly seconds: number;
  readonly megabytes: number;
  /** Seconds, from its beginning, in which nothing was sent. */
  readonly stalled: readonly number[];
}

/** A TCP stream of 10 Mbit/s without end, in the background (iperf3). */
export class Stream {
  readonly #server: ChildProcess;
  readonly #client: ChildProcess;
  #output = '';

  private constructor(server: ChildProcess, client: ChildProcess) {
    this.#server = server;
    this.#client = client;
    client.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  static async start(from: Netns, to: Netns, address: string): Promise<Stream> {
    const server = to.spawn(['iperf3', '-6', '-s', '-1'], { stdio: 'ignore' });
    await until('iperf3 server', async () =>
      (await to.run(['ss', '-6tlnH'])).includes(':5201') ? true : undefined,
    );
    const argv = ['iperf3', '-6', '-c', address, '-t', '86400', '-b', '10M', '-i', '1', '-J'];
    const client = from.spawn(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    return new Stream(server, client);
  }

  async stop(): Promise<StreamResult> {
    const closed = new Promise<void>((resolve) => this.#client.once('close', () => resolve()));
    // iperf3 sums up at SIGINT.
    this.#client.kill('SIGINT');
    await closed;
    await endProcess(this.#server);
    const { intervals } = JSON.parse(this.#output) as {
      intervals: { sum: { end: number; bytes: number } }[];
    };
    // The last interval was cut short.
    const whole = intervals.slice(0, -1);
    const bytes = whole.reduce((total, { sum }) => total + sum.bytes, 0);
    return {
      seconds: whole.length,
      megabytes: Math.round(bytes / 1e6),
      stalled: whole.flatMap(({ sum }) => (sum.bytes === 0 ? [Math.round(sum.end)] : [])),
    };
  }
}
