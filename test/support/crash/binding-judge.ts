import type { HomeAgentBindingStatus } from '../../../src/daemon/status.js';
import { isLater } from './sequence-judge.js';
import type { Sighting } from './sightings.js';

/** A binding that a Home Agent acknowledged on the wire. */
export interface Acknowledged {
  /** When, milliseconds since 1970. */
  readonly at: number;
  readonly sequence: number;
  /** granted */
  readonly seconds: number;
}

/** What status shows in whole seconds, and a clock that was read a little later. */
const TOLERANCE = 1500;

/** The last acknowledgement of a binding up to an instant; undefined when there was none, or the last one took it away. */
export function acknowledgedBefore(
  sightings: readonly Sighting[],
  instant: number,
): Acknowledged | undefined {
  const last = sightings.findLast(
    ({ at, message }) =>
      at <= instant && message?.kind === 'acknowledgement' && message.status < 128,
  );
  if (last?.message?.kind !== 'acknowledgement' || last.message.seconds === 0) return undefined;
  const { sequence, seconds } = last.message;
  return { at: last.at, sequence, seconds };
}

/**
 * What a Home Agent that was just started must still hold, against what it shows. Undefined: the binding has run out, or is about to.
 * A string: what is wrong.
 */
export function judgeBinding(
  acknowledged: Acknowledged | undefined,
  shown: HomeAgentBindingStatus | undefined,
  careOfAddress: string,
  now: number,
): 'held' | undefined | { readonly lost: string } {
  if (acknowledged === undefined) return undefined;
  const left = acknowledged.at + 1000 * acknowledged.seconds - now;
  if (left < TOLERANCE) return undefined;
  const { sequence } = acknowledged;
  if (shown === undefined) return { lost: `number ${sequence}, ${Math.round(left)} ms left: gone` };
  const what = `shown as ${JSON.stringify(shown)}, acknowledged with number ${sequence}`;
  if (shown.state !== 'bound') return { lost: `not bound: ${what}` };
  if (shown.careOfAddress !== careOfAddress) return { lost: `another care-of address: ${what}` };
  // It may have accepted the next Binding Update already.
  if (isLater(shown.sequence, sequence)) return 'held';
  if (shown.sequence !== sequence) return { lost: `an older one: ${what}` };
  if (Math.abs(1000 * shown.expiresIn - left) > TOLERANCE) {
    return { lost: `${Math.round(left)} ms left: ${what}` };
  }
  return 'held';
}
