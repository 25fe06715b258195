import { dirname } from 'node:path';
import type { HomeAgentConfig } from './config/schema.js';
import { PlanBuilder, type PlanOptions, type SetupPlan } from './setup/plan.js';
import type { SystemState } from './setup/system.js';

/**
 * What a Home Agent needs of its system: a TUN into which its own address and the bound home addresses are routed. The
 * TUN has the tunnel's MTU, so that the kernel tells correspondents Packet Too Big; outer packets to the Home
 * Agent's address are as long as the network allows, so that route has an MTU of its own.
 */
export function planHomeAgent(
  config: HomeAgentConfig,
  system: SystemState,
  options: PlanOptions = {},
): SetupPlan {
  const plan = new PlanBuilder(system, options);
  const device = config.tunnelDevice;
  plan.directory(dirname(config.controlSocket), 'the control socket');
  plan.directory(config.stateDirectory, 'the state');
  if (!system.links.has(config.homeLink)) {
    const known = [...system.links.keys()].join(', ');
    plan.obstacles.push(
      `home_link ${config.homeLink} is no interface of this host; there are ${known}`,
    );
  }
  plan.notOfKernel(config.address, 'address');
  plan.tun(device, config.tunnelMtu, 'the tunnels enter and leave here');
  plan.add(
    `the home agent's address goes into ${device}, packets of ${config.uplinkMtu} octets too`,
    {
      kind: 'route',
      address: config.address,
      device,
      mtu: config.uplinkMtu,
    },
  );
  plan.forwarding([config.homeLink]);
  return plan.finish(config.path, config.stateDirectory);
}
