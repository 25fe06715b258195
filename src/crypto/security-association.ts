import { randomBytes as cryptoRandomBytes, timingSafeEqual } from 'node:crypto';
import type { ReservedCounter } from '../reserved-counter.js';
import type { Algorithms } from './algorithms.js';
import type { AssociationKeys } from './esp.js';
import { ESP, TRAILER, Transform, withoutTrailer, withTrailer } from './esp.js';
import type { ReplayWindow } from './replay-window.js';

/**
 * Octets. A Mobility Header has 2048 at most (RFC 6275 6.1.1), a prefix advertisement fewer: what is longer is not worth
 * the HMAC over it.
 */
const LARGEST_ESP = 4096;

/** RFC 4303 2.1: 0 is for local use, 1 to 255 are reserved. */
export const SMALLEST_SPI = 256;

/** Why `InboundAssociation.open` refuses a packet. */
export type EspDropReason =
  | 'esp_truncated'
  | 'esp_oversized'
  | 'esp_spi'
  | 'esp_replayed'
  | 'esp_icv'
  | 'esp_padding';

/** What was in an ESP packet whose ICV is right. */
export interface Opened {
  /** the protocol of `payload` */
  readonly nextHeader: number;
  readonly payload: Uint8Array;
  readonly sequence: number;
}

export interface OutboundOptions {
  readonly spi: number;
  readonly algorithms: Algorithms;
  readonly keys: AssociationKeys;
  /** its numbers start at 1, end at 2^32 - 1 and do not wrap (RFC 4303 2.2) */
  readonly counter: ReservedCounter;
  /** for the IVs, which must not be foreseen (RFC 3602 2.1); that of the system unless a test wants others */
  readonly randomBytes?: (length: number) => Uint8Array;
}

/** The sending half of a security association in transport mode (RFC 4303 3.3). */
export class OutboundAssociation {
  readonly #spi: number;
  readonly #transform: Transform;
  readonly #counter: ReservedCounter;
  readonly #randomBytes: (length: number) => Uint8Array;

  /** @throws RangeError for a reserved SPI or a key of the wrong length */
  constructor(options: OutboundOptions) {
    this.#spi = checkSpi(options.spi);
    this.#transform = new Transform(options.algorithms, options.keys);
    this.#counter = options.counter;
    this.#randomBytes = options.randomBytes ?? cryptoRandomBytes;
  }

  /** The ESP packet around a payload, each with a number and an IV of its own. */
  seal(nextHeader: number, payload: Uint8Array): Uint8Array | 'sequence_exhausted' {
    const sequence = this.#counter.take();
    if (sequence === undefined) return 'sequence_exhausted';
    const { ivLength, icvLength, unit } = this.#transform;
    const iv = this.#randomBytes(ivLength);
    const encrypted = this.#transform.encrypt(iv, withTrailer(payload, nextHeader, unit));
    const end = ESP.iv + ivLength + encrypted.length;
    const packet = new Uint8Array(end + icvLength);
    const view = new DataView(packet.buffer);
    view.setUint32(ESP.spi, this.#spi);
    view.setUint32(ESP.sequence, sequence);
    packet.set(iv, ESP.iv);
    packet.set(encrypted, ESP.iv + ivLength);
    packet.set(this.#transform.icv(packet.subarray(0, end)), end);
    return packet;
  }
}

export interface InboundOptions {
  readonly spi: number;
  readonly algorithms: Algorithms;
  readonly keys: AssociationKeys;
  /** undefined: replays are not told from new packets, for a peer whose numbers start again with it */
  readonly window: ReplayWindow | undefined;
  /** Told the new top of the window when it has moved; without a window the number of each packet. */
  readonly accepted?: (top: number) => void;
}

/** The receiving half of a security association in transport mode (RFC 4303 3.4). */
export class InboundAssociation {
  readonly #spi: number;
  readonly #transform: Transform;
  readonly #window: ReplayWindow | undefined;
  readonly #accepted: ((top: number) => void) | undefined;

  /** @throws RangeError for a reserved SPI or a key of the wrong length */
  constructor(options: InboundOptions) {
    this.#spi = checkSpi(options.spi);
    this.#transform = new Transform(options.algorithms, options.keys);
    this.#window = options.window;
    this.#accepted = options.accepted;
  }

  /**
   * Checks a packet and takes it out of ESP. Cheap checks come first, nothing is decrypted before the ICV is right, and
   * the window changes only for a packet that passes everything.
   * @param admit a last word on what was inside: a drop reason, or undefined to accept
   */
  open(
    esp: Uint8Array,
    admit: (opened: Opened) => string | undefined = () => undefined,
  ): Opened | string {
    const { ivLength, icvLength, unit } = this.#transform;
    const start = ESP.iv + ivLength;
    const end = esp.length - icvLength;
    if (end - start < TRAILER || (end - start) % unit !== 0) return 'esp_truncated';
    if (esp.length > LARGEST_ESP) return 'esp_oversized';
    const view = new DataView(esp.buffer, esp.byteOffset, esp.byteLength);
    if (view.getUint32(ESP.spi) !== this.#spi) return 'esp_spi';
    const sequence = view.getUint32(ESP.sequence);
    if (this.#window?.check(sequence) === false) return 'esp_replayed';
    const icv = this.#transform.icv(esp.subarray(0, end));
    if (!timingSafeEqual(icv, esp.subarray(end))) return 'esp_icv';
    const plain = this.#transform.decrypt(esp.subarray(ESP.iv, start), esp.subarray(start, end));
    const inside = withoutTrailer(plain);
    if (inside === undefined) return 'esp_padding';
    const opened = { ...inside, sequence };
    const refusal = admit(opened);
    if (refusal !== undefined) return refusal;
    this.#accept(sequence);
    return opened;
  }

  #accept(sequence: number): void {
    const before = this.#window?.top;
    this.#window?.accept(sequence);
    if (before === undefined || sequence > before) this.#accepted?.(sequence);
  }
}

/** The SPI of an ESP packet; undefined when it has none. */
export function peekSpi(esp: Uint8Array): number | undefined {
  if (esp.length < ESP.sequence) return undefined;
  return new DataView(esp.buffer, esp.byteOffset, esp.byteLength).getUint32(ESP.spi);
}

function checkSpi(spi: number): number {
  if (!Number.isInteger(spi) || spi < SMALLEST_SPI || spi > 0xffffffff) {
    throw new RangeError(`SPI ${spi} is not ${SMALLEST_SPI} to 4294967295 (RFC 4303 2.1)`);
  }
  return spi;
}
