import type { ChildProcess } from 'node:child_process';
import { KagemushaError } from '../../errors.js';
import { endProcess, type Netns, until } from './netns.js';
import { cpuSeconds } from './processes.js';

/** What ping6 said, times in milliseconds. */
export interface PingResult {
  sent: number;
  received: number;
  lost: number;
  min_ms: number;
  avg_ms: number;
  max_ms: number;
  /** ping's own "mdev". */
  stddev_ms: number;
  command: string;
}

/** `count` echo requests, one each `intervalMs`. */
export async function ping(
  from: Netns,
  to: string,
  count: number,
  intervalMs: number,
): Promise<PingResult> {
  const argv = ['ping', '-6', '-n', '-c', `${count}`, '-i', `${intervalMs / 1000}`, '-W', '2', to];
  // ping exits 1 when nothing came back: that is a result here.
  const output = await from.run(['sh', '-c', `${argv.join(' ')} || test $? = 1`]);
  return parsePing(output, argv.join(' '));
}

/** Waits until an echo comes back. */
export async function answers(from: Netns, to: string, timeoutMs?: number): Promise<void> {
  const probe = async () => ((await ping(from, to, 1, 1000)).received === 1 ? true : undefined);
  await until(`echo from ${to}`, probe, timeoutMs);
}

/** Echo requests without end, in the background. */
export class Pinging {
  readonly #child: ChildProcess;
  readonly command: string;
  #output = '';

  /** @param more options of ping */
  constructor(from: Netns, to: string, intervalMs: number, more: readonly string[] = []) {
    const argv = ['ping', '-6', '-n', ...more, '-i', `${intervalMs / 1000}`, to];
    this.command = argv.join(' ');
    this.#child = from.spawn(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** What ping has said so far. */
  get output(): string {
    return this.#output;
  }

  /** Ends them and gives what they found. */
  async stop(): Promise<PingResult> {
    const closed = new Promise<void>((resolve) => this.#child.once('close', () => resolve()));
    // ping sums up at SIGINT.
    this.#child.kill('SIGINT');
    await closed;
    return parsePing(this.#output, this.command);
  }

  /**
   * Ends them after one more answer, and gives how many up to that one were sent and lost: what is on its way when they end is neither.
   * @throws KagemushaError TIMED_OUT when there is no answer any more
   */
  async stopAnswered(): Promise<{ readonly sent: number; readonly lost: number }> {
    const last = Math.max(0, ...this.#answered());
    await until('one more answer', () =>
      Math.max(0, ...this.#answered()) > last ? true : undefined,
    );
    await this.stop();
    const answered = this.#answered();
    const sent = Math.max(...answered);
    return { sent, lost: sent - answered.size };
  }

  #answered(): ReadonlySet<number> {
    return new Set([...this.#output.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, n]) => Number(n)));
  }
}

/** Reads ping's summary (iputils). @throws KagemushaError PING_OUTPUT */
export function parsePing(output: string, command: string): PingResult {
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(output);
  if (counts === null) throw new KagemushaError('PING_OUTPUT', `${command}: no summary`);
  const sent = Number(counts[1]);
  const received = Number(counts[2]);
  const times = /= ([\d.]+)\/([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(output);
  const time = (index: number): number => Number(times?.[index] ?? Number.NaN);
  return {
    sent,
    received,
    lost: sent - received,
    min_ms: time(1),
    avg_ms: time(2),
    max_ms: time(3),
    stddev_ms: time(4),
    command,
  };
}

export interface IperfResult {
  bits_per_second: number;
  retransmits: number;
  /** Processor use of the watched process while it ran, percent of one core. */
  cpu_percent: number;
  command: string;
}

/**
 * One TCP flow (cubic) between two namespaces for so long, or of so many octets; `down`: the server sends. `omit`: seconds
 * of slow start that do not count. `watch` is a process id.
 */
export async function iperf(
  client: Netns,
  server: Netns,
  address: string,
  options: { seconds: number; octets?: string; omit?: number; down: boolean; watch?: number },
): Promise<IperfResult> {
  const amount =
    options.octets === undefined ? ['-t', `${options.seconds}`] : ['-n', options.octets];
  const argv = ['-c', address, ...amount, '-C', 'cubic'];
  if (options.down) argv.push('-R');
  if (options.omit !== undefined) argv.push('-O', `${options.omit}`);
  const cpu = (): number => (options.watch === undefined ? 0 : cpuSeconds(options.watch));
  let before = 0;
  let after = 0;
  let elapsed = 0;
  const { output, command } = await withIperfServer(server, async (run) => {
    before = cpu();
    const started = process.hrtime.bigint();
    const ran = await run(client, argv);
    elapsed = Number(process.hrtime.bigint() - started) / 1e9;
    after = cpu();
    return ran;
  });
  const result = JSON.parse(output) as {
    end: { sum_received: { bits_per_second: number }; sum_sent: { retransmits?: number } };
  };
  return {
    bits_per_second: result.end.sum_received.bits_per_second,
    retransmits: result.end.sum_sent.retransmits ?? 0,
    cpu_percent: (100 * (after - before)) / elapsed,
    command,
  };
}

/** Runs an iperf3 client with these words and gives the JSON that it printed, and the command. */
type RunIperf = (
  client: Netns,
  words: readonly string[],
) => Promise<{ readonly output: string; readonly command: string }>;

/** Does `work` while an iperf3 server for one client listens. @param port of TCP, and of UDP where the client asks for it */
export async function withIperfServer<T>(
  server: Netns,
  work: (run: RunIperf) => Promise<T>,
  port = 5201,
): Promise<T> {
  const listening = server.spawn(['iperf3', '-6', '-s', '-1', '-J', '-p', `${port}`], {
    stdio: 'ignore',
  });
  try {
    await until('iperf3 server', async () =>
      (await server.run(['ss', '-6tlnH'])).includes(`:${port} `) ? true : undefined,
    );
    const at = port === 5201 ? [] : ['-p', `${port}`];
    return await work(async (client, words) => {
      const argv = ['iperf3', '-6', ...words, ...at, '-J'];
      return { output: await client.run(argv), command: argv.join(' ') };
    });
  } finally {
    await endProcess(listening);
  }
}

/** Shapes the WAN to `rate` in both directions with a token bucket (tc-tbf(8)); undefined takes the shaper away. */
export async function shapeWire(ends: readonly Netns[], rate: string | undefined): Promise<void> {
  for (const end of ends) {
    if (rate === undefined) await end.run(['tc', 'qdisc', 'del', 'dev', 'wan0', 'root']);
    else await shapeDevice(end, 'wan0', rate);
  }
}

/** What leaves by a device passes a token bucket of `rate`. */
export async function shapeDevice(netns: Netns, device: string, rate: string): Promise<void> {
  const tbf = ['tbf', 'rate', rate, 'burst', '128kb', 'latency', '20ms'];
  await netns.run(['tc', 'qdisc', 'replace', 'dev', device, 'root', ...tbf]);
}
