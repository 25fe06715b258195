import type { ChildProcess } from 'node:child_process';
import { open, readFile, truncate } from 'node:fs/promises';
import { KagemushaError } from '../../../errors.js';
import { endProcess, type Netns, until } from '../netns.js';
import type { VirtualMachine } from './machine.js';

const OCTETS = 64 * 1024 * 1024;
const PORT = 10809;
const EXPORT = 'disk';
/** One sector. */
const RECORD = 512;

/** Record `index` of the disk: its number in decimal, and an end of line. */
export function diskRecord(index: number): string {
  return `${`${index}`.padStart(RECORD - 1, '0')}\n`;
}

/** How many records, of so many, are as they were written. */
export function countRecords(image: Buffer, written: number): number {
  let right = 0;
  for (let i = 0; i < written; i++) {
    if (image.toString('latin1', i * RECORD, (i + 1) * RECORD) === diskRecord(i)) right += 1;
  }
  return right;
}

/** What the guest wrote and had confirmed, and how much of it the disk has. */
export interface DiskResult {
  export: string;
  octets: number;
  records_written: number;
  records_intact: number;
  /** Of those, written after the move. */
  records_after_move: number;
}

/** A disk of 64 MiB that a node of the network serves by NBD; both hosts of a migration have it open. */
export class Disk {
  readonly #image: string;
  readonly #address: string;
  readonly #server: ChildProcess;

  private constructor(image: string, address: string, server: ChildProcess) {
    this.#image = image;
    this.#address = address;
    this.#server = server;
  }

  static async serve(netns: Netns, address: string, image: string): Promise<Disk> {
    await (await open(image, 'w')).close();
    await truncate(image, OCTETS);
    const words = ['-b', address, '-p', `${PORT}`, '-x', EXPORT, '-f', 'raw', '-t', '-e', '2'];
    const server = netns.spawn(['qemu-nbd', ...words, image], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await until('qemu-nbd', async () => {
      if (server.exitCode !== null) throw new KagemushaError('DISK_FAILED', 'qemu-nbd ended');
      return (await netns.run(['ss', '-6tlnH'])).includes(`:${PORT} `) ? true : undefined;
    });
    return new Disk(image, address, server);
  }

  get url(): string {
    return `nbd://[${this.#address}]:${PORT}/${EXPORT}`;
  }

  /** As QEMU's `-drive` has it. */
  get drive(): string {
    return `file=${this.url},format=raw`;
  }

  /** The machine writes one record after the other, each forced to the disk before it counts. */
  async startWriting(machine: VirtualMachine): Promise<void> {
    const dd = `dd of=/dev/vda bs=${RECORD} seek=$i conv=notrunc,fsync`;
    const write = `printf '%0${RECORD - 1}d\\n' $i | ${dd} 2>/dev/null || exit`;
    const more = `[ $i -lt ${OCTETS / RECORD} ] && [ ! -e /tmp/enough ]`;
    const tell = 'i=$((i+1)); echo $i >/tmp/written.new; mv /tmp/written.new /tmp/written';
    await machine.run(
      `(i=0; while ${more}; do ${write}; ${tell}; sleep 0.05; done; touch /tmp/ended) &`,
    );
    await until('the first record on the disk', async () =>
      (await Disk.written(machine)) > 0 ? true : undefined,
    );
  }

  /** How many records the machine has had confirmed. @throws KagemushaError MACHINE_COMMAND when it says something else */
  static async written(machine: VirtualMachine): Promise<number> {
    const said = await machine.run('cat /tmp/written 2>/dev/null || echo 0');
    if (/^\d+\s*$/.test(said)) return Number(said);
    throw new KagemushaError('MACHINE_COMMAND', `not a number of records: ${JSON.stringify(said)}`);
  }

  /** Ends the writing and compares. @param before how many there were when it moved */
  async check(machine: VirtualMachine, before: number): Promise<DiskResult> {
    await machine.run('touch /tmp/enough; while [ ! -e /tmp/ended ]; do sleep 0.05; done');
    const written = await Disk.written(machine);
    return {
      export: this.url,
      octets: OCTETS,
      records_written: written,
      records_intact: countRecords(await readFile(this.#image), written),
      records_after_move: written - before,
    };
  }

  async close(): Promise<void> {
    await endProcess(this.#server);
  }
}
