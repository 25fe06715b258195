import type { Millis } from '../time.js';
import type { Address, Icmpv6Message, Prefix } from '../wire/index.js';
import type { ProtectionKind } from './protection-kind.js';
import type { Signal } from './signal.js';

/** A prefix of the home link as mobile nodes are told of it (RFC 6275 10.6). */
export interface AdvertisedPrefix {
  readonly prefix: Prefix;
  /** seconds from any moment on, 0xffffffff is for ever */
  readonly validLifetime: number;
  /** seconds from any moment on, 0xffffffff is for ever */
  readonly preferredLifetime: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
}

/** A home address and what is demanded of whoever registers it. */
export interface ServedNode {
  readonly homeAddress: Address;
  readonly protection: ProtectionKind;
  /** seconds, besides the home agent's own */
  readonly maxLifetime?: number;
}

export interface HomeAgentConfig {
  readonly address: Address;
  readonly homePrefix: Prefix;
  /** seconds; whole units of 4 s are granted */
  readonly maxLifetime: number;
  readonly allow: 'listed' | 'any';
  readonly mobileNodes: readonly ServedNode[];
  readonly maxBindings: number;
  /** by default the home prefix with the default lifetimes of RFC 4861 6.2.1 */
  readonly prefixes?: readonly AdvertisedPrefix[];
  /** virtual: no node lives on it, so there is nothing to probe and nothing to defend; by default real */
  readonly homeLink?: 'real' | 'virtual';
  /** our own among the home agents of the link, higher is better (RFC 6275 7.4); by default 0 */
  readonly preference?: number;
  /** 0 <= r < 1; without it nothing is spread and nothing shuffled */
  readonly random?: () => number;
}

/** An entry of the binding cache (RFC 6275 9.1). */
export interface Binding {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** of the last Binding Update that was accepted */
  readonly sequence: number;
  /** seconds granted */
  readonly lifetime: number;
  readonly expiresAt: Millis;
  /** probing: duplicate address detection runs, nothing is granted yet */
  readonly state: 'probing' | 'bound';
}

/** What is needed to hold a binding again after a restart. */
export interface StoredBinding extends Omit<Binding, 'state'> {
  /** the link-local address that goes with the home address is defended too (L flag) */
  readonly linkLocal: boolean;
  /** that its Binding Updates had */
  readonly protection: ProtectionKind;
}

/** A Router Advertisement as the Home Agents List hears it (RFC 6275 10.5.1). */
export interface HomeAgentAdvertisement {
  /** link-local */
  readonly source: Address;
  /** the H flag (RFC 6275 7.1) */
  readonly homeAgent: boolean;
  /** RFC 6275 7.4, 0 when it says nothing */
  readonly preference: number;
  /** seconds as a home agent: RFC 6275 7.4, or the router lifetime */
  readonly lifetime: number;
  /** whole addresses in Prefix Information options (R flag, RFC 6275 7.2) */
  readonly addresses: readonly Address[];
}

export type HomeAgentEvent =
  | { readonly type: 'signal'; readonly signal: Signal }
  /** Answers to `probe`. */
  | { readonly type: 'unique' | 'duplicate'; readonly homeAddress: Address }
  /** A packet with a Home Address option that is no Binding Update. */
  | {
      readonly type: 'home-address-option';
      readonly source: Address;
      readonly homeAddress: Address;
    }
  /** Home agent discovery and mobile prefix solicitation (RFC 6275 6.5, 6.7). */
  | {
      readonly type: 'icmpv6';
      readonly source: Address;
      readonly destination: Address;
      /** the Home Address option, if there is one */
      readonly homeAddress?: Address;
      readonly message: Icmpv6Message;
      readonly protection: ProtectionKind;
    }
  /** Heard on the home link. */
  | ({ readonly type: 'router-advertisement' } & HomeAgentAdvertisement)
  /** A Mobility Header that RFC 6275 9.2 answers with a Parameter Problem; `pointer` counts from the start of the packet. */
  | { readonly type: 'not-mobility'; readonly bytes: Uint8Array; readonly pointer: number }
  /** A tunnel packet whose inner source is not bound to its outer one; its end may be cut off. */
  | { readonly type: 'unbound'; readonly bytes: Uint8Array }
  | { readonly type: 'prefixes-changed'; readonly prefixes: readonly AdvertisedPrefix[] }
  | { readonly type: 'tick' };

/**
 * In this order, always: bind, store, defend, then the acknowledgement; release, unbind, forget, then the
 * acknowledgement.
 */
export type HomeAgentOutput =
  | { readonly type: 'transmit'; readonly signal: Signal }
  | {
      readonly type: 'transmit-icmpv6';
      readonly source: Address;
      readonly destination: Address;
      /** the home address in a type 2 routing header */
      readonly routingHeader?: Address;
      readonly message: Icmpv6Message;
    }
  /**
   * Is this address unique on the home link? Then defend it; at last release it. Besides the home address that
   * can be the link-local address that goes with it (RFC 6275 10.3.1, L flag).
   */
  | { readonly type: 'probe' | 'defend' | 'release'; readonly homeAddress: Address }
  /** A new binding, or one with another care-of address. */
  | { readonly type: 'bind'; readonly homeAddress: Address; readonly careOfAddress: Address }
  | { readonly type: 'unbind'; readonly homeAddress: Address; readonly reason: string }
  /** Write this binding down before the next output is acted upon. */
  | { readonly type: 'store'; readonly binding: StoredBinding }
  | { readonly type: 'forget'; readonly homeAddress: Address };
