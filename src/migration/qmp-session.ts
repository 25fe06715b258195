import { z } from 'zod';
import type { Millis } from '../time.js';
import { parseQmp, type QmpMessage } from './qmp-message.js';
import type { VmNews } from './virtual-machine.js';

export type QmpSessionOutput =
  /** A line for the monitor, its end included. */
  | { readonly type: 'send'; readonly line: string }
  /** It answers, and tells from now on what happens. */
  | { readonly type: 'ready'; readonly version: string }
  /** `at`: when it happened, milliseconds since 1970; undefined: some time before. */
  | { readonly type: 'news'; readonly news: VmNews; readonly at?: Millis }
  /** It is no monitor of QEMU's, or does not let us in: one sentence. */
  | { readonly type: 'useless'; readonly reason: string };

/** Numbers of the commands that are sent, one after the other. */
const COMMANDS = [
  { execute: 'qmp_capabilities' },
  // Events of migrations are off unless asked for. Refused while one runs: then only STOP and RESUME tell of it.
  {
    execute: 'migrate-set-capabilities',
    arguments: { capabilities: [{ capability: 'events', state: true }] },
  },
  { execute: 'query-status' },
] as const;
const ENTER = 0;
const ASK = 2;

/** A line of a monitor's is shorter, by far. */
const LONGEST_LINE = 1 << 20;

const status = z.looseObject({ running: z.boolean(), status: z.string() });
const migration = z.looseObject({ status: z.string() });

/** One connection to a monitor of QEMU's, from its greeting on: what to say, and what it says of its machine. Without IO. */
export class QmpSession {
  #version: string | undefined;
  #rest = '';
  #ready = false;
  #over = false;
  readonly #outputs: QmpSessionOutput[] = [];

  poll(): QmpSessionOutput | undefined {
    return this.#outputs.shift();
  }

  /** Asks for the state of its machine once more. */
  ask(): void {
    if (this.#ready && !this.#over) this.#command(ASK);
  }

  /** What was received, cut anywhere. */
  receive(text: string): void {
    if (this.#over) return;
    const lines = `${this.#rest}${text}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') this.#onLine(line);
    if (this.#rest.length > LONGEST_LINE) this.#useless('it sends lines without an end');
  }

  #onLine(line: string): void {
    if (this.#over) return;
    const message = parseQmp(line);
    if (message === undefined) this.#useless("what listens there is no monitor of QEMU's");
    else if (message.kind === 'greeting') {
      this.#version = message.version;
      this.#command(ENTER);
    } else if (this.#version === undefined) {
      this.#useless("what listens there is no monitor of QEMU's: it does not say so first");
    } else this.#onMessage(message, this.#version);
  }

  #onMessage(message: QmpMessage, version: string): void {
    switch (message.kind) {
      case 'event':
        this.#onEvent(message);
        break;
      case 'error':
        if (message.id === ENTER) this.#useless(`QEMU says: ${message.description}`);
        else this.#answered(message.id ?? ASK, undefined, version);
        break;
      case 'return':
        this.#answered(message.id, message.value, version);
        break;
    }
  }

  #answered(id: number, value: unknown, version: string): void {
    if (id < ASK) {
      this.#command(id + 1);
      return;
    }
    const told = status.safeParse(value).data;
    if (told === undefined) {
      this.#useless('QEMU does not tell whether its machine runs');
      return;
    }
    if (!this.#ready) this.#outputs.push({ type: 'ready', version });
    this.#ready = true;
    this.#outputs.push({ type: 'news', news: { kind: 'status', status: told.status } });
  }

  #onEvent({ name, data, at }: Extract<QmpMessage, { kind: 'event' }>): void {
    const tell = (news: VmNews): void => {
      this.#outputs.push({ type: 'news', news, at });
    };
    if (name === 'STOP') tell({ kind: 'stop' });
    else if (name === 'RESUME') tell({ kind: 'resume' });
    else if (name === 'SHUTDOWN') tell({ kind: 'shutdown' });
    else if (name === 'MIGRATION') {
      const told = migration.safeParse(data).data;
      if (told !== undefined) tell({ kind: 'migration', status: told.status });
    }
  }

  #command(id: number): void {
    this.#outputs.push({ type: 'send', line: `${JSON.stringify({ ...COMMANDS[id], id })}\n` });
  }

  #useless(reason: string): void {
    this.#over = true;
    this.#outputs.push({ type: 'useless', reason });
  }
}
