import { readFile, writeFile } from 'node:fs/promises';
import type { Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Netns } from '../../src/cli/demo/netns.js';
import { type TestbedOptions, wireForeign } from '../../src/cli/demo/testbed.js';
import type { Authority } from '../../src/cli/demo/vm/certificates.js';
import { ForeignHost, type Qemu } from '../../src/cli/demo/vm/foreign-host.js';
import type { VirtualHosts } from '../../src/cli/demo/vm/hosts.js';
import { MAC } from '../../src/cli/demo/vm/machine.js';
import { Peers } from '../../src/cli/demo/vm/peers.js';
import { virtualHosts } from './virtual-hosts.js';

/** The second foreign network, where Host C is. */
const SECOND = { device: 'wan1', router: '2001:db8:4000::1', address: '2001:db8:4000::3' };
const SECOND_CARE_OF = '2001:db8:4000::44';

const ADDRESSES = {
  'host-a': PAPER.hostA,
  'host-b': PAPER.hostB,
  'host-c': SECOND.address,
} as const;
export type HostName = keyof typeof ADDRESSES;

export interface FleetOptions extends TestbedOptions {
  /** The others do not know whose certificates it signs; for these hosts. */
  readonly strangers?: {
    readonly hosts: readonly HostName[];
    authority(directory: string): Authority;
  };
}

/**
 * Hosts that name each other as peers, each with a daemon that has `register = "qmp"`: Host A on the home network, Host B and Host C on
 * two others.
 */
export class VirtualFleet {
  readonly hosts: VirtualHosts;
  readonly a: ForeignHost;
  readonly b: ForeignHost;
  readonly c: ForeignHost;

  private constructor(hosts: VirtualHosts, a: ForeignHost, b: ForeignHost, c: ForeignHost) {
    this.hosts = hosts;
    this.a = a;
    this.b = b;
    this.c = c;
  }

  /** Builds it for as long as the test; the Home Agent runs, no daemon of a host does. */
  static async build(t: Test, options: FleetOptions = {}): Promise<VirtualFleet> {
    const hosts = await virtualHosts(t, options);
    const { testbed } = hosts;
    const path = (name: string): string => hosts.path(name);
    const netns = await Netns.create(`${testbed.hostB.name}c`);
    t.teardown(() => netns.remove());
    await wireForeign(testbed.homeAgent, netns, SECOND);
    const named = Object.entries(ADDRESSES).map(([name, address]) => ({ name, address }));
    const peers = new Peers(testbed.directory, named);
    const { strangers } = options;
    const stranger = strangers?.authority(testbed.directory);
    const text = await readFile(testbed.files.host, 'utf8');

    const make = async (
      name: HostName,
      at: Netns,
      careOf: string | undefined,
    ): Promise<ForeignHost> => {
      const files = { config: path(`${name}.toml`), socket: path(`${name}.sock`) };
      const monitor = path(`${name}.qmp`);
      const by = strangers?.hosts.includes(name) === true ? stranger : undefined;
      const where =
        careOf === undefined
          ? `home_link = "home0"\nmac = "${MAC}"`
          : `care_of_address = "${careOf}"`;
      const config = text
        .replace(/^control_socket = .*$/m, `control_socket = "${files.socket}"`)
        .replace(/^state_directory = .*$/m, `state_directory = "${path(name)}.d"`)
        .replace(/^qmp = .*$/m, `qmp = "${monitor}"`)
        .replace(/^care_of_address = .*$/m, where)
        .replace('[[guest]]', `${peers.tables(name, by)}[[guest]]`);
      await writeFile(files.config, config);
      const plugged = careOf === undefined;
      return new ForeignHost({ netns: at, careOf: careOf ?? '', files, monitor, path, plugged });
    };
    const a = await make('host-a', testbed.hostA, undefined);
    const b = await make('host-b', testbed.hostB, PAPER.careOf);
    const c = await make('host-c', netns, SECOND_CARE_OF);
    return new VirtualFleet(hosts, a, b, c);
  }

  /** The guest, booted at home, with a monitor for Host A's daemon. */
  async boot(): Promise<Qemu> {
    return await this.hosts.boot({ monitors: [this.hosts.path('host-a.qmp')] });
  }
}
