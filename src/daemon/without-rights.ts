import { adoptSpareSockets, openSpareSockets, replaceProcess } from '../datapath/index.js';
import { readCapabilities } from './capabilities.js';
import type { HostConfig } from './config/schema.js';

/** Descriptors of packet sockets, separated by commas. */
const VARIABLE = 'KAGEMUSHA_PACKET_SOCKETS';

/** What a packet uplink has open: its ring, its sender, the port for Neighbor Discovery. */
const OF_UPLINK = 3;
/** Home links of guests that come later. */
const FOR_LATER = 16;

/**
 * With a packet uplink and CAP_NET_RAW as its only right, a host opens its packet sockets first and then goes on without that right,
 * as a new image of the same process: a capability is a thread's, and Node has threads from its beginning. Call it before anything is
 * opened. Where there is nothing to give up it returns at once; root keeps its rights, for devices and routes of guests that come later.
 *
 * @throws KagemushaError DEVICE_PERMISSION, EXEC_FAILED
 */
export function goOnWithoutRights({ uplink, guests }: HostConfig): void {
  const sockets = process.env[VARIABLE];
  if (sockets !== undefined) {
    delete process.env[VARIABLE];
    adoptSpareSockets(sockets.split(',').map(Number));
    return;
  }
  const { netAdmin, netRaw } = readCapabilities();
  if (uplink.kind !== 'packet' || !netRaw || netAdmin || process.getuid?.() === 0) return;
  const links = guests.filter(({ homeLink }) => homeLink !== undefined).length;
  const fds = openSpareSockets(OF_UPLINK + links + FOR_LATER, uplink.bypassQdisc);
  const environment = Object.entries({ ...process.env, [VARIABLE]: fds.join(',') });
  replaceProcess(
    process.execPath,
    [process.argv0, ...process.execArgv, ...process.argv.slice(1)],
    environment.map(([name, value]) => `${name}=${value}`),
  );
}
