import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostStatus } from '../../daemon/status.js';
import { KagemushaError } from '../../errors.js';
import type { ConfigurationFiles, ConfigurationOptions } from './configuration.js';
import { PAPER, prepareFiles, writeConfigurations } from './configuration.js';
import { Netns, until } from './netns.js';
import { type Daemon, hostStatus, startDaemon } from './processes.js';

/**
 * The paper's testbed in network namespaces.
 *
 *      Host A (correspondent)          Home Agent                      Host B
 *    +----------------------+     +-------------------+     +-------------------------+
 *    | home0 (bridge)       |     |   kgha0 (TUN)     |     |   kg0 (TUN)             |
 *    |  2001:db8:2000::2    |     |   HA ...2000::1   |     |   CoA ...3000::44       |
 *    |   |        |         |     |     | kernel      |     |    | kernel             |
 *    |  vm1    lan0---------|-----|--lan0   wan0------|-----|--wan0 ...3000::3        |
 *    +---|------------------+     |  fe80::1          |     |   kgtap0--br-vm1        |
 *        |                        +-------------------+     +------------|------------+
 *      guest eth0  2001:db8:2000::10  - - - - the cable moves - - - - - -+
 *
 * The guest is an ordinary Linux IPv6 stack; its kernel, like all of them here, knows no Mobile IPv6.
 */
export interface Testbed {
  readonly hostA: Netns;
  readonly homeAgent: Netns;
  readonly hostB: Netns;
  readonly guest: Netns;
  /** Files of this run: logs, captures; configurations by role; what the daemons write is in `run/`. */
  readonly directory: string;
  readonly files: ConfigurationFiles;
  /** Writes the configurations anew; daemons that run read them on SIGHUP. */
  configure(options: ConfigurationOptions): Promise<void>;
  startHomeAgent(): Promise<Daemon>;
  /** Starts the host's daemon and plugs its tap into the bridge; `wrap`: see startDaemon. */
  startHost(wrap?: (argv: readonly string[]) => readonly string[]): Promise<Daemon>;
  hostStatus(): Promise<HostStatus>;
  /** Pulls the guest's cable out of the home LAN and plugs it in at Host B. */
  moveGuestToHostB(): Promise<void>;
  /** Waits until the guest's binding is accepted. */
  registered(timeoutMs?: number): Promise<HostStatus>;
  remove(): Promise<void>;
}

export interface TestbedOptions extends ConfigurationOptions {
  /** Let the ends of every wire compute checksums and cut trains: what is on them is what two machines would see. */
  realWire?: boolean;
}

let count = 0;

