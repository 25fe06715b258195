import type { Engine, PortId } from '../datapath/index.js';
import { KagemushaError } from '../errors.js';
import type { Logger } from './log.js';
import { type Retry, retryForQemu } from './retry.js';
import type { PortStatus } from './status.js';

/** The guest's side of a port, as it is told. */
export interface StreamPort {
  readonly guest: string;
  readonly port: PortId;
  readonly path: string;
}

interface Stream extends StreamPort {
  /** Frames and nonsense that had come by the port when it was connected. */
  before: Heard;
  /** undefined: connected */
  waitsFor: string | undefined;
  /** What the log knows: a QEMU that is away for hours has two lines there. */
  told: string | undefined;
  /** What listens there took the last connection and ended it without a frame. */
  suspect: boolean;
  readonly retry: Retry;
}

interface Heard {
  readonly frames: number;
  readonly nonsense: number;
}

/**
 * Keeps the ports of guests that are stream sockets of QEMU's connected. That QEMU is not there yet, ends or starts again is
 * nothing out of the ordinary: the port stays, and with it the guest's registration.
 */
export class StreamPorts {
  readonly #engine: Pick<Engine, 'connectStream' | 'portCounters' | 'portDrops'>;
  readonly #log: Logger;
  readonly #onConnected: (port: PortId) => void;
  readonly #streams = new Map<PortId, Stream>();

  /** @param onConnected a guest may be there now that was not there before */
  constructor(
    engine: Pick<Engine, 'connectStream' | 'portCounters' | 'portDrops'>,
    log: Logger,
    onConnected: (port: PortId) => void,
  ) {
    this.#engine = engine;
    this.#log = log;
    this.#onConnected = onConnected;
  }

  /** Connects an open port now, or as soon as QEMU is there; nothing for one that is known. */
  follow(stream: StreamPort): void {
    const { port, path } = stream;
    if (this.#streams.has(port)) return;
    const none = { frames: 0, nonsense: 0 };
    const waitsFor = `waiting for QEMU at ${path}`;
    const fresh = {
      before: none,
      waitsFor,
      told: undefined,
      suspect: false,
      retry: retryForQemu(),
    };
    this.#streams.set(port, { ...stream, ...fresh });
    this.#connect(port);
  }

  /** The connection of a port has ended. */
  lost(port: PortId): void {
    const stream = this.#streams.get(port);
    if (stream === undefined) return;
    const heard = this.#heard(port);
    const { before, path } = stream;
    const nonsense = heard.nonsense > before.nonsense;
    stream.waitsFor = nonsense
      ? `what listens at ${path} is no -netdev stream of QEMU's; name its addr.path`
      : `waiting for QEMU at ${path}: it closed the connection`;
    // Who has sent frames is QEMU, and comes again; anything else might take each connection and close it.
    stream.suspect = nonsense || heard.frames === before.frames;
    if (!stream.suspect) stream.retry.succeeded();
    this.#retry(stream);
  }

  /** The port is closed. */
  forget(port: PortId): void {
    this.#streams.get(port)?.retry.stop();
    this.#streams.delete(port);
  }

  /** Undefined: no stream. */
  status(port: PortId): Pick<PortStatus, 'connected' | 'reason'> | undefined {
    const stream = this.#streams.get(port);
    if (stream === undefined) return undefined;
    const { waitsFor } = stream;
    return waitsFor === undefined ? { connected: true } : { connected: false, reason: waitsFor };
  }

  stop(): void {
    for (const port of [...this.#streams.keys()]) this.forget(port);
  }

  #connect(port: PortId): void {
    const stream = this.#streams.get(port);
    if (stream === undefined) return;
    const before = this.#heard(port);
    try {
      this.#engine.connectStream(port);
    } catch (error) {
      if (!(error instanceof KagemushaError)) throw error;
      stream.waitsFor = whatFor(stream.path, error);
      stream.suspect = false;
      this.#retry(stream);
      return;
    }
    if (!stream.suspect) {
      this.#log.info({ guest: stream.guest, path: stream.path }, 'connected to QEMU');
      stream.told = undefined;
    }
    stream.before = before;
    stream.waitsFor = undefined;
    this.#onConnected(port);
  }

  #retry(stream: Stream): void {
    const { guest, path, waitsFor } = stream;
    if (waitsFor !== stream.told) this.#log.warn({ guest, path }, waitsFor ?? '');
    stream.told = waitsFor;
    stream.retry.later(() => this.#connect(stream.port));
  }

  #heard(port: PortId): Heard {
    return {
      frames: this.#engine.portCounters(port).framesRead ?? 0,
      nonsense: this.#engine.portDrops(port).stream_nonsense ?? 0,
    };
  }
}

/** Why there is no connection, one line. */
function whatFor(path: string, error: KagemushaError): string {
  if (error.code === 'STREAM_MISSING') return `waiting for QEMU at ${path}`;
  if (error.code === 'STREAM_BUSY') {
    return `waiting for QEMU at ${path}: it has another connection, and does not take ours`;
  }
  return error.message;
}
