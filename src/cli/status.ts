import { requestStatus } from '../daemon/control-client.js';
import type {
  Count,
  GuestStatus,
  HomeAgentStatus,
  HostStatus,
  TunnelStatus,
} from '../daemon/status.js';
import type { TunnelEvents } from '../daemon/tunnel-events.js';
import { chooseSocket } from './socket.js';
import { formatBytes, formatDrops, formatTable } from './table.js';

export interface StatusArguments {
  readonly socket?: string;
  readonly json?: boolean;
}

/** `kagemusha status`: bindings, traffic and drops of the daemon. */
export async function status(options: StatusArguments): Promise<number> {
  const answer = await requestStatus(chooseSocket(options.socket));
  if (options.json === true) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  else
    process.stdout.write(
      `${answer.role === 'host' ? hostTable(answer) : homeAgentTable(answer)}\n`,
    );
  return 0;
}

/** A lifetime that does not end (RFC 4861 4.6.2). */
const FOR_EVER = 0xffff_ffff;

const traffic = ({ packets, bytes }: Count) => `${packets} packets ${formatBytes(bytes)}`;
const seconds = (value: number | undefined) =>
  value === undefined ? '-' : `${Math.ceil(value)} s`;
/** Of the packets inside. */
const mtu = (tunnel: TunnelStatus | undefined) => (tunnel === undefined ? '-' : `${tunnel.mtu}`);

function hostTable(host: HostStatus): string {
  const header = [
    'GUEST',
    'STATE',
    'HOME ADDRESS',
    'CARE-OF ADDRESS',
    'HOME AGENT',
    'PROTECTION',
    'EXPIRES IN',
    'MTU',
    'TO HOME',
    'TO GUEST',
    'DROPS',
  ];
  const rows = host.guests.map((guest) => [
    guest.name,
    guest.binding.state,
    guest.homeAddresses.join(','),
    guest.careOfAddress ?? '-',
    guest.homeAgent ?? '-',
    guest.protection,
    seconds(guest.binding.expiresIn),
    mtu(guest.tunnel),
    traffic(guest.traffic.toHome),
    traffic(guest.traffic.toGuest),
    formatDrops(guest.drops),
  ]);
  const table = rows.length === 0 ? 'no guests' : formatTable(header, rows);
  const more = host.guests.flatMap((guest) =>
    [
      ...portOf(guest),
      ...machineOf(guest),
      ...arrivalOf(guest),
      ...conflictOf(guest),
      ...reasonsOf(guest),
      ...prefixesOf(guest),
      ...correspondentsOf(guest),
      ...alarmsOf(guest),
    ].map((line) => `${guest.name}: ${line}`),
  );
  return [table, ...more, ...uplinkOf(host), ...peersOf(host), ...dropsOf(host.drops)].join('\n');
}

/** What does not hold for, and does not see, what leaves by a packet uplink. */
export const PASSED = { direct: 'tc and captures', xdp: 'tc, nftables and captures' } as const;

/** The link of a packet uplink. */
function uplinkOf({ uplink }: HostStatus): string[] {
  if (uplink.kind === 'tun') return [];
  const { device, mac, router, reason, addresses, sending } = uplink;
  const way = router === undefined ? 'no router' : `router ${router.address} ${router.state}`;
  const taken = addresses.filter(({ state }) => state === 'duplicate');
  return [
    `uplink ${device} (${mac}): ${reason ?? way}`,
    ...(sending === 'queued' ? [] : [`uplink ${device}: what leaves passes by ${PASSED[sending]}`]),
    ...taken.map(({ address }) => `uplink ${device}: another node has ${address}`),
  ];
}

/** Peers that cannot be asked. */
function peersOf({ peers = [] }: HostStatus): string[] {
  return peers.flatMap(({ reason }) => (reason === undefined ? [] : [`peer ${reason}`]));
}

