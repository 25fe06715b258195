import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PAPER } from '../src/cli/demo/configuration.js';
import { Pinging, ping } from '../src/cli/demo/measure.js';
import { until } from '../src/cli/demo/netns.js';
import { type Daemon, residentBytes } from '../src/cli/demo/processes.js';
import { CountedStream } from '../src/cli/demo/vm/counted-stream.js';
import { Fleet } from '../src/cli/demo/vm/fleet.js';
import { VirtualHosts } from '../src/cli/demo/vm/hosts.js';
import { SlowWire } from '../src/cli/demo/vm/slow-wire.js';
import type { Qemu, VmHost } from '../src/cli/demo/vm/vm-host.js';
import type { ArrivalReport } from '../src/migration/index.js';
import { type Machine, machine } from './machine.js';
import { median } from './path/statistics.js';

/** Between two echo requests, milliseconds. */
const PING_INTERVAL = 20;
/** A machine stands still for so long where that is to outlast duplicate address detection. */
const STANDING = { 'max-bandwidth': 10_000_000, 'downtime-limit': 1_000_000 };
const HOLD_MS = 1500;
const SLOW = 20_000_000;
/** Moves after which a daemon has whatever it keeps. */
const WARM = 5;

export interface MovesOptions {
  /** From Host B to Host C and back. */
  readonly moves: number;
  /** From home to Host B and back, the machine standing still for longer than duplicate address detection takes. */
  readonly departures: number;
  readonly command: string;
  progress(line: string): void;
}

/** One arrival; milliseconds. */
export interface Move extends ArrivalReport {
  readonly to: string;
  /** From RESUME until the Home Agent's answer, or 0 when that was there before: what is added to the hypervisor's own. */
  readonly added: number;
}

/** What a daemon uses. */
interface Use {
  readonly resident: number;
  readonly descriptors: number;
}

/** bench/results/migration.json */
export interface MovesResult {
  readonly schemaVersion: 1;
  readonly date: string;
  readonly machine: Machine;
  readonly command: string;
  /** To the Home Agent from Host B and Host C, ms. */
  readonly rtt: number;
  /** Foreign to foreign: of all moves, ms. */
  readonly trigger: Spread;
  readonly added: Spread;
  /** The same from home to Host B, where the machine stood still for longer than duplicate address detection. */
  readonly early: { readonly trigger: Spread; readonly added: Spread };
  readonly echoes: { readonly sent: number; readonly lost: number; readonly duplicates: number };
  readonly tcp: { readonly alive: boolean; readonly longest_gap_ms: number };
  /** After five moves, and after all of them. */
  readonly daemons: Readonly<Record<string, { readonly early: Use; readonly late: Use }>>;
  readonly moves: readonly Move[];
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** A machine goes from home to Host B, then between Host B and Host C, then home again and back, as fast as it goes. */
export async function runMoves(options: MovesOptions): Promise<MovesResult> {
  const hosts = await VirtualHosts.build();
  try {
    const fleet = await Fleet.build(hosts);
    try {
      return await new Journey(fleet, options).run();
    } finally {
      await fleet.remove();
    }
  } finally {
    await hosts.testbed.remove();
  }
}

class Journey {
  readonly #fleet: Fleet;
  readonly #options: MovesOptions;
  readonly #moves: Move[] = [];
  #count = 0;

  constructor(fleet: Fleet, options: MovesOptions) {
    this.#fleet = fleet;
    this.#options = options;
  }

