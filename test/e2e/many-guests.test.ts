import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pinging } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import {
  cpuSeconds,
  homeAgentStatus,
  hostStatus,
  residentBytes,
} from '../../src/cli/demo/processes.js';
import {
  CORRESPONDENT,
  homeAddress,
  ManyGuests,
  neighboursAnswer,
} from '../support/many-guests.js';
import { record } from '../support/record.js';

// One host process, one Home Agent, and so many guests, each a network namespace with a tap of its own as its card. The figures that
// are measured on the way are written down when they are asked for:
//
//   MANY_GUESTS_RECORD=bench/results/many-guests.json npm test -- test/e2e/many-guests.test.ts

const COMMAND =
  'MANY_GUESTS_RECORD=bench/results/many-guests.json npm test -- test/e2e/many-guests.test.ts';
const GUESTS = Number(process.env.MANY_GUESTS ?? 500);
const IDLE_SECONDS = 10;

/** Seconds that something took, and what it gave. */
async function timed<T>(work: () => Promise<T>): Promise<[seconds: number, result: T]> {
  const began = performance.now();
  const result = await work();
  return [(performance.now() - began) / 1000, result];
}

const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

t.test(`${GUESTS} guests on one host process, each registered and pinging`, async (t) => {
  const bed = await ManyGuests.build(GUESTS);
  t.teardown(() => bed.remove());
  const { daemon, agent } = bed;
  const daemons = [daemon, agent] as const;
  // What the first guest costs is Node's, not a guest's.
  await bed.configure(1);
  await bed.registered(1);
  const residentBefore = daemons.map(({ pid }) => residentBytes(pid));
  const cpuBefore = daemons.map(({ pid }) => cpuSeconds(pid));

  const [setUp, answer] = await timed(() => bed.configure(GUESTS));
  t.same(answer, { notes: [], failures: [] }, `their devices and routes took ${round(setUp)} s`);
  const [registering] = await timed(() => bed.registered(GUESTS));
  t.pass(`all are registered ${round(registering)} s later`);
  const cpu = daemons.map(({ pid }, i) => cpuSeconds(pid) - (cpuBefore[i] ?? 0));

  const guests = await bed.plug(GUESTS);

  t.equal(await neighboursAnswer(guests), GUESTS, 'the echo requests of all guests are answered');
  const { guests: carried } = await hostStatus(daemon.socket);
  t.equal(
    carried.filter(({ traffic }) => traffic.toHome.packets >= 6).length,
    GUESTS,
    'each tunnel counts its own requests and replies',
  );

  const idleFrom = daemons.map(({ pid }) => cpuSeconds(pid));
  await sleep(1000 * IDLE_SECONDS);
  const idle = daemons.map(
    ({ pid }, i) => (100 * (cpuSeconds(pid) - (idleFrom[i] ?? 0))) / IDLE_SECONDS,
  );
  // Each tunnel is probed twice a minute: a few probes a second in all.
  for (const percent of idle)
    t.ok(percent < 10, `${round(percent)} % of a core while nothing moves`);
  const kibibytes = daemons.map(
    ({ pid }, i) => (residentBytes(pid) - (residentBefore[i] ?? 0)) / 1024 / (GUESTS - 1),
  );
  // With what the heap has not thrown away yet: between 90 and 230 on the same machine.
  for (const each of kibibytes) t.ok(each < 512, `${round(each)} KiB of memory for each guest`);

  const sequences = async (): Promise<Map<string, number>> => {
    const { bindings } = await homeAgentStatus(agent.socket);
    return new Map(bindings.map(({ homeAddress: home, sequence }) => [home, sequence]));
  };
  const [one] = guests.names;
  const chosen = Math.ceil(GUESTS / 2);
  const before = await sequences();
  t.equal(before.size, GUESTS);
  const pinging = new Pinging(Netns.named(String(one)), CORRESPONDENT, 20);
  const [changing] = await timed(() => bed.configure(GUESTS, (n) => (n === chosen ? 1800 : 3600)));
  await until('its new lifetime', async () => {
    const { guests: now } = await hostStatus(daemon.socket);
    return now.find(({ name }) => name === `vm${chosen}`)?.binding.lifetime === 1800
      ? true
      : undefined;
  });
  t.equal((await pinging.stopAnswered()).lost, 0, 'the first guest was pinged through it');
  const after = await sequences();
  t.same(
    [...after].filter(([home, sequence]) => sequence !== before.get(home)).map(([home]) => home),
    [homeAddress(chosen)],
    `one of ${GUESTS} has changed in ${round(changing)} s, and nobody else registered again`,
  );

  const both = ([ofHost = 0, ofHomeAgent = 0]: readonly number[]) => ({
    host: round(ofHost),
    home_agent: round(ofHomeAgent),
  });
  const results = {
    guests: GUESTS,
    set_up_s: round(setUp),
    until_registered_s: round(registering),
    cpu_until_registered_s: both(cpu),
    resident_mib_with_one_guest: both(residentBefore.map((octets) => octets / 1024 / 1024)),
    resident_kib_per_guest: both(kibibytes),
    idle_cpu_percent: both(idle),
    change_of_one_s: round(changing),
  };
  t.comment(JSON.stringify(results));
  const output = process.env.MANY_GUESTS_RECORD;
  if (output !== undefined) await record(output, COMMAND, results);
});
