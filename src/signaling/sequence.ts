const MODULUS = 0x10000;

/** The sequence number after this one; a free running counter modulo 2^16 (RFC 6275 9.5.1). */
export function nextSequence(sequence: number): number {
  return (sequence + 1) % MODULUS;
}

/**
 * Whether `sequence` counts as greater than `last`: it does not when it lies in the range of `last` and the
 * preceding 32768 values, inclusive (RFC 6275 9.5.1).
 */
export function isNewer(sequence: number, last: number): boolean {
  const ahead = (((sequence - last) % MODULUS) + MODULUS) % MODULUS;
  return ahead > 0 && ahead < 0x8000;
}
