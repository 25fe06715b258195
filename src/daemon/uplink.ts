import { readFileSync, writeFileSync } from 'node:fs';
import type { Engine } from '../datapath/index.js';
import { KagemushaError } from '../errors.js';
import type { Mac } from '../wire/index.js';
import { readCapabilities } from './capabilities.js';
import type { HostConfig } from './config/schema.js';
import { type NetworkPort, stationMac } from './foreign-network.js';
import { runJson } from './ip-route.js';
import { type LinkState, readLink } from './link-monitor.js';
import { STATION_SECRET, type Store } from './store/index.js';

/**
 * The file that gives a device's NAPI a thread of its own, when this process may write it: it has CAP_NET_ADMIN, and /sys
 * shows this network namespace (unshare(1) leaves another's mounted).
 *
 * @throws KagemushaError IP_COMMAND_FAILED when there is no such device
 */
export async function threadedNapiFile(device: string): Promise<string | undefined> {
  if (!readCapabilities().netAdmin) return undefined;
  const [link] = (await runJson(['ip', '-j', 'link', 'show', 'dev', device])) as {
    ifindex?: number;
  }[];
  const folder = `/sys/class/net/${device}`;
  try {
    const shown = Number(readFileSync(`${folder}/ifindex`, 'utf8'));
    readFileSync(`${folder}/threaded`);
    return shown === link?.ifindex ? `${folder}/threaded` : undefined;
  } catch {
    return undefined;
  }
}

/** An Ethernet interface, now. @throws KagemushaError IP_COMMAND_FAILED, DEVICE_KIND */
async function ethernet(device: string): Promise<LinkState & { readonly mac: Mac }> {
  const { mac, ...link } = await readLink(device);
  if (mac !== undefined) return { ...link, mac };
  throw new KagemushaError(
    'DEVICE_KIND',
    `${device} is no Ethernet interface; a packet uplink needs one, elsewhere write kind = "tun"`,
  );
}

/**
 * How a host opens its uplink. What has to be asked of the system is asked here, before.
 *
 * @throws KagemushaError IP_COMMAND_FAILED, DEVICE_KIND
 */
export async function uplinkOpener(
  { uplink }: Pick<HostConfig, 'uplink'>,
  store: Pick<Store, 'secret'>,
): Promise<(engine: Engine) => NetworkPort | undefined> {
  const { device } = uplink;
  if (uplink.kind === 'tun') {
    const napi = await threadedNapiFile(device);
    return (engine) => {
      openUplink(engine, device, napi);
      return undefined;
    };
  }
  const link = await ethernet(device);
  const own = link.mac;
  const { frames, queueBytes, bypassQdisc } = uplink;
  const mac = uplink.mac === 'own' ? stationMac(store.secret(STATION_SECRET), own) : uplink.mac;
  if (mac === own) {
    const mend = 'write mac = "device", so that the kernel is kept from hearing it, too';
    throw new KagemushaError('UPLINK_MAC', `uplink.mac is the own one of ${device}; ${mend}`);
  }
  return (engine) => {
    const memory = { frames, queueBytes };
    const station = mac === 'device' ? {} : { mac };
    const opened = engine.openPacketUplink(device, { ...station, memory, bypassQdisc });
    const { port } = engine.openPacketPort(device, { mac: opened.mac });
    return { ...opened, port, link };
  };
}

/** What the daemon ends with when its uplink is deleted; it could not open another one after giving up the right to. */
export function uplinkGone(device: string): KagemushaError {
  const what = `${device} is gone: deleted, renamed, or moved to another network namespace`;
  const mend =
    'the daemon ends, its bindings stay; start it again when there is one (its systemd unit does)';
  return new KagemushaError('UPLINK_GONE', `${what}; ${mend}`);
}

/**
 * Opens the TUN uplink. Where its NAPI may have a thread, what the engine writes is merged (GRO) and routed beside it, a
 * train at a time; without the thread that would cost more than it gives, and each packet is routed as it is written.
 *
 * @param threadedNapi from {@link threadedNapiFile}
 * @throws KagemushaError of Engine.openTun
 */
export function openUplink(engine: Engine, device: string, threadedNapi: string | undefined): void {
  engine.openTun(device, { napi: threadedNapi !== undefined });
  if (threadedNapi === undefined) return;
  try {
    writeFileSync(threadedNapi, '1');
  } catch {
    // Packets go the same way without the thread.
  }
}
