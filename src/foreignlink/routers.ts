import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, NdpMessage, Prefix, RouterPreference } from '../wire/index.js';
import { contains, formatPrefix, isLinkLocal, isMulticast, networkOf } from '../wire/index.js';

type Advertisement = Extract<NdpMessage, { kind: 'router-advertisement' }>;

/** RFC 4861 10 */
const MAX_RTR_SOLICITATION_DELAY: Millis = 1000;
/** RFC 7559 2.1: between solicitations at first, at most, and by which part more or less. */
const INITIAL_RT: Millis = 4000;
const MAXIMUM_RT: Millis = 3_600_000;
const SPREAD = 0.1;
/** RFC 4862 5.5.3 e: what nobody proved does not make a prefix end sooner than this. */
const TWO_HOURS: Millis = 7_200_000;
const FOR_EVER = 0xffff_ffff;
/** Of routers and of prefixes: what nobody proved does not fill the memory. */
const MAX_ROUTERS = 16;
const MAX_PREFIXES = 64;

/** RFC 4191 2.1 */
const RANK: Readonly<Record<RouterPreference, number>> = {
  high: 1,
  medium: 0,
  reserved: 0,
  low: -1,
};

interface Router {
  readonly until: Millis;
  readonly rank: number;
}

interface AdvertisedPrefix {
  readonly prefix: Prefix;
  readonly until: Millis;
}

/** A /64 that addresses may be made from (RFC 4862 5.5.3). */
export interface AutonomousPrefix {
  readonly prefix: Prefix;
  readonly deprecated: boolean;
}

/** The routers of a link and what they advertise (RFC 4861 6.3), and the solicitations until there is one (RFC 7559). */
export class Routers {
  readonly #random: () => number;
  readonly #solicit: () => void;
  readonly #configured: Address | undefined;
  readonly #routers = new Map<Address, Router>();
  readonly #onLink = new Map<string, AdvertisedPrefix>();
  readonly #autonomous = new Map<string, AdvertisedPrefix & { readonly preferredUntil: Millis }>();
  #solicitAt: Millis | undefined;
  /** RFC 7559 2.1: RT, none before the first one. */
  #pause: Millis | undefined;
  #current: Address | undefined;

  /** @param random 0 <= r < 1 @param solicit sends a Router Solicitation @param configured a router that need not advertise itself */
  constructor(random: () => number, solicit: () => void, configured: Address | undefined) {
    this.#random = random;
    this.#solicit = solicit;
    this.#configured = configured;
  }

