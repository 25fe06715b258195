import type { Millis } from '../time.js';
import type { Address, Prefix } from '../wire/index.js';
import { contains, formatPrefix, isLinkLocal, isMulticast } from '../wire/index.js';

/** A prefix of the home link; lifetimes in seconds, 0xffffffff is for ever (RFC 4861 4.6.2). */
export interface HomePrefix {
  readonly prefix: Prefix;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
}

const FOR_EVER = 0xffffffff;
/** Prefixes no longer told of that are remembered. */
const MAX_FORMER = 16;

/**
 * The prefixes that the guest hears of. Those of the configuration hold as at home: their lifetimes begin anew with each advertisement.
 * What the home network told (RFC 6275 11.4.3) runs down from then on, but not below the configured lifetimes where it was longer, and not
 * at all where it was shorter: the home agent is asked again long before, and its silence is no word that the prefix is given up.
 */
export class HomePrefixes {
  readonly #configured: HomePrefix;
  #told: { readonly prefixes: readonly HomePrefix[]; readonly at: Millis } | undefined;
  /** what the guest may still have as on-link, and until when */
  readonly #former = new Map<string, { readonly prefix: Prefix; readonly until: Millis }>();

  constructor(configured: HomePrefix) {
    this.#configured = configured;
  }

  /** The home network has these now; none: the configuration holds again. */
  tell(now: Millis, prefixes: readonly HomePrefix[]): void {
    this.#remember(now);
    // RFC 4861 4.6.2, 6.2.1: the link-local prefix is none that routers tell of.
    const usable = prefixes.filter(
      ({ prefix: { address } }) => !isLinkLocal(address) && !isMulticast(address),
    );
    this.#told = usable.length === 0 ? undefined : { prefixes: usable, at: now };
  }

  /** What an advertisement tells now. */
  at(now: Millis): HomePrefix[] {
    if (this.#told === undefined) return [this.#configured];
    const age = Math.floor((now - this.#told.at) / 1000);
    const left = (lifetime: number, configured: number) =>
      lifetime === FOR_EVER ? FOR_EVER : Math.max(lifetime - age, Math.min(lifetime, configured));
    const least = this.#configured;
    return this.#told.prefixes.map(
      ({ prefix, validLifetime, preferredLifetime, onLink, autonomous }) => ({
        prefix,
        validLifetime: left(validLifetime, least.validLifetime),
        preferredLifetime: left(preferredLifetime, least.preferredLifetime),
        onLink,
        autonomous,
      }),
    );
  }

  /** Whether the address is one of a neighbour on the home link. */
  contain(now: Millis, address: Address): boolean {
    if (contains(this.#configured.prefix, address)) return true;
    const told = this.#told?.prefixes ?? [];
    if (told.some(({ prefix, onLink }) => onLink && contains(prefix, address))) return true;
    return [...this.#former.values()].some(
      ({ prefix, until }) => now < until && contains(prefix, address),
    );
  }

  #remember(now: Millis): void {
    for (const { prefix, validLifetime, onLink } of this.at(now)) {
      if (!onLink) continue;
      const key = formatPrefix(prefix);
      const until =
        validLifetime === FOR_EVER ? Number.POSITIVE_INFINITY : now + 1000 * validLifetime;
      this.#former.delete(key);
      this.#former.set(key, { prefix, until });
      const [oldest] = this.#former.keys();
      if (oldest !== undefined && this.#former.size > MAX_FORMER) this.#former.delete(oldest);
    }
  }
}
