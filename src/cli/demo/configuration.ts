import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The paper's addresses. */
export const PAPER = {
  homePrefix: '2001:db8:2000::/64',
  homeRouter: 'fe80::1',
  hostA: '2001:db8:2000::2',
  homeAgent: '2001:db8:2000::1',
  guest: '2001:db8:2000::10',
  foreignRouter: '2001:db8:3000::1',
  hostB: '2001:db8:3000::3',
  careOf: '2001:db8:3000::44',
} as const;

/** The security parameter indexes of the paper's Listing 2, from the mobile node and to it. */
export const SPI = { toHomeAgent: 1000, toMobileNode: 1001 } as const;

export interface ConfigurationOptions {
  /** When the host registers the guest; `traffic`: with the guest's first frame. */
  register?: 'start' | 'traffic' | 'command' | 'qmp';
  /** seconds */
  lifetime?: number;
  /** How Binding Updates and Acknowledgements are protected; `esp` unless told. */
  protection?: 'esp' | 'none';
  /** Of ESP, `aes-128-cbc` unless told; `null` lets anybody on the wire read what is protected. */
  encryption?: 'aes-128-cbc' | 'null';
  /** The host's uplink, as TOML; `{ kind = "tun", device = "kg0" }` unless told. */
  hostUplink?: string;
  /** The paper's unless told. */
  careOfAddress?: string;
  /** More lines for the tables of the guest, of its host and of the Home Agent. */
  guest?: string;
  host?: string;
  homeAgent?: string;
}

/** Where the files of a testbed are. */
export interface ConfigurationFiles {
  readonly host: string;
  readonly homeAgent: string;
  readonly keys: string;
  readonly run: string;
  readonly hostSocket: string;
  readonly homeAgentSocket: string;
}

/** Makes the folder for what the daemons write, and fresh keys that nobody else may read. */
export async function prepareFiles(
  directory: string,
  encryption: ConfigurationOptions['encryption'] = 'aes-128-cbc',
): Promise<ConfigurationFiles> {
  const files = {
    host: join(directory, 'host.toml'),
    homeAgent: join(directory, 'home-agent.toml'),
    keys: join(directory, 'vm1.keys'),
    run: join(directory, 'run'),
    hostSocket: join(directory, 'run', 'host.sock'),
    homeAgentSocket: join(directory, 'run', 'ha.sock'),
  };
  await mkdir(files.run);
  const hex = (octets: number): string => randomBytes(octets).toString('hex');
  const encryptionKey = encryption === 'null' ? '' : `encryption_key = "${hex(16)}"\n`;
  const keys = `${encryptionKey}authentication_key = "${hex(20)}"\n`;
  await writeFile(files.keys, keys, { mode: 0o600 });
  return files;
}

/** Writes the configurations of both daemons. */
export async function writeConfigurations(
  files: ConfigurationFiles,
  options: ConfigurationOptions,
): Promise<void> {
  const security = (table: string, out: number, back: number): string =>
    options.protection === 'none'
      ? ''
      : `
[${table}.security]
kind = "esp"
encryption = "${options.encryption ?? 'aes-128-cbc'}"
authentication = "hmac-sha1-96"
spi_out = ${out}
spi_in = ${back}
replay_window = 1024
key_file = "${files.keys}"
`;
  await writeFile(
    files.host,
    `[host]
control_socket = "${files.hostSocket}"
state_directory = "${join(files.run, 'host')}"
uplink = ${options.hostUplink ?? '{ kind = "tun", device = "kg0" }'}
${options.host ?? ''}
[[guest]]
name = "vm1"
home_addresses = ["${PAPER.guest}"]
home_prefix = "${PAPER.homePrefix}"
home_router = "${PAPER.homeRouter}"
home_agent = "${PAPER.homeAgent}"
care_of_address = "${options.careOfAddress ?? PAPER.careOf}"
lifetime = ${options.lifetime ?? 60}
register = "${options.register ?? 'traffic'}"
port = { kind = "tap", device = "kgtap0" }
${options.guest ?? ''}${security('guest', SPI.toHomeAgent, SPI.toMobileNode)}`,
  );
  await writeFile(
    files.homeAgent,
    `[home_agent]
control_socket = "${files.homeAgentSocket}"
state_directory = "${join(files.run, 'home-agent')}"
address = "${PAPER.homeAgent}"
home_prefix = "${PAPER.homePrefix}"
home_link = "lan0"
tunnel_device = "kgha0"
max_lifetime = 3600
allow = "listed"
${options.homeAgent ?? ''}
[[mobile_node]]
home_address = "${PAPER.guest}"
${security('mobile_node', SPI.toMobileNode, SPI.toHomeAgent)}`,
  );
}
