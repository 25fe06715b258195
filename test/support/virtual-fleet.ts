import type { Test } from 'tap';
import { Fleet } from '../../src/cli/demo/vm/fleet.js';
import { virtualHosts } from './virtual-hosts.js';

/** Three hosts that are peers and a Home Agent that runs, for as long as the test; no daemon of a host runs yet. */
export async function virtualFleet(t: Test): Promise<Fleet> {
  const fleet = await Fleet.build(await virtualHosts(t));
  t.teardown(() => fleet.remove());
  return fleet;
}
