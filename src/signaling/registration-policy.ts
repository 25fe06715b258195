import type { Address } from '../wire/index.js';
import { contains, homeAgentsAnycast } from '../wire/index.js';
import { LIFETIME_UNIT, wholeUnits } from './constants.js';
import { STATUS } from './home-agent-status.js';
import type { AdvertisedPrefix, HomeAgentConfig, ServedNode } from './home-agent-types.js';
import type { RegistrationRequest } from './registration-request.js';

/** RFC 4861 6.2.1, seconds */
const DEFAULT_VALID_LIFETIME = 2_592_000;
const DEFAULT_PREFERRED_LIFETIME = 604_800;
/** RFC 4861 4.6.2 */
const FOR_EVER = 0xffffffff;
/** The flags of a Binding Update behind A H L K that ask for more than a home agent does. */
const FLAG = {
  /** RFC 3963 4.1 */
  mobileRouter: 0x400,
  /** RFC 5213 8.1 */
  proxyRegistration: 0x200,
} as const;

/** What is granted: seconds, and the status that says so. */
export interface Grant {
  readonly lifetime: number;
  readonly status: number;
}

/** RFC 6275 10.3.1: compared in units of 4 s, by ignoring the two least significant bits. */
function unitsOf(lifetime: number): number {
  return lifetime === FOR_EVER
    ? Number.POSITIVE_INFINITY
    : Math.floor(lifetime / LIFETIME_UNIT) * LIFETIME_UNIT;
}

/** Who is served, under which protection, for how long (RFC 6275 10.3.1). */
export class RegistrationPolicy {
  readonly prefixes: readonly AdvertisedPrefix[];
  readonly #config: HomeAgentConfig;
  readonly #nodes: ReadonlyMap<Address, ServedNode>;
  /** addresses of the home prefix that are nobody's home address */
  readonly #reserved: ReadonlySet<Address>;

  constructor(config: HomeAgentConfig) {
    const { address, homePrefix } = config;
    this.#config = config;
    this.#nodes = new Map(config.mobileNodes.map((node) => [node.homeAddress, node]));
    this.#reserved = new Set([address, homePrefix.address, homeAgentsAnycast(homePrefix)]);
    const prefixes = config.prefixes ?? [
      {
        prefix: homePrefix,
        validLifetime: DEFAULT_VALID_LIFETIME,
        preferredLifetime: DEFAULT_PREFERRED_LIFETIME,
        onLink: true,
        autonomous: true,
      },
    ];
    this.prefixes = prefixes.map(({ preferredLifetime, ...prefix }) => ({
      ...prefix,
      // RFC 4862 5.5.3 c: a prefix that is preferred longer than it is valid is ignored by whoever hears of it.
      preferredLifetime: Math.min(preferredLifetime, prefix.validLifetime),
    }));
  }

  protectionOf(homeAddress: Address): ServedNode['protection'] {
    return this.#nodes.get(homeAddress)?.protection ?? 'none';
  }

  /** The configuration names it; with allow = "any" others are served too. */
  lists(homeAddress: Address): boolean {
    return this.#nodes.has(homeAddress);
  }

  /** Whether a binding may be held for this address at all. */
  serves(homeAddress: Address): boolean {
    if (this.#reserved.has(homeAddress) || !this.#isOnHomeLink(homeAddress)) return false;
    return this.#config.allow === 'any' || this.#nodes.has(homeAddress);
  }

  /** The status that refuses a registration, if one must. @param full there is no room for one more binding */
  refusal(request: RegistrationRequest, full: boolean): number | undefined {
    const { homeAddress, direct, update } = request;
    if (!this.#isOnHomeLink(homeAddress)) return STATUS.notHomeSubnet;
    if (!this.serves(homeAddress)) return STATUS.administrativelyProhibited;
    // RFC 6275 10.3.1: a registration MUST have a Home Address option; 133 is what home agents answer.
    if (direct) return STATUS.notHomeAgent;
    // Bound like a host, a mobile router or a proxy would lose its traffic: better it asks elsewhere.
    if ((update.reserved & FLAG.mobileRouter) !== 0) return STATUS.mobileRouterNotPermitted;
    if ((update.reserved & FLAG.proxyRegistration) !== 0) return STATUS.proxyRegistrationNotEnabled;
    return full ? STATUS.insufficientResources : undefined;
  }

  /**
   * At most what was asked for, what we and this node allow, and what is left of the prefix; status 1 when the prefix
   * is deprecated before the binding ends, or invalid when it ends (RFC 6275 10.3.1).
   * @param asked seconds, a multiple of 4
   */
  grant(homeAddress: Address, asked: number): Grant {
    const prefix = this.#prefixOf(homeAddress);
    const valid = unitsOf(prefix?.validLifetime ?? 0);
    const ours = Math.min(
      this.#config.maxLifetime,
      this.#nodes.get(homeAddress)?.maxLifetime ?? Number.POSITIVE_INFINITY,
    );
    const lifetime = Math.min(asked, Math.max(LIFETIME_UNIT, wholeUnits(ours)), valid);
    const ends = unitsOf(prefix?.preferredLifetime ?? 0) < lifetime || lifetime >= valid;
    return { lifetime, status: ends ? STATUS.prefixDiscoveryNecessary : STATUS.accepted };
  }

  /** Of the prefix of this home address; seconds. */
  preferredLifetimeOf(homeAddress: Address): number {
    return this.#prefixOf(homeAddress)?.preferredLifetime ?? 0;
  }

  /** RFC 6275 10.3.1: on-link with respect to our Prefix List, in which nothing invalid stands (RFC 4861 5.1). */
  #isOnHomeLink(homeAddress: Address): boolean {
    if (!contains(this.#config.homePrefix, homeAddress)) return false;
    return unitsOf(this.#prefixOf(homeAddress)?.validLifetime ?? 0) > 0;
  }

  /** The longest that the address has. */
  #prefixOf(homeAddress: Address): AdvertisedPrefix | undefined {
    return this.prefixes
      .filter(({ prefix }) => contains(prefix, homeAddress))
      .sort((a, b) => b.prefix.length - a.prefix.length)[0];
  }
}
