import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Icmpv6Message, Prefix } from '../wire/index.js';
import { addressBytes, contains, formatPrefix, readAddress } from '../wire/index.js';
import { MAX_BINDACK_TIMEOUT } from './constants.js';

/** RFC 6275 section 12, in milliseconds. */
export const INITIAL_SOLICIT_TIMER: Millis = 3000;

/** A prefix of the home link, as a Mobile Prefix Advertisement tells. */
export interface LearntPrefix {
  readonly prefix: Prefix;
  /** seconds, 0xffffffff is for ever */
  readonly validLifetime: number;
  /** seconds, 0xffffffff is for ever */
  readonly preferredLifetime: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
}

type Advertisement = Extract<Icmpv6Message, { kind: 'mobile-prefix-advertisement' }>;

const FOR_EVER = 0xffffffff;
/** What is kept of an advertisement. */
const MAX_PREFIXES = 16;
/** Solicitations in vain (3, 6, 12, 24, 32 s apart) before a rest. */
const ATTEMPTS = 5;
const REST: Millis = 3_600_000;
/** Asked again at this share of a lifetime, and once a day at least. */
const SHARE = 0.75;
const DAY: Millis = 86_400_000;
/** RFC 4862 5.5.3 e: what nothing authenticates does not shorten a valid lifetime below two hours. */
const TWO_HOURS = 7200;

interface Learnt extends LearntPrefix {
  readonly learntAt: Millis;
}

type State =
  | { readonly kind: 'off' }
  | {
      readonly kind: 'soliciting';
      readonly identifier: number;
      readonly sendAt: Millis;
      readonly timeout: Millis;
      readonly left: number;
    }
  | { readonly kind: 'resting'; readonly solicitAt: Millis };

function networkOf({ address, length }: Prefix): Prefix {
  const bytes = addressBytes(address);
  const masked = bytes.map((octet, index) => {
    const bits = Math.min(8, Math.max(0, length - 8 * index));
    return octet & (0xff << (8 - bits));
  });
  return { address: readAddress(masked, 0), length };
}

/** Seconds of a lifetime that are left. */
function remaining(lifetime: number, learntAt: Millis, now: Millis): number {
  if (lifetime === FOR_EVER) return FOR_EVER;
  return Math.max(0, Math.floor(lifetime - (now - learntAt) / 1000));
}

