import type { Millis } from '../time.js';
import type { MobilityOption } from '../wire/index.js';
import { LIFETIME_UNIT } from './constants.js';

/** Seconds before the end of a long lifetime: room for six retransmissions (1+2+4+8+16+32 s) and then some. */
const MARGIN = 120;

/**
 * When to refresh a binding: half way through a short lifetime, two minutes before the end of a long one, a
 * little earlier by chance; earlier when the home agent advises so (RFC 6275 6.2.4, 11.7.3).
 * @param sentAt when the acknowledged Binding Update left
 * @param lifetime seconds granted
 */
export function refreshTime(
  sentAt: Millis,
  lifetime: number,
  options: readonly MobilityOption[],
  random: () => number,
): Millis {
  const margin = Math.min(lifetime / 2, MARGIN);
  const own = lifetime - margin - 0.1 * margin * random();
  const advice = options.find((option) => option.kind === 'binding-refresh-advice')?.interval;
  // RFC 6275 6.2.4: an interval that is not shorter than the lifetime is no advice.
  const advised = advice !== undefined && advice >= LIFETIME_UNIT && advice < lifetime;
  return sentAt + 1000 * (advised ? Math.min(own, advice) : own);
}
