import { requestStatus } from '../daemon/control-client.js';
import type { Count, HomeAgentStatus, HostStatus } from '../daemon/status.js';
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

const traffic = ({ packets, bytes }: Count) => `${packets} packets ${formatBytes(bytes)}`;
const seconds = (value: number | undefined) =>
  value === undefined ? '-' : `${Math.ceil(value)} s`;

function hostTable(host: HostStatus): string {
  const header = [
    'GUEST',
    'STATE',
    'HOME ADDRESS',
    'CARE-OF ADDRESS',
    'HOME AGENT',
    'PROTECTION',
    'EXPIRES IN',
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
    traffic(guest.traffic.toHome),
    traffic(guest.traffic.toGuest),
    formatDrops(guest.drops),
  ]);
  const reasons = host.guests.flatMap(({ name, binding }) =>
    binding.reason === undefined ? [] : [`${name}: ${binding.reason}`],
  );
  const table = rows.length === 0 ? 'no guests' : formatTable(header, rows);
  return [table, ...reasons, ...dropsOf(host.drops)].join('\n');
}

function homeAgentTable(homeAgent: HomeAgentStatus): string {
  const header = [
    'HOME ADDRESS',
    'STATE',
    'CARE-OF ADDRESS',
    'PROTECTION',
    'EXPIRES IN',
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
    traffic(binding.traffic.toHome),
    traffic(binding.traffic.toGuest),
    formatDrops(binding.drops),
  ]);
  const title = `home agent ${homeAgent.address}`;
  const table = rows.length === 0 ? 'no bindings' : formatTable(header, rows);
  return [title, table, ...dropsOf(homeAgent.drops)].join('\n');
}

/** A line for what belongs to nobody, when there is any. */
function dropsOf(drops: Readonly<Record<string, number>>): string[] {
  const text = formatDrops(drops);
  return text === '-' ? [] : [`other drops: ${text}`];
}
