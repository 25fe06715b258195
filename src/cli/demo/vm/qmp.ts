import { createConnection, type Socket } from 'node:net';
import { KagemushaError } from '../../../errors.js';
import { until } from '../netns.js';

/** An event of QEMU's, and when it says that it happened: milliseconds since 1970. */
export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly at: number;
}

interface Answer {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly id?: number;
  readonly event?: string;
  readonly data?: Record<string, unknown>;
  readonly timestamp?: { readonly seconds: number; readonly microseconds: number };
}

/** A monitor of QEMU's to command it by; the daemon has another one. */
export class Qmp {
  readonly events: QmpEvent[] = [];
  readonly #socket: Socket;
  readonly #answers = new Map<number, Answer>();
  #rest = '';
  #sent = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', (text) => {
      const lines = `${this.#rest}${text}`.split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#onLine(JSON.parse(line));
    });
  }

  static async connect(path: string): Promise<Qmp> {
    const socket = await until(`a monitor at ${path}`, async () => {
      const one = createConnection(path);
      return await new Promise<Socket | undefined>((resolve) => {
        one.once('connect', () => resolve(one));
        one.once('error', () => resolve(undefined));
      });
    });
    const qmp = new Qmp(socket);
    await qmp.do('qmp_capabilities');
    await qmp.do('migrate-set-capabilities', {
      capabilities: [{ capability: 'events', state: true }],
    });
    return qmp;
  }

  /** @throws KagemushaError QMP_REFUSED with what QEMU says */
  async do(execute: string, words: object = {}): Promise<unknown> {
    this.#sent += 1;
    const id = this.#sent;
    this.#socket.write(`${JSON.stringify({ execute, arguments: words, id })}\n`);
    const answer = await until(execute, () => this.#answers.get(id));
    if (answer.error !== undefined)
      throw new KagemushaError('QMP_REFUSED', `${execute}: ${answer.error.desc}`);
    return answer.return;
  }

  /** The first one of that name, which is waited for. @param from of those that came after so many */
  async event(name: string, status?: string | RegExp, from = 0): Promise<QmpEvent> {
    const wanted = (event: QmpEvent): boolean => event.name === name && says(event, status);
    const find = (): QmpEvent | undefined => this.events.slice(from).find(wanted);
    return await until(`${name} ${status ?? ''}`, find, 60_000);
  }

  close(): void {
    this.#socket.destroy();
  }

  #onLine(line: Answer): void {
    if (line.id !== undefined) this.#answers.set(line.id, line);
    if (line.event === undefined) return;
    const { seconds = 0, microseconds = 0 } = line.timestamp ?? {};
    const at = seconds * 1000 + microseconds / 1000;
    this.events.push({ name: line.event, data: line.data ?? {}, at });
  }
}

function says({ data }: QmpEvent, status: string | RegExp | undefined): boolean {
  if (status === undefined || status === data.status) return true;
  return status instanceof RegExp && status.test(String(data.status));
}
