import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ping } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import { hostStatus, startDaemon } from '../../src/cli/demo/processes.js';

const GUESTS = 100;
const HOME_AGENT = '2001:db8:2000::1';
const numbers = Array.from({ length: GUESTS }, (_, i) => i + 1);
const homeAddress = (n: number): string => `2001:db8:2000::1:${n.toString(16)}`;
const careOf = (n: number): string => `2001:db8:3000::1:${n.toString(16)}`;

t.test('100 guests on one host process, each registered and pinging', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kgtest-'));
  const made: Netns[] = [];
  t.teardown(async () => {
    for (const netns of made.reverse()) await netns.remove();
    await rm(directory, { recursive: true, force: true });
  });
  const create = async (name: string): Promise<Netns> => {
    const netns = await Netns.create(`kg${process.pid.toString(36)}h-${name}`);
    made.push(netns);
    return netns;
  };
  // Home Agent with a home link of its own, one wire, one host.
  const homeAgent = await create('ha');
  const host = await create('b');
  await homeAgent.ip('link add lan0 type bridge');
  await homeAgent.ip('address add fe80::1/64 dev lan0 nodad');
  await homeAgent.ip('address add 2001:db8:2000::ff/64 dev lan0 nodad');
  await homeAgent.ip('link set lan0 up');
  await homeAgent.ip(`link add wan0 type veth peer name wan0 netns ${host.name}`);
  await homeAgent.ip('address add 2001:db8:3000::1/64 dev wan0 nodad');
  await host.ip('address add 2001:db8:3000::3/64 dev wan0 nodad');
  await homeAgent.ip('link set wan0 up');
  await host.ip('link set wan0 up');
  await host.ip('-6 route add default via 2001:db8:3000::1');

  const run = join(directory, 'run');
  await mkdir(run);
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
allow = "any"
`,
  );
  const guests = numbers.map(
    (n) => `
[[guest]]
name = "vm${n}"
home_addresses = ["${homeAddress(n)}"]
home_prefix = "2001:db8:2000::/64"
home_agent = "${HOME_AGENT}"
care_of_address = "${careOf(n)}"
register = "start"
port = { kind = "tap", device = "kgtap${n}" }
`,
  );
  await writeFile(
    hostFile,
    `[host]
control_socket = "${run}/host.sock"
state_directory = "${run}/host"
${guests.join('')}`,
  );
  await startDaemon(homeAgent, 'home-agent', agentFile, `${run}/ha.sock`);
  const daemon = await startDaemon(host, 'host', hostFile, `${run}/host.sock`);

  const stacks = new Map<number, Netns>();
  for (const n of numbers) {
    const guest = await create(`g${n}`);
    stacks.set(n, guest);
    // For a single run the tap itself may be the guest's NIC.
    await host.ip(`link set kgtap${n} netns ${guest.name}`);
    await guest.sysctl({ [`net.ipv6.conf.kgtap${n}.disable_ipv6`]: 0 });
    await guest.ip(`address add ${homeAddress(n)}/64 dev kgtap${n} nodad`);
    await guest.ip(`link set kgtap${n} up`);
    await guest.ip(`-6 route add default via fe80::1 dev kgtap${n}`);
  }
  const status = await until(
    'every guest registered',
    async () => {
      const now = await hostStatus(daemon.socket);
      return now.guests.every(({ binding }) => binding.state === 'registered') ? now : undefined;
    },
    60_000,
  );
  t.equal(status.guests.length, GUESTS);

  // Each pings its left neighbour, which is behind the same host: through both tunnels and the Home Agent.
  const answers = await Promise.all(
    numbers.map(async (n) => {
      const guest = stacks.get(n);
      const neighbour = homeAddress((n % GUESTS) + 1);
      return guest === undefined ? 0 : (await ping(guest, neighbour, 10, 200)).received;
    }),
  );
  t.same(
    answers.filter((received) => received !== 10),
    [],
    'every echo request of all guests is answered',
  );
  const end = await hostStatus(daemon.socket);
  const carried = end.guests.filter(({ traffic }) => traffic.toHome.packets >= 20);
  t.equal(carried.length, GUESTS, 'each tunnel counts its own requests and replies');
});
