import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pinging, type PingResult, ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { cpuSeconds, type Daemon, residentBytes } from '../../src/cli/demo/processes.js';
import { espFloor } from '../../src/daemon/numbers.js';
import { FLEET, Fleet, type FleetGuest } from '../support/fleet.js';
import { buildFlood, type FloodOptions, type FloodResult, flood } from '../support/flood.js';
import { record } from '../support/record.js';

// An outsider floods each daemon with forged signaling in its guests' names. Generator, kernel and daemons share the
// cores, so that some load is lost to any flood. How much, the same packets show with a destination that is nobody's: once one that
// ends in the kernel (the wire and the kernel alone), once one that the kernel routes to the daemon (its device and its thread
// too, but nothing for it to think about). What counts is what an attack loses beyond the latter.

const GUESTS = 5;
/** So short that every guest refreshes at least once while it is under attack. */
const LIFETIME = 12;
const RATE = 100_000;
/** What a generator must reach on a machine that is busy with other things. */
const LEAST_RATE = 80_000;
const SECONDS = Number(process.env.KAGEMUSHA_FLOOD_SECONDS ?? 10);
const KERNEL_SECONDS = 2;
const CONTROL_SECONDS = Math.max(2, Math.ceil(SECONDS / 3));
const PING_INTERVAL_MS = 20;
/** Beyond what the control run loses: a share of the echo requests. */
const LOSS_ALLOWED = 0.01;
/** Other work on the machine comes and goes between the control run and the attack: then both are run once more. */
const ROUNDS = 2;
/** MiB that the second half may need more than the first: a garbage collector's own ups and downs. */
const MEMORY_ALLOWED = 8;
const MIB = 1024 * 1024;

const COMMAND = 'FLOOD_RECORD=bench/results/flood.json npm test -- test/e2e/flood.test.ts';

type Part = Pick<FloodOptions, 'kind' | 'sequence' | 'start' | 'spi'>;

interface Attack {
  readonly made: FloodResult;
  readonly lost: number;
  readonly sent: number;
  readonly slowest_ms: number;
}

/** Runs `parts`, each with its share of the rate, while every guest pings and `watch` is called again and again. */
async function attack(
  fleet: Fleet,
  program: string,
  parts: readonly Omit<FloodOptions, 'rate' | 'seconds'>[],
  seconds: number,
  watch: () => Promise<void>,
): Promise<Attack> {
  const pings = fleet.guests.map(
    ({ netns }) => new Pinging(netns, FLEET.correspondent, PING_INTERVAL_MS),
  );
  const rate = Math.ceil(RATE / parts.length);
  let over = false;
  const watching = (async () => {
    while (!over) {
      await watch();
      await sleep(100);
    }
  })();
  const made = await Promise.all(
    parts.map((part) => flood(fleet.outsider, program, { ...part, rate, seconds })),
  ).finally(() => {
    over = true;
  });
  await watching;
  await sleep(100);
  const results = await Promise.all(pings.map(async (pinging) => await pinging.stop()));
  const total = (pick: (result: PingResult) => number): number =>
    results.map(pick).reduce((sum, value) => sum + value, 0);
  const sum = (pick: (result: FloodResult) => number): number =>
    made.map(pick).reduce((all, value) => all + value, 0);
  return {
    made: {
      sent: sum(({ sent }) => sent),
      failed: sum(({ failed }) => failed),
      seconds: Math.max(...made.map((one) => one.seconds)),
      rate: sum((one) => one.rate),
    },
    sent: total(({ sent }) => sent),
    // The last request of each may still be on its way when ping ends.
    lost: total(({ lost }) => Math.max(0, lost - 1)),
    slowest_ms: Math.max(...results.map(({ max_ms }) => max_ms)),
  };
}

