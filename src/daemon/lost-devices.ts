import type { PortId } from '../datapath/index.js';
import type { Guest } from './guest.js';
import type { Logger } from './log.js';
import type { PortStatus } from './status.js';

/** Guests whose tap or home link was deleted under the daemon: their ports stay open, and dead, until they are made anew. */
export class LostDevices {
  readonly #reasons = new Map<PortId, string>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param which a port of `guest`, that is no stream's */
  lost(guest: Guest, which: PortId): void {
    const { name, port, homeLink } = guest.config;
    const atHome = which === guest.homePort && homeLink !== undefined;
    const device = atHome
      ? `its home link ${homeLink.device}`
      : `its tap ${'device' in port ? port.device : ''}`;
    const reason = `${device} was deleted: make it again, then run kagemusha reload`;
    this.#reasons.set(guest.port, reason);
    this.#log.error({ guest: name, code: 'DEVICE_MISSING' }, `${name}: ${reason}`);
  }

  has(guest: Guest): boolean {
    return this.#reasons.has(guest.port);
  }

  forget(port: PortId): void {
    this.#reasons.delete(port);
  }

  /** Undefined: all is there. */
  status(port: PortId): Pick<PortStatus, 'connected' | 'reason'> | undefined {
    const reason = this.#reasons.get(port);
    return reason === undefined ? undefined : { connected: false, reason };
  }
}