/** Mobile prefix discovery, the mobile node's side (RFC 6275 11.4.2, 11.4.3). */
export class PrefixDiscovery {
  readonly #homeAddress: Address;
  readonly #random: () => number;
  #state: State = { kind: 'off' };
  #learnt: readonly Learnt[] = [];
  #solicitedAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(homeAddress: Address, random: () => number) {
    this.#homeAddress = homeAddress;
    this.#random = random;
  }

  wakeAt(): Millis | undefined {
    switch (this.#state.kind) {
      case 'off':
        return undefined;
      case 'soliciting':
        return this.#state.sendAt;
      case 'resting':
        return this.#state.solicitAt;
    }
  }

  /** The home prefixes may have changed: ask, but not more than once in INITIAL_SOLICIT_TIMER. */
  solicit(now: Millis): void {
    if (this.#state.kind === 'soliciting') return;
    this.#state = {
      kind: 'soliciting',
      identifier: Math.floor(this.#random() * 0x10000),
      sendAt: Math.max(now, this.#solicitedAt + INITIAL_SOLICIT_TIMER),
      timeout: INITIAL_SOLICIT_TIMER,
      left: ATTEMPTS,
    };
  }

  /** Nothing is bound: there is nobody to ask. What was learnt is kept. */
  stop(): void {
    this.#state = { kind: 'off' };
  }

  /** A binding stands: ask again when what was learnt gets old. */
  resume(): void {
    if (this.#state.kind === 'off') this.#rest();
  }

  /** The solicitation that is due, if there is one; retransmissions back off (RFC 6275 11.8). */
  tick(now: Millis): Icmpv6Message | undefined {
    if (this.#state.kind === 'resting' && now >= this.#state.solicitAt) this.solicit(now);
    const state = this.#state;
    if (state.kind !== 'soliciting' || now < state.sendAt) return undefined;
    const { identifier, timeout, left } = state;
    if (left === 0) {
      this.#state = { kind: 'resting', solicitAt: now + REST };
      return undefined;
    }
    this.#solicitedAt = now;
    this.#state = {
      ...state,
      sendAt: now + timeout,
      timeout: Math.min(MAX_BINDACK_TIMEOUT, 2 * timeout),
      left: left - 1,
    };
    return { kind: 'mobile-prefix-solicitation', identifier };
  }

  /**
   * An advertisement of the home agent that holds the binding, with the home address in its routing header. Why it is ignored;
   * undefined when it is believed. An unsolicited one is not, but makes us ask (RFC 6275 11.4.3).
   */
  advertised(now: Millis, message: Advertisement, authentic: boolean): string | undefined {
    const state = this.#state;
    if (
      state.kind !== 'soliciting' ||
      state.left === ATTEMPTS ||
      state.identifier !== message.identifier
    ) {
      this.solicit(now);
      return 'unsolicited_prefix_advertisement';
    }
    const told = message.options
      .filter((option) => option.kind === 'prefix-information')
      .filter((option) => option.preferredLifetime <= option.validLifetime)
      .slice(0, MAX_PREFIXES);
    this.#learnt = told.map(({ prefix, onLink, autonomous, preferredLifetime, validLifetime }) => {
      const network = networkOf(prefix);
      const known = this.#learnt.find((old) => formatPrefix(old.prefix) === formatPrefix(network));
      const left =
        known === undefined ? FOR_EVER : remaining(known.validLifetime, known.learntAt, now);
      const least = authentic ? 0 : Math.min(TWO_HOURS, left);
      return {
        prefix: network,
        onLink,
        autonomous,
        preferredLifetime,
        validLifetime: Math.max(validLifetime, least),
        learntAt: now,
      };
    });
    this.#rest();
    return undefined;
  }

  /** What was learnt, lifetimes counted down. */
  prefixes(now: Millis): readonly LearntPrefix[] {
    return this.#learnt.map(({ learntAt, ...prefix }) => ({
      ...prefix,
      validLifetime: remaining(prefix.validLifetime, learntAt, now),
      preferredLifetime: remaining(prefix.preferredLifetime, learntAt, now),
    }));
  }

  /** Seconds that the home address stays valid, as far as is known (RFC 6275 11.7.1). */
  validLifetime(now: Millis): number | undefined {
    const home = this.prefixes(now).find(({ prefix }) => contains(prefix, this.#homeAddress));
    return home?.validLifetime;
  }

  /** A sentence when the home address has no future; undefined when all is well or nothing is known. */
  warning(now: Millis): string | undefined {
    if (this.#learnt.length === 0) return undefined;
    const home = this.prefixes(now).find(({ prefix }) => contains(prefix, this.#homeAddress));
    const others = this.prefixes(now)
      .filter(({ prefix, preferredLifetime }) => prefix !== home?.prefix && preferredLifetime > 0)
      .map(({ prefix }) => formatPrefix(prefix));
    const instead = others.length === 0 ? '' : `, the home network uses ${others.join(', ')}`;
    if (home === undefined) return `the home agent no longer advertises this home prefix${instead}`;
    if (home.preferredLifetime > 0) return undefined;
    return `the home prefix is being given up, valid for another ${home.validLifetime} s${instead}`;
  }

  #rest(): void {
    const ends = this.#learnt.flatMap(({ learntAt, validLifetime, preferredLifetime }) =>
      [preferredLifetime, validLifetime]
        .filter((lifetime) => lifetime > 0 && lifetime !== FOR_EVER)
        .map((lifetime) => learntAt + Math.min(DAY, 1000 * lifetime * SHARE)),
    );
    const solicitAt = earliest(...ends);
    this.#state = solicitAt === undefined ? { kind: 'off' } : { kind: 'resting', solicitAt };
  }
}
