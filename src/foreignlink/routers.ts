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
const MAX_OF_ROUTER = 16;

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

interface Lifetime {
  readonly prefix: Prefix;
  readonly until: Millis;
}

interface AdvertisedPrefix extends Lifetime {
  /** The routers that told it, the latest last, and whether they were default routers then. */
  readonly from: Map<Address, boolean>;
}

interface AutonomousLifetime extends Lifetime {
  readonly preferredUntil: Millis;
}

/** A /64 that addresses may be made from (RFC 4862 5.5.3). */
export interface AutonomousPrefix {
  readonly prefix: Prefix;
  readonly deprecated: boolean;
  /** No router that told it is there any more: it is of a network that was left, perhaps (RFC 8028 3). */
  readonly gone: boolean;
}

/** What the routers need of the machine around them. */
export interface RoutersLink {
  /** 0 <= r < 1 */
  readonly random: () => number;
  /** Sends a Router Solicitation. */
  solicit(): void;
  /** It does not answer. */
  isUnreachable(router: Address): boolean;
  /** It has answered lately. */
  answers(router: Address): boolean;
  /** One of our addresses is from it. */
  isUsed(prefix: Prefix): boolean;
}

/** The routers of a link and what they advertise (RFC 4861 6.3), and the solicitations until there is one (RFC 7559). */
export class Routers {
  readonly #link: RoutersLink;
  readonly #configured: Address | undefined;
  readonly #routers = new Map<Address, Router>();
  readonly #onLink = new Map<string, AdvertisedPrefix>();
  readonly #autonomous = new Map<string, AdvertisedPrefix & AutonomousLifetime>();
  #solicitAt: Millis | undefined;
  /** RFC 7559 2.1: RT, none before the first one. */
  #pause: Millis | undefined;
  #current: Address | undefined;
  #paused = false;

  /** @param configured a router that need not advertise itself */
  constructor(link: RoutersLink, configured: Address | undefined) {
    this.#link = link;
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
    if (this.#solicitAt !== undefined || this.#paused) return;
    this.#pause = undefined;
    this.#solicitAt = now + (prompt ? 0 : MAX_RTR_SOLICITATION_DELAY * this.#link.random());
  }

  /** The link carries nothing: nobody is asked. */
  pause(): void {
    this.#paused = true;
    this.#solicitAt = undefined;
  }

  /** It carries again, or is another one (RFC 4861 6.3.7). */
  restart(now: Millis): void {
    this.#paused = false;
    this.#solicitAt = undefined;
    this.start(now);
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
    return [...this.#onLink.values()].some(
      ({ prefix, from }) => contains(prefix, address) && !this.#isLeft(from),
    );
  }

  /** A default router that may be there. */
  #isLive(router: Address): boolean {
    return this.has(router) && !this.#link.isUnreachable(router);
  }

  /** Its routers are gone, all of them, and so is the configured one, which may carry it, too. */
  #isGone(from: ReadonlyMap<Address, boolean>): boolean {
    const others = this.#configured === undefined ? [] : [this.#configured];
    return ![...from.keys(), ...others].some((router) => this.#isLive(router));
  }

