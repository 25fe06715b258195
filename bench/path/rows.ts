import { PAPER } from '../../src/cli/demo/configuration.js';
import type { Netns } from '../../src/cli/demo/netns.js';
import type { Daemon } from '../../src/cli/demo/processes.js';
import type { Bed } from './bed.js';
import { kernelRow, nativeRow, vxlanRow } from './kernel-rows.js';
import { ourRow } from './our-rows.js';
import type { Profile } from './types.js';

/** A row whose turn it is. */
export interface Turn {
  readonly guest: Netns;
  /** The correspondent's address. */
  readonly address: string;
  readonly daemons: Readonly<Record<string, Daemon>>;
  /** Takes everything away that is only this row's. */
  end(): Promise<void>;
}

/** A row that this checkout or this machine cannot have. */
export class NotHere extends Error {}

export interface Row {
  readonly name: string;
  /** In a line. */
  readonly path: string;
  /** Octets that each packet carries on the wire for the tunnel. */
  readonly overhead: number;
  /** Where it has turns, everywhere unless told. */
  readonly profiles?: readonly Profile[];
  /** @throws NotHere with the reason */
  begin(bed: Bed): Promise<Turn>;
}

/** The MTU of the wire. */
const WIRE = 1500;
/** An outer IPv6 header. */
const IP6IP6 = 40;
/** Outer IPv6, UDP, VXLAN (RFC 7348 5), inner Ethernet. */
const VXLAN = 40 + 8 + 8 + 14;
const PACKET_UPLINK = `{ kind = "packet", device = "wan0", router = "${PAPER.foreignRouter}" }`;

/** The rows, in the order of their turns. A new one of ours is a configuration. */
export const ROWS: readonly Row[] = [
  {
    name: 'native',
    path: 'no tunnel: the guest has an address of the foreign network, routed',
    overhead: 0,
    begin: nativeRow,
  },
  {
    name: 'kernel',
    path: "the kernel's IP6IP6 at both ends",
    overhead: IP6IP6,
    begin: async (bed) => await kernelRow(bed, WIRE - IP6IP6),
  },
  {
    name: 'vxlan',
    path: "the home LAN stretched with the kernel's VXLAN and bridges",
    overhead: VXLAN,
    begin: async (bed) => await vxlanRow(bed, WIRE - VXLAN),
  },
  {
    name: 'tun',
    path: "kagemusha host, TUN uplink; the kernel's IP6IP6 at the far end",
    overhead: IP6IP6,
    begin: ourRow({ careOf: '2001:db8:3000::51' }),
  },
  {
    name: 'tun-home-agent',
    path: 'kagemusha host, TUN uplink; kagemusha home-agent at the far end',
    overhead: IP6IP6,
    begin: ourRow({ careOf: '2001:db8:3000::52', homeAgent: 'ours' }),
  },
  {
    name: 'packet',
    path: "kagemusha host, packet uplink; the kernel's IP6IP6 at the far end",
    overhead: IP6IP6,
    begin: ourRow({ careOf: '2001:db8:3000::53', uplink: PACKET_UPLINK }),
  },
  {
    name: 'packet-bypass',
    path: 'the same, bypass_qdisc = true',
    overhead: IP6IP6,
    // It would pass by the shaper, too.
    profiles: ['wire'],
    begin: ourRow({
      careOf: '2001:db8:3000::55',
      uplink: PACKET_UPLINK.replace(' }', ', bypass_qdisc = true }'),
    }),
  },
  {
    name: 'packet-busy',
    path: 'as packet, poll = "busy"',
    overhead: IP6IP6,
    begin: ourRow({
      careOf: '2001:db8:3000::54',
      uplink: PACKET_UPLINK,
      host: 'poll = "busy"',
    }),
  },
];

/** Those of `rows` that have turns in this profile. */
export function rowsOf(profile: Profile, rows: readonly Row[]): readonly Row[] {
  return rows.filter(({ profiles }) => profiles?.includes(profile) ?? true);
}

/** The correspondent, as every row's guest reaches it. */
export const CORRESPONDENT = PAPER.hostA;
