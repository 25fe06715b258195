import type { Drops } from './status.js';

/** Counts of several rooms as one, by reason; reasons that never happened are left out. */
export function sumDrops(
  ...sources: readonly (Readonly<Record<string, number>> | ReadonlyMap<string, number>)[]
): Drops {
  const sums: Record<string, number> = {};
  for (const source of sources) {
    const entries = source instanceof Map ? source.entries() : Object.entries(source);
    for (const [reason, count] of entries) {
      if (count > 0) sums[reason] = (sums[reason] ?? 0) + count;
    }
  }
  return sums;
}
