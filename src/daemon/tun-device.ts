import { accessSync, constants } from 'node:fs';
import { KagemushaError } from '../errors.js';

/** The device that makes TUN and tap devices (Documentation/networking/tuntap.rst). */
export const TUN_DEVICE = '/dev/net/tun';

/** @throws KagemushaError TUN_UNAVAILABLE when this user cannot open it, with the command that mends it */
export function requireTun(): void {
  try {
    accessSync(TUN_DEVICE, constants.R_OK | constants.W_OK);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new KagemushaError(
      'TUN_UNAVAILABLE',
      missing
        ? `${TUN_DEVICE} is missing: run sudo modprobe tun`
        : `${TUN_DEVICE} may not be opened by this user: run sudo chmod 0666 ${TUN_DEVICE}, or run as root`,
      { cause },
    );
  }
}
