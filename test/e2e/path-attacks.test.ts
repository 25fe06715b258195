import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Pinging, type PingResult } from '../../src/cli/demo/measure.js';
import { endProcess, type Netns, until } from '../../src/cli/demo/netns.js';
import { residentBytes } from '../../src/cli/demo/processes.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { sumDrops } from '../../src/daemon/drop-counts.js';
import { Sender } from '../support/forger.js';
import { answers } from '../support/journey.js';
import { captureOn, tsharkFields } from '../support/judge.js';
import { PATH, PathLab } from '../support/path-lab.js';
import { record } from '../support/record.js';

// An outsider in the world knows every address and lies about the outer path. What is sent with the right quotes comes from somebody on the
// path: it must be harmless too, but for one thing, a lower path MTU.

const FORGER = fileURLToPath(new URL('./path-forger.py', import.meta.url));
const PYTHON = '/usr/bin/python3';
const SECONDS = Number(process.env.KAGEMUSHA_FLOOD_SECONDS ?? 4);
const RATE = 8000;
const COPIES = 3;
/** Longer than the engine's limits need to let the next one through. */
const PACE_MS = 40;
const PING_INTERVAL_MS = 20;
/** What other work on the machine may cost while an attack runs: a share of the echo requests. */
const LOSS_ALLOWED = 0.02;
/** MiB that the second half may need more than the first: a garbage collector's own ups and downs. */
const MEMORY_ALLOWED = 12;
const MIB = 1024 * 1024;
/** The limit of what a daemon tells a guest or a correspondent, a second, and at once. */
const ERRORS = { rate: 10, burst: 10 };
const STRANGERS = ['2001:db8:77::1', '2001:db8:77::2', '2001:db8:78::1'];
const COMMAND =
  'PATH_ATTACKS_RECORD=bench/results/path-attacks.json npm test -- test/e2e/path-attacks.test.ts';

/** A forger's process that listens. */
class Ear {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;

  constructor(netns: Netns, ...words: string[]) {
    this.#child = netns.spawn([PYTHON, FORGER, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.lines.push(...text.split('\n').filter((line) => line !== ''));
    });
  }

  async line(index: number): Promise<string> {
    return await until('a line', () => this.lines[index]);
  }

  async stop(): Promise<void> {
    await endProcess(this.#child);
  }
}

