import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Netns, until } from '../../src/cli/demo/netns.js';
import {
  type Daemon,
  homeAgentStatus,
  hostStatus,
  startDaemon,
} from '../../src/cli/demo/processes.js';
import type { Algorithms, AssociationKeys } from '../../src/crypto/index.js';
import type { HomeAgentStatus, HostStatus } from '../../src/daemon/status.js';
import { type Address, parseAddress } from '../../src/wire/index.js';
import { keysFor, writeKeys } from './esp-keys.js';

/** Where everything is. */
export const FLEET = {
  homePrefix: '2001:db8:2000::/64',
  homeAgent: parseAddress('2001:db8:2000::1'),
  /** answers echo requests on the home link */
  correspondent: '2001:db8:2000::ff',
  /** whom an outsider says to be: what is sent there ends in the Home Agent's kernel */
  stranger: parseAddress('2001:db8:5000::2'),
  foreignRouter: parseAddress('2001:db8:3000::1'),
  /** routed to where the daemons' addresses are, and nobody's: what comes for them ends in the kernel */
  nobodyAtHomeAgent: '2001:db8:2000:ffff::1',
  nobodyAtHost: '2001:db8:3000:ffff::1',
  /** the same, and what comes for them ends in the daemon's engine */
  strangerToHomeAgent: '2001:db8:2000:ffff::2',
  strangerToHost: '2001:db8:3000:ffff::2',
} as const;

export const ALGORITHMS: Algorithms = {
  encryption: 'aes-128-cbc',
  authentication: 'hmac-sha1-96',
};

/** A guest of the fleet and the keys of its two associations. */
export interface FleetGuest {
  readonly name: string;
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  readonly netns: Netns;
  readonly keys: AssociationKeys;
  readonly spiToHomeAgent: number;
  readonly spiToMobileNode: number;
}

/**
 * A few protected guests on one host, and an outsider who can send to both daemons and hears nothing:
 *
 *    guests ── kgtapN ── host ── wan0 ── wan0 ── Home Agent ── lan0 (its home link, a bridge of its own)
 *                                                    └── out0 ── out0 ── outsider
 *
 * The Home Agent's kernel is the router between the three.
 */
export class Fleet {
  readonly directory: string;
  readonly guests: FleetGuest[] = [];
  readonly #made: Netns[] = [];
  #nodes: { readonly homeAgent: Netns; readonly host: Netns; readonly outsider: Netns } | undefined;
  #daemons: { readonly homeAgent: Daemon; readonly host: Daemon } | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Builds it, starts both daemons and waits until every guest is registered. @param lifetime seconds */
  static async start(count: number, lifetime: number): Promise<Fleet> {
    const fleet = new Fleet(await mkdtemp(join(tmpdir(), 'kagemusha-fleet-')));
    try {
      await fleet.#build(count, lifetime);
      return fleet;
    } catch (error) {
      await fleet.remove();
      throw error;
    }
  }