  async run(): Promise<MovesResult> {
    const { a, b, c, hosts } = this.#fleet;
    const { moves, departures, command, progress } = this.#options;
    const { hostA } = hosts.testbed;
    const homeAgent = await hosts.testbed.startHomeAgent();
    for (const host of [a, b, c]) await host.start();
    let guest = await this.#fleet.boot();
    await a.machineIs('running');
    const stream = await CountedStream.open(guest.machine, hostA, PAPER.hostA);
    const pinging = new Pinging(hostA, PAPER.guest, PING_INTERVAL, ['-O']);
    const rtts = [b, c].map(
      async ({ netns }) => (await ping(netns, PAPER.homeAgent, 50, 20)).avg_ms,
    );
    const rtt = median(await Promise.all(rtts));

    guest = await this.#move(guest, b, 'home to Host B');
    const daemons = { 'home-agent': homeAgent, 'host-b': b.daemon, 'host-c': c.daemon };
    let early = uses(daemons);
    const foreign: Move[] = [];
    for (let i = 0; i < moves; i += 1) {
      guest = await this.#move(guest, i % 2 === 0 ? c : b, i % 2 === 0 ? 'Host C' : 'Host B');
      foreign.push(...this.#moves.slice(-1));
      if (i === WARM - 1) early = uses(daemons);
      await stream.goesOn();
    }
    const late = uses(daemons);
    const standing: Move[] = [];
    for (let i = 0; i < departures; i += 1) {
      guest = await this.#move(guest, a, 'home');
      await stream.goesOn();
      guest = await this.#move(guest, b, 'home to Host B, standing still', HOLD_MS);
      standing.push(...this.#moves.slice(-1));
      await stream.goesOn();
    }
    const { sent, lost } = await pinging.stop();
    const duplicates = pinging.output.split('DUP').length - 1;
    const { error, longestGapMs } = stream.report;
    await stream.close();
    await guest.machine.kill();
    progress(`${this.#moves.length} moves`);
    return {
      schemaVersion: 1,
      date: new Date().toISOString(),
      machine: machine(),
      command,
      rtt,
      trigger: spread(foreign.map(({ trigger }) => trigger)),
      added: spread(foreign.map(({ added }) => added)),
      early: {
        trigger: spread(standing.map(({ trigger }) => trigger)),
        added: spread(standing.map(({ added }) => added)),
      },
      echoes: { sent, lost, duplicates },
      tcp: { alive: error === undefined, longest_gap_ms: longestGapMs },
      daemons: Object.fromEntries(
        Object.keys(daemons).map((name) => [
          name,
          { early: early.get(name) ?? NOTHING, late: late.get(name) ?? NOTHING },
        ]),
      ),
      moves: this.#moves,
    };
  }

  /** @param hold the machine stands still for so long at least */
  async #move(guest: Qemu, to: VmHost, what: string, hold = 0): Promise<Qemu> {
    const { hosts } = this.#fleet;
    this.#count += 1;
    const name = `m${this.#count}`;
    const before = (await to.guest()).arrival?.at;
    const next = await to.awaitGuest(name);
    if (hold === 0) await hosts.migrate(guest, `unix:${hosts.path(name)}`);
    else await this.#slowly(guest, next, name, hold);
    await guest.machine.kill();
    guest.qmp.close();
    const atHome = to === this.#fleet.a;
    await to.bindingIs(atHome ? 'at-home' : 'registered');
    const arrival = await until(`how it came to ${what}`, async () => {
      const now = (await to.guest()).arrival;
      const whole = atHome ? now?.answer : now?.firstPacket;
      return now?.at === before || whole === undefined ? undefined : now;
    });
    const added = Math.max(0, arrival.trigger + (arrival.answer ?? 0));
    this.#moves.push({ to: what, ...arrival, added });
    this.#options.progress(
      `${this.#count}: ${what}: stood still ${arrival.hypervisor?.toFixed(0)} ms, added ${added.toFixed(1)} ms (Binding Update ${arrival.trigger.toFixed(1)} ms after RESUME)`,
    );
    return next;
  }

  async #slowly(guest: Qemu, next: Qemu, name: string, hold: number): Promise<void> {
    const { hosts } = this.#fleet;
    const wire = new SlowWire(hosts.path(`${name}s`), hosts.path(name), SLOW);
    const before = guest.qmp.events.length;
    const migrating = hosts.migrate(guest, `unix:${hosts.path(`${name}s`)}`, STANDING);
    await guest.qmp.event('STOP', undefined, before);
    wire.hold();
    await sleep(hold);
    wire.go();
    await migrating;
    // The last of it is still on the wire.
    await next.qmp.event('RESUME');
    wire.cut();
  }
}

/** The result for a person. */
export function describeMoves(result: MovesResult): string {
  const line = (what: string, { median: middle, least, most }: Spread): string =>
    `${what.padEnd(44)}${ms(middle)} (${ms(least)} to ${ms(most)})`;
  const { rtt, trigger, added, early, echoes, tcp, daemons } = result;
  return [
    `RTT to the Home Agent                       ${ms(rtt)}`,
    line('RESUME to Binding Update', trigger),
    line('added to the stop, foreign to foreign', added),
    line('from home, standing still: RESUME to update', early.trigger),
    line('from home, standing still: added', early.added),
    `echoes ${echoes.sent}, lost ${echoes.lost}, answered twice ${echoes.duplicates}`,
    `TCP ${tcp.alive ? 'alive' : 'dead'}, longest gap ${ms(tcp.longest_gap_ms)}`,
    ...Object.entries(daemons).map(
      ([name, { early: before, late }]) =>
        `${name}: ${mib(before.resident)} MiB and ${before.descriptors} descriptors, then ${mib(late.resident)} and ${late.descriptors}`,
    ),
    '',
  ].join('\n');
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;
const mib = (octets: number): string => (octets / 2 ** 20).toFixed(1);

const NOTHING: Use = { resident: Number.NaN, descriptors: Number.NaN };

function uses(daemons: Readonly<Record<string, Daemon>>): Map<string, Use> {
  return new Map(
    Object.entries(daemons).map(([name, { pid }]) => [
      name,
      { resident: residentBytes(pid), descriptors: readdirSync(`/proc/${pid}/fd`).length },
    ]),
  );
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}
