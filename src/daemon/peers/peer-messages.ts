import { z } from 'zod';
import { KagemushaError } from '../../errors.js';
import { type GuestState, readGuestState } from '../../migration/index.js';
import type { Millis } from '../../time.js';
import { type Address, isAddress } from '../../wire/index.js';

/*
 * What hosts ask each other about a guest, by its name, which is the same on all of them:
 *
 *   knock   a migration of it has begun here          opens the connection
 *   offer   its machine stands still, this is its state, expect it
 *   claim   it is here, since then; let go of it      also when it has come back: its migration failed
 */

/** An answer to `knock` and `offer`. */
export interface Expectation {
  /** Its machine is to come there. */
  readonly awaited: boolean;
  /** It is registered there before it comes: the way back begins with a claim. */
  readonly early?: boolean;
  /** That it will have there; absent on its home link. */
  readonly careOfAddress?: Address;
}

export interface Claim {
  /** Milliseconds since 1970: of two hosts that have it, the later one keeps it. */
  readonly since: Millis;
  /** Where it is now; absent on its home link. */
  readonly careOfAddress?: Address;
}

/** An answer to a claim. */
export interface Surrender {
  /** What that host knows of the guest; absent: it never had it. */
  readonly state?: GuestState;
  /** Its machine ran there too. */
  readonly conflict?: boolean;
}

const address = z.custom<Address>((value) => typeof value === 'string' && isAddress(value));
const expectation = z.looseObject({
  awaited: z.boolean(),
  early: z.boolean().exactOptional(),
  careOfAddress: address.exactOptional(),
});
const claim = z.looseObject({ since: z.number(), careOfAddress: address.exactOptional() });
const surrender = z.looseObject({ state: z.unknown(), conflict: z.boolean().exactOptional() });
const offer = z.looseObject({ state: z.unknown() });

/** @throws KagemushaError PEER_STRANGE */
export function readExpectation(answer: unknown): Expectation {
  return read(expectation, answer);
}

/** @throws KagemushaError PEER_STRANGE, and as readGuestState() */
export function readSurrender(answer: unknown): Surrender {
  const { state, conflict } = read(surrender, answer);
  return {
    ...(state === undefined ? {} : { state: readGuestState(state) }),
    ...(conflict === undefined ? {} : { conflict }),
  };
}

/** The state in an offer. @throws KagemushaError PEER_STRANGE, and as readGuestState() */
export function readOffer(body: unknown): GuestState {
  return readGuestState(read(offer, body).state);
}

/** @throws KagemushaError PEER_STRANGE */
export function readClaim(body: unknown): Claim {
  return read(claim, body);
}

function read<Shape>(schema: z.ZodType<Shape>, json: unknown): Shape {
  const told = schema.safeParse(json);
  if (told.success) return told.data;
  throw new KagemushaError('PEER_STRANGE', 'the peer is no kagemusha of this version');
}
