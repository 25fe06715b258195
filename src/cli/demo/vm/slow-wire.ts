import { createConnection, createServer, type Server, type Socket } from 'node:net';

const TICK_MS = 10;

/**
 * A Unix socket that passes on to another one no faster than told, or not at all: a migration over it stands still for as long as is
 * wanted. QEMU's own limit does not hold while the machine stands still.
 */
export class SlowWire {
  readonly #server: Server;
  readonly #to: string;
  readonly #perTick: number;
  readonly #sockets: Socket[] = [];
  #held = false;

  /** @param bytesPerSecond one way; the other way is as fast as it goes */
  constructor(path: string, to: string, bytesPerSecond: number) {
    this.#to = to;
    this.#perTick = (bytesPerSecond * TICK_MS) / 1000;
    this.#server = createServer({ allowHalfOpen: true }, (from) => this.#carry(from));
    this.#server.listen(path);
  }

  /** Nothing passes any more. */
  hold(): void {
    this.#held = true;
  }

  go(): void {
    this.#held = false;
  }

  /** It breaks, or is not needed any more. */
  cut(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #carry(from: Socket): void {
    const to = createConnection({ path: this.#to, allowHalfOpen: true });
    this.#sockets.push(from, to);
    const tick = setInterval(() => {
      if (this.#held || to.writableNeedDrain) return;
      const data: unknown = from.read(Math.min(this.#perTick, from.readableLength));
      if (data instanceof Buffer) to.write(data);
      else if (from.readableEnded) to.end();
    }, TICK_MS);
    const end = (): void => {
      clearInterval(tick);
      from.destroy();
      to.destroy();
    };
    // Asked for, so that its end is seen.
    from.on('readable', () => {});
    from.on('error', end).on('close', end);
    to.on('error', end).on('close', end);
    to.on('data', (data) => from.write(data));
  }
}