  wakeAt(): Millis | undefined {
    const ends = [
      ...[...this.#routers.values()].map(({ until }) => until),
      ...[...this.#onLink.values()].map(({ until }) => until),
      ...[...this.#autonomous.values()].flatMap((known) => [known.until, known.preferredUntil]),
    ];
    return earliest(this.#solicitAt, ...ends.filter(Number.isFinite));
  }

  /** Asks for routers until one speaks. @param prompt without the random delay */
  start(now: Millis, prompt = false): void {
    if (this.#solicitAt !== undefined) return;
    this.#pause = undefined;
    this.#solicitAt = now + (prompt ? 0 : MAX_RTR_SOLICITATION_DELAY * this.#random());
  }

  /** Addresses of all routers that packets may go to. */
  get all(): Address[] {
    return [...(this.#configured === undefined ? [] : [this.#configured]), ...this.#routers.keys()];
  }

  has(address: Address): boolean {
    return this.#routers.has(address) || address === this.#configured;
  }

  get hasPrefix(): boolean {
    return this.#onLink.size > 0;
  }

  isOnLink(address: Address): boolean {
    if (isLinkLocal(address)) return true;
    return [...this.#onLink.values()].some(({ prefix }) => contains(prefix, address));
  }

  /** Those that care-of addresses may be made from. */
  prefixes(now: Millis): AutonomousPrefix[] {
    return [...this.#autonomous.values()].map(({ prefix, preferredUntil }) => ({
      prefix,
      deprecated: preferredUntil <= now,
    }));
  }

  /**
   * The default router (RFC 4861 6.3.6, RFC 4191 3.2): one that may be reachable before others, then the preferred one; where
   * that does not decide, it stays.
   */
  choose(isReachable: (router: Address) => boolean): Address | undefined {
    const value = (address: Address): number => {
      const rank = address === this.#configured ? 2 : (this.#routers.get(address)?.rank ?? 0);
      return 100 * +isReachable(address) + 2 * rank + +(address === this.#current);
    };
    let best: Address | undefined;
    for (const address of this.all) {
      if (best === undefined || value(address) > value(best)) best = address;
    }
    this.#current = best;
    return best;
  }

  /** It says itself that it is no router any more (RFC 4861 7.2.5). */
  resigned(now: Millis, address: Address): boolean {
    if (!this.#routers.delete(address)) return false;
    this.#seekWithout(now);
    return true;
  }

  /** RFC 4861 6.3.4, RFC 4862 5.5.3. @returns a reason to count, when there was no room for all of it */
  advertised(now: Millis, source: Address, message: Advertisement): string | undefined {
    let full: string | undefined;
    const { routerLifetime, preference } = message;
    if (routerLifetime === 0) {
      this.#routers.delete(source);
    } else if (this.#makeRoom(source)) {
      // The one that was heard last is the last one.
      this.#routers.delete(source);
      this.#routers.set(source, { until: now + 1000 * routerLifetime, rank: RANK[preference] });
      // RFC 7559 2: one router is enough.
      this.#solicitAt = undefined;
      this.#pause = undefined;
    } else {
      full = 'routers_full';
    }
    for (const option of message.options) {
      if (option.kind !== 'prefix-information') continue;
      const { onLink, autonomous, validLifetime, preferredLifetime } = option;
      // RFC 6275 7.2: it may be a router's own address.
      const prefix = networkOf(option.prefix);
      // RFC 4861 4.6.2: the link-local prefix is ignored.
      if (isLinkLocal(prefix.address) || isMulticast(prefix.address)) continue;
      const until = endOf(now, validLifetime);
      if (onLink && !put(this.#onLink, { prefix, until }, now)) full = 'prefixes_full';
      // RFC 4862 5.5.3 c, d: an interface identifier has 64 bits.
      if (!autonomous || preferredLifetime > validLifetime || prefix.length !== 64) continue;
      const known = this.#autonomous.get(formatPrefix(prefix));
      const valid = known === undefined ? until : notTooSoon(now, until, known.until);
      const entry = { prefix, until: valid, preferredUntil: endOf(now, preferredLifetime) };
      if (!put(this.#autonomous, entry, now)) full = 'prefixes_full';
    }
    this.#seekWithout(now);
    return full;
  }

  /** Whether there is a place for this router: the one that was heard least recently, but not the chosen one, gives way. */
  #makeRoom(source: Address): boolean {
    if (this.#routers.has(source) || this.#routers.size < MAX_ROUTERS) return true;
    for (const address of this.#routers.keys()) {
      if (address !== this.#current) return this.#routers.delete(address);
    }
    return false;
  }

  /** @returns whether something ended */
  advance(now: Millis): boolean {
    let changed = false;
    for (const [address, { until }] of [...this.#routers]) {
      if (now >= until) changed = this.#routers.delete(address) || changed;
    }
    for (const prefixes of [this.#onLink, this.#autonomous]) {
      for (const [key, { until }] of [...prefixes]) {
        if (now >= until) changed = prefixes.delete(key) || changed;
      }
    }
    for (const [key, known] of this.#autonomous) {
      if (known.preferredUntil > now || known.preferredUntil === DEPRECATED) continue;
      this.#autonomous.set(key, { ...known, preferredUntil: DEPRECATED });
      changed = true;
    }
    if (changed) this.#seekWithout(now);
    if (this.#solicitAt !== undefined && now >= this.#solicitAt) {
      this.#solicit();
      this.#pause = this.#next(this.#pause);
      this.#solicitAt = now + this.#pause;
    }
    return changed;
  }

  /** Asks again when there is no router left. */
  #seekWithout(now: Millis): void {
    if (this.#routers.size === 0) this.start(now);
  }

  /** RFC 7559 2.1, RFC 3315 14 */
  #next(last: Millis | undefined): Millis {
    const spread = SPREAD * (2 * this.#random() - 1);
    if (last === undefined) return INITIAL_RT * (1 + spread);
    const next = last * (2 + spread);
    return next > MAXIMUM_RT ? MAXIMUM_RT * (1 + spread) : next;
  }
}

/** A preferred lifetime that ended: nothing more is due. */
const DEPRECATED: Millis = Number.NEGATIVE_INFINITY;

/** @param lifetime seconds */
function endOf(now: Millis, lifetime: number): Millis {
  return lifetime === FOR_EVER ? Number.POSITIVE_INFINITY : now + 1000 * lifetime;
}

/** RFC 4862 5.5.3 e: an advertisement that nobody proved shortens what is left to two hours, not further. */
function notTooSoon(now: Millis, until: Millis, before: Millis): Millis {
  if (until > now + TWO_HOURS || until > before) return until;
  return before <= now + TWO_HOURS ? before : now + TWO_HOURS;
}

/** False: there is no room. One that has ended is taken away. */
function put<Entry extends AdvertisedPrefix>(
  prefixes: Map<string, Entry>,
  entry: Entry,
  now: Millis,
): boolean {
  const key = formatPrefix(entry.prefix);
  if (entry.until <= now) {
    prefixes.delete(key);
    return true;
  }
  if (!prefixes.has(key) && prefixes.size >= MAX_PREFIXES) return false;
  prefixes.set(key, entry);
  return true;
}
