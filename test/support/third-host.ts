import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { type Daemon, hostStatus, startDaemon } from '../../src/cli/demo/processes.js';
import type { Testbed } from '../../src/cli/demo/testbed.js';
import type { HostStatus } from '../../src/daemon/status.js';

/** Addresses of Host C, which the paper has not. */
export const THIRD = {
  guest: '2001:db8:2000::11',
  router: '2001:db8:4000::1',
  host: '2001:db8:4000::3',
  careOf: '2001:db8:4000::55',
} as const;

/** Host C on a foreign network of its own behind the Home Agent's router, with a guest of its own. */
export interface ThirdHost {
  readonly host: Netns;
  readonly guest: Netns;
  start(): Promise<Daemon>;
  status(): Promise<HostStatus>;
  registered(): Promise<void>;
}

/** Where the third host's files are, and what the Home Agent's configuration needs to hear of it. */
export interface ThirdFiles {
  readonly configuration: string;
  readonly socket: string;
  readonly homeAgent: string;
}

/** Writes configuration and keys. @param guest more lines for the guest's table */
export async function thirdFiles(directory: string, guest: string): Promise<ThirdFiles> {
  const folder = join(directory, 'third');
  await mkdir(folder);
  const keys = join(folder, 'vm2.keys');
  const hex = (octets: number): string => randomBytes(octets).toString('hex');
  const text = `encryption_key = "${hex(16)}"\nauthentication_key = "${hex(20)}"\n`;
  await writeFile(keys, text, { mode: 0o600 });
  const security = (table: string, out: number, back: number): string => `
[${table}.security]
kind = "esp"
encryption = "aes-128-cbc"
authentication = "hmac-sha1-96"
spi_out = ${out}
spi_in = ${back}
key_file = "${keys}"
`;
  const files = {
    configuration: join(folder, 'host.toml'),
    socket: join(folder, 'host.sock'),
    homeAgent: `
[[mobile_node]]
home_address = "${THIRD.guest}"
${security('mobile_node', 2001, 2000)}`,
  };
  await writeFile(
    files.configuration,
    `[host]
control_socket = "${files.socket}"
state_directory = "${join(folder, 'state')}"
uplink = { kind = "tun", device = "kg0" }

[[guest]]
name = "vm2"
home_addresses = ["${THIRD.guest}"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "${THIRD.careOf}"
register = "start"
port = { kind = "tap", device = "kgtap0" }
${guest}${security('guest', 2000, 2001)}`,
  );
  return files;
}

/** Builds the namespaces and the wire; every end computes checksums and cuts trains. @param create makes a namespace that the test takes away */
export async function thirdHost(
  { homeAgent }: Testbed,
  files: ThirdFiles,
  create: (name: string) => Promise<Netns>,
): Promise<ThirdHost> {
  const host = await create('c');
  const guest = await create('d');
  await homeAgent.ip(`link add wan1 type veth peer name wan0 netns ${host.name}`);
  for (const [netns, device, address] of [
    [homeAgent, 'wan1', THIRD.router],
    [host, 'wan0', THIRD.host],
  ] as const) {
    await netns.run(['ethtool', '-K', device, ...'tx off tso off gso off gro off'.split(' ')]);
    await netns.ip(`address add ${address}/64 dev ${device} nodad`);
    await netns.ip(`link set ${device} up`);
  }
  await host.ip(`-6 route add default via ${THIRD.router}`);
  const status = async (): Promise<HostStatus> => await hostStatus(files.socket);
  return {
    host,
    guest,
    status,
    start: async () => {
      const daemon = await startDaemon(host, 'host', files.configuration, files.socket);
      await plug(host, guest);
      return daemon;
    },
    registered: async () => {
      await until('registration of vm2', async () =>
        (await status()).guests[0]?.binding.state === 'registered' ? true : undefined,
      );
    },
  };
}

/** The guest's own cable, bridged to the tap that stays with the daemon. */
async function plug(host: Netns, guest: Netns): Promise<void> {
  if ((await host.run(['ip', '-j', 'link'])).includes('"br-vm2"')) return;
  await host.ip('link add br-vm2 type bridge');
  await host.ip(`link add vm2 type veth peer name eth0 netns ${guest.name}`);
  for (const device of ['br-vm2', 'kgtap0', 'vm2']) {
    await host.sysctl({ [`net.ipv6.conf.${device}.disable_ipv6`]: 1 });
  }
  await host.ip('link set kgtap0 master br-vm2 up');
  await host.ip('link set vm2 master br-vm2 up');
  await host.ip('link set br-vm2 up');
  await guest.ip(`address add ${THIRD.guest}/64 dev eth0 nodad`);
  await guest.ip('link set eth0 up');
  await guest.ip('-6 route add default via fe80::1 dev eth0');
}
