import type { Engine } from '../datapath/index.js';
import { encapsulate } from '../tunnel/index.js';
import {
  type Address,
  emitIcmpv6,
  emitPacket,
  type Icmpv6Message,
  PROTOCOL,
} from '../wire/index.js';
import { monotonicNow } from './driver.js';

/** How long an echo request waits for its answer, milliseconds. */
const TIMEOUT = 2000;
const HOP_LIMIT = 64;

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
  readonly #engine: Pick<Engine, 'transmit' | 'flowLabel'>;
  readonly #waiting = new Map<number, (roundTrip: number) => void>();
  #sequence = 0;

  /** @param identifier 16 bits of the echo messages, so that the guest's own pings are told apart */
  constructor(identifier: number, engine: Pick<Engine, 'transmit' | 'flowLabel'>) {
    this.#identifier = identifier;
    this.#engine = engine;
  }

  /** Sends one request with `size` octets of data and gives the round trip in ms, or undefined when no answer came. */
  async once(ends: TunnelEnds, size: number): Promise<number | undefined> {
    const sequence = this.#sequence;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sent = monotonicNow();
    const request = { identifier: this.#identifier, sequence, size };
    const packet = echoThroughTunnel(ends, request, this.#engine);
    if (!this.#engine.transmit('uplink', packet)) return undefined;
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

/** An echo request from the home address to the home agent, in the outer header that the engine would give it. `size`: octets of data. */
export function echoThroughTunnel(
  { homeAddress, careOfAddress, homeAgent }: TunnelEnds,
  request: { readonly identifier: number; readonly sequence: number; readonly size: number },
  engine: Pick<Engine, 'flowLabel'>,
): Uint8Array {
  const pseudo = { source: homeAddress, destination: homeAgent };
  const { identifier, sequence, size } = request;
  const data = new Uint8Array(size);
  const echo: Icmpv6Message = { kind: 'echo-request', identifier, sequence, data };
  const inner = emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: HOP_LIMIT,
    ...pseudo,
    extensions: [],
    protocol: PROTOCOL.icmpv6,
    payload: emitIcmpv6(echo, pseudo),
  });
  return encapsulate(inner, {
    local: careOfAddress,
    remote: homeAgent,
    hopLimit: HOP_LIMIT,
    flowLabel: engine.flowLabel(inner),
  });
}