  get homeAgent(): Netns {
    return known(this.#nodes).homeAgent;
  }

  get host(): Netns {
    return known(this.#nodes).host;
  }

  get outsider(): Netns {
    return known(this.#nodes).outsider;
  }

  get daemons(): { readonly homeAgent: Daemon; readonly host: Daemon } {
    return known(this.#daemons);
  }

  async homeAgentStatus(): Promise<HomeAgentStatus> {
    return await homeAgentStatus(this.daemons.homeAgent.socket);
  }

  async hostStatus(): Promise<HostStatus> {
    return await hostStatus(this.daemons.host.socket);
  }

  async remove(): Promise<void> {
    for (const netns of this.#made.splice(0).reverse()) await netns.remove();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #create(name: string): Promise<Netns> {
    const netns = await Netns.create(`kg${process.pid.toString(36)}f-${name}`);
    this.#made.push(netns);
    return netns;
  }

  async #build(count: number, lifetime: number): Promise<void> {
    const homeAgent = await this.#create('ha');
    const host = await this.#create('b');
    const outsider = await this.#create('x');
    this.#nodes = { homeAgent, host, outsider };
    await wire(homeAgent, host, outsider);
    for (let n = 1; n <= count; n++) {
      this.guests.push({
        name: `vm${n}`,
        homeAddress: parseAddress(`2001:db8:2000::1:${n}`),
        careOfAddress: parseAddress(`2001:db8:3000::1:${n}`),
        netns: await this.#create(`g${n}`),
        keys: keysFor(ALGORITHMS, n),
        spiToHomeAgent: 1000 + 2 * n,
        spiToMobileNode: 1001 + 2 * n,
      });
    }
    await this.#startDaemons(lifetime);
    for (const [index, { netns, homeAddress }] of this.guests.entries()) {
      const tap = `kgtap${index + 1}`;
      // The tap itself is the guest's NIC.
      await host.ip(`link set ${tap} netns ${netns.name}`);
      await netns.sysctl({ [`net.ipv6.conf.${tap}.disable_ipv6`]: 0 });
      await netns.ip(`address add ${homeAddress}/64 dev ${tap} nodad`);
      await netns.ip(`link set ${tap} up`);
      await netns.ip(`-6 route add default via fe80::1 dev ${tap}`);
    }
    // The daemons have made their devices.
    await homeAgent.ip(`-6 route add ${FLEET.strangerToHomeAgent} dev kgha0`);
    await homeAgent.ip(`-6 route add ${FLEET.strangerToHost} via 2001:db8:3000::3`);
    await host.ip(`-6 route add ${FLEET.strangerToHost} dev kg0`);
    await until('every guest registered', async () =>
      (await this.hostStatus()).guests.every(({ binding }) => binding.state === 'registered')
        ? true
        : undefined,
    );
  }

  async #startDaemons(lifetime: number): Promise<void> {
    const run = join(this.directory, 'run');
    await mkdir(run);
    const agentFile = join(this.directory, 'ha.toml');
    const hostFile = join(this.directory, 'host.toml');
    const nodes: string[] = [];
    const guests: string[] = [];
    for (const [index, guest] of this.guests.entries()) {
      const keyFile = await this.#writeKeys(guest);
      const security = (out: number, back: number): string => `
kind = "esp"
encryption = "${ALGORITHMS.encryption}"
authentication = "${ALGORITHMS.authentication}"
spi_out = ${out}
spi_in = ${back}
replay_window = 64
key_file = "${keyFile}"
`;
      nodes.push(`[[mobile_node]]
home_address = "${guest.homeAddress}"
[mobile_node.security]${security(guest.spiToMobileNode, guest.spiToHomeAgent)}`);
      guests.push(`[[guest]]
name = "${guest.name}"
home_addresses = ["${guest.homeAddress}"]
home_prefix = "${FLEET.homePrefix}"
home_agent = "${FLEET.homeAgent}"
care_of_address = "${guest.careOfAddress}"
register = "start"
lifetime = ${lifetime}
port = { kind = "tap", device = "kgtap${index + 1}" }
[guest.security]${security(guest.spiToHomeAgent, guest.spiToMobileNode)}`);
    }
    await writeFile(
      agentFile,
      `[home_agent]
control_socket = "${run}/ha.sock"
state_directory = "${run}/ha"
address = "${FLEET.homeAgent}"
home_prefix = "${FLEET.homePrefix}"
home_link = "lan0"
${nodes.join('')}`,
    );
    await writeFile(
      hostFile,
      `[host]
control_socket = "${run}/host.sock"
state_directory = "${run}/host"
${guests.join('')}`,
    );
    this.#daemons = {
      homeAgent: await startDaemon(this.homeAgent, 'home-agent', agentFile, `${run}/ha.sock`),
      host: await startDaemon(this.host, 'host', hostFile, `${run}/host.sock`),
    };
  }

  async #writeKeys({ name, keys }: FleetGuest): Promise<string> {
    const file = join(this.directory, `${name}.keys`);
    await writeKeys(file, keys);
    return file;
  }
}

async function wire(homeAgent: Netns, host: Netns, outsider: Netns): Promise<void> {
  await homeAgent.ip('link add lan0 type bridge');
  await homeAgent.ip('address add fe80::1/64 dev lan0 nodad');
  await homeAgent.ip(`address add ${FLEET.correspondent}/64 dev lan0 nodad`);
  await homeAgent.ip('link set lan0 up');
  await homeAgent.ip(`link add wan0 type veth peer name wan0 netns ${host.name}`);
  await homeAgent.ip(`link add out0 type veth peer name out0 netns ${outsider.name}`);
  await homeAgent.ip('address add 2001:db8:3000::1/64 dev wan0 nodad');
  await homeAgent.ip('address add 2001:db8:4000::1/64 dev out0 nodad');
  await host.ip('address add 2001:db8:3000::3/64 dev wan0 nodad');
  await outsider.ip(`address add 2001:db8:4000::2/64 dev out0 nodad`);
  for (const device of ['wan0', 'out0']) await homeAgent.ip(`link set ${device} up`);
  await host.ip('link set wan0 up');
  await outsider.ip('link set out0 up');
  await host.ip('-6 route add default via 2001:db8:3000::1');
  await outsider.ip('-6 route add default via 2001:db8:4000::1');
  await homeAgent.sysctl({ 'net.ipv6.conf.all.forwarding': 1 });
  await host.sysctl({ 'net.ipv6.conf.all.forwarding': 1 });
  await homeAgent.ip(`-6 route add blackhole ${FLEET.nobodyAtHomeAgent}`);
  await homeAgent.ip(`-6 route add blackhole ${FLEET.stranger}`);
  await homeAgent.ip(`-6 route add ${FLEET.nobodyAtHost} via 2001:db8:3000::3`);
  await host.ip(`-6 route add blackhole ${FLEET.nobodyAtHost}`);
}

function known<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the fleet is not built yet');
  return part;
}
