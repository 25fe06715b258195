import { KagemushaError } from '../errors.js';

/**
 * What can be wrong with octets (or with a record that shall become octets):
 * - `WIRE_TRUNCATED`: a structure needs more octets than there are
 * - `WIRE_MALFORMED`: a value that its RFC forbids
 * - `WIRE_CHECKSUM`: the upper-layer checksum does not match
 * - `WIRE_PAYLOAD_PROTOCOL`: a Mobility Header with something behind it (RFC 6275 9.2: answered by a Parameter Problem)
 * - `WIRE_RANGE`: a record to be emitted holds a value that its field cannot carry
 */
export type WireErrorCode =
  | 'WIRE_TRUNCATED'
  | 'WIRE_MALFORMED'
  | 'WIRE_CHECKSUM'
  | 'WIRE_PAYLOAD_PROTOCOL'
  | 'WIRE_RANGE';

/** The one error that codecs throw. */
export class WireError extends KagemushaError {
  declare readonly code: WireErrorCode;
  /** Octets (characters, for text) from the start of what was handed to the decoder to the field at fault. */
  readonly offset: number;

  constructor(code: WireErrorCode, message: string, offset: number) {
    super(code, `${message} (at offset ${offset})`);
    this.offset = offset;
  }
}

/**
 * Runs a decoder and hands a `WireError` back as a value, so that a packet never throws through a driver.
 * Any other exception is a programming error and goes on.
 */
export function attempt<T>(decode: () => T): T | WireError {
  try {
    return decode();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
}
