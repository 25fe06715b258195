import type { Millis } from '../../time.js';
import type { Possession } from './peer-messages.js';

/**
 * Who keeps a guest that two hosts have: the one that sees its machine run, else the one that has it since later. Times are compared by
 * the clock of this host.
 *
 * @param now by the clock of this host
 */
export function keepsGuest(ours: Possession, theirs: Possession, now: Millis): boolean {
  if (ours.runs !== theirs.runs) return ours.runs;
  // Since before it looked is earlier than anything.
  const since = theirs.since === 0 ? 0 : Math.min(now, theirs.since + (now - theirs.now));
  return ours.since > since;
}
