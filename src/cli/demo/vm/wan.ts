import { KagemushaError } from '../../../errors.js';
import { captureOn, startCapture } from '../captures.js';
import { PAPER } from '../configuration.js';
import { listing, mayNotChangeUser, readCapture, readingCommand, timeOf } from '../listing.js';
import { endProcess, type Netns } from '../netns.js';
import { HOME_NODES } from './home-lan.js';
import { VM_TAP } from './vm-host.js';

const KINDS = ['protected_binding_update', 'protected_binding_acknowledgement'] as const;

/** What passed at Host B, milliseconds since 1970, and the packets in tcpdump's words. */
export interface Seen {
  readonly update: number;
  readonly acknowledgement: number;
  readonly first: number;
  readonly packets: Readonly<Record<(typeof KINDS)[number] | 'first_packet', string>>;
}

/** The capture of an arrival at Host B: of its WAN without what QEMU sends there, and of the correspondent's packets at the guest's tap. */
export class ArrivalCapture {
  readonly file: string;
  readonly #tapFile: string;
  readonly #stop: readonly (() => Promise<void>)[];

  private constructor(file: string, tapFile: string, stop: readonly (() => Promise<void>)[]) {
    this.file = file;
    this.#tapFile = tapFile;
    this.#stop = stop;
  }

  static async start(hostB: Netns, path: (name: string) => string): Promise<ArrivalCapture> {
    const file = path('wan.pcap');
    const tapFile = path('tap.pcap');
    const stop = [
      await take(hostB, 'wan0', file, `ip6 and not (tcp and host ${PAPER.hostB})`),
      await take(
        hostB,
        VM_TAP,
        tapFile,
        `ip6 and src ${HOME_NODES.correspondent} and dst ${PAPER.guest}`,
      ),
    ];
    return new ArrivalCapture(file, tapFile, stop);
  }

  /** How to read it. */
  get command(): string {
    return readingCommand(this.file, '-tt');
  }

  /** Ends it and reads it. @throws KagemushaError LISTING_INCOMPLETE when it lacks one of the packets */
  async read(): Promise<Seen> {
    for (const stop of this.#stop) await stop();
    const wan = await listing(this.file, KINDS, '-tt');
    const [first] = await readCapture(this.#tapFile, '-tt');
    if (first === undefined) {
      throw new KagemushaError('LISTING_INCOMPLETE', "no packet for the guest at Host B's tap");
    }
    return {
      update: timeOf(wan.protected_binding_update),
      acknowledgement: timeOf(wan.protected_binding_acknowledgement),
      first: timeOf(first),
      packets: { ...wan, first_packet: first },
    };
  }
}

/** By tcpdump, which knows when the kernel saw a packet; in a user namespace, where it cannot run, by our own. */
async function take(
  netns: Netns,
  device: string,
  file: string,
  filter: string,
): Promise<() => Promise<void>> {
  if (!mayNotChangeUser()) return (await captureOn(netns, device, file, filter)).stop;
  const child = await startCapture(netns, device, file, filter);
  return async () => await endProcess(child);
}
