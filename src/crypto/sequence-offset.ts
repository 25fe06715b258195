import { createHmac } from 'node:crypto';
import type { Secret } from './secret.js';

/** Octets that say what the HMAC is for: it is no ICV. */
const PURPOSE = 'ESP sequence numbers';

/**
 * Where the sequence numbers of an outbound association begin, 31 bits: the same for everybody who has its key, and not to be
 * guessed by others. HMAC-SHA-256 over a purpose and the SPI.
 */
export function sequenceOffset(authentication: Secret, spi: number): number {
  const hmac = createHmac('sha256', authentication.keyObject());
  return hmac.update(PURPOSE).update(String(spi)).digest().readUInt32BE(0) >>> 1;
}
