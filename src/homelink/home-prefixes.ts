import type { Millis } from '../time.js';
import type { Address, Prefix } from '../wire/index.js';
import { contains } from '../wire/index.js';

/** A prefix of the home link; lifetimes in seconds, 0xffffffff is for ever (RFC 4861 4.6.2). */
export interface HomePrefix {
  readonly prefix: Prefix;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
}

const FOR_EVER = 0xffffffff;

/**
 * The prefixes that the guest hears of. Those of the configuration hold as at home: their lifetimes begin anew with each advertisement.
 * What the home network told (RFC 6275 11.4.3) runs down from then on.
 */
export class HomePrefixes {
  readonly #configured: HomePrefix;
  #told: { readonly prefixes: readonly HomePrefix[]; readonly at: Millis } | undefined;

  constructor(configured: HomePrefix) {
    this.#configured = configured;
  }

  /** The home network has these now; none: the configuration holds again. */
  tell(now: Millis, prefixes: readonly HomePrefix[]): void {
    this.#told = prefixes.length === 0 ? undefined : { prefixes, at: now };
  }

  at(now: Millis): HomePrefix[] {
    if (this.#told === undefined) return [this.#configured];
    const age = Math.floor((now - this.#told.at) / 1000);
    const left = (lifetime: number) =>
      lifetime === FOR_EVER ? FOR_EVER : Math.max(0, lifetime - age);
    return this.#told.prefixes.map(
      ({ prefix, validLifetime, preferredLifetime, onLink, autonomous }) => ({
        prefix,
        validLifetime: left(validLifetime),
        preferredLifetime: left(preferredLifetime),
        onLink,
        autonomous,
      }),
    );
  }

  /** Whether the address is one of a neighbour on the home link. */
  contain(address: Address): boolean {
    if (contains(this.#configured.prefix, address)) return true;
    const told = this.#told?.prefixes ?? [];
    return told.some(({ prefix, onLink }) => onLink && contains(prefix, address));
  }
}
