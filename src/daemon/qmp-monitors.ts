import type { Logger } from './log.js';
import { type OnMachine, QmpMonitor } from './qmp-monitor.js';
import type { MachineStatus } from './status.js';

/** A guest and the monitor of its machine. */
export interface Monitored {
  readonly guest: string;
  /** QEMU listens there: `-qmp unix:PATH,server=on,wait=off`. */
  readonly path: string;
}

/** The monitors of guests' machines, by guest. */
export class QmpMonitors {
  readonly #log: Logger;
  readonly #onMachine: (guest: string, ...what: Parameters<OnMachine>) => void;
  readonly #onLost: (guest: string) => void;
  readonly #monitors = new Map<string, QmpMonitor>();

  /** @param onLost nobody tells of the guest's machine any more, or yet */
  constructor(
    log: Logger,
    onMachine: (guest: string, ...what: Parameters<OnMachine>) => void,
    onLost: (guest: string) => void,
  ) {
    this.#log = log;
    this.#onMachine = onMachine;
    this.#onLost = onLost;
  }

  /** Connects now, or as soon as QEMU is there. */
  follow({ guest, path }: Monitored): void {
    this.forget(guest);
    const log = this.#log.child({ guest });
    const tell: OnMachine = (...what) => this.#onMachine(guest, ...what);
    this.#monitors.set(guest, new QmpMonitor(path, log, tell, () => this.#onLost(guest)));
  }

  forget(guest: string): void {
    this.#monitors.get(guest)?.stop();
    this.#monitors.delete(guest);
  }

  /** The guest was said to have left, by another than its monitor. */
  released(guest: string): void {
    this.#monitors.get(guest)?.released();
  }

  /** Undefined: this guest has none. */
  status(guest: string): MachineStatus | undefined {
    return this.#monitors.get(guest)?.status;
  }

  stop(): void {
    for (const guest of [...this.#monitors.keys()]) this.forget(guest);
  }
}
