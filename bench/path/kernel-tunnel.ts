import { PAPER } from '../../src/cli/demo/configuration.js';
import type { Netns } from '../../src/cli/demo/netns.js';

/** Of signaling with a Home Address option, which no kernel here understands: it would answer with an error (RFC 6275 9.3.1). */
const SIGNALING = `pref 6 to ${PAPER.homeAgent} ipproto 60`;
/** Lookups of what the guest sends. */
const TABLE = 100;

/** The kernel's own IP6IP6, at either end of the wire. */
export interface KernelTunnel {
  readonly kind: 'ip6tnl' | 'srv6' | 'srv6 without tunsrc';
  /**
   * At the router: the Home Agent's address and its end of the tunnel to `careOf`, and the guest's place on the home link. What it
   * changes is taken back by the function that it gives.
   */
  far(router: Netns, careOf: string): Promise<() => Promise<void>>;
  /** At the host: the guest behind `g0` has the other end. The same. */
  near(host: Netns, careOf: string): Promise<() => Promise<void>>;
}

/**
 * `ip6_tunnel` where the kernel has it; else SRv6 with reduced encapsulation and one segment, which puts the same on the wire. Root of a user
 * namespace may not set the tunnel's source address (`ip sr tunsrc`): then it is chosen for each packet, and that costs a little.
 */
export async function kernelTunnel(netns: Netns): Promise<KernelTunnel> {
  const works = async (words: string): Promise<boolean> =>
    await netns.ip(words).then(
      () => true,
      () => false,
    );
  if (await works('link add kgtry0 type ip6tnl mode ip6ip6')) {
    await netns.ip('link del kgtry0');
    return IP6TNL;
  }
  return srv6(await works('sr tunsrc set ::'));
}

const srv6 = (tunsrc: boolean): KernelTunnel => ({
  kind: tunsrc ? 'srv6' : 'srv6 without tunsrc',
  far: async (router, careOf) =>
    await applied(router, [
      ...home(),
      // The address is no interface's: only so do the rules come before it. What comes out of the tunnel for it is answered.
      [
        `-6 route add local ${PAPER.homeAgent} dev lo table main`,
        `-6 route del local ${PAPER.homeAgent} dev lo table main`,
      ],
      [
        `-6 route add ${PAPER.homeAgent}/128 encap seg6local action End.DT6 table main dev lan0 table 200`,
        `-6 route del ${PAPER.homeAgent}/128 table 200`,
      ],
      [
        `-6 rule add pref 5 to ${PAPER.homeAgent} ipproto 41 lookup 200`,
        `-6 rule del pref 5 to ${PAPER.homeAgent} ipproto 41 lookup 200`,
      ],
      ...(tunsrc ? source(PAPER.homeAgent) : CHOSEN_SOURCE),
      [
        `-6 route add ${PAPER.guest}/128 encap seg6 mode encap.red segs ${careOf} dev wan0`,
        `-6 route del ${PAPER.guest}/128 dev wan0`,
      ],
    ]),
  near: async (host, careOf) => {
    const wan = `dev wan0 via ${PAPER.foreignRouter}`;
    return await applied(host, [
      // The far end does not look who it is.
      ...(tunsrc ? source(careOf) : []),
      ...guestRoutes(),
      // The outer packet must not match the encapsulating route again.
      [
        `-6 route add ${PAPER.homeAgent}/128 ${wan} table ${TABLE}`,
        `-6 route del ${PAPER.homeAgent}/128 table ${TABLE}`,
      ],
      [
        `-6 route add default encap seg6 mode encap.red segs ${PAPER.homeAgent} ${wan} table ${TABLE}`,
        `-6 route del default table ${TABLE}`,
      ],
      [
        `-6 route add ${careOf}/128 encap seg6local action End.DT6 table main dev g0`,
        `-6 route del ${careOf}/128 dev g0`,
      ],
    ]);
  },
});

function source(address: string): Step[] {
  return [[`sr tunsrc set ${address}`, 'sr tunsrc set ::']];
}

/** Rules come before the table of own addresses. */
const OWN_ADDRESSES_LATER: readonly Step[] = [
  ['-6 rule add pref 10 lookup local', '-6 rule del pref 10 lookup local'],
  ['-6 rule del pref 0 lookup local', '-6 rule add pref 0 lookup local'],
];

/** The Home Agent's address is the one of the interface's that is not deprecated (RFC 6724 5, rule 3). */
const CHOSEN_SOURCE: readonly Step[] = [
  ...OWN_ADDRESSES_LATER,
  [
    `address add ${PAPER.homeAgent}/128 dev wan0 nodad`,
    `address del ${PAPER.homeAgent}/128 dev wan0`,
  ],
  [
    `address change ${PAPER.foreignRouter}/64 dev wan0 preferred_lft 0`,
    `address change ${PAPER.foreignRouter}/64 dev wan0 preferred_lft forever`,
  ],
];

const IP6TNL: KernelTunnel = {
  kind: 'ip6tnl',
  far: async (router, careOf) =>
    await applied(router, [
      ...home(),
      ...OWN_ADDRESSES_LATER,
      [
        `address add ${PAPER.homeAgent}/128 dev lo nodad`,
        `address del ${PAPER.homeAgent}/128 dev lo`,
      ],
      [ip6tnl(PAPER.homeAgent, careOf), 'link del kgt0'],
      ['link set kgt0 up'],
      [`-6 route add ${PAPER.guest}/128 dev kgt0`],
    ]),
  near: async (host, careOf) =>
    await applied(host, [
      [`address add ${careOf}/128 dev wan0 nodad`, `address del ${careOf}/128 dev wan0`],
      ...guestRoutes(),
      [ip6tnl(careOf, PAPER.homeAgent), 'link del kgt0'],
      ['link set kgt0 up'],
      [`-6 route add default dev kgt0 table ${TABLE}`],
    ]),
};

function ip6tnl(local: string, remote: string): string {
  return `link add kgt0 type ip6tnl mode ip6ip6 local ${local} remote ${remote} encaplimit none`;
}

/** The guest's address, defended on the home link, and the rule about signaling. */
function home(): Step[] {
  const proxy = `proxy ${PAPER.guest} dev lan0`;
  return [
    [`-6 neigh add ${proxy}`, `-6 neigh del ${proxy}`],
    [`-6 rule add ${SIGNALING} blackhole`, `-6 rule del ${SIGNALING} blackhole`],
  ];
}

/** What the guest sends has a table of its own; what comes for it goes to it. */
function guestRoutes(): Step[] {
  return [
    [`-6 route add ${PAPER.guest}/128 dev g0`, `-6 route del ${PAPER.guest}/128 dev g0`],
    [`-6 rule add iif g0 lookup ${TABLE}`, `-6 rule del iif g0 lookup ${TABLE}`],
  ];
}

/** Words for ip(8), and those that take it back; where there are none, a step before takes it back too. */
type Step = readonly [words: string, back?: string];

/** Does the steps one after another; gives what takes them back in the other order. */
export async function applied(netns: Netns, steps: readonly Step[]): Promise<() => Promise<void>> {
  for (const [words] of steps) await netns.ip(words);
  return async () => {
    for (const [, back] of steps.toReversed()) {
      if (back !== undefined) await netns.ip(back);
    }
  };
}