/** How its last arrival went. */
function arrivalOf({ arrival }: GuestStatus): string[] {
  if (arrival === undefined) return [];
  const { at, hypervisor, trigger, answer, firstPacket, blackout } = arrival;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const parts = [
    ...(hypervisor === undefined ? [] : [`stood still for ${ms(hypervisor)}`]),
    trigger < 0
      ? `Binding Update ${ms(-trigger)} before it ran`
      : `Binding Update after ${ms(trigger)}`,
    answer === undefined ? 'no answer yet' : `answered ${ms(answer)} later`,
    ...(firstPacket === undefined ? [] : [`first packet ${ms(firstPacket)} after that`]),
    ...(blackout === undefined ? [] : [`not to be reached for ${ms(blackout)} in all`]),
  ];
  return [`arrived ${new Date(at).toISOString()}: ${parts.join(', ')}`];
}

/** Another host has it. */
function conflictOf({ conflict }: GuestStatus): string[] {
  return conflict === undefined ? [] : [conflict];
}

/** What a guest's machine does, where that is not to run. */
function machineOf({ machine }: GuestStatus): string[] {
  if (machine === undefined) return [];
  const { state, reason } = machine;
  return [reason, state === 'running' ? undefined : `its machine is ${state}`].filter(
    (line) => line !== undefined,
  );
}

/** What a guest's port waits for. */
function portOf({ port }: GuestStatus): string[] {
  return port.connected === false && port.reason !== undefined ? [port.reason] : [];
}

/** Of several home addresses each that is not registered; else of the one that the table shows. */
function reasonsOf({ binding, bindings }: GuestStatus): string[] {
  const without = bindings.filter(({ state }) => state !== 'registered');
  if (bindings.length > 1 && without.length > 0) {
    return without.map(({ homeAddress, state, reason }) =>
      reason === undefined ? `${homeAddress} ${state}` : `${homeAddress} ${state}: ${reason}`,
    );
  }
  return binding.reason === undefined || binding.reason === '' ? [] : [binding.reason];
}

/** What the Home Agents told of the home network. */
function prefixesOf({ bindings }: GuestStatus): string[] {
  const told = bindings.flatMap(({ homePrefixes = [] }) => homePrefixes);
  const prefixes = new Map(told.map((entry) => [entry.prefix, entry]));
  if (prefixes.size === 0) return [];
  const lifetime = (value: number) => (value === FOR_EVER ? 'for ever' : `for ${value} s`);
  const each = [...prefixes.values()].map(
    ({ prefix, validLifetime }) => `${prefix} valid ${lifetime(validLifetime)}`,
  );
  return [`home prefixes: ${each.join(', ')}`];
}

function correspondentsOf({ correspondents = [] }: GuestStatus): string[] {
  if (correspondents.length === 0) return [];
  const straight = correspondents.filter(({ state }) => state === 'optimised').length;
  return [`${straight} of ${correspondents.length} correspondents optimised`];
}

function homeAgentTable(homeAgent: HomeAgentStatus): string {
  const header = [
    'HOME ADDRESS',
    'STATE',
    'CARE-OF ADDRESS',
    'PROTECTION',
    'EXPIRES IN',
    'MTU',
    'TO HOME',
    'TO GUEST',
    'DROPS',
  ];
  const rows = homeAgent.bindings.map((binding) => [
    binding.homeAddress,
    binding.state,
    binding.careOfAddress,
    binding.protection,
    seconds(binding.expiresIn),
    mtu(binding.tunnel),
    traffic(binding.traffic.toHome),
    traffic(binding.traffic.toGuest),
    formatDrops(binding.drops),
  ]);
  const title = `home agent ${homeAgent.address}`;
  const table = rows.length === 0 ? 'no bindings' : formatTable(header, rows);
  const alarms = homeAgent.bindings.flatMap((binding) =>
    alarmsOf(binding).map((line) => `${binding.homeAddress}: ${line}`),
  );
  return [title, table, ...alarms, ...dropsOf(homeAgent.drops)].join('\n');
}

/** What the network does to the tunnel's congestion marks, when it does what it must not. */
function alarmsOf({ events: { ecnAlarms } }: { readonly events: TunnelEvents }): string[] {
  if (ecnAlarms === 0) return [];
  return [`${ecnAlarms} packets with congestion marks that do not go together (RFC 6040 4.2)`];
}

/** A line for what belongs to nobody, when there is any. */
function dropsOf(drops: Readonly<Record<string, number>>): string[] {
  const text = formatDrops(drops);
  return text === '-' ? [] : [`other drops: ${text}`];
}
