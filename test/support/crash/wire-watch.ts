import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { endProcess, type Netns, until } from '../../../src/cli/demo/netns.js';
import { type Sighting, sightingOf } from './sightings.js';

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
/** tcpdump's default byte order on the machines of today, microseconds */
const MAGIC = 0xa1b2c3d4;

/**
 * tcpdump on a device, read while it runs: everything but tunnel payload goes to `file`, and the ESP packets among it are told here
 * within milliseconds of being on the wire.
 */
export class WireWatch {
  readonly sightings: Sighting[] = [];
  readonly file: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<(seen: Sighting) => void>();
  readonly #written: Promise<void>;
  #rest = Buffer.alloc(0);
  #opened = false;
  #said = '';

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.file = file;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    const stream = createWriteStream(file);
    child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk));
    child.stdout?.pipe(stream);
    this.#written = finished(stream);
  }

  /** Resolves when packets are being taken. */
  static async start(netns: Netns, device: string, file: string): Promise<WireWatch> {
    const at = [
      'tcpdump',
      '-Z',
      'root',
      '-U',
      '--immediate-mode',
      '-n',
      '-B',
      '16384',
      '-s',
      '512',
    ];
    const child = netns.spawn([...at, '-i', device, '-w', '-', 'ip6 and not ip6[6] == 41'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const watch = new WireWatch(child, file);
    await until('tcpdump', () => (/listening on/.test(watch.#said) ? true : undefined));
    return watch;
  }

  /** The next packet from now on that `wanted` holds for; undefined when there is none within `timeout` milliseconds. */
  async next(wanted: (seen: Sighting) => boolean, timeout: number): Promise<Sighting | undefined> {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => end(undefined), timeout);
      const end = (seen: Sighting | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(seen);
      };
      const look = (seen: Sighting): void => {
        if (wanted(seen)) end(seen);
      };
      this.#waiting.add(look);
    });
  }

  /** Ends it; gives how many packets the kernel had no room for. */
  async stop(): Promise<number> {
    await endProcess(this.#child);
    await this.#written;
    return Number(/(\d+) packets dropped by kernel/.exec(this.#said)?.[1] ?? Number.NaN);
  }

  #take(chunk: Buffer): void {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#opened) {
      if (rest.length < FILE_HEADER) {
        this.#rest = Buffer.from(rest);
        return;
      }
      if (rest.readUInt32LE(0) !== MAGIC)
        throw new Error('tcpdump writes a format that is unknown here');
      this.#opened = true;
      rest = rest.subarray(FILE_HEADER);
    }
    while (rest.length >= RECORD_HEADER) {
      const end = RECORD_HEADER + rest.readUInt32LE(8);
      if (rest.length < end) break;
      const at = 1000 * rest.readUInt32LE(0) + rest.readUInt32LE(4) / 1000;
      const seen = sightingOf(rest.subarray(RECORD_HEADER, end), at);
      rest = rest.subarray(end);
      if (seen === undefined) continue;
      this.sightings.push(seen);
      for (const look of [...this.#waiting]) look(seen);
    }
    this.#rest = Buffer.from(rest);
  }
}
