import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pinging, ping } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import {
  cpuSeconds,
  homeAgentStatus,
  hostStatus,
  residentBytes,
  startDaemon,
} from '../../src/cli/demo/processes.js';
import { request } from '../../src/daemon/control-client.js';
import { keysFor, writeKeys } from '../support/esp-keys.js';
import { ALGORITHMS } from '../support/fleet.js';
import { ipBatch, ManyNetns } from '../support/many-netns.js';
import { record } from '../support/record.js';

// One host process, one Home Agent, and so many guests, each a network namespace with a tap of its own as its card. The figures that
// are measured on the way are written down when they are asked for:
//
//   MANY_GUESTS_RECORD=bench/results/many-guests.json npm test -- test/e2e/many-guests.test.ts

const COMMAND =
  'MANY_GUESTS_RECORD=bench/results/many-guests.json npm test -- test/e2e/many-guests.test.ts';
const GUESTS = Number(process.env.MANY_GUESTS ?? 500);
const IDLE_SECONDS = 10;
const HOME_AGENT = '2001:db8:2000::1';
const CORRESPONDENT = '2001:db8:2000::ff';
const numbers = Array.from({ length: GUESTS }, (_, i) => i + 1);
const homeAddress = (n: number): string => `2001:db8:2000::1:${n.toString(16)}`;
const careOf = (n: number): string => `2001:db8:3000::1:${n.toString(16)}`;

let keyDirectory = '';
const security = (n: number, out: number, back: number): string => `kind = "esp"
encryption = "${ALGORITHMS.encryption}"
authentication = "${ALGORITHMS.authentication}"
spi_out = ${out}
spi_in = ${back}
replay_window = 64
key_file = "${keyDirectory}/${n}.keys"
`;

/** A guest's table; longer than the test takes, so that nobody registers again of its own accord. */
const guest = (n: number, lifetime = 3600): string => `
[[guest]]
name = "vm${n}"
home_addresses = ["${homeAddress(n)}"]
home_prefix = "2001:db8:2000::/64"
home_agent = "${HOME_AGENT}"
care_of_address = "${careOf(n)}"
lifetime = ${lifetime}
register = "start"
port = { kind = "tap", device = "kgtap${n}" }
[guest.security]
${security(n, 1000 + 2 * n, 1001 + 2 * n)}`;

const node = (n: number): string => `
[[mobile_node]]
home_address = "${homeAddress(n)}"
[mobile_node.security]
${security(n, 1001 + 2 * n, 1000 + 2 * n)}`;

/** Seconds that something took, and what it gave. */
async function timed<T>(work: () => Promise<T>): Promise<[seconds: number, result: T]> {
  const began = performance.now();
  const result = await work();
  return [(performance.now() - began) / 1000, result];
}

const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

