import { createConnection, type Socket } from 'node:net';
import { QmpSession, VirtualMachine, type VmChange, type VmState } from '../migration/index.js';
import type { Millis } from '../time.js';
import type { Logger } from './log.js';
import type { MachineStatus } from './status.js';

/** Between two attempts, doubling up to the longest: the same as for QEMU's stream sockets. */
const RETRY_MS = { first: 100, longest: 3000 };
/** A monitor greets whom it serves at once; another client before us is served first, for as long as it stays. */
const GREETING_MS = 2000;

/** Between two questions about a machine that stands still, milliseconds. */
const ASK_MS = 1000;
const STANDING: ReadonlySet<VmState> = new Set(['paused', 'leaving']);

/** A guest and the monitor of its machine. */
export interface Monitored {
  readonly guest: string;
  /** QEMU listens there: `-qmp unix:PATH,server=on,wait=off`. */
  readonly path: string;
}

/** Something happened to a guest's machine. @param at when, milliseconds since 1970; undefined: some time before */
type OnChange = (guest: string, change: VmChange, at: Millis | undefined) => void;

interface Monitor extends Monitored {
  readonly machine: VirtualMachine;
  /** undefined: connected */
  waitsFor: string | undefined;
  /** What the log knows. */
  told: string | undefined;
  pause: number;
  timer: NodeJS.Timeout | undefined;
  socket: Socket | undefined;
}

/**
 * Keeps connections to the monitors of guests' machines, and tells what happens to those. That QEMU is not there, ends or starts again is
 * nothing out of the ordinary, and no sign of the guest: what its machine last did counts until the monitor says something else.
 */
export class QmpMonitors {
  readonly #log: Logger;
  readonly #onChange: OnChange;
  readonly #monitors = new Map<string, Monitor>();

  constructor(log: Logger, onChange: OnChange) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Connects now, or as soon as QEMU is there. */
  follow(monitored: Monitored): void {
    this.forget(monitored.guest);
    const monitor: Monitor = {
      ...monitored,
      machine: new VirtualMachine(),
      waitsFor: waitingFor(monitored.path),
      told: undefined,
      pause: RETRY_MS.first,
      timer: undefined,
      socket: undefined,
    };
    this.#monitors.set(monitored.guest, monitor);
    this.#connect(monitor);
  }

  forget(guest: string): void {
    const monitor = this.#monitors.get(guest);
    if (monitor === undefined) return;
    this.#monitors.delete(guest);
    clearTimeout(monitor.timer);
    monitor.socket?.destroy();
  }

  /** Undefined: this guest has none. */
  status(guest: string): MachineStatus | undefined {
    const monitor = this.#monitors.get(guest);
    if (monitor === undefined) return undefined;
    const { path, machine, waitsFor } = monitor;
    return {
      monitor: path,
      state: machine.state,
      ...(waitsFor === undefined ? {} : { reason: waitsFor }),
    };
  }

  stop(): void {
    for (const guest of [...this.#monitors.keys()]) this.forget(guest);
  }

  #connect(monitor: Monitor): void {
    const { guest, path } = monitor;
    const session = new QmpSession();
    const socket = createConnection(path);
    let failure: string | undefined;
    monitor.socket = socket;
    monitor.timer = setTimeout(() => {
      const busy = 'it has another client, and does not serve us; give kagemusha a -qmp of its own';
      failure = `${waitingFor(path)}: ${busy}`;
      socket.destroy();
    }, GREETING_MS);
    socket.setEncoding('utf8');
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = whatFor(path, error);
    });
    const flush = (): void => {
      for (let output = session.poll(); output !== undefined; output = session.poll()) {
        switch (output.type) {
          case 'send':
            socket.write(output.line);
            break;
          case 'ready':
            monitor.pause = RETRY_MS.first;
            monitor.waitsFor = undefined;
            monitor.told = undefined;
            this.#log.info({ guest, path, qemu: output.version }, "connected to QEMU's monitor");
            break;
          case 'news': {
            const change = monitor.machine.tell(output.news);
            if (change !== undefined) this.#onChange(guest, change, output.at);
            break;
          }
          case 'useless':
            failure = `${path}: ${output.reason}; name the path of a -qmp unix:PATH,server=on,wait=off`;
            socket.destroy();
            break;
        }
      }
    };
    socket.on('data', (text) => {
      clearTimeout(monitor.timer);
      session.receive(String(text));
      flush();
    });
    // A machine that stands still: no event tells of all that may become of it (of a migration that began before we came, say).
    const asking = setInterval(() => {
      if (STANDING.has(monitor.machine.state)) session.ask();
      flush();
    }, ASK_MS);
    socket.on('close', () => {
      clearInterval(asking);
      if (this.#monitors.get(guest) !== monitor) return;
      monitor.waitsFor = failure ?? `${waitingFor(path)}: it closed the connection`;
      this.#retry(monitor);
    });
  }

  #retry(monitor: Monitor): void {
    const { guest, path, waitsFor, pause } = monitor;
    if (waitsFor !== monitor.told) this.#log.warn({ guest, path }, waitsFor ?? '');
    monitor.told = waitsFor;
    monitor.pause = Math.min(2 * pause, RETRY_MS.longest);
    clearTimeout(monitor.timer);
    monitor.timer = setTimeout(() => this.#connect(monitor), pause);
  }
}

function waitingFor(path: string): string {
  return `waiting for QEMU's monitor at ${path}`;
}

/** Why there is no connection, one line. */
function whatFor(path: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return waitingFor(path);
  if (code === 'EACCES' || code === 'EPERM') {
    const mend = `let it write there: chgrp kagemusha ${path} && chmod g+rw ${path}`;
    return `no right to connect to QEMU's monitor at ${path} as this user; ${mend}`;
  }
  return `${waitingFor(path)}: ${message}`;
}
