import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endProcess, type Netns, until } from './netns.js';
import { nodeCommand } from './processes.js';

/** What the guest's end of the TCP stream knows. */
export interface StreamReport {
  /** Octets that came back from the other end, each checked. */
  bytes: number;
  /** Longest time without any octet, milliseconds. */
  longestGapMs: number;
  /** Set when the connection died or an octet was wrong. */
  error?: string;
}

const PEER = fileURLToPath(new URL('../../../dist/cli/demo/tcp-stream-peer.js', import.meta.url));
/** In the range for private use (RFC 6335), where no dissector expects a protocol. */
const PORT = '49500';

/**
 * One TCP connection from `client` to `server` that carries a steady stream there and back (the server echoes). It is opened once and
 * never reopened: when it dies, `report().error` says so.
 */
export class TcpStream {
  readonly #server: ChildProcess;
  readonly #client: ChildProcess;
  #report: StreamReport = { bytes: 0, longestGapMs: 0 };

  private constructor(server: ChildProcess, client: ChildProcess) {
    this.#server = server;
    this.#client = client;
  }

  static async open(client: Netns, server: Netns, address: string): Promise<TcpStream> {
    const echo = server.spawn(nodeCommand(PEER, 'server', address, PORT), {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await until('TCP echo server', async () =>
      (await server.run(['ss', '-6tlnH'])).includes(`:${PORT}`) ? true : undefined,
    );
    const sender = client.spawn(nodeCommand(PEER, 'client', address, PORT), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const stream = new TcpStream(echo, sender);
    stream.#listen();
    await until('TCP stream', () => (stream.#report.bytes > 0 ? true : undefined));
    return stream;
  }

  get report(): StreamReport {
    return this.#report;
  }

  async close(): Promise<void> {
    await endProcess(this.#client);
    await endProcess(this.#server);
  }

  #listen(): void {
    onReport(this.#client, (report) => {
      this.#report = report;
    });
    this.#client.once('close', (code) => {
      if (code)
        this.#report = { ...this.#report, error: this.#report.error ?? `exit code ${code}` };
    });
  }
}

/** Calls back with each report that a peer prints, of several at once with the last. */
export function onReport(peer: ChildProcess, callback: (report: StreamReport) => void): void {
  let rest = '';
  peer.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    const last = lines.at(-1);
    if (last !== undefined) callback(JSON.parse(last) as StreamReport);
  });
}