/** Builds the namespaces, links and configurations; starts no daemon. */
export async function buildTestbed(options: TestbedOptions = {}): Promise<Testbed> {
  count += 1;
  const prefix = `kg${process.pid.toString(36)}${count.toString(36)}`;
  const directory = await mkdtemp(join(tmpdir(), 'kagemusha-'));
  const made: Netns[] = [];
  const remove = async (): Promise<void> => {
    for (const netns of made.splice(0).reverse()) await netns.remove();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const create = async (name: string): Promise<Netns> => {
      const netns = await Netns.create(`${prefix}-${name}`);
      made.push(netns);
      return netns;
    };
    const hostA = await create('a');
    const homeAgent = await create('ha');
    const hostB = await create('b');
    const guest = await create('g');
    await wireHome(hostA, homeAgent, guest);
    await wireForeign(homeAgent, hostB);
    if (options.realWire === true) {
      for (const [netns, devices] of [
        [hostA, ['home0', 'lan0', 'vm1']],
        [homeAgent, ['lan0', 'wan0']],
        [hostB, ['wan0']],
        [guest, ['eth0']],
      ] as const) {
        for (const device of devices)
          await offloads(netns, device, 'tx off tso off gso off gro off');
      }
    }
    const files = await prepareFiles(directory, options.encryption);
    await writeConfigurations(files, options);
    return {
      hostA,
      homeAgent,
      hostB,
      guest,
      directory,
      files,
      remove,
      configure: async (changed) => await writeConfigurations(files, { ...options, ...changed }),
      hostStatus: async () => await hostStatus(files.hostSocket),
      startHomeAgent: async () =>
        await startDaemon(homeAgent, 'home-agent', files.homeAgent, files.homeAgentSocket),
      startHost: async (wrap) => {
        const daemon = await startDaemon(hostB, 'host', files.host, files.hostSocket, wrap);
        await bridgeTap(hostB);
        return daemon;
      },
      moveGuestToHostB: async () => {
        await hostA.ip(`link set vm1 netns ${hostB.name}`);
        await hostB.ip('link set vm1 master br-vm1');
        await hostB.sysctl({ 'net.ipv6.conf.vm1.disable_ipv6': 1 });
        await hostB.ip('link set vm1 up');
      },
      registered: async (timeoutMs = 20_000) => {
        let binding: unknown;
        const isRegistered = async (): Promise<HostStatus | undefined> => {
          const status = await hostStatus(files.hostSocket);
          binding = status.guests[0]?.binding;
          return status.guests[0]?.binding.state === 'registered' ? status : undefined;
        };
        return await until('registration', isRegistered, timeoutMs).catch((cause: Error) => {
          const message = `${cause.message}; the binding is ${JSON.stringify(binding)}`;
          throw new KagemushaError('NOT_REGISTERED', message, { cause });
        });
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function wireHome(hostA: Netns, homeAgent: Netns, guest: Netns): Promise<void> {
  await hostA.ip('link add home0 type bridge');
  await hostA.ip(`link add lan0 type veth peer name lan0 netns ${homeAgent.name}`);
  await hostA.ip(`link add vm1 type veth peer name eth0 netns ${guest.name}`);
  for (const port of ['lan0', 'vm1']) {
    await hostA.sysctl({ [`net.ipv6.conf.${port}.disable_ipv6`]: 1 });
    await hostA.ip(`link set ${port} master home0 up`);
  }
  await hostA.ip(`address add ${PAPER.hostA}/64 dev home0 nodad`);
  await hostA.ip('link set home0 up');
  await hostA.ip(`-6 route add default via ${PAPER.homeRouter} dev home0`);

  await homeAgent.sysctl({ 'net.ipv6.conf.all.forwarding': 1 });
  await homeAgent.ip('link set lan0 addrgenmode none');
  await homeAgent.ip(`address add ${PAPER.homeRouter}/64 dev lan0 nodad`);
  await homeAgent.ip('address add 2001:db8:2000::ff/64 dev lan0 nodad');
  await homeAgent.ip('link set lan0 up');

  await guest.ip(`address add ${PAPER.guest}/64 dev eth0 nodad`);
  await guest.ip('link set eth0 up');
  await guest.ip(`-6 route add default via ${PAPER.homeRouter} dev eth0`);
}

/**
 * A wire between two machines carries packets of wire size, those of tunnels too; merging them again is the receiver's work.
 */
export async function wireOffloads(netns: Netns, device: string): Promise<void> {
  await offloads(
    netns,
    device,
    'tso off gso off tx-ipxip6-segmentation off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off gro on',
  );
}

/** The router's interface to it, and the addresses of both ends. */
export interface ForeignWire {
  readonly device: string;
  readonly router: string;
  readonly address: string;
}

const FOREIGN: ForeignWire = { device: 'wan0', router: PAPER.foreignRouter, address: PAPER.hostB };

/** The WAN between the Home Agent's router and a foreign host, whose end is `wan0`. */
export async function wireForeign(router: Netns, host: Netns, network = FOREIGN): Promise<void> {
  const { device } = network;
  await router.ip(`link add ${device} type veth peer name wan0 netns ${host.name}`);
  for (const [netns, end, address] of [
    [router, device, network.router],
    [host, 'wan0', network.address],
  ] as const) {
    await wireOffloads(netns, end);
    await netns.ip(`address add ${address}/64 dev ${end} nodad`);
    await netns.ip(`link set ${end} up`);
  }
  await host.ip(`-6 route add default via ${network.router}`);
}

async function offloads(netns: Netns, device: string, features: string): Promise<void> {
  await netns.run(['ethtool', '-K', device, ...features.split(' ')]);
}

/** The bridge between the persistent tap that stays with the daemon and the guest's cable. */
export async function bridgeTap(host: Netns): Promise<void> {
  if ((await host.run(['ip', '-j', 'link'])).includes('"br-vm1"')) return;
  await host.ip('link add br-vm1 type bridge');
  for (const device of ['br-vm1', 'kgtap0']) {
    await host.sysctl({ [`net.ipv6.conf.${device}.disable_ipv6`]: 1 });
  }
  await host.ip('link set kgtap0 master br-vm1 up');
  await host.ip('link set br-vm1 up');
}
