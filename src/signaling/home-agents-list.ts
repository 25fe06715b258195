import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import type { HomeAgentAdvertisement } from './home-agent-types.js';
import { isRoutable } from './registration-request.js';

/** Home agents of a link, and addresses of each: whoever can send on the link can name any number. */
const MAX_HOME_AGENTS = 16;
const MAX_ADDRESSES = 4;

interface HomeAgentEntry {
  readonly preference: number;
  readonly expiresAt: Millis;
  readonly addresses: readonly Address[];
}

/** The Home Agents List (RFC 6275 10.1, 10.5.1), by link-local address. */
export class HomeAgentsList {
  readonly #entries = new Map<Address, HomeAgentEntry>();
  readonly #random: () => number;

  /** @param random 0 <= r < 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Follows a Router Advertisement; gives the reason if it has no effect. */
  hear(now: Millis, heard: HomeAgentAdvertisement): string | undefined {
    this.#expire(now);
    const { source, preference, lifetime } = heard;
    if (!heard.homeAgent || lifetime === 0) {
      this.#entries.delete(source);
      return undefined;
    }
    const known = this.#entries.get(source);
    if (known === undefined && this.#entries.size >= MAX_HOME_AGENTS) {
      return 'home_agents_list_full';
    }
    // An advertisement may leave prefixes out (RFC 4861 6.2.3): what was told before stays.
    const addresses = new Set([...heard.addresses.filter(isRoutable), ...(known?.addresses ?? [])]);
    this.#entries.set(source, {
      preference,
      expiresAt: now + 1000 * lifetime,
      addresses: [...addresses].slice(0, MAX_ADDRESSES),
    });
    return undefined;
  }

  /** All addresses, ours among them, best first; equals, and the addresses of one, in random order (RFC 6275 10.5). */
  addresses(now: Millis, ours: { address: Address; preference: number }): Address[] {
    this.#expire(now);
    const all = [
      { preference: ours.preference, addresses: [ours.address] },
      ...this.#entries.values(),
    ].map((entry) => ({ ...entry, order: this.#random() }));
    all.sort((a, b) => b.preference - a.preference || a.order - b.order);
    return [...new Set(all.flatMap(({ addresses }) => this.#shuffled(addresses)))];
  }

  #shuffled(addresses: readonly Address[]): Address[] {
    return addresses
      .map((address) => ({ address, order: this.#random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ address }) => address);
  }

  #expire(now: Millis): void {
    for (const [source, { expiresAt }] of [...this.#entries]) {
      if (now >= expiresAt) this.#entries.delete(source);
    }
  }
}
