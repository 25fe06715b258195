import type { Algorithms, AssociationKeys } from '../../src/crypto/index.js';
import { AUTHENTICATIONS, ENCRYPTIONS, Secret } from '../../src/crypto/index.js';
import { ReservedCounter } from '../../src/reserved-counter.js';

/** Every encryption with every authentication. */
export const PAIRS: readonly Algorithms[] = names(ENCRYPTIONS).flatMap((encryption) =>
  names(AUTHENTICATIONS).map((authentication) => ({ encryption, authentication })),
);

function names<Name extends string>(table: Readonly<Record<Name, unknown>>): Name[] {
  return Object.keys(table) as Name[];
}

/** Keys that are not the same in any two octets next to each other; 3DES gets three that differ. */
export function keysFor({ encryption, authentication }: Algorithms, seed = 0): AssociationKeys {
  const octets = (length: number, start: number) =>
    Uint8Array.from({ length }, (_, index) => (start + seed + 37 * index) & 0xff);
  return {
    encryption: new Secret(octets(ENCRYPTIONS[encryption].keyLength, 3)),
    authentication: new Secret(octets(AUTHENTICATIONS[authentication].keyLength, 101)),
  };
}

/** A counter of ESP numbers whose reservations nobody writes down. */
export function counterFrom(next: number): ReservedCounter {
  return new ReservedCounter({ next, last: 2 ** 32 - 1, block: 1024, reserve: () => {} });
}
