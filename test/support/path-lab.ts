import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConfigurationFiles,
  type ConfigurationOptions,
  PAPER,
  prepareFiles,
  writeConfigurations,
} from '../../src/cli/demo/configuration.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import {
  type Daemon,
  homeAgentStatus,
  hostStatus,
  startDaemon,
} from '../../src/cli/demo/processes.js';
import { request } from '../../src/daemon/control-client.js';
import type {
  GuestStatus,
  HomeAgentBindingStatus,
  HomeAgentStatus,
  HostStatus,
} from '../../src/daemon/status.js';
import { answers } from './journey.js';

/** Addresses beyond the paper's: the routers of the outer path, and a correspondent that is not on the home link. */
export const PATH = {
  homeAgentKernel: '2001:db8:2000::ff',
  routers: ['2001:db8:3000::1', '2001:db8:12::2', '2001:db8:23::3'],
  homeAgentWan: '2001:db8:3a::2',
  world: '2001:db8:5000::2',
} as const;

/** What the routers of the outer path keep to themselves; neighbour discovery always works. */
export type Filter = 'none' | 'icmpv6-errors' | 'all-icmpv6';

export interface PathLabOptions extends ConfigurationOptions {
  /** MTU of the link in the middle of the outer path. */
  path: number;
  /** MTU of every other link of it, and `uplink_mtu` of both daemons. */
  uplink: number;
  /** MTU of the guest's NIC, of the home link and of the correspondents. */
  nic: number;
}

/**
 * A guest behind a path of routers whose middle link is narrow:
 *
 *    guest ── host ── r1 ── r2 ══════ r3 ── Home Agent ── home link ── correspondent
 *         tap     wan0    lower   upper │ wan0         lan0       eth0
 *                               (narrow)└── world (a correspondent elsewhere)
 *
 * All wires between the routers carry what two machines would see: whole checksums, no trains. The guest and its tap keep their offloads: what
 * its kernel hands over are trains.
 */
export class PathLab {
  readonly directory: string;
  readonly options: PathLabOptions;
  readonly #made: Netns[] = [];
  #nodes: Nodes | undefined;
  #files: ConfigurationFiles | undefined;
  #daemons: { readonly homeAgent: Daemon; readonly host: Daemon } | undefined;

  private constructor(directory: string, options: PathLabOptions) {
    this.directory = directory;
    this.options = options;
  }

  /** Builds it and starts both daemons; the guest is registered by {@link register}. */
  static async start(options: PathLabOptions): Promise<PathLab> {
    const directory = await mkdtemp(join(tmpdir(), 'kagemusha-path-'));
    const lab = new PathLab(directory, options);
    try {
      await lab.#build();
      return lab;
    } catch (error) {
      await lab.remove();
      throw error;
    }
  }

