import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadHost } from '../../src/daemon/config/load.js';
import type { GuestConfig, HostConfig } from '../../src/daemon/config/schema.js';
import { HOME_AGENT } from './testbed-addresses.js';

/** The configuration of a host with one guest, from a file. @param lines of the guest, besides those that all of them have */
export function loadGuest(
  directory: string,
  lines: string,
): { readonly config: HostConfig; readonly guest: GuestConfig } {
  const file = join(directory, 'host.toml');
  const text = `[host]
state_directory = "${directory}"

[[guest]]
name = "vm1"
home_prefix = "2001:db8:2000::/64"
home_agent = "${HOME_AGENT}"
port = { kind = "tap", device = "none" }
${lines}`;
  writeFileSync(file, text);
  const { config } = loadHost(file);
  const [guest] = config.guests;
  if (guest === undefined) throw new Error('no guest');
  return { config, guest };
}

/** What goes with `register = "qmp"`: no machine. */
export const NO_MONITOR = 'qmp = "/run/kagemusha-nobody.qmp"';
