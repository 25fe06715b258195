import type * as RawSocket from 'raw-socket';
import { KagemushaError } from '../errors.js';
import {
  type Address,
  attempt,
  emitIcmpv6,
  isAddress,
  parseAddress,
  parseIcmpv6,
  WireError,
} from '../wire/index.js';

const TIMEOUT_MS = 2000;

/** ICMPv6 echo (RFC 4443 4.1) from this host, by a raw socket: needs CAP_NET_RAW. */
export class EchoSocket {
  readonly #socket: RawSocket.Socket;
  readonly #source: Address;
  readonly #target: Address;
  readonly #identifier = process.pid & 0xffff;
  readonly #waiting = new Map<number, () => void>();

  private constructor(socket: RawSocket.Socket, source: Address, target: Address) {
    this.#socket = socket;
    this.#source = source;
    this.#target = target;
    socket.on('message', (bytes, from) => this.#receive(bytes, from));
    // Errors of single packets (no route, say) reach the callback of send.
    socket.on('error', () => {});
  }

  /**
   * @param source the address the kernel will take, for the checksum of what comes back
   * @throws KagemushaError PING_RIGHTS, PING_UNAVAILABLE
   */
  static async open(source: Address, target: Address): Promise<EchoSocket> {
    let raw: typeof RawSocket;
    try {
      raw = (await import('raw-socket')).default;
    } catch (cause) {
      const message = 'package raw-socket is not built; run: npm run setup';
      throw new KagemushaError('PING_UNAVAILABLE', message, { cause });
    }
    try {
      const socket = raw.createSocket({
        addressFamily: raw.AddressFamily.IPv6,
        protocol: raw.Protocol.ICMPv6,
      });
      return new EchoSocket(socket, source, target);
    } catch (cause) {
      const message = 'a raw socket needs root (CAP_NET_RAW); run this with sudo';
      throw new KagemushaError('PING_RIGHTS', message, { cause });
    }
  }

  /** The round trip in ms; undefined when no answer came in time. @throws KagemushaError UNREACHABLE */
  async once(sequence: number, size: number): Promise<number | undefined> {
    const pseudo = { source: this.#source, destination: this.#target };
    const data = new Uint8Array(size);
    const identifier = this.#identifier;
    const wrapped = sequence & 0xffff;
    const message = { kind: 'echo-request' as const, identifier, sequence: wrapped, data };
    const bytes = Buffer.from(emitIcmpv6(message, pseudo));
    return await new Promise((resolve, reject) => {
      const begun = performance.now();
      const finish = (rtt: number | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(wrapped);
        resolve(rtt);
      };
      const timer = setTimeout(() => finish(undefined), TIMEOUT_MS);
      this.#waiting.set(wrapped, () => finish(performance.now() - begun));
      this.#socket.send(bytes, 0, bytes.length, this.#target, (error) => {
        if (error === null) return;
        reject(
          new KagemushaError('UNREACHABLE', `cannot send to ${this.#target}: ${error.message}`),
        );
        finish(undefined);
      });
    });
  }

  close(): void {
    this.#socket.close();
  }

  #receive(bytes: Buffer, from: string): void {
    if (!isAddress(from)) return;
    const pseudo = { source: parseAddress(from), destination: this.#source };
    const message = attempt(() => parseIcmpv6(bytes, pseudo));
    if (message instanceof WireError || message.kind !== 'echo-reply') return;
    if (message.identifier !== this.#identifier || pseudo.source !== this.#target) return;
    this.#waiting.get(message.sequence)?.();
  }
}
