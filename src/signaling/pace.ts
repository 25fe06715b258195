import type { Millis } from '../time.js';
import {
  INITIAL_BINDACK_TIMEOUT,
  INITIAL_BINDACK_TIMEOUT_FIRST_REG,
  MAX_BINDACK_TIMEOUT,
} from './constants.js';

/** The next Binding Update of a series, and how long the series may stay without an answer. */
export interface Pace {
  readonly sendAt: Millis;
  /** how long the next Binding Update waits for its acknowledgement */
  readonly timeout: Millis;
  /** no back-off until patience has ended */
  readonly steady?: boolean;
  /** an answer is missed from then on; and again when twice the patience has passed */
  readonly patienceUntil: Millis;
  readonly patience: Millis;
}

/**
 * A home agent that says nothing for so long after the first sign of trouble is held to be lost: time for three questions, and
 * something to spare of the three seconds within which that is to be known.
 */
const LOST_AFTER: Millis = 2800;
const LONGEST_PATIENCE = 3 * MAX_BINDACK_TIMEOUT;

/**
 * Nothing is bound at this home agent: the first timeout leaves it time for DAD (RFC 6275 11.8). Patience ends with the second
 * Binding Update's timeout; RFC 6275 11.4.1 asks for InitialBindackTimeoutFirstReg at least.
 */
export function registeringPace(
  now: Millis,
  timeout: Millis = INITIAL_BINDACK_TIMEOUT_FIRST_REG,
): Pace {
  return { sendAt: now, timeout, patienceUntil: now + 3 * timeout, patience: 3 * timeout };
}

/** A binding is to be refreshed: the first missing answer is the first sign of trouble. */
export function refreshingPace(now: Millis): Pace {
  const patience = INITIAL_BINDACK_TIMEOUT + LOST_AFTER;
  return { sendAt: now, timeout: INITIAL_BINDACK_TIMEOUT, patienceUntil: now + patience, patience };
}

/** There was a sign of trouble: three questions, one each second, each a Binding Update in its own right. */
export function probingPace(now: Millis): Pace {
  return {
    sendAt: now,
    timeout: INITIAL_BINDACK_TIMEOUT,
    steady: true,
    patienceUntil: now + LOST_AFTER,
    patience: LOST_AFTER,
  };
}

/** After a Binding Update has left: each timeout is twice the one before (RFC 6275 11.8). */
export function paceAfterSending(pace: Pace, now: Millis): Pace {
  const sendAt = now + pace.timeout;
  const steady = pace.steady === true && sendAt < pace.patienceUntil;
  const timeout = steady ? pace.timeout : Math.min(MAX_BINDACK_TIMEOUT, 2 * pace.timeout);
  return { ...pace, sendAt, timeout };
}

/** After patience has ended once: the series goes on. */
export function paceWithPatience(pace: Pace, now: Millis): Pace {
  const patience = Math.min(LONGEST_PATIENCE, 2 * pace.patience);
  return { ...pace, steady: false, patience, patienceUntil: now + patience };
}
