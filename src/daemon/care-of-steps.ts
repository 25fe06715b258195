import type { Address } from '../wire/index.js';
import { linkOf, type Step } from './setup/plan.js';
import type { SystemState } from './setup/system.js';

export interface CareOfPlace {
  /** Of the guest. */
  readonly name: string;
  /** The TUN that the address is routed into. */
  readonly uplink: string;
  readonly system: SystemState;
}

/**
 * What one care-of address needs of a system whose TUN is there and which forwards: its route into the TUN, and on the link
 * that it lies on, a kernel that answers its neighbours (proxy NDP). An address that lies on no link has its route alone.
 *
 * At run time: `applyMissing({ ...plan, steps: careOfSteps(…) }, system, tell)` makes what is missing and records it;
 * `removeCommands` of each route and proxy takes an address away again.
 */
export function careOfSteps(address: Address, { name, uplink, system }: CareOfPlace): Step[] {
  const route: Step = {
    describe: `care-of address of ${name} goes into ${uplink}`,
    resource: { kind: 'route', address, device: uplink },
  };
  const link = linkOf(system, address, uplink);
  if (link === undefined) return [route];
  return [
    route,
    {
      describe: `${link} answers neighbours for care-of addresses`,
      resource: { kind: 'sysctl', name: `net/ipv6/conf/${link}/proxy_ndp`, value: '1' },
    },
    {
      describe: `${link} answers them at once, not after up to 0.8 s`,
      resource: { kind: 'sysctl', name: `net/ipv6/neigh/${link}/proxy_delay`, value: '0' },
      advice: true,
    },
    {
      describe: `care-of address of ${name} is answered for on ${link}`,
      resource: { kind: 'proxy', address, device: link },
    },
  ];
}
