import type { Algorithms, AssociationKeys, Opened } from '../crypto/index.js';
import { InboundAssociation, OutboundAssociation, ReplayWindow } from '../crypto/index.js';
import type { ReservedCounter } from '../reserved-counter.js';
import type { Address } from '../wire/index.js';
import { Peers } from './protection-peers.js';

/**
 * The two associations of one home address (RFC 3776 4.1). The peer is the other end as their selectors name it: the home agent's
 * address at the mobile node, the home address at the home agent.
 */
export interface EspOptions {
  readonly algorithms: Algorithms;
  readonly keys: AssociationKeys;
  readonly spiOut: number;
  readonly spiIn: number;
  /** of `spiOut`: numbers that are never used again, not even after a crash */
  readonly counter: ReservedCounter;
  /** packets, 64 to 8192; 0: replays are not told from new packets */
  readonly replayWindow: number;
  /** the top of a peer's window before a restart */
  readonly replayTop?: (peer: Address) => number | undefined;
  /** told the new top of a peer's window; without a window the number of each packet */
  readonly accepted?: (peer: Address, top: number) => void;
  /** for IVs, in tests */
  readonly randomBytes?: (length: number) => Uint8Array;
}

/**
 * ESP for one home address. Each home agent that the mobile node has asked numbers its packets itself, so each
 * has a window of its own behind the same key and SPI.
 */
export class EspProtection {
  readonly kind = 'esp';
  readonly spiIn: number;
  readonly #counter: ReservedCounter;
  readonly #outbound: OutboundAssociation;
  readonly #inbound: Peers<Address, InboundAssociation>;

  /** @throws RangeError for a reserved SPI, a key of the wrong length, a window of another size */
  constructor(options: EspOptions) {
    const { algorithms, keys, spiOut, counter, replayWindow, randomBytes } = options;
    this.spiIn = options.spiIn;
    this.#counter = counter;
    const random = randomBytes === undefined ? {} : { randomBytes };
    this.#outbound = new OutboundAssociation({
      spi: spiOut,
      algorithms,
      keys,
      counter,
      ...random,
    });
    const inbound = (window: ReplayWindow | undefined, accepted: (top: number) => void) =>
      new InboundAssociation({ spi: options.spiIn, algorithms, keys, window, accepted });
    const windowFrom = (top: number | undefined) =>
      replayWindow === 0 ? undefined : new ReplayWindow(replayWindow, top);
    inbound(windowFrom(undefined), () => {}); // what is wrong with the options is said at once
    this.#inbound = new Peers((peer) =>
      inbound(windowFrom(options.replayTop?.(peer)), (top) => options.accepted?.(peer, top)),
    );
  }

  /** The number of the next packet, or one before it. */
  get next(): number {
    return this.#counter.next;
  }

  /** The number of the next packet is reserved now, which takes its time. */
  prepare(): void {
    this.#counter.prepare();
  }

  /**
   * Another host had the guest meanwhile. @param next the outbound numbers before this one may be used; the replay windows are read
   *   from their tops again
   * @returns whether numbers had been used here that may have been used there
   */
  resume(next: number): boolean {
    const isBehind = next > this.#counter.next;
    if (isBehind) this.#counter.jump(next);
    this.#inbound.renew();
    return isBehind;
  }

  /** From now on packets of this peer are expected. */
  expect(peer: Address): void {
    this.#inbound.learn(peer);
  }

  expects(peer: Address): boolean {
    return this.#inbound.get(peer) !== undefined;
  }

  seal(nextHeader: number, payload: Uint8Array): Uint8Array | 'sequence_exhausted' {
    return this.#outbound.seal(nextHeader, payload);
  }

  /** @param admit sees what was inside before the window moves; a drop reason, or undefined to accept */
  open(
    peer: Address,
    esp: Uint8Array,
    admit: (opened: Opened) => string | undefined,
  ): Opened | string {
    const association = this.#inbound.get(peer);
    if (association === undefined) return 'esp_peer';
    const opened = association.open(esp, admit);
    if (typeof opened !== 'string') this.#inbound.prove(peer);
    return opened;
  }
}