async function forge<T>(netns: Netns, ...words: string[]): Promise<T> {
  return JSON.parse(await netns.run([PYTHON, FORGER, ...words])) as T;
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const sum = (drops: Record<string, number>): number =>
  Object.values(drops).reduce((all, count) => all + count, 0);

/** One of the tunnel's ends, as an attacker sees it. */
interface End {
  readonly name: 'the host' | 'the Home Agent';
  readonly address: string;
  readonly other: string;
  pathMtu(): Promise<number>;
  drops(): Promise<Record<string, number>>;
}

function endsOf(lab: PathLab): readonly [End, End] {
  return [
    {
      name: 'the host',
      address: PAPER.careOf,
      other: PAPER.homeAgent,
      pathMtu: async () => (await lab.guestStatus()).tunnel?.pathMtu ?? 0,
      drops: async () => sumDrops((await lab.hostStatus()).drops, (await lab.guestStatus()).drops),
    },
    {
      name: 'the Home Agent',
      address: PAPER.homeAgent,
      other: PAPER.careOf,
      pathMtu: async () => (await lab.bindingStatus()).tunnel?.pathMtu ?? 0,
      drops: async () =>
        sumDrops((await lab.homeAgentStatus()).drops, (await lab.bindingStatus()).drops),
    },
  ];
}

/** A tunnel packet as it really went, of 1400 octets inside: towards the other end from `end`. */
async function genuine(lab: PathLab, end: End): Promise<string> {
  const { guest, correspondent, routers } = lab.nodes;
  const fromHost = end.name === 'the host';
  const [r1] = routers;
  const ear = new Ear(r1, 'sniff', fromHost ? 'lower' : 'upper', end.address, '1440');
  await ear.line(0);
  const [from, to] = fromHost ? [guest, PAPER.hostA] : [correspondent, PAPER.guest];
  await from.run(['ping', '-6', '-n', '-c', '2', '-i', '0.1', '-s', '1352', to]);
  const packet = await ear.line(1);
  await ear.stop();
  return packet;
}

/** Lets the guest's life go on while `attack` runs, and judges it. */
async function under<T>(t: Test, lab: PathLab, attack: () => Promise<T>): Promise<T> {
  const { guest, correspondent } = lab.nodes;
  const { host, homeAgent } = lab.daemons;
  const ends = endsOf(lab);
  const before = await Promise.all(ends.map((end) => end.drops()));
  const stream = await TcpStream.open(guest, correspondent, PAPER.hostA);
  const pings = [
    new Pinging(guest, PAPER.hostA, PING_INTERVAL_MS),
    new Pinging(correspondent, PAPER.guest, PING_INTERVAL_MS),
  ];
  const memory: number[][] = [[], []];
  const watch = setInterval(() => {
    for (const [index, { pid }] of [host, homeAgent].entries())
      memory[index]?.push(residentBytes(pid) / MIB);
  }, 100);
  const bytesBefore = stream.report.bytes;
  let result: T;
  let results: PingResult[];
  try {
    result = await attack();
  } finally {
    clearInterval(watch);
    await sleep(100);
    results = await Promise.all(pings.map((pinging) => pinging.stop()));
    await stream.close();
  }
  for (const { sent, lost, max_ms } of results) {
    // The last request may still be on its way when ping ends.
    const missing = Math.max(0, lost - 1);
    t.ok(
      missing <= LOSS_ALLOWED * sent,
      `${missing} of ${sent} echo requests lost, slowest ${max_ms} ms`,
    );
  }
  const { bytes: carried, error, longestGapMs } = stream.report;
  t.equal(error, undefined, 'TCP lives');
  t.ok(
    carried - bytesBefore > 100_000,
    `${carried - bytesBefore} octets of TCP meanwhile, longest gap ${longestGapMs} ms`,
  );
  t.ok(longestGapMs < 2000, 'and it never stood still');
  for (const [index, samples] of memory.entries()) {
    const half = samples.length / 2;
    const [early = 0, late = 0] = [samples.slice(0, half), samples.slice(half)].map((part) =>
      Math.max(...part),
    );
    t.ok(
      late - early < MEMORY_ALLOWED,
      `${ends[index]?.name}: at most ${early.toFixed(1)} MiB and then ${late.toFixed(1)}`,
    );
  }
  const after = await Promise.all(ends.map((end) => end.drops()));
  const dropped = after.map((drops, index) => grown(before[index] ?? {}, drops));
  t.comment(`drops: ${JSON.stringify(dropped)}`);
  figures.push({
    attack: t.name,
    pings: results.map(({ sent, lost, max_ms }) => ({ sent, lost, max_ms })),
    longestGapMs,
    resident_mib: memory.map((samples) => Math.round(Math.max(...samples))),
    dropped,
  });
  return result;
}

function grown(
  before: Record<string, number>,
  after: Record<string, number>,
): Record<string, number> {
  const more = Object.entries(after).map(
    ([reason, count]) => [reason, count - (before[reason] ?? 0)] as const,
  );
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}

const figures: unknown[] = [];

t.test('who lies about the outer path', async (t) => {
  const lab = await PathLab.start({ path: 1500, uplink: 1500, nic: 1500 });
  t.teardown(() => lab.remove());
  const { guest, correspondent, world } = lab.nodes;
  const [, r2] = PATH.routers;
  const outsider = new Sender(world);
  await lab.register();
  await answers(guest, PAPER.hostA);

  for (const end of endsOf(lab)) {
    await t.test(
      `RFC 8201 4: Packet Too Big that is not about a packet of ${end.name}`,
      async (t) => {
        const before = await until('the path MTU', async () =>
          (await end.pathMtu()) === 1500 ? 1500 : undefined,
        );
        const packet = await genuine(lab, end);
        const { right = '', ...wrong } = await forge<Record<string, string>>(
          world,
          'errors',
          packet,
          r2,
        );
        await under(t, lab, async () => {
          for (const [name, error] of Object.entries(wrong)) {
            const counted = sum(await end.drops());
            for (let copy = 0; copy < COPIES; copy++) {
              await outsider.send([bytes(error)]);
              await sleep(PACE_MS);
            }
            const now = await until(
              'drops',
              async () => {
                const drops = sum(await end.drops());
                return drops - counted >= COPIES ? drops : undefined;
              },
              1000,
            ).catch(async () => sum(await end.drops()));
            t.ok(now - counted >= COPIES, `${name}: ${now - counted} counted`);
            t.equal(await end.pathMtu(), before, `${name}: changes nothing`);
          }
        });
        await outsider.send([bytes(right)]);
        const lower = await until(
          'the one that is right',
          async () => ((await end.pathMtu()) === 1400 ? 1400 : undefined),
          3000,
        ).catch(() => end.pathMtu());
        t.equal(lower, 1400, 'the same without anything wrong is believed');
        await lab.unregister();
        await lab.register();
      },
    );
  }

  await t.test('RFC 4443 2.4(f): floods of ICMPv6 errors about real packets', async (t) => {
    const quotes = await Promise.all(endsOf(lab).map((end) => genuine(lab, end)));
    const targets = JSON.stringify(quotes.map((quote) => [r2, quote]));
    const captures = {
      'the guest': await captureOn(guest, 'eth0', join(lab.directory, 'errors-g.pcap'), 'icmp6'),
      'the correspondent': await captureOn(
        correspondent,
        'eth0',
        join(lab.directory, 'errors-c.pcap'),
        'icmp6',
      ),
    };
    const { sent } = await under(
      t,
      lab,
      async () =>
        await forge<{ sent: number }>(world, 'flood', 'errors', `${RATE}`, `${SECONDS}`, targets),
    );
    t.ok(sent > RATE, `${sent} errors`);
    for (const [who, capture] of Object.entries(captures)) {
      await capture.stop();
      const told = (await tsharkFields(capture.file, 'icmpv6.type < 128', ['icmpv6.type'])).length;
      t.ok(told > 0, `${who} hears of it`);
      const most = ERRORS.rate * (SECONDS + 2) + ERRORS.burst;
      t.ok(told <= most, `${who} is told ${told} times, of ${most} allowed`);
    }
  });

  await lab.unregister();
  await lab.narrow(1280);
  await lab.register();
  await answers(guest, PAPER.hostA);
  /** Inner packets that cross in fragments. */
  const whole = async (from: Netns, to: string): Promise<PingResult> => {
    const pinging = await from.run([
      'sh',
      '-c',
      `ping -6 -n -c 50 -i 0.02 -W 2 -s 1232 ${to} || test $? = 1`,
    ]);
    const counts = /(\d+) packets transmitted, (\d+) received/.exec(pinging);
    const [sent, received] = [Number(counts?.[1]), Number(counts?.[2])];
    return { sent, received, lost: sent - received } as PingResult;
  };

  for (const [name, targets, fragmentsPass] of [
    [
      'strangers',
      STRANGERS.flatMap((source) => [
        [source, PAPER.careOf],
        [source, PAPER.homeAgent],
      ]),
      true,
    ],
    [
      "the tunnel's other end",
      [
        [PAPER.homeAgent, PAPER.careOf],
        [PAPER.careOf, PAPER.homeAgent],
      ],
      false,
    ],
  ] as const) {
    await t.test(`RFC 8200 4.5: floods of fragments in the name of ${name}`, async (t) => {
      const { sent, lost } = await under(t, lab, async () => {
        const flood = forge<{ sent: number }>(
          world,
          'flood',
          'fragments',
          `${RATE}`,
          `${SECONDS}`,
          JSON.stringify(targets),
        );
        await sleep(500);
        const echoes = [await whole(guest, PAPER.hostA), await whole(correspondent, PAPER.guest)];
        return { ...(await flood), lost: echoes.map((echo) => echo.lost) };
      });
      t.ok(sent > RATE, `${sent} fragments`);
      t.comment(
        `of 50 echo requests that cross in fragments themselves ${lost.join(' and ')} were lost`,
      );
      if (fragmentsPass)
        t.ok(
          lost.every((count) => count <= 2),
          'fragments of the tunnel pass',
        );
    });
  }

  await t.test('RFC 8200 4.5: nothing is made of fragments that overlap', async (t) => {
    const port = '9999';
    for (const [netns, local, remote, source, destination] of [
      [guest, PAPER.homeAgent, PAPER.careOf, PAPER.hostA, PAPER.guest],
      [correspondent, PAPER.careOf, PAPER.homeAgent, PAPER.guest, PAPER.hostA],
    ] as const) {
      const ear = new Ear(netns, 'hear', port);
      await ear.line(0);
      const attempts = await forge<Record<string, string[]>>(
        world,
        'overlaps',
        local,
        remote,
        source,
        destination,
        port,
      );
      for (const fragments of Object.values(attempts)) {
        await outsider.send(fragments.map(bytes));
        await sleep(PACE_MS);
      }
      // What was sent last is behind everything else: a whole one.
      await outsider.send((attempts.whole ?? []).map(bytes));
      const expected = ['ready', 'whole', 'whole, last first', 'whole'];
      await until('what is whole', () =>
        ear.lines.length >= expected.length ? true : undefined,
      ).catch(() => undefined);
      t.same(ear.lines, expected, `to ${destination}: what does not overlap, and nothing else`);
      await ear.stop();
    }
  });

  await t.test('and then all is well', async (t) => {
    for (const [from, to] of [
      [guest, PAPER.hostA],
      [correspondent, PAPER.guest],
    ] as const) {
      const calm = await until(
        'calm',
        async () => ((await whole(from, to)).lost === 0 ? true : undefined),
        70_000,
      );
      t.ok(calm, 'packets that need fragments cross');
    }
    for (const end of endsOf(lab))
      t.equal(await end.pathMtu(), 1280, `the path MTU of ${end.name}`);
  });
  const output = process.env.PATH_ATTACKS_RECORD;
  if (output !== undefined) await record(output, COMMAND, figures);
});
