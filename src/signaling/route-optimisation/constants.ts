import type { Millis } from '../../time.js';

/** RFC 6275 section 12, in milliseconds. */
export const MAX_TOKEN_LIFETIME: Millis = 210_000;
export const MAX_NONCE_LIFETIME: Millis = 240_000;
/** RFC 6275 section 12, in seconds as lifetimes travel. */
export const MAX_RR_BINDING_LIFETIME = 420;

/** Messages that wait for an answer are sent so often before the correspondent counts as one that gives none. */
export const ATTEMPTS = 4;

/** How long a correspondent is left alone, by what went wrong. */
export const REST: Readonly<
  Record<'unsupported' | 'unanswered' | 'refused' | 'broken' | 'silent', Millis>
> = {
  unsupported: 600_000,
  unanswered: 180_000,
  refused: 300_000,
  broken: 60_000,
  silent: 600_000,
};

/** A correspondent is in use when the engine saw traffic with it so lately. */
export const IN_USE: Millis = 120_000;

/**
 * The straight way is given up when the guest goes on sending there and nothing has come back for so long: nobody need tell of
 * packets that a network loses. Traffic is told of with delay (10 s to, 5 s from the correspondent), so what was sent within
 * HEARD_LATE of the last answer may have been answered.
 */
export const SILENCE: Millis = 15_000;
export const HEARD_LATE: Millis = 6000;
