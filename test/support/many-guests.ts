import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ping } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import { type Daemon, hostStatus, startDaemon } from '../../src/cli/demo/processes.js';
import { request } from '../../src/daemon/control-client.js';
import { keysFor, writeKeys } from './esp-keys.js';
import { ALGORITHMS } from './fleet.js';
import { ipBatch, ManyNetns } from './many-netns.js';

const HOME_AGENT = '2001:db8:2000::1';
/** Answers on the home link, which is a bridge of the Home Agent's own. */
export const CORRESPONDENT = '2001:db8:2000::ff';

/** Of the guest with this number, from 1. */
export const homeAddress = (n: number): string => `2001:db8:2000::1:${n.toString(16)}`;
const careOf = (n: number): string => `2001:db8:3000::1:${n.toString(16)}`;

/** Longer than what is done with them takes, so that nobody registers again of its own accord. Seconds. */
const LIFETIME = 3600;

/** Each guest pings the next one until it has three answers in a row: through both tunnels and the Home Agent. Gives how many have. */
export async function neighboursAnswer(guests: ManyNetns): Promise<number> {
  const count = guests.names.length;
  const answers = await guests.each(async (netns, index) => {
    const neighbour = homeAddress(((index + 1) % count) + 1);
    // Hundreds of kernels ask who the router is at the same time; an answer may be late.
    return await until(`${netns.name}: answers`, async () => {
      const { received } = await ping(netns, neighbour, 3, 200);
      return received === 3 ? received : undefined;
    });
  });
  return answers.length;
}

/**
 * One host process, one Home Agent, one wire, and guests by the hundred, protected by ESP, each a network namespace with a tap of its own
 * as its card.
 */
export class ManyGuests {
  readonly host: Netns;
  readonly homeAgent: Netns;
  readonly daemon: Daemon;
  readonly agent: Daemon;
  readonly #prefix: string;
  readonly #directory: string;
  readonly #uplink: string | undefined;
  readonly #made: { remove(): Promise<void> }[];
  #guests: ManyNetns[] = [];

  private constructor(
    [homeAgent, host]: readonly [Netns, Netns],
    [agent, daemon]: readonly [Daemon, Daemon],
    rest: {
      readonly prefix: string;
      readonly directory: string;
      readonly uplink: string | undefined;
      readonly made: { remove(): Promise<void> }[];
    },
  ) {
    this.host = host;
    this.homeAgent = homeAgent;
    this.daemon = daemon;
    this.agent = agent;
    this.#prefix = rest.prefix;
    this.#directory = rest.directory;
    this.#uplink = rest.uplink;
    this.#made = rest.made;
  }

