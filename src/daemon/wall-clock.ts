import type { Millis } from '../time.js';

/** Milliseconds since 1970, finer than Date.now(). */
export function wallClock(): Millis {
  return performance.timeOrigin + performance.now();
}
