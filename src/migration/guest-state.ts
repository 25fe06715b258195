import { z } from 'zod';
import { KagemushaError } from '../errors.js';
import { type Address, parseAddress } from '../wire/address.js';
import { attempt, WireError } from '../wire/error.js';
import { type Mac, parseMac } from '../wire/mac.js';

/** Of the format below. One that only gains members keeps its version: who does not know them leaves them unread. */
export const GUEST_STATE_VERSION = 1;

/** What is bound for a home address, as its Home Agent confirmed it. */
export interface BoundState {
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
  /** Seconds granted. */
  readonly lifetime: number;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Numbers of the two associations of a home address (RFC 4303 2.2); they count under the same keys alone. */
export interface EspState {
  readonly spiOut: number;
  /** Tells keys apart without telling what they are. */
  readonly keyId: string;
  /** From here on no number was used. */
  readonly next: number;
  /** The highest number accepted from each home agent. */
  readonly replayTops: readonly { readonly homeAgent: Address; readonly top: number }[];
}

/** One home address of a guest. */
export interface HomeState {
  readonly homeAddress: Address;
  /** From here on no Binding Update had this number, modulo 2^16 (RFC 6275 6.1.7). */
  readonly sequence?: number;
  /** Absent: it is at home, or was never registered. */
  readonly bound?: BoundState;
  readonly esp?: EspState;
  /** Octets of the largest packet that the path to the home agent took, where that was less than its link takes. */
  readonly pathMtu?: number;
}

/**
 * What one host knows of a guest, for the host that it goes to. Nothing in it is secret, all of it may be missing: a host that is
 * told nothing registers too, and learns (RFC 6275 9.5.1: status 135).
 */
export interface GuestState {
  readonly version: typeof GUEST_STATE_VERSION;
  readonly homes: readonly HomeState[];
  /** The guest's link-layer address. */
  readonly mac?: Mac;
  /** Its link-local addresses. */
  readonly linkLocals?: readonly Address[];
  /** Whom it spoke to on its link, as it believes: at home it is told where they really are. */
  readonly neighbours?: readonly Address[];
  /** When its machine stood still to go, milliseconds since 1970. */
  readonly stoppedAt?: number;
}

/** Text in the form that this project keeps it in. */
const text = <Value>(parse: (text: string) => Value, what: string) =>
  z.string().transform((given, context) => {
    const parsed = attempt(() => parse(given));
    if (!(parsed instanceof WireError)) return parsed as Exclude<Value, WireError>;
    context.addIssue(`is no ${what}`);
    return z.NEVER;
  });
const address = text(parseAddress, 'IPv6 address');
const mac = text(parseMac, 'link-layer address');
const whole = (least: number, most: number) => z.number().int().min(least).max(most);
const moment = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

const MOST_HOMES = 64;
const MOST_HOME_AGENTS = 32;
const MOST_LINK_LOCALS = 16;
const MOST_NEIGHBOURS = 64;

const home = z.object({
  homeAddress: address,
  sequence: whole(0, 0xffff).exactOptional(),
  bound: z
    .object({
      homeAgent: address,
      careOfAddress: address,
      lifetime: whole(0, 0xffff * 4),
      expiresAt: moment,
    })
    .exactOptional(),
  esp: z
    .object({
      spiOut: whole(256, 0xffff_ffff),
      keyId: z.string().max(64),
      // 2^32: none is left.
      next: whole(1, 2 ** 32),
      replayTops: z
        .array(z.object({ homeAgent: address, top: whole(0, 0xffff_ffff) }))
        .max(MOST_HOME_AGENTS),
    })
    .exactOptional(),
  pathMtu: whole(1280, 65_535).exactOptional(),
});

const guestState = z.object({
  version: z.literal(GUEST_STATE_VERSION),
  homes: z.array(home).max(MOST_HOMES),
  mac: mac.exactOptional(),
  linkLocals: z.array(address).max(MOST_LINK_LOCALS).exactOptional(),
  neighbours: z.array(address).max(MOST_NEIGHBOURS).exactOptional(),
  stoppedAt: moment.exactOptional(),
});

/**
 * A state as it came, from JSON.
 * @throws KagemushaError STATE_INVALID, or STATE_VERSION for one that a host with another version made
 */
export function readGuestState(json: unknown): GuestState {
  const version = z.looseObject({ version: z.number() }).safeParse(json).data?.version;
  if (version !== undefined && version !== GUEST_STATE_VERSION) {
    const versions = `version ${version}, and this kagemusha reads ${GUEST_STATE_VERSION}`;
    throw new KagemushaError(
      'STATE_VERSION',
      `the guest's state has ${versions}; use the same one`,
    );
  }
  const read = guestState.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const where = issue?.path.join('.') || 'all of it';
  throw new KagemushaError('STATE_INVALID', `no state of a guest: ${where}: ${issue?.message}`);
}
