import type { Millis } from '../time.js';

/** RFC 6275 section 12, in milliseconds. */
export const INITIAL_BINDACK_TIMEOUT: Millis = 1000;
/** InitialBindackTimeoutFirstReg: leaves the home agent the second that it needs for DAD. */
export const INITIAL_BINDACK_TIMEOUT_FIRST_REG: Millis = 1500;
export const MAX_BINDACK_TIMEOUT: Millis = 32_000;
/** Binding Updates to one node within a second. */
export const MAX_UPDATE_RATE = 3;

/** Lifetimes travel in units of 4 s in 16 bits (RFC 6275 6.1.7). */
export const LIFETIME_UNIT = 4;
export const LONGEST_LIFETIME = 0xffff * LIFETIME_UNIT;

/** Whole units of 4 s, rounded down. */
export function wholeUnits(seconds: number): number {
  return Math.min(LONGEST_LIFETIME, Math.floor(seconds / LIFETIME_UNIT) * LIFETIME_UNIT);
}
