import { readFileSync, writeFileSync } from 'node:fs';
import type { Engine } from '../datapath/index.js';
import { readCapabilities } from './capabilities.js';
import { runJson } from './ip-route.js';

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
