import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { CHECKOUT } from '../../../checkout.js';
import { endProcess, type Netns, until } from '../netns.js';
import { nodeCommand } from '../processes.js';
import { onReport, type StreamReport } from '../tcp-stream.js';
import type { VirtualMachine } from './machine.js';

const PEER = join(CHECKOUT, 'dist/cli/demo/vm/counted-stream-peer.js');
/** In the range for private use (RFC 6335), where no dissector expects a protocol. */
const PORT = '49500';

/** One TCP connection from the machine on which it counts, ten numbers a second: next to nothing, so that the migration has the wire. */
export class CountedStream {
  readonly #peer: ChildProcess;
  #report: StreamReport = { bytes: 0, longestGapMs: 0 };

  private constructor(peer: ChildProcess) {
    this.#peer = peer;
    onReport(peer, (report) => {
      this.#report = report;
    });
  }

  static async open(from: VirtualMachine, to: Netns, address: string): Promise<CountedStream> {
    const peer = to.spawn(nodeCommand(PEER, address, PORT), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const stream = new CountedStream(peer);
    await until('a TCP listener', async () =>
      (await to.run(['ss', '-6tlnH'])).includes(`:${PORT}`) ? true : undefined,
    );
    const count = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done';
    await from.run(`(${count} | nc ${address} ${PORT}) >/dev/null 2>&1 &`);
    await stream.goesOn();
    return stream;
  }

  get report(): StreamReport {
    return this.#report;
  }

  /** Waits until more has come, or it has died. */
  async goesOn(): Promise<void> {
    const before = this.#report.bytes;
    const came = (): true | undefined =>
      this.#report.bytes > before || this.#report.error !== undefined ? true : undefined;
    await until('the TCP stream', came, 30_000);
  }

  async close(): Promise<void> {
    await endProcess(this.#peer);
  }
}
