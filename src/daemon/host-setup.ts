import { dirname } from 'node:path';
import { choosePrefix } from './care-of-auto.js';
import { careOfSteps } from './care-of-steps.js';
import { portName } from './config/port-name.js';
import type { HostConfig } from './config/schema.js';
import { planPacketUplink } from './packet-uplink-setup.js';
import { linkOf, PlanBuilder, type PlanOptions, type SetupPlan, type Step } from './setup/plan.js';
import type { SystemState } from './setup/system.js';

/** What a VM host needs of its system: a tap for each guest that has one, and what its kind of uplink needs. */
export function planHost(
  config: HostConfig,
  system: SystemState,
  options: PlanOptions = {},
): SetupPlan {
  const plan = new PlanBuilder(system, options);
  const { uplink } = config;
  plan.directory(dirname(config.controlSocket), 'the control socket');
  plan.directory(config.stateDirectory, 'the state');
  if (uplink.kind === 'tun') {
    plan.tun(uplink.device, config.uplinkMtu, 'the tunnels enter and leave here');
  }
  // Kind by kind: what there are hundreds of is made many at a time.
  const guests = config.guests.filter(({ port }) => options.attached?.has(portName(port)) !== true);
  const taps = guests.flatMap(({ name, port }) =>
    port.kind === 'tap' ? [{ name, device: port.device }] : [],
  );
  for (const { name, device } of taps) {
    plan.device(device, 'tap', `the port of guest ${name}`);
  }
  for (const { name, port } of guests) {
    if (port.kind === 'qemu-stream') plan.socketDirectory(dirname(port.path), name);
  }
  for (const { device } of taps) {
    plan.add(`${device}: the host itself speaks no IPv6 to the guest`, {
      kind: 'sysctl',
      name: `net/ipv6/conf/${device}/disable_ipv6`,
      value: '1',
      device,
    });
  }
  for (const { device } of taps) {
    plan.add(`${device} up`, { kind: 'link', device });
  }
  for (const { name, homeLink } of config.guests) {
    if (homeLink === undefined || system.links.has(homeLink.device)) continue;
    const known = [...system.links.keys()].join(', ');
    const what = `home_link ${homeLink.device} of ${name} is no interface of this host`;
    plan.obstacles.push(`${what}; there are ${known}`);
  }
  if (uplink.kind === 'tun') planRoutes(plan, config, uplink.device, system);
  else planPacketUplink(plan, config, uplink, system);
  return plan.finish(config.path, config.stateDirectory);
}

/**
 * A TUN: the care-of addresses are routed into it, and on the link that one lies on a kernel answers its neighbours for it (proxy NDP,
 * RFC 4389 in spirit: the address itself must never be the kernel's). What an automatic care-of address needs, the daemon makes when
 * it has chosen one (see careOfSteps).
 */
function planRoutes(
  plan: PlanBuilder,
  config: HostConfig,
  uplink: string,
  system: SystemState,
): void {
  const links = new Set<string>();
  const steps: Step[] = [];
  for (const { name, careOfAddress: address } of config.guests) {
    if (address === undefined) continue;
    if (address === 'auto') {
      const place = choosePrefix(system, uplink);
      if (place.kind === 'prefix') links.add(place.device);
      else plan.notes.push(`care_of_address = "auto" of ${name}: ${place.reason}`);
      continue;
    }
    plan.notOfKernel(address, `care_of_address of ${name}`);
    steps.push(...careOfSteps(address, { name, uplink, system }));
    const link = linkOf(system, address, uplink);
    if (link !== undefined) {
      links.add(link);
    } else {
      plan.notes.push(
        `${address} (${name}) lies on no link of this host: its router must send it here (ip -6 route add ${address}/128 via THIS HOST)`,
      );
    }
  }
  const isRoute = ({ resource }: Step) => resource.kind === 'route';
  for (const step of steps.filter(isRoute)) plan.addStep(step);
  plan.forwarding([...links]);
  const isProxy = ({ resource }: Step) => resource.kind === 'proxy';
  for (const step of steps.filter((one) => !isProxy(one))) plan.addStep(step);
  for (const step of steps.filter(isProxy)) plan.addStep(step);
}
