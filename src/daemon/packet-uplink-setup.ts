import type { HostConfig, PacketUplinkConfig } from './config/schema.js';
import type { PlanBuilder } from './setup/plan.js';
import type { SystemState } from './setup/system.js';

/**
 * What a packet uplink needs of the system: an interface that is up, and a kernel that leaves the care-of addresses alone. Their
 * neighbours are answered by the daemon, and no route is needed.
 */
export function planPacketUplink(
  plan: PlanBuilder,
  config: HostConfig,
  { device, mac }: PacketUplinkConfig,
  system: SystemState,
): void {
  const link = system.links.get(device);
  if (link === undefined) {
    const known = [...system.links.keys()].join(', ');
    plan.obstacles.push(`uplink ${device} is no interface of this host; there are ${known}`);
    return;
  }
  if (link.mtu < config.uplinkMtu) {
    const mend = `write uplink_mtu = ${link.mtu}, or: ip link set dev ${device} mtu ${config.uplinkMtu}`;
    const what = `${device} takes packets of ${link.mtu} octets, uplink_mtu is ${config.uplinkMtu}`;
    plan.obstacles.push(`${what}; ${mend}`);
  }
  plan.add(`${device} up`, { kind: 'link', device });
  // With a link-layer address of their own the kernel does not get to see what is for them.
  const kernelHears = mac === 'device' && system.sysctl('net/ipv6/conf/all/forwarding') === '1';
  for (const { name, careOfAddress: address } of config.guests) {
    if (address === undefined) continue;
    if (address === 'auto') {
      if (!kernelHears) continue;
      const why = `the kernel forwards what comes for the MAC of ${device}`;
      const mend =
        'write the address, write mac = "own", or: sysctl -w net.ipv6.conf.all.forwarding=0';
      plan.obstacles.push(
        `care_of_address = "auto" of ${name} with mac = "device": ${why}; ${mend}`,
      );
      continue;
    }
    plan.notOfKernel(address, `care_of_address of ${name}`);
    for (const entry of system.proxies) {
      const [proxied, on] = entry.split(' ');
      if (proxied !== address) continue;
      const mend = `kagemusha setup --undo, or: ip -6 neighbour del proxy ${address} dev ${on}`;
      const what = `the kernel answers for care-of address ${address} of ${name} on ${on}`;
      plan.obstacles.push(`${what}, and the daemon does too; ${mend}`);
    }
    if (!kernelHears) continue;
    const describe = `the kernel, which forwards, drops what comes for care-of address ${address} of ${name} (or write mac = "own", or forward nothing)`;
    plan.add(describe, { kind: 'blackhole', address });
  }
}
