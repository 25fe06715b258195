/** Milliseconds from an arbitrary origin that never runs backwards. The daemon's clock; a number in tests. */
export type Millis = number;

/** The earliest of some deadlines; undefined when there is none. */
export function earliest(...deadlines: (Millis | undefined)[]): Millis | undefined {
  const set = deadlines.filter((deadline) => deadline !== undefined);
  return set.length === 0 ? undefined : Math.min(...set);
}
