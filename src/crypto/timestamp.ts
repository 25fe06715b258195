/** Seconds from the start of the NTP era 0 (1900) to that of POSIX (1970). */
const NTP_TO_POSIX = 2_208_988_800n;
const FRACTION_BITS = 32n;
const FRACTION = 0xffff_ffffn;

/**
 * The 64-bit NTP timestamp that RFC 4285 6 asks for: 32 bits of seconds since 1900, modulo 2^32, 32 bits of fraction.
 * @param milliseconds since 1970, may have a fraction
 * @param noise 0 up to 1: fills what a clock of milliseconds cannot tell (RFC 4285 6.1)
 */
export function toTimestamp(milliseconds: number, noise = 0): bigint {
  const whole = Math.floor(milliseconds);
  const seconds = BigInt(Math.floor(whole / 1000));
  const rest = (((whole % 1000) + 1000) % 1000) + noise;
  const fraction = BigInt(Math.floor((rest / 1000) * 2 ** 32)) & FRACTION;
  return BigInt.asUintN(64, ((seconds + NTP_TO_POSIX) << FRACTION_BITS) | fraction);
}

/** Milliseconds from `b` to `a`, the shorter way round the era. */
export function timestampDifference(a: bigint, b: bigint): number {
  return (Number(BigInt.asIntN(64, a - b)) * 1000) / 2 ** 32;
}

/** Whether `a` is later than `b`. */
export function isLater(a: bigint, b: bigint): boolean {
  return BigInt.asIntN(64, a - b) > 0n;
}

/** The next timestamp that is later than `a`. */
export function justAfter(a: bigint): bigint {
  return BigInt.asUintN(64, a + 1n);
}

/** What a home agent answers to a timestamp that is not valid: its own seconds, the fraction that came (RFC 4285 6.1). */
export function withSecondsOf(clock: bigint, fractionOf: bigint): bigint {
  return (clock & ~FRACTION) | (fractionOf & FRACTION);
}

/** Whether the fractions are the same. */
export function sameFraction(a: bigint, b: bigint): boolean {
  return (a & FRACTION) === (b & FRACTION);
}