  /** Its default routers are gone and another one is there: this is another link. What others told stays (RFC 4861 6.3.4). */
  #isLeft(from: ReadonlyMap<Address, boolean>): boolean {
    if ([...from].some(([router, isDefault]) => !isDefault || this.#isLive(router))) return false;
    return this.all.some((router) => this.#isLive(router));
  }

  /** Those that care-of addresses may be made from, in an order that does not depend on who has spoken last. */
  prefixes(now: Millis): AutonomousPrefix[] {
    const sorted = [...this.#autonomous].toSorted(([one], [other]) => (one < other ? -1 : 1));
    return sorted.map(([, { prefix, preferredUntil, from }]) => ({
      prefix,
      deprecated: preferredUntil <= now,
      gone: this.#isGone(from),
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
    this.#resign(address);
    this.#seekWithout(now);
    return true;
  }

  /** What it told is on its link still: it has just spoken there. */
  #resign(router: Address): void {
    for (const prefixes of [this.#onLink, this.#autonomous]) {
      for (const { from } of prefixes.values()) {
        if (from.has(router)) from.set(router, false);
      }
    }
  }

  /** RFC 4861 6.3.4, RFC 4862 5.5.3. @returns a reason to count, when there was no room for all of it */
  advertised(now: Millis, source: Address, message: Advertisement): string | undefined {
    let full: string | undefined;
    const { routerLifetime, preference } = message;
    if (routerLifetime === 0) {
      this.#routers.delete(source);
      this.#resign(source);
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
      if (onLink) full = this.#put(now, this.#onLink, { prefix, until }, source) ?? full;
      // RFC 4862 5.5.3 c, d: an interface identifier has 64 bits.
      if (!autonomous || preferredLifetime > validLifetime || prefix.length !== 64) continue;
      const known = this.#autonomous.get(formatPrefix(prefix));
      const valid = known === undefined ? until : notTooSoon(now, until, known.until);
      const entry = { prefix, until: valid, preferredUntil: endOf(now, preferredLifetime) };
      full = this.#put(now, this.#autonomous, entry, source) ?? full;
    }
    this.#seekWithout(now);
    return full;
  }

  /**
   * Whether there is a place for this router: of those that do not answer, then of all, the one that was heard least recently gives
   * way, but never the chosen one.
   */
  #makeRoom(source: Address): boolean {
    if (this.#routers.has(source) || this.#routers.size < MAX_ROUTERS) return true;
    const others = [...this.#routers.keys()].filter((address) => address !== this.#current);
    const victim = others.find((address) => !this.#link.answers(address)) ?? others[0];
    return victim !== undefined && this.#routers.delete(victim);
  }

  /** Takes what a router told. @returns a reason to count */
  #put<Entry extends Lifetime>(
    now: Millis,
    prefixes: Map<string, Entry & AdvertisedPrefix>,
    entry: Entry,
    source: Address,
  ): string | undefined {
    const key = formatPrefix(entry.prefix);
    if (entry.until <= now) {
      prefixes.delete(key);
      return undefined;
    }
    const known = prefixes.get(key);
    const reason = known === undefined ? this.#makeRoomFor(prefixes, source) : undefined;
    if (reason === 'prefixes_full') return reason;
    const from = new Map(known?.from);
    from.delete(source);
    if (from.size >= MAX_ROUTERS) {
      const tellers = [...from.keys()];
      from.delete(tellers.find((router) => !this.#link.answers(router)) ?? tellers[0] ?? source);
    }
    from.set(source, this.#routers.has(source));
    // The one that was told last is the last one.
    prefixes.delete(key);
    prefixes.set(key, { ...entry, from });
    return reason;
  }

  /**
   * Nobody proves what an advertisement says: whoever invents prefixes must neither fill the memory nor keep new ones out. What none of
   * our addresses is from gives way: the router's own when it has told many, those of routers that do not answer, then all, in each
   * case the one that was told least recently.
   */
  #makeRoomFor(
    prefixes: Map<string, AdvertisedPrefix>,
    source: Address,
  ): 'prefix_evicted' | 'prefixes_full' | undefined {
    const entries = [...prefixes];
    const own = entries.filter(([, { from }]) => from.has(source));
    if (own.length < MAX_OF_ROUTER && entries.length < MAX_PREFIXES) return undefined;
    const unused = (own.length < MAX_OF_ROUTER ? entries : own).filter(
      ([, { prefix }]) => !this.#link.isUsed(prefix),
    );
    const answers = (router: Address): boolean => this.#link.answers(router);
    const victim = unused.find(([, { from }]) => ![...from.keys()].some(answers)) ?? unused[0];
    if (victim === undefined) return 'prefixes_full';
    prefixes.delete(victim[0]);
    return 'prefix_evicted';
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
      this.#link.solicit();
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
    const spread = SPREAD * (2 * this.#link.random() - 1);
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