t.test(`${GUESTS} guests on one host process, each registered and pinging`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kgtest-'));
  const made: { remove(): Promise<void> }[] = [];
  t.teardown(async () => {
    for (const one of made.reverse()) await one.remove();
    await rm(directory, { recursive: true, force: true });
  });
  const prefix = `kg${process.pid.toString(36)}m-`;
  const create = async (name: string): Promise<Netns> => {
    const netns = await Netns.create(`${prefix}${name}`);
    made.push(netns);
    return netns;
  };
  // Home Agent with a home link of its own, one wire, one host.
  const homeAgent = await create('ha');
  const host = await create('b');
  await ipBatch(
    [
      'link add lan0 type bridge',
      'address add fe80::1/64 dev lan0 nodad',
      `address add ${CORRESPONDENT}/64 dev lan0 nodad`,
      'link set lan0 up',
      `link add wan0 type veth peer name wan0 netns ${host.name}`,
      'address add 2001:db8:3000::1/64 dev wan0 nodad',
      'link set wan0 up',
    ],
    homeAgent.name,
  );
  await ipBatch(
    [
      'address add 2001:db8:3000::3/64 dev wan0 nodad',
      'link set wan0 up',
      'route add default via 2001:db8:3000::1',
    ],
    host.name,
  );

  const run = join(directory, 'run');
  await mkdir(run);
  keyDirectory = directory;
  for (const n of numbers) await writeKeys(join(directory, `${n}.keys`), keysFor(ALGORITHMS, n));
  const agentFile = join(directory, 'ha.toml');
  const hostFile = join(directory, 'host.toml');
  await writeFile(
    agentFile,
    `[home_agent]
control_socket = "${run}/ha.sock"
state_directory = "${run}/ha"
address = "${HOME_AGENT}"
home_prefix = "2001:db8:2000::/64"
home_link = "lan0"
${numbers.map(node).join('')}`,
  );
  const writeHost = async (tables: readonly string[]): Promise<void> => {
    const head = `[host]\ncontrol_socket = "${run}/host.sock"\nstate_directory = "${run}/host"\n`;
    await writeFile(hostFile, `${head}${tables.join('')}`);
  };
  await writeHost([]);
  const agent = await startDaemon(homeAgent, 'home-agent', agentFile, `${run}/ha.sock`);
  const daemon = await startDaemon(host, 'host', hostFile, `${run}/host.sock`);
  const reload = async () => await request(daemon.socket, 'POST', '/v1/reload');
  const registered = async (count: number): Promise<number | undefined> => {
    const { guests } = await hostStatus(daemon.socket);
    const done = guests.filter(({ binding }) => binding.state === 'registered').length;
    return done === count ? done : undefined;
  };
  const daemons = [daemon, agent] as const;
  // What the first guest costs is Node's, not a guest's.
  await writeHost([guest(1)]);
  await reload();
  await until('the first guest registered', async () => await registered(1));
  const residentBefore = daemons.map(({ pid }) => residentBytes(pid));
  const cpuBefore = daemons.map(({ pid }) => cpuSeconds(pid));

  await writeHost(numbers.map((n) => guest(n)));
  const [setUp, answer] = await timed(reload);
  t.same(answer, { notes: [], failures: [] }, `their devices and routes took ${round(setUp)} s`);
  const [registering] = await timed(async () => {
    await until(
      'every guest registered',
      async () => {
        const all = await registered(GUESTS);
        if (all === undefined) await sleep(250);
        return all;
      },
      60_000,
    );
  });
  t.pass(`all are registered ${round(registering)} s later`);
  const cpu = daemons.map(({ pid }, i) => cpuSeconds(pid) - (cpuBefore[i] ?? 0));

  const guests = await ManyNetns.create(numbers.map((n) => `${prefix}g${n}`));
  made.push(guests);
  // For a single run the tap itself may be the guest's NIC.
  await ipBatch(
    numbers.map((n) => `link set kgtap${n} netns ${prefix}g${n}`),
    host.name,
  );
  await guests.ip((_, index) => {
    const n = index + 1;
    return [
      // No neighbours but its router: a kernel has room for 1024 of them, in all network namespaces together.
      `address add ${homeAddress(n)}/128 dev kgtap${n} nodad`,
      `link set kgtap${n} up`,
      `route add default via fe80::1 dev kgtap${n}`,
    ];
  });

  // Each pings its left neighbour, which is behind the same host: through both tunnels and the Home Agent.
  const answers = await guests.each(async (netns, index) => {
    const neighbour = homeAddress(((index + 1) % GUESTS) + 1);
    // Hundreds of kernels ask who the router is at the same time; an answer may be late.
    return await until(`${netns.name}: answers`, async () => {
      const { received } = await ping(netns, neighbour, 3, 200);
      return received === 3 ? received : undefined;
    });
  });
  t.equal(answers.length, GUESTS, 'the echo requests of all guests are answered');
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
  await writeHost(numbers.map((n) => guest(n, n === chosen ? 1800 : 3600)));
  const [changing] = await timed(reload);
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
