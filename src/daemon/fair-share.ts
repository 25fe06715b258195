/**
 * What fits into `room` of several lists: each gets the same share, and what those with less to place leave over goes to the others.
 * The first of each list come first to their place.
 */
export function fairShare<Item>(wanted: readonly (readonly Item[])[], room: number): Item[] {
  let left = room;
  const shares = wanted
    .toSorted((one, other) => one.length - other.length)
    .map((items, index) => {
      const share = items.slice(0, Math.floor(left / (wanted.length - index)));
      left -= share.length;
      return share;
    });
  return shares.flat();
}
