import type { Sighting } from './sightings.js';

/** The numbers of one sender under one security association. */
export interface AssociationVerdict {
  readonly source: string;
  readonly spi: number;
  readonly seen: number;
  readonly first: number;
  readonly last: number;
  /** Seen before, or lower than one that was seen before: an association counts up, restarts or not. */
  readonly reused: number[];
}

/** The numbers of the Binding Updates for one home address. */
export interface UpdatesVerdict {
  readonly homeAddress: string;
  readonly seen: number;
  readonly first: number;
  readonly last: number;
  /** Times that the 16 bits began anew. */
  readonly wraps: number;
  /** Answers that told another number to go on from (status 135). */
  readonly resynchronised: number;
  readonly reused: number[];
}

/**
 * RFC 4303 3.3.3: no sender uses a sequence number twice under one key. Without a packet that overtakes another, which a wire
 * between two machines does not know, each number is above the one before it.
 */
export function judgeAssociations(sightings: readonly Sighting[]): AssociationVerdict[] {
  return group(sightings, ({ source, spi }) => `${source} ${spi}`).map((packets) => {
    const [{ source, spi, sequence: first }] = packets;
    let last = first;
    const reused: number[] = [];
    for (const { sequence } of packets.slice(1)) {
      if (sequence <= last) reused.push(sequence);
      else last = sequence;
    }
    return { source, spi, seen: packets.length, first, last, reused };
  });
}

/**
 * RFC 6275 11.7.1: the number of each Binding Update is greater, modulo 2^16, than that of the one before; status 135 tells from
 * where to go on.
 */
export function judgeUpdates(sightings: readonly Sighting[]): UpdatesVerdict[] {
  const signaling = sightings.filter(({ message }) => message !== undefined);
  return group(signaling, ({ homeAddress }) => homeAddress).flatMap((packets) => {
    const reused: number[] = [];
    let [seen, wraps, resynchronised] = [0, 0, 0];
    let first: number | undefined;
    let last: number | undefined;
    for (const { message } of packets) {
      if (message?.kind === 'acknowledgement' && message.status === 135) {
        resynchronised += 1;
        last = message.sequence;
      } else if (message?.kind === 'update') {
        const { sequence } = message;
        seen += 1;
        first ??= sequence;
        if (last !== undefined && !isLater(sequence, last)) reused.push(sequence);
        else {
          if (last !== undefined && sequence < last) wraps += 1;
          last = sequence;
        }
      }
    }
    if (first === undefined || last === undefined) return [];
    const homeAddress = packets[0].homeAddress;
    return [{ homeAddress, seen, first, last, wraps, resynchronised, reused }];
  });
}

/** Serial number arithmetic of 16 bits (RFC 6275 9.5.1). */
export function isLater(sequence: number, than: number): boolean {
  const ahead = (sequence - than) & 0xffff;
  return ahead > 0 && ahead < 0x8000;
}

type NonEmpty<T> = [T, ...T[]];

function group<T>(items: readonly T[], key: (item: T) => string): NonEmpty<T>[] {
  const groups = new Map<string, NonEmpty<T>>();
  for (const item of items) {
    const known = groups.get(key(item));
    if (known === undefined) groups.set(key(item), [item]);
    else known.push(item);
  }
  return [...groups.values()];
}
