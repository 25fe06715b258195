import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netns } from '../../src/cli/demo/netns.js';
import { AGENT, CARE_OF, HOME, OTHER_CARE_OF, OTHER_HOME } from '../datapath/world.js';
import { buildFlood, type FloodOptions, flood } from '../support/flood.js';

// A flood through a real TUN, as the kernel brings it; what the daemons make of it: flood.test.ts.
//
//   flood ── raw socket ── kernel ── kgfl ── engine ── JavaScript
//                             └───────◀────────┘ valid messages and payload

const CHILD = fileURLToPath(new URL('../support/engine-flood-child.ts', import.meta.url));
const RATE = 100_000;
const SECONDS = Number(process.env.KAGEMUSHA_FLOOD_SECONDS ?? 2);
/** Nanoseconds of the engine's thread a packet: 2000 to 4000 are usual, a wake-up for each packet among them. */
const RUNAWAY = 20_000;

interface Result {
  readonly sent: number;
  readonly heard: number;
  readonly forged: number;
  readonly payloadSent: number;
  readonly payloadHeard: number;
  readonly policed: number;
  readonly read: number;
  readonly wakeups: number;
  /** CPU seconds of the engine's thread, its own and the kernel's for it, and of everything else. */
  readonly user: number;
  readonly system: number;
  readonly script: number;
  readonly rss: number;
}

class Child {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(netns: Netns, device: string) {
    const argv = [process.execPath, ...process.execArgv, CHILD, device];
    this.#child = netns.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.#child.stdout) throw new Error('no pipes');
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  tell(): void {
    this.#child.stdin?.write('\n');
  }
  async said(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the child ended');
    return JSON.parse(value);
  }
  end(): void {
    this.#child.stdin?.end();
  }
}

const skip = process.getuid?.() === 0 ? false : 'needs root';

t.test('100 000 forged signaling packets a second at the engine', { skip }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kagemusha-flood-'));
  const netns = await Netns.create(`kgfl${process.pid}`);
  t.teardown(async () => {
    await netns.remove();
    await rm(directory, { recursive: true, force: true });
  });
  const program = await buildFlood(directory);
  const child = new Child(netns, 'kgfl');
  await child.said();
  await netns.sysctl({ 'net.ipv6.conf.all.forwarding': 1, 'net.ipv6.conf.kgfl.disable_ipv6': 0 });
  await netns.ip('link set kgfl up txqueuelen 5000');
  for (const address of [CARE_OF, AGENT]) await netns.ip(`-6 route add ${address} dev kgfl`);

  const toMobileNode = { source: AGENT, destination: CARE_OF };
  const toHomeAgent = { source: OTHER_CARE_OF, destination: AGENT };
  const floods: Omit<FloodOptions, 'rate' | 'seconds'>[] = [
    { kind: 'bu', sequence: 'counting', homeAddress: HOME, ...toHomeAgent },
    { kind: 'esp-bu', sequence: 'random', homeAddress: OTHER_HOME, spi: 1000, ...toHomeAgent },
    { kind: 'ba', sequence: 'random', homeAddress: OTHER_HOME, ...toMobileNode },
    { kind: 'esp-ba', sequence: 'counting', homeAddress: HOME, spi: 1001, ...toMobileNode },
    { kind: 'mix', sequence: 'constant', homeAddress: HOME, spi: 1001, ...toMobileNode },
  ];
  let memory = 0;
  for (const one of floods) {
    await t.test(`${one.kind}, ${one.sequence}`, async (t) => {
      child.tell();
      const made = await flood(netns, program, { ...one, rate: RATE, seconds: SECONDS });
      child.tell();
      const got = (await child.said()) as Result;
      const nanoseconds = Math.round(((got.user + got.system) / got.read) * 1e9);
      t.comment(JSON.stringify({ ...made, ...got, nanoseconds }));
      t.ok(made.sent > (RATE * SECONDS) / 5, `${made.rate} packets a second`);
      t.ok(got.policed > made.sent / 2, `${got.policed} policed`);
      t.ok(got.forged <= SECONDS * 600 + 300, `JavaScript heard ${got.forged} forged ones`);
      t.ok(got.heard >= got.sent * 0.8, `and ${got.heard} of ${got.sent} valid ones`);
      const payload = `${got.payloadHeard} of ${got.payloadSent} to the guest`;
      t.ok(got.payloadHeard >= got.payloadSent * 0.8, payload);
      t.ok(nanoseconds < RUNAWAY, `${nanoseconds} ns of the engine's thread a packet`);
      if (memory > 0) t.ok(got.rss < memory + 20 * 1024 * 1024, 'memory is flat');
      memory ||= got.rss;
    });
  }
  child.end();
});