  get nodes(): Nodes {
    return known(this.#nodes);
  }

  get daemons(): { readonly homeAgent: Daemon; readonly host: Daemon } {
    return known(this.#daemons);
  }

  get files(): ConfigurationFiles {
    return known(this.#files);
  }

  async hostStatus(): Promise<HostStatus> {
    return await hostStatus(this.files.hostSocket);
  }

  async homeAgentStatus(): Promise<HomeAgentStatus> {
    return await homeAgentStatus(this.files.homeAgentSocket);
  }

  async guestStatus(): Promise<GuestStatus> {
    const [guest] = (await this.hostStatus()).guests;
    if (guest === undefined) throw new Error('the host has no guest');
    return guest;
  }

  async bindingStatus(): Promise<HomeAgentBindingStatus> {
    const [binding] = (await this.homeAgentStatus()).bindings;
    if (binding === undefined) throw new Error('the Home Agent has no binding');
    return binding;
  }

  /** Registers the guest; resolves as soon as it is. */
  async register(): Promise<void> {
    await request(this.files.hostSocket, 'POST', '/v1/guests/vm1/bind');
    await this.#isBecome('registered');
  }

  /** Takes the registration back, and what the ends' kernels learnt of the path. */
  async unregister(): Promise<void> {
    await request(this.files.hostSocket, 'POST', '/v1/guests/vm1/unbind');
    await this.#isBecome('idle');
    await this.forgetPath();
  }

  /** The ends' kernels forget the path MTU that Packet Too Big told them. */
  async forgetPath(): Promise<void> {
    const { guest, correspondent, world } = this.nodes;
    for (const netns of [guest, correspondent, world]) await netns.ip('-6 route flush cache');
  }

  /** Gives the link in the middle another MTU. */
  async narrow(mtu: number): Promise<void> {
    const [, r2, r3] = this.nodes.routers;
    // The sender's side first: nothing that is on its way may be too long for the receiver.
    await r2.ip(`link set upper mtu ${mtu}`);
    await r3.ip(`link set lower mtu ${mtu}`);
  }

  /** What the routers drop from now on of the ICMPv6 messages to the tunnel's ends; what is inside the tunnel they cannot see. */
  async filter(filter: Filter): Promise<void> {
    const types = filter === 'icmpv6-errors' ? '{ 1, 2, 3, 4 }' : '!= { 133, 134, 135, 136, 137 }';
    const rule = `ip6 daddr { ${PAPER.careOf}, ${PAPER.homeAgent} } icmpv6 type ${types} counter drop;`;
    const chains = ['forward', 'output'].map(
      (hook) => `chain ${hook}s { type filter hook ${hook} priority 0; ${rule} }`,
    );
    for (const router of this.nodes.routers)
      await ruleset(router, 'path', filter === 'none' ? '' : chains.join('\n'));
  }

  async remove(): Promise<void> {
    for (const netns of this.#made.splice(0).reverse()) await netns.remove();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Waits until both ends hold the path for this wide. */
  async found(mtu: number, timeoutMs?: number): Promise<void> {
    let seen: unknown;
    const probe = async (): Promise<true | undefined> => {
      const ends = [(await this.guestStatus()).tunnel, (await this.bindingStatus()).tunnel];
      seen = ends;
      return ends.every((end) => end?.pathMtu === mtu && end.state !== 'searching')
        ? true
        : undefined;
    };
    await until(`a path MTU of ${mtu}`, probe, timeoutMs).catch((cause: Error) => {
      throw new Error(`${cause.message}; the tunnels are ${JSON.stringify(seen)}`, { cause });
    });
  }

  async #isBecome(state: string): Promise<void> {
    let seen: unknown;
    await until(`the binding ${state}`, async () => {
      const { binding } = await this.guestStatus();
      seen = binding;
      return binding.state === state ? true : undefined;
    }).catch((cause: Error) => {
      throw new Error(`${cause.message}; it is ${JSON.stringify(seen)}`, { cause });
    });
  }

  async #create(name: string): Promise<Netns> {
    const netns = await Netns.create(`kg${process.pid.toString(36)}p${serial}-${name}`);
    this.#made.push(netns);
    return netns;
  }

  async #build(): Promise<void> {
    serial += 1;
    const { options } = this;
    const [guest, host, r1, r2, r3, homeAgent, correspondent, world] = await Promise.all(
      ['g', 'b', 'r1', 'r2', 'r3', 'ha', 'c', 'w'].map((name) => this.#create(name)),
    );
    this.#nodes = {
      guest: known(guest),
      host: known(host),
      routers: [known(r1), known(r2), known(r3)],
      homeAgent: known(homeAgent),
      correspondent: known(correspondent),
      world: known(world),
    };
    await wireOuterPath(this.#nodes, options);
    await wireHome(this.#nodes, options);
    this.#files = await prepareFiles(this.directory, options.encryption);
    const mtu = `uplink_mtu = ${options.uplink}\n`;
    await writeConfigurations(this.#files, {
      register: 'command',
      lifetime: 600,
      ...options,
      host: `${mtu}${options.host ?? ''}`,
      homeAgent: `${mtu}${options.homeAgent ?? ''}`,
    });
    const [homeAgentDaemon, hostDaemon] = await Promise.all([
      startDaemon(
        this.#nodes.homeAgent,
        'home-agent',
        this.#files.homeAgent,
        this.#files.homeAgentSocket,
      ),
      startDaemon(this.#nodes.host, 'host', this.#files.host, this.#files.hostSocket),
    ]);
    this.#daemons = { homeAgent: homeAgentDaemon, host: hostDaemon };
    await plug(this.#nodes, options.nic);
    // New links do duplicate address detection for themselves first.
    await answers(this.#nodes.host, PATH.homeAgentWan);
    await answers(this.#nodes.correspondent, PATH.world);
  }
}

interface Nodes {
  readonly guest: Netns;
  readonly host: Netns;
  readonly routers: readonly [Netns, Netns, Netns];
  readonly homeAgent: Netns;
  readonly correspondent: Netns;
  readonly world: Netns;
}

let serial = 0;

/** Replaces a table of nftables in a namespace; `chains` may be none. */
export async function ruleset(netns: Netns, table: string, chains: string): Promise<void> {
  // The first line makes sure that there is something to delete.
  const text = `table ip6 ${table}\ndelete table ip6 ${table}\n`;
  await netns.run(['nft', chains === '' ? text : `${text}table ip6 ${table} {\n${chains}\n}`]);
}

async function wireOuterPath(nodes: Nodes, { path, uplink, nic }: PathLabOptions): Promise<void> {
  const { host, routers, homeAgent, world } = nodes;
  const [r1, r2, r3] = routers;
  const [a1, a2, a3] = PATH.routers;
  const wires = [
    [host, 'wan0', PAPER.hostB, r1, 'lower', a1, uplink],
    [r1, 'upper', '2001:db8:12::1', r2, 'lower', a2, uplink],
    [r2, 'upper', '2001:db8:23::2', r3, 'lower', a3, path],
    [r3, 'upper', '2001:db8:3a::1', homeAgent, 'wan0', PATH.homeAgentWan, uplink],
    [r3, 'world0', '2001:db8:5000::1', world, 'eth0', PATH.world, nic],
  ] as const;
  for (const [left, leftDevice, leftAddress, right, rightDevice, rightAddress, mtu] of wires) {
    const peer = `peer name ${rightDevice} netns ${right.name} mtu ${mtu}`;
    await left.ip(`link add ${leftDevice} mtu ${mtu} type veth ${peer}`);
    for (const [netns, device, address] of [
      [left, leftDevice, leftAddress],
      [right, rightDevice, rightAddress],
    ] as const) {
      await bare(netns, device);
      await netns.ip(`address add ${address}/64 dev ${device} nodad`);
      await netns.ip(`link set ${device} up`);
    }
  }
  for (const router of [...routers, homeAgent]) {
    await router.sysctl({
      'net.ipv6.conf.all.forwarding': 1,
      // A router tells everyone at once: how often it may is not what is tried here.
      'net.ipv6.icmp.ratelimit': 0,
    });
  }
  await host.ip(`-6 route add default via ${a1}`);
  await r1.ip(`-6 route add default via ${a2}`);
  await r2.ip('-6 route add 2001:db8:3000::/64 via 2001:db8:12::1');
  await r2.ip(`-6 route add default via ${a3}`);
  await r3.ip('-6 route add 2001:db8:3000::/64 via 2001:db8:23::2');
  await r3.ip('-6 route add 2001:db8:12::/64 via 2001:db8:23::2');
  await r3.ip(`-6 route add ${PAPER.homePrefix} via ${PATH.homeAgentWan}`);
  await homeAgent.ip('-6 route add default via 2001:db8:3a::1');
  await world.ip('-6 route add default via 2001:db8:5000::1');
}

async function wireHome(
  { homeAgent, correspondent }: Nodes,
  { nic }: PathLabOptions,
): Promise<void> {
  const peer = `peer name eth0 netns ${correspondent.name} mtu ${nic}`;
  await homeAgent.ip(`link add lan0 mtu ${nic} type veth ${peer}`);
  await homeAgent.ip('link set lan0 addrgenmode none');
  await homeAgent.ip(`address add ${PAPER.homeRouter}/64 dev lan0 nodad`);
  await homeAgent.ip(`address add ${PATH.homeAgentKernel}/64 dev lan0 nodad`);
  await correspondent.ip(`address add ${PAPER.hostA}/64 dev eth0 nodad`);
  await bare(homeAgent, 'lan0');
  await bare(correspondent, 'eth0');
  await homeAgent.ip('link set lan0 up');
  await correspondent.ip('link set eth0 up');
  await correspondent.ip(`-6 route add default via ${PAPER.homeRouter} dev eth0`);
}

/** The guest's cable, bridged to the tap that stays with the daemon. */
async function plug({ host, guest }: Nodes, nic: number): Promise<void> {
  await host.ip('link add br-vm1 type bridge');
  const peer = `peer name eth0 netns ${guest.name} mtu ${nic}`;
  await host.ip(`link add vm1 mtu ${nic} type veth ${peer}`);
  for (const device of ['br-vm1', 'kgtap0', 'vm1']) {
    await host.sysctl({ [`net.ipv6.conf.${device}.disable_ipv6`]: 1 });
  }
  await host.ip(`link set kgtap0 mtu ${nic}`);
  await host.ip('link set kgtap0 master br-vm1 up');
  await host.ip('link set vm1 master br-vm1 up');
  await host.ip('link set br-vm1 up');
  await guest.ip(`address add ${PAPER.guest}/64 dev eth0 nodad`);
  await guest.ip('link set eth0 up');
  await guest.ip(`-6 route add default via ${PAPER.homeRouter} dev eth0`);
}

async function bare(netns: Netns, device: string): Promise<void> {
  const features = 'tx off tso off gso off gro off'.split(' ');
  await netns.run(['ethtool', '-K', device, ...features]);
}

function known<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the path is not built yet');
  return part;
}
