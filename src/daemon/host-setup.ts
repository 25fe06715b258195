import { dirname } from 'node:path';
import type { HostConfig } from './config/schema.js';
import { PlanBuilder, type PlanOptions, type SetupPlan } from './setup/plan.js';
import type { SystemState } from './setup/system.js';

/**
 * What a VM host needs of its system: a TUN into which the care-of addresses are routed, a tap for each guest, and on
 * the link that a care-of address lies on, a kernel that answers its neighbours for it (proxy NDP, RFC 4389 in spirit:
 * the address itself must never be the kernel's).
 */
export function planHost(
  config: HostConfig,
  system: SystemState,
  options: PlanOptions = {},
): SetupPlan {
  const plan = new PlanBuilder(system, options);
  const uplink = config.uplink.device;
  plan.directory(dirname(config.controlSocket), 'the control socket');
  plan.directory(config.stateDirectory, 'the state');
  plan.tun(uplink, config.uplinkMtu, 'the tunnels enter and leave here');
  for (const guest of config.guests) {
    const { device } = guest.port;
    plan.device(device, 'tap', `the port of guest ${guest.name}`);
    plan.add(`${device}: the host itself speaks no IPv6 to the guest`, {
      kind: 'sysctl',
      name: `net/ipv6/conf/${device}/disable_ipv6`,
      value: '1',
      device,
    });
    plan.add(`${device} up`, { kind: 'link', device });
  }
  const links = new Map<string, string[]>();
  for (const guest of config.guests) {
    const address = guest.careOfAddress;
    plan.notOfKernel(address, `care_of_address of ${guest.name}`);
    plan.add(`care-of address of ${guest.name} goes into ${uplink}`, {
      kind: 'route',
      address,
      device: uplink,
    });
    const link = plan.linkOf(address, uplink);
    if (link === undefined) {
      plan.notes.push(
        `${address} (${guest.name}) lies on no link of this host: its router must send it here (ip -6 route add ${address}/128 via THIS HOST)`,
      );
    } else {
      links.set(link, [...(links.get(link) ?? []), address]);
    }
  }
  plan.forwarding([...links.keys()]);
  for (const link of links.keys()) {
    plan.add(`${link} answers neighbours for care-of addresses`, {
      kind: 'sysctl',
      name: `net/ipv6/conf/${link}/proxy_ndp`,
      value: '1',
    });
    const describe = `${link} answers them at once, not after up to 0.8 s`;
    const name = `net/ipv6/neigh/${link}/proxy_delay`;
    plan.add(describe, { kind: 'sysctl', name, value: '0' }, true);
  }
  for (const guest of config.guests) {
    const link = plan.linkOf(guest.careOfAddress, uplink);
    if (link === undefined) continue;
    const describe = `care-of address of ${guest.name} is answered for on ${link}`;
    plan.add(describe, { kind: 'proxy', address: guest.careOfAddress, device: link });
  }
  return plan.finish(config.path, config.stateDirectory);
}
