import { MINIMUM_MTU } from '../wire/index.js';

/**
 * What probes have shown of a path, and which sizes to try next: pure, no clock.
 *
 *     1280 .. floor  answered: they pass
 *     floor .. ceiling  nobody knows
 *     ceiling .. top  missed in enough rounds while others were answered: they do not pass
 */
export interface Bounds {
  /** octets: the largest size that was answered; 0 when nothing was */
  readonly floor: number;
  /** octets: no larger size is looked for (the link, or what a Packet Too Big said) */
  readonly top: number;
  /**
   * For each round in which something was answered and something else was not: the smallest size missed, ascending. All are
   * above `floor`: what was missed and is no larger was lost by chance.
   */
  readonly missed: readonly number[];
}

/** RFC 8899 5.1.2: so many probes of a size are lost for its size and not by chance, where nothing else is lost. */
export const MAX_PROBES = 3;
/** Where probes are lost that should not be, so many more at the most. */
export const MAX_MORE_PROBES = 7;
/** The search ends when it knows the path to so many octets (RFC 4821 7.3: finer is not worth its probes). */
export const GRANULARITY = 8;
/** Sizes between two bounds that go at once when no common one is between them. */
const INNER = 3;
/** Misses that are remembered. */
const MAX_MISSED = MAX_PROBES + MAX_MORE_PROBES;

/**
 * Path MTUs that are met often (RFC 4821 7.3 wants such a table): Ethernet jumbo, cloud networks, Ethernet, PPPoE, a tunnel in IPv4, two tunnels,
 * WireGuard, ESP.
 */
const COMMON = [9000, 8896, 1500, 1492, 1480, 1460, 1420, 1400] as const;

/** Nothing is known. */
export function unknownUpTo(top: number): Bounds {
  return { floor: 0, top, missed: [] };
}

/** A size was answered. */
export function answered(bounds: Bounds, size: number): Bounds {
  if (size <= bounds.floor) return bounds;
  const floor = Math.min(size, bounds.top);
  return { ...bounds, floor, missed: bounds.missed.filter((missed) => missed > floor) };
}

/** A round has ended, and of these sizes nothing was heard although something was answered. */
export function roundMissed(bounds: Bounds, sizes: readonly number[]): Bounds {
  const above = sizes.filter((size) => size > bounds.floor);
  if (above.length === 0) return bounds;
  const missed = [...bounds.missed, Math.min(...above)].sort((a, b) => a - b).slice(0, MAX_MISSED);
  return { ...bounds, missed };
}

/** A Packet Too Big: nothing larger passes. What had passed does so no more when it was larger: the path is another one. */
export function cappedAt(bounds: Bounds, top: number): Bounds {
  if (top >= bounds.top) return bounds;
  const missed = bounds.missed.filter((size) => size <= top);
  return bounds.floor > top ? unknownUpTo(top) : { ...bounds, top, missed };
}

/**
 * Whether the path is known to 8 octets: its size is `floor`.
 * @param enough rounds in which a size is missed that does not pass
 */
export function isSettled({ floor, top, missed }: Bounds, enough: number): boolean {
  if (floor >= top) return true;
  const ceiling = missed[enough - 1];
  return floor > 0 && ceiling !== undefined && ceiling - floor <= GRANULARITY;
}

/** In how many rounds a packet of this size would have been missed. */
export function missesOf({ missed }: Bounds, size: number): number {
  return missed.filter((smallest) => smallest <= size).length;
}

/** Sizes that divide what lies between two bounds: the common ones where there are any, otherwise equal parts. */
function between(low: number, high: number, overhead: number): number[] {
  const gap = high - low;
  if (gap <= GRANULARITY) return [];
  const inside = (size: number) => size > low && size < high;
  const common = [...COMMON, MINIMUM_MTU + overhead].filter(inside);
  if (common.length > 0) return common;
  const parts = Math.min(INNER, Math.floor(gap / GRANULARITY)) + 1;
  return Array.from({ length: parts - 1 }, (_, index) =>
    Math.floor(low + (gap * (index + 1)) / parts),
  );
}

export interface Plan {
  /** Octets of the tunnel headers: a path that takes 1280 and these carries every inner packet of 1280 in one piece. */
  readonly overhead: number;
  /** Only the size in question. */
  readonly narrow?: boolean;
  /** Also the next size that would be another result. */
  readonly next?: boolean;
}

/**
 * The sizes of the next round. The largest go first, since a peer that limits its answers answers those; last goes 1280, of
 * which an answer is always to be expected (RFC 8899 5.1.2 BASE_PLPMTU): it tells a size that does not pass from a path that is down.
 */
export function nextSizes(bounds: Bounds, { overhead, narrow, next }: Plan): number[] {
  const { floor, top, missed } = bounds;
  const doubtful = missed[0] ?? top;
  const sizes = new Set([doubtful, MINIMUM_MTU]);
  if (narrow !== true) {
    for (const size of between(Math.max(floor, MINIMUM_MTU), doubtful, overhead)) sizes.add(size);
  }
  if (next === true && floor > 0 && floor + GRANULARITY < doubtful) sizes.add(floor + GRANULARITY);
  return [...sizes].sort((a, b) => b - a);
}
