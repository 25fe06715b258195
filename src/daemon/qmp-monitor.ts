import { createConnection, type Socket } from 'node:net';
import {
  QmpSession,
  type QmpSessionOutput,
  VirtualMachine,
  type VmChange,
  type VmState,
} from '../migration/index.js';
import type { Millis } from '../time.js';
import type { Logger } from './log.js';
import { retryForQemu } from './retry.js';
import type { MachineStatus } from './status.js';

/** A monitor greets whom it serves at once; another client before us is served first, for as long as it stays. */
const GREETING_MS = 2000;
/** Between two questions about a machine that stands still. */
const ASK_MS = 1000;
const STANDING: ReadonlySet<VmState> = new Set(['paused', 'leaving']);

/** Something happened to the machine. @param at when, milliseconds since 1970; undefined: some time before */
export type OnMachine = (change: VmChange, at: Millis | undefined) => void;

/**
 * Keeps a connection to the monitor of a guest's machine, and tells what happens to that. That QEMU is not there, ends or starts again is
 * nothing out of the ordinary, and no sign of the guest: what its machine last did counts until the monitor says something else.
 */
export class QmpMonitor {
  readonly #path: string;
  readonly #log: Logger;
  readonly #onMachine: OnMachine;
  readonly #onLost: () => void;
  readonly #machine = new VirtualMachine();
  readonly #retry = retryForQemu();
  #session = new QmpSession();
  #socket: Socket | undefined;
  /** undefined: connected */
  #waitsFor: string | undefined;
  /** why the connection that there is will end */
  #failure: string | undefined;
  /** what the log knows */
  #told: string | undefined;
  #greeting: NodeJS.Timeout | undefined;
  #asking: NodeJS.Timeout | undefined;
  #stopped = false;

  /** @param onLost told when a connection has ended, or there is none, each time anew */
  constructor(path: string, log: Logger, onMachine: OnMachine, onLost: () => void) {
    this.#path = path;
    this.#log = log;
    this.#onMachine = onMachine;
    this.#onLost = onLost;
    this.#waitsFor = this.#waiting;
    this.#connect();
  }

  get status(): MachineStatus {
    const reason = this.#waitsFor === undefined ? {} : { reason: this.#waitsFor };
    return { monitor: this.#path, state: this.#machine.state, ...reason };
  }

  /** Somebody else knows that the guest is not here. A machine without a monitor has ended then: the next one is another. */
  released(): void {
    if (this.#waitsFor !== undefined) this.#machine.tell({ kind: 'shutdown' });
  }

  stop(): void {
    this.#stopped = true;
    this.#retry.stop();
    this.#socket?.destroy();
  }

  get #waiting(): string {
    return `waiting for QEMU's monitor at ${this.#path}`;
  }

  #connect(): void {
    const socket = createConnection(this.#path).setEncoding('utf8');
    this.#socket = socket;
    this.#session = new QmpSession();
    this.#failure = undefined;
    this.#greeting = setTimeout(() => {
      const busy = 'it has another client, and does not serve us; give kagemusha a -qmp of its own';
      this.#fail(`${this.#waiting}: ${busy}`);
    }, GREETING_MS);
    socket.on('error', (error) => {
      this.#failure = this.#why(error);
    });
    socket.on('data', (text) => {
      clearTimeout(this.#greeting);
      this.#session.receive(String(text));
      this.#flush();
    });
    socket.on('close', () => this.#closed());
  }

  #closed(): void {
    clearTimeout(this.#greeting);
    clearTimeout(this.#asking);
    if (this.#stopped) return;
    const path = this.#path;
    this.#waitsFor = this.#failure ?? `${this.#waiting}: it closed the connection`;
    if (this.#waitsFor !== this.#told) this.#log.warn({ path }, this.#waitsFor);
    this.#told = this.#waitsFor;
    this.#onLost();
    this.#retry.later(() => this.#connect());
  }

  #fail(why: string): void {
    this.#failure = why;
    this.#socket?.destroy();
  }

  #flush(): void {
    for (let next = this.#session.poll(); next !== undefined; next = this.#session.poll()) {
      this.#on(next);
    }
  }

  #on(output: QmpSessionOutput): void {
    const path = this.#path;
    switch (output.type) {
      case 'send':
        this.#socket?.write(output.line);
        break;
      case 'ready':
        this.#retry.succeeded();
        this.#waitsFor = this.#told = undefined;
        this.#log.info({ path, qemu: output.version }, "connected to QEMU's monitor");
        break;
      case 'news': {
        const change = this.#machine.tell(output.news);
        if (change !== undefined) this.#onMachine(change, output.at);
        this.#askLater();
        break;
      }
      case 'useless':
        this.#fail(
          `${path}: ${output.reason}; name the path of a -qmp unix:PATH,server=on,wait=off`,
        );
        break;
    }
  }

  /** A machine that stands still: no event tells of all that may become of it (of a migration that began before we came, say). */
  #askLater(): void {
    clearTimeout(this.#asking);
    if (!STANDING.has(this.#machine.state)) return;
    this.#asking = setTimeout(() => {
      this.#session.ask();
      this.#flush();
    }, ASK_MS);
  }

  /** Why there is no connection, one line. */
  #why({ code, message }: NodeJS.ErrnoException): string {
    const path = this.#path;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return this.#waiting;
    if (code === 'EACCES' || code === 'EPERM') {
      const mend = `let it write there: chgrp kagemusha ${path} && chmod g+rw ${path}`;
      return `no right to connect to QEMU's monitor at ${path} as this user; ${mend}`;
    }
    return `${this.#waiting}: ${message}`;
  }
}
