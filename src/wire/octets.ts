import { WireError } from './error.js';

/** A big-endian reader over exactly these octets. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The one length check of a structure: after it, every fixed field may be read. */
export function need(bytes: Uint8Array, length: number, what: string, offset = 0): void {
  if (bytes.length - offset < length) {
    throw new WireError(
      'WIRE_TRUNCATED',
      `${what}: needs ${length} octets, has ${Math.max(0, bytes.length - offset)}`,
      offset,
    );
  }
}

/** The same memory, as a plain Uint8Array even when `bytes` is a Buffer. */
export function window(bytes: Uint8Array, start: number, end = bytes.length): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

/** Octets of our own: a message may outlive the ring slot that it was read from. */
export function copy(bytes: Uint8Array, start: number, end = bytes.length): Uint8Array {
  return new Uint8Array(window(bytes, start, end));
}

/** Joins octet strings. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Reserved bits appear in a record only when somebody set them. */
export function reservedBits(value: number): { reserved?: number } {
  return value === 0 ? {} : { reserved: value };
}

/** A fixed-size structure being written, big-endian; a value that does not fit is a `WIRE_RANGE`, not a wrap. */
export class OctetWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;

  constructor(what: string, length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = viewOf(this.bytes);
    this.#what = what;
  }

  /** Refuses a value that is no integer of `bits` bits. */
  fits(value: number, bits: number, field: string, offset: number): number {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
      throw new WireError(
        'WIRE_RANGE',
        `${this.#what}: ${field} ${value} does not fit ${bits} bits`,
        offset,
      );
    }
    return value;
  }

  uint8(offset: number, value: number, field: string): void {
    this.#view.setUint8(offset, this.fits(value, 8, field, offset));
  }

  uint16(offset: number, value: number, field: string): void {
    this.#view.setUint16(offset, this.fits(value, 16, field, offset));
  }

  uint32(offset: number, value: number, field: string): void {
    this.#view.setUint32(offset, this.fits(value, 32, field, offset));
  }
}
