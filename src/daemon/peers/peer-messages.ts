import { z } from 'zod';
import { KagemushaError } from '../../errors.js';
import { type GuestState, readGuestState } from '../../migration/index.js';
import type { Millis } from '../../time.js';
import type { Address } from '../../wire/index.js';
import { parseUnicast } from '../config/scalars.js';

/*
 * What hosts ask each other about a guest, by its name, which is the same on all of them:
 *
 *   knock   a migration of it has begun here, this is its state so far
 *   offer   its machine stands still, this is its state, expect it
 *   claim   it is here, since then; let go of it      also when it has come back: its migration failed
 */

/** An answer to `knock` and `offer`. */
export interface Expectation {
  /** Its machine is to come there; `perhaps`: nobody tells. */
  readonly awaited: boolean | 'perhaps';
  /** That it will have there; absent on its home link. */
  readonly careOfAddress?: Address;
}

/** What a host says of its having a guest. */
export interface Possession {
  /** Milliseconds since 1970 by that host's clock; 0: since before it looked. */
  readonly since: Millis;
  /** By the same clock. */
  readonly now: Millis;
  /** Its machine is seen to run there. */
  readonly runs: boolean;
}

export interface Claim extends Possession {
  /** Where it is now; absent on its home link. */
  readonly careOfAddress?: Address;
}

/** An answer to a claim. */
export interface Surrender {
  /** It is there, and stays there. */
  readonly kept?: Possession;
  /** What that host knows of the guest; absent: nothing, or it keeps it. */
  readonly state?: GuestState;
  /** Its machine ran there too. */
  readonly conflict?: boolean;
}

const address = z.string().transform((text, context): Address => {
  try {
    return parseUnicast(text);
  } catch {
    context.addIssue('is no address that a guest may have');
    return z.NEVER;
  }
});
const moment = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const possession = z.object({ since: moment, now: moment, runs: z.boolean() });
const expectation = z.object({
  awaited: z.union([z.boolean(), z.literal('perhaps')]),
  careOfAddress: address.exactOptional(),
});
const claim = possession.extend({ careOfAddress: address.exactOptional() });
const surrender = z.object({
  kept: possession.exactOptional(),
  state: z.unknown().optional(),
  conflict: z.boolean().exactOptional(),
});
const offer = z.object({ state: z.unknown() });

/** @throws KagemushaError PEER_STRANGE */
export function readExpectation(answer: unknown): Expectation {
  return read(expectation, answer);
}

/** @throws KagemushaError PEER_STRANGE, and as readGuestState() */
export function readSurrender(answer: unknown): Surrender {
  const { state, ...rest } = read(surrender, answer);
  return state === undefined ? rest : { ...rest, state: readGuestState(state) };
}

/** The state in a knock or an offer. @throws KagemushaError PEER_STRANGE, and as readGuestState() */
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