  /**
   * Builds all but the guests, and starts both daemons; the Home Agent knows `most` of them, the host none yet.
   *
   * @param uplink of the host, as its configuration says it
   */
  static async build(most: number, name = 'm', uplink?: string): Promise<ManyGuests> {
    const prefix = `kg${process.pid.toString(36)}${name}-`;
    const directory = await mkdtemp(join(tmpdir(), 'kgtest-'));
    const made: { remove(): Promise<void> }[] = [];
    try {
      const create = async (one: string): Promise<Netns> => {
        const netns = await Netns.create(`${prefix}${one}`);
        made.push(netns);
        return netns;
      };
      const homeAgent = await create('ha');
      const host = await create('b');
      await wire(homeAgent, host);
      const run = join(directory, 'run');
      await mkdir(run);
      const numbers = Array.from({ length: most }, (_, i) => i + 1);
      for (const n of numbers)
        await writeKeys(join(directory, `${n}.keys`), keysFor(ALGORITHMS, n));
      const agentFile = join(directory, 'ha.toml');
      const nodes = numbers.map((n) => node(directory, n)).join('');
      await writeFile(agentFile, `${agentHead(run)}${nodes}`);
      const hostFile = join(directory, 'host.toml');
      await writeFile(hostFile, hostHead(directory, uplink));
      const daemons = [
        await startDaemon(homeAgent, 'home-agent', agentFile, `${run}/ha.sock`),
        await startDaemon(host, 'host', hostFile, `${run}/host.sock`),
      ] as const;
      return new ManyGuests([homeAgent, host], daemons, { prefix, directory, uplink, made });
    } catch (error) {
      for (const one of made.reverse()) await one.remove();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Guests that have a namespace. */
  get netns(): readonly Netns[] {
    return this.#guests.flatMap(({ names }) => names.map((name) => Netns.named(name)));
  }

  /** Writes the host's configuration with the guests 1 to `count`, and has it read. @param lifetime of each, seconds */
  async configure(
    count: number,
    lifetime: (n: number) => number = () => LIFETIME,
  ): Promise<unknown> {
    const tables = Array.from({ length: count }, (_, i) =>
      guest(this.#directory, i + 1, lifetime(i + 1)),
    );
    await writeFile(
      join(this.#directory, 'host.toml'),
      `${hostHead(this.#directory, this.#uplink)}${tables.join('')}`,
    );
    return await request(this.daemon.socket, 'POST', '/v1/reload');
  }

  /** Waits until so many are registered, all that the host has. */
  async registered(count: number): Promise<void> {
    const all = async (): Promise<true | undefined> => {
      const { guests } = await hostStatus(this.daemon.socket);
      const done = guests.filter(({ binding }) => binding.state === 'registered').length;
      if (done === count) return true;
      await sleep(Math.min(250, count));
      return undefined;
    };
    await until(`${count} guests registered`, all, 60_000);
  }

  /** Gives namespaces to the guests that have none yet, up to the number `count`. */
  async plug(count: number): Promise<ManyNetns> {
    const first = this.netns.length + 1;
    const numbers = Array.from({ length: count - first + 1 }, (_, i) => first + i);
    const guests = await ManyNetns.create(numbers.map((n) => `${this.#prefix}g${n}`));
    this.#made.push(guests);
    this.#guests.push(guests);
    // For a single run the tap itself may be the guest's NIC.
    await ipBatch(
      numbers.map((n) => `link set kgtap${n} netns ${this.#prefix}g${n}`),
      this.host.name,
    );
    await guests.ip((_, index) => {
      const n = first + index;
      return [
        // No neighbours but its router: a kernel has room for 1024 of them, in all network namespaces together.
        `address add ${homeAddress(n)}/128 dev kgtap${n} nodad`,
        `link set kgtap${n} up`,
        `route add default via fe80::1 dev kgtap${n}`,
      ];
    });
    return guests;
  }

  async remove(): Promise<void> {
    this.#guests = [];
    for (const one of this.#made.splice(0).reverse()) await one.remove();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Home Agent with a home link of its own, one wire, one host. */
async function wire(homeAgent: Netns, host: Netns): Promise<void> {
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
}

function agentHead(run: string): string {
  return `[home_agent]
control_socket = "${run}/ha.sock"
state_directory = "${run}/ha"
address = "${HOME_AGENT}"
home_prefix = "2001:db8:2000::/64"
home_link = "lan0"
`;
}

function hostHead(directory: string, uplink: string | undefined): string {
  const run = join(directory, 'run');
  const more = uplink === undefined ? '' : `uplink = ${uplink}\n`;
  return `[host]\ncontrol_socket = "${run}/host.sock"\nstate_directory = "${run}/host"\n${more}`;
}

function security(directory: string, n: number, out: number, back: number): string {
  return `kind = "esp"
encryption = "${ALGORITHMS.encryption}"
authentication = "${ALGORITHMS.authentication}"
spi_out = ${out}
spi_in = ${back}
replay_window = 64
key_file = "${directory}/${n}.keys"
`;
}

function guest(directory: string, n: number, lifetime: number): string {
  return `
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
${security(directory, n, 1000 + 2 * n, 1001 + 2 * n)}`;
}

function node(directory: string, n: number): string {
  return `
[[mobile_node]]
home_address = "${homeAddress(n)}"
[mobile_node.security]
${security(directory, n, 1001 + 2 * n, 1000 + 2 * n)}`;
}
