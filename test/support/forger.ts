import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Netns, until } from '../../src/cli/demo/netns.js';

const SCRIPT = fileURLToPath(new URL('../e2e/forger.py', import.meta.url));

/** forger.py, which says lines. */
class Hand {
  readonly lines: string[] = [];
  readonly child: ChildProcess;

  constructor(netns: Netns, words: readonly string[]) {
    this.child = netns.spawn(['/usr/bin/python3', SCRIPT, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (this.child.stdout === null) throw new Error('no pipe');
    createInterface(this.child.stdout).on('line', (line) => this.lines.push(line));
  }
}

/** Sends whole IPv6 packets, whatever is in them, as its namespace's kernel routes them. */
export class Sender {
  readonly #hand: Hand;
  #rounds = 0;

  constructor(netns: Netns) {
    this.#hand = new Hand(netns, ['send']);
  }

  /** Resolves when they have left. */
  async send(packets: readonly Uint8Array[]): Promise<void> {
    const { child, lines } = this.#hand;
    const end = `=${++this.#rounds}`;
    const hex = packets.map((packet) => Buffer.from(packet).toString('hex'));
    if (child.stdin?.write(`${[...hex, end].join('\n')}\n`) === false)
      await once(child.stdin, 'drain');
    await until('packets sent', () => (lines.includes(end) ? true : undefined));
  }
}

/** What a daemon writes to its TUN from one of its addresses, but for the tunnels' payload. */
export class Listener {
  readonly #hand: Hand;

  private constructor(hand: Hand) {
    this.#hand = hand;
  }

  static async open(netns: Netns, device: string, addresses: readonly string[]): Promise<Listener> {
    const hand = new Hand(netns, ['listen', device, ...addresses]);
    await until('listening', () => (hand.lines.includes('=listening') ? true : undefined));
    return new Listener(hand);
  }

  /** Every packet so far, oldest first. */
  get packets(): Uint8Array[] {
    const { lines } = this.#hand;
    return lines.filter((line) => !line.startsWith('=')).map((line) => Buffer.from(line, 'hex'));
  }
}
