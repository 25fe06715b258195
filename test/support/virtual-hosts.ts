import { readFile, writeFile } from 'node:fs/promises';
import type { Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Netns } from '../../src/cli/demo/netns.js';
import { type TestbedOptions, wireForeign } from '../../src/cli/demo/testbed.js';
import { SECOND, SECOND_CARE_OF } from '../../src/cli/demo/vm/fleet.js';
import { VirtualHosts } from '../../src/cli/demo/vm/hosts.js';
import { VmHost } from '../../src/cli/demo/vm/vm-host.js';

/** Host A and Host B with a Home Agent that runs, for as long as the test. */
export async function virtualHosts(t: Test, options?: TestbedOptions): Promise<VirtualHosts> {
  const hosts = await VirtualHosts.build(options);
  t.teardown(() => hosts.testbed.remove());
  await hosts.testbed.startHomeAgent();
  return hosts;
}

/** Another foreign host, on another network. */
export async function hostC(t: Test, hosts: VirtualHosts): Promise<VmHost> {
  const { testbed } = hosts;
  const path = (name: string): string => hosts.path(name);
  const netns = await Netns.create(`${testbed.hostB.name}c`);
  t.teardown(() => netns.remove());
  await wireForeign(testbed.homeAgent, netns, SECOND);
  const socket = path('c.sock');
  const monitor = path('c.qmp');
  const config = path('c.toml');
  const text = (await readFile(testbed.files.host, 'utf8'))
    .replace(testbed.files.hostSocket, socket)
    .replace(/^state_directory = .*$/m, `state_directory = "${path('c')}"`)
    .replace(/^qmp = .*$/m, `qmp = "${monitor}"`)
    .replace(`"${PAPER.careOf}"`, `"${SECOND_CARE_OF}"`);
  await writeFile(config, text);
  return new VmHost({
    netns,
    careOf: SECOND_CARE_OF,
    files: { config, socket },
    monitor,
    path,
  });
}