t.test('100 000 forged mobility messages a second at each daemon', async (t) => {
  const figures: unknown[] = [];
  const fleet = await Fleet.start(GUESTS, LIFETIME);
  t.teardown(async () => await fleet.remove());
  const program = await buildFlood(fleet.directory);
  for (const { netns } of fleet.guests) {
    await until('tunnel', async () =>
      (await ping(netns, FLEET.correspondent, 1, 1000)).received === 1 ? true : undefined,
    );
  }
  const sequences = async (): Promise<Map<string, number>> =>
    new Map(
      (await fleet.homeAgentStatus()).bindings.map(({ homeAddress, sequence }) => [
        homeAddress,
        sequence,
      ]),
    );

  const targets: readonly {
    readonly name: string;
    readonly daemon: Daemon;
    /** ends in the kernel, ends in the engine */
    readonly nobody: readonly [string, string];
    part(index: number): Omit<FloodOptions, 'rate' | 'seconds'>;
  }[] = [
    {
      name: 'the Home Agent',
      daemon: fleet.daemons.homeAgent,
      nobody: [FLEET.nobodyAtHomeAgent, FLEET.strangerToHomeAgent],
      part: (index) => {
        const guest = fleet.guests[index] ?? raise();
        return {
          source: guest.careOfAddress,
          destination: FLEET.homeAgent,
          homeAddress: guest.homeAddress,
          ...guess(index, 'bu', guest.spiToHomeAgent, guest),
        };
      },
    },
    {
      name: 'the host',
      daemon: fleet.daemons.host,
      nobody: [FLEET.nobodyAtHost, FLEET.strangerToHost],
      part: (index) => {
        const guest = fleet.guests[index] ?? raise();
        return {
          source: FLEET.homeAgent,
          destination: guest.careOfAddress,
          homeAddress: guest.homeAddress,
          ...guess(index, 'ba', guest.spiToMobileNode, guest),
        };
      },
    },
  ];
  const bothDaemons = Object.entries(fleet.daemons);

  for (const { name, daemon, nobody, part } of targets) {
    await t.test(`at ${name}`, async (t) => {
      let before = await sequences();
      const memory = bothDaemons.map((): number[] => []);
      const states = new Set<string>();
      let slowest = 0;
      const watch = async (): Promise<void> => {
        const asked = performance.now();
        const [host] = await Promise.all([fleet.hostStatus(), fleet.homeAgentStatus()]);
        slowest = Math.max(slowest, performance.now() - asked);
        for (const { binding } of host.guests) states.add(binding.state);
        for (const [index, [, { pid }]] of bothDaemons.entries()) {
          memory[index]?.push(residentBytes(pid));
        }
      };
      const round = async () => {
        const parts = fleet.guests.map((_, index) => part(index));
        const to = (destination: string) => parts.map((one) => ({ ...one, destination }));
        const still = async (): Promise<void> => {};
        const [kernel, engine] = nobody;
        const wire = await attack(fleet, program, to(kernel), KERNEL_SECONDS, still);
        t.comment(`nobody's address, in the kernel: ${JSON.stringify(wire)}`);
        const control = await attack(fleet, program, to(engine), CONTROL_SECONDS, still);
        t.comment(`nobody's address, in the engine: ${JSON.stringify(control)}`);
        before = await sequences();
        const begun = cpuSeconds(daemon.pid);
        const result = await attack(fleet, program, parts, SECONDS, watch);
        const used = (cpuSeconds(daemon.pid) - begun) / result.made.seconds;
        t.comment(`attack: ${JSON.stringify(result)}; ${(100 * used).toFixed(0)} % of a core`);
        const excess = result.lost / result.sent - control.lost / control.sent;
        return { control, result, excess, cpu: used };
      };
      let { control, result, excess, cpu } = await round();
      for (let again = 1; again < ROUNDS && excess > LOSS_ALLOWED; again++) {
        ({ control, result, excess, cpu } = await round());
      }

      t.ok(result.made.rate >= LEAST_RATE, `${result.made.rate} packets a second were sent`);
      t.ok(
        excess <= LOSS_ALLOWED,
        `${result.lost} of ${result.sent} echo requests lost; control ${control.lost} of ${control.sent}`,
      );
      t.ok(slowest < 1000, `status answers within ${slowest.toFixed(0)} ms`);
      // A refresh under way is what is asked for; a home agent that is missed is not.
      const bad = [...states].filter((state) => state !== 'registered' && state !== 'refreshing');
      t.same(bad, [], `every guest was ${[...states].join(' or ')}`);
      const after = await sequences();
      for (const [homeAddress, sequence] of before) {
        const now = after.get(homeAddress) ?? 0;
        t.ok(now > sequence, `${homeAddress} was refreshed: ${sequence} → ${now}`);
      }
      for (const [index, [role, { pid }]] of bothDaemons.entries()) {
        const samples = memory[index] ?? [];
        const half = samples.length / 2;
        const [early, late] = [samples.slice(0, half), samples.slice(half)].map((part) =>
          Math.max(...part),
        );
        const grown = ((late ?? 0) - (early ?? 0)) / MIB;
        const resident = `${((early ?? 0) / MIB).toFixed(1)} MiB and then ${((late ?? 0) / MIB).toFixed(1)}`;
        t.ok(grown < MEMORY_ALLOWED, `${role} (${pid}): at most ${resident}`);
      }
      const dropped = await drops(fleet, name);
      t.comment(`drops: ${JSON.stringify(dropped)}`);
      const resident_mib = memory.map((samples) => Math.round(Math.max(...samples) / MIB));
      figures.push({
        attacked: name,
        control,
        attack: result,
        cpu,
        slowest,
        resident_mib,
        dropped,
      });
      for (const { netns } of fleet.guests) {
        const calm = await until('calm', async () =>
          (await ping(netns, FLEET.correspondent, 10, 10)).lost === 0 ? true : undefined,
        );
        t.ok(calm, 'and then all is well');
      }
    });
  }
  const output = process.env.FLOOD_RECORD;
  if (output !== undefined) await record(output, COMMAND, figures);
});

/**
 * What an attacker tries in turn, the SPI right in all but one: numbers by chance; in order from the next one on; always one that a
 * refresh in the midst of the attack will have; in the clear; everything. The second and third have seen the wire.
 */
function guess(index: number, kind: 'bu' | 'ba', spi: number, { keys }: FleetGuest): Part {
  const esp = `esp-${kind}` as const;
  const next = espFloor({ spiOut: spi, keys }, Date.now());
  const guesses: readonly Part[] = [
    { kind: esp, spi, sequence: 'random' },
    { kind: esp, spi, sequence: 'counting', start: next },
    { kind: esp, spi, sequence: 'constant', start: next + LIFETIME / 2 },
    { kind, sequence: 'counting', start: 1 },
    { kind: 'mix', spi, sequence: 'random' },
  ];
  return guesses[index % guesses.length] ?? raise();
}

async function drops(fleet: Fleet, name: string): Promise<unknown> {
  if (name === 'the host') {
    const { drops: common, guests } = await fleet.hostStatus();
    return { common, guests: guests.map((guest) => guest.drops) };
  }
  const { drops: common, bindings } = await fleet.homeAgentStatus();
  return { common, guests: bindings.map((binding) => binding.drops) };
}

function raise(): never {
  throw new Error('no such guest');
}
