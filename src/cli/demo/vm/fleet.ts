import { readFile, writeFile } from 'node:fs/promises';
import { PAPER } from '../configuration.js';
import { Netns } from '../netns.js';
import { wireForeign } from '../testbed.js';
import type { GuestOptions, VirtualHosts } from './hosts.js';
import { MAC } from './machine.js';
import { Peers } from './peers.js';
import { type Qemu, VmHost } from './vm-host.js';

/** The second foreign network, where Host C is. */
export const SECOND = { device: 'wan1', router: '2001:db8:4000::1', address: '2001:db8:4000::3' };
export const SECOND_CARE_OF = '2001:db8:4000::44';

const ADDRESSES = {
  'host-a': PAPER.hostA,
  'host-b': PAPER.hostB,
  'host-c': SECOND.address,
} as const;
type HostName = keyof typeof ADDRESSES;

/**
 * Hosts that name each other as peers, each with a daemon that has `register = "qmp"`: Host A on the home network, Host B and Host C on
 * two others.
 */
export class Fleet {
  readonly hosts: VirtualHosts;
  readonly a: VmHost;
  readonly b: VmHost;
  readonly c: VmHost;
  readonly #third: Netns;

  private constructor(hosts: VirtualHosts, made: Record<'a' | 'b' | 'c', VmHost>) {
    this.hosts = hosts;
    this.a = made.a;
    this.b = made.b;
    this.c = made.c;
    this.#third = made.c.netns;
  }

  /** Adds Host C and the configurations of all three; starts no daemon. */
  static async build(hosts: VirtualHosts): Promise<Fleet> {
    const { testbed } = hosts;
    const third = await Netns.create(`${testbed.hostB.name}c`);
    try {
      await wireForeign(testbed.homeAgent, third, SECOND);
      const named = Object.entries(ADDRESSES).map(([name, address]) => ({ name, address }));
      const peers = new Peers(testbed.directory, named);
      const base = await readFile(testbed.files.host, 'utf8');
      const host = async (name: HostName, netns: Netns, careOf?: string): Promise<VmHost> =>
        await makeHost(hosts, base, { name, netns, careOf, tables: peers.tables(name) });
      return new Fleet(hosts, {
        a: await host('host-a', testbed.hostA),
        b: await host('host-b', testbed.hostB, PAPER.careOf),
        c: await host('host-c', third, SECOND_CARE_OF),
      });
    } catch (error) {
      await third.remove();
      throw error;
    }
  }

  /** The guest, booted at home, with a monitor for Host A's daemon. */
  async boot(options: GuestOptions = {}): Promise<Qemu> {
    return await this.hosts.boot({ ...options, monitors: [this.hosts.path('host-a.qmp')] });
  }

  /** Takes Host C away. */
  async remove(): Promise<void> {
    await this.#third.remove();
  }
}

interface HostParts {
  readonly name: HostName;
  readonly netns: Netns;
  /** Undefined: on the home network. */
  readonly careOf: string | undefined;
  /** Of its peers. */
  readonly tables: string;
}

/** @param base the configuration of the testbed's host */
async function makeHost(hosts: VirtualHosts, base: string, parts: HostParts): Promise<VmHost> {
  const { name, netns, careOf, tables } = parts;
  const path = (file: string): string => hosts.path(file);
  const files = { config: path(`${name}.toml`), socket: path(`${name}.sock`) };
  const monitor = path(`${name}.qmp`);
  const where =
    careOf === undefined ? `home_link = "home0"\nmac = "${MAC}"` : `care_of_address = "${careOf}"`;
  const config = base
    .replace(/^control_socket = .*$/m, `control_socket = "${files.socket}"`)
    .replace(/^state_directory = .*$/m, `state_directory = "${path(name)}.d"`)
    .replace(/^qmp = .*$/m, `qmp = "${monitor}"`)
    .replace(/^care_of_address = .*$/m, where)
    .replace('[[guest]]', `${tables}[[guest]]`);
  await writeFile(files.config, config);
  return new VmHost({ netns, careOf, files, monitor, path });
}
