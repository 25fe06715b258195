import { once } from 'node:events';
import { linkSync, renameSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { eventually } from '../datapath/world.js';

/** An Ethernet frame as it travels on the socket of `-netdev stream`: behind its length, 4 octets, big-endian. */
export function framed(frame: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + frame.length);
  bytes.writeUInt32BE(frame.length);
  bytes.set(frame, 4);
  return bytes;
}

/** QEMU's side of a guest's port: listens, and has one connection at a time, the newest. */
export class StreamPeer {
  /** Connections that came, the ended ones too. */
  accepted = 0;
  readonly #server: Server;
  readonly #path: string;
  #socket: Socket | undefined;
  #left = Buffer.alloc(0);
  #frames: Uint8Array[] = [];

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer((socket) => this.#take(socket));
  }

  /** @param greeting what it sends to whoever connects: a server of another kind speaks first, or at all */
  static async listen(path: string, greeting?: string): Promise<StreamPeer> {
    const peer = new StreamPeer(path);
    peer.#server.listen(path);
    await once(peer.#server, 'listening');
    if (greeting !== undefined) {
      peer.#server.on('connection', (socket) => socket.write(greeting));
    }
    return peer;
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  send(frame: Uint8Array): void {
    if (this.#socket === undefined) throw new Error('nobody is connected');
    this.#socket.write(framed(frame));
  }

  /** The next frame that `wanted` takes; those before it are gone. */
  async frame(wanted: (frame: Uint8Array) => boolean = () => true): Promise<Uint8Array> {
    return await eventually('a frame for the guest', () => {
      for (let frame = this.#frames.shift(); frame; frame = this.#frames.shift()) {
        if (wanted(frame)) return frame;
      }
      return undefined;
    });
  }

  /** Ends the connection; it may be made again. */
  hangUp(): void {
    this.#socket?.destroy();
  }

  /** Ends as a process does that is killed. @param leave the socket's file, which a killed process does not take away */
  async kill(leave = false): Promise<void> {
    const kept = `${this.#path}.kept`;
    if (leave) linkSync(this.#path, kept);
    this.hangUp();
    // Node takes the file away.
    this.#server.close();
    await once(this.#server, 'close');
    if (leave) renameSync(kept, this.#path);
  }

  #take(socket: Socket): void {
    this.accepted += 1;
    this.#socket = socket;
    this.#left = Buffer.alloc(0);
    this.#frames = [];
    socket.on('data', (data) => this.#read(data));
    // What was on its way when we hung up.
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
  }

  #read(data: Buffer): void {
    this.#left = Buffer.concat([this.#left, data]);
    while (this.#left.length >= 4) {
      const end = 4 + this.#left.readUInt32BE();
      if (this.#left.length < end) return;
      this.#frames.push(Uint8Array.from(this.#left.subarray(4, end)));
      this.#left = this.#left.subarray(end);
    }
  }
}
