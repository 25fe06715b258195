import { type Address, emitIcmpv6Packet, type Icmpv6Message } from '../wire/index.js';
import { monotonicNow } from './driver.js';
import { type TunnelServices, throughTunnel } from './tunnel-path.js';

/** How long an echo request waits for its answer, milliseconds. */
const TIMEOUT = 2000;

/** What gives packets their outer header. */
export type TunnelHeaders = Pick<TunnelServices, 'engine' | 'header'>;

/** The ends of a tunnel and the home address inside it. */
export interface TunnelEnds {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  readonly homeAgent: Address;
}

/**
 * ICMPv6 echo from the home address to the Home Agent through the tunnel (RFC 4443 4.1 inside RFC 2473): shows that both
 * directions of the binding work without the guest's help.
 */
export class TunnelPing {
  readonly #identifier: number;
  readonly #tunnels: TunnelHeaders;
  readonly #waiting = new Map<number, (roundTrip: number) => void>();
  #sequence = 0;

  /** @param identifier 16 bits of the echo messages, so that the guest's own pings are told apart */
  constructor(identifier: number, tunnels: TunnelHeaders) {
    this.#identifier = identifier;
    this.#tunnels = tunnels;
  }

  /** Sends one request with `size` octets of data and gives the round trip in ms, or undefined when no answer came. */
  async once(ends: TunnelEnds, size: number): Promise<number | undefined> {
    const sequence = this.#sequence;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sent = monotonicNow();
    const request = { identifier: this.#identifier, sequence, size };
    const packet = echoThroughTunnel(ends, request, this.#tunnels);
    if (!this.#tunnels.engine.transmit('uplink', packet)) return undefined;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => finish(undefined), TIMEOUT);
      const finish = (roundTrip: number | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(sequence);
        resolve(roundTrip);
      };
      this.#waiting.set(sequence, (now) => finish(now - sent));
    });
  }

  /** True when the message answers a request of ours; otherwise it is the guest's. */
  take(message: Icmpv6Message): boolean {
    if (message.kind !== 'echo-reply' || message.identifier !== this.#identifier) return false;
    const answered = this.#waiting.get(message.sequence);
    if (answered === undefined) return false;
    answered(monotonicNow());
    return true;
  }
}

/** An echo request from the home address to the home agent, in the tunnel's outer header. `size`: octets of data. */
export function echoThroughTunnel(
  { homeAddress, careOfAddress, homeAgent }: TunnelEnds,
  request: { readonly identifier: number; readonly sequence: number; readonly size: number },
  tunnels: TunnelHeaders,
): Uint8Array {
  const { identifier, sequence, size } = request;
  const inner = emitIcmpv6Packet(
    { kind: 'echo-request', identifier, sequence, data: new Uint8Array(size) },
    { source: homeAddress, destination: homeAgent },
  );
  return throughTunnel(inner, { local: careOfAddress, remote: homeAgent }, tunnels);
}
