import { dirname } from 'node:path';
import { formatPrefix, homeAgentsAnycast, type Prefix } from '../wire/index.js';
import type { HomeAgentConfig } from './config/schema.js';
import { PlanBuilder, type PlanOptions, type SetupPlan } from './setup/plan.js';
import type { SystemState } from './setup/system.js';

/**
 * What a Home Agent needs of its system: a TUN into which its own address and the bound home addresses are routed. The
 * TUN has the tunnel's MTU, so that the kernel tells correspondents Packet Too Big; outer packets to the Home
 * Agent's address are as long as the network allows, so that route has an MTU of its own. Where there is no home
 * network (a virtual home link), packets for who is not registered must not go back to where they came from.
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
  if (config.homeLink !== undefined && !system.links.has(config.homeLink)) {
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
  plan.add(
    `whoever looks for the home agents of ${formatPrefix(config.homePrefix)} finds this one`,
    {
      kind: 'route',
      address: homeAgentsAnycast(config.homePrefix),
      device,
    },
  );
  plan.forwarding(config.homeLink === undefined ? [] : [config.homeLink]);
  if (config.homeLink === undefined && !isRouted(config.homePrefix, system)) {
    const prefix = config.homePrefix;
    plan.add(`no home network: who is not registered in ${formatPrefix(prefix)} is unreachable`, {
      kind: 'unreachable',
      prefix,
    });
  }
  return plan.finish(config.path, config.stateDirectory);
}

/** The prefix is on a link of this host after all: its route must stay. */
function isRouted(prefix: Prefix, system: SystemState): boolean {
  return system.routes.some((route) => formatPrefix(route.prefix) === formatPrefix(prefix));
}
