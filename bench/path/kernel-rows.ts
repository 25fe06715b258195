import { PAPER } from '../../src/cli/demo/configuration.js';
import type { Netns } from '../../src/cli/demo/netns.js';
import type { Bed } from './bed.js';
import { applied } from './kernel-tunnel.js';
import type { Turn } from './rows.js';

const FOREIGN_LINK = { host: '2001:db8:3001::1', guest: '2001:db8:3001::10' } as const;
const CARE_OF = '2001:db8:3000::50';

/** The guest behind a pair of interfaces, `g0` at the host. */
async function cabledGuest(bed: Bed): Promise<Netns> {
  const guest = await bed.netns('g');
  await bed.host.ip(`link add g0 type veth peer name eth0 netns ${guest.name}`);
  await bed.host.ip('link set g0 addrgenmode none');
  return guest;
}

async function turn({ host }: Bed, guest: Netns, ...backs: (() => Promise<void>)[]): Promise<Turn> {
  return {
    guest,
    address: PAPER.hostA,
    daemons: {},
    end: async () => {
      for (const back of backs.toReversed()) await back();
      // The namespace takes its interfaces along, but only by and by.
      await host.ip('link del g0');
      await guest.remove();
    },
  };
}

/** The guest's address belongs to a link behind its host, and no tunnel is needed. */
export async function nativeRow(bed: Bed): Promise<Turn> {
  const { router, host } = bed;
  const guest = await cabledGuest(bed);
  await host.ip(`address add ${FOREIGN_LINK.host}/64 dev g0 nodad`);
  await host.ip('link set g0 up');
  await plugIn(guest, `${FOREIGN_LINK.guest}/64`, FOREIGN_LINK.host);
  const route = `2001:db8:3001::/64 via ${PAPER.hostB} dev wan0`;
  return await turn(
    bed,
    guest,
    await applied(router, [[`-6 route add ${route}`, `-6 route del ${route}`]]),
  );
}

/** The kernel's tunnel at both ends of the wire. @param mtu of what fits in it */
export async function kernelRow(bed: Bed, mtu: number): Promise<Turn> {
  const { router, host, kernel } = bed;
  const guest = await cabledGuest(bed);
  await host.ip(`address add ${PAPER.homeRouter}/64 dev g0 nodad`);
  await host.ip('link set g0 up');
  // SRv6 tells no sender that a packet is too big.
  await guest.ip(`link set eth0 mtu ${mtu}`);
  await plugIn(guest, `${PAPER.guest}/128`, PAPER.homeRouter);
  const careOf = `${CARE_OF}/128 via ${PAPER.hostB} dev wan0`;
  return await turn(
    bed,
    guest,
    await applied(router, [[`-6 route add ${careOf}`, `-6 route del ${careOf}`]]),
    await kernel.far(router, CARE_OF),
    await kernel.near(host, CARE_OF),
  );
}

/** The home LAN goes on at the host: a bridge at each end of the wire, and VXLAN between them. @param mtu of what fits in it */
export async function vxlanRow(bed: Bed, mtu: number): Promise<Turn> {
  const { correspondent, router, host } = bed;
  const guest = await cabledGuest(bed);
  const backs = [
    await stretched(router, 'lan0', PAPER.foreignRouter, PAPER.hostB),
    await stretched(host, 'g0', PAPER.hostB, PAPER.foreignRouter),
    // A bridge tells nobody that a packet is too big.
    await applied(correspondent, [
      [
        `-6 route add ${PAPER.guest}/128 dev lan0 mtu ${mtu}`,
        `-6 route del ${PAPER.guest}/128 dev lan0`,
      ],
    ]),
  ];
  await guest.ip(`link set eth0 mtu ${mtu}`);
  await plugIn(guest, `${PAPER.guest}/64`);
  return await turn(bed, guest, ...backs);
}

async function stretched(netns: Netns, port: string, local: string, remote: string) {
  return await applied(netns, [
    ['link add kgbr0 type bridge', 'link del kgbr0'],
    ['link set kgbr0 addrgenmode none up'],
    [
      `link add kgvx0 type vxlan id 42 dev wan0 local ${local} remote ${remote} dstport 4789`,
      'link del kgvx0',
    ],
    ['link set kgvx0 addrgenmode none'],
    ['link set kgvx0 master kgbr0 up'],
    [`link set ${port} master kgbr0 up`, `link set ${port} nomaster`],
  ]);
}

/** An address and, where it has one, the way out. */
async function plugIn(guest: Netns, address: string, router?: string): Promise<void> {
  await guest.ip(`address add ${address} dev eth0 nodad`);
  await guest.ip('link set eth0 up');
  if (router !== undefined) await guest.ip(`-6 route add default via ${router} dev eth0`);
}
