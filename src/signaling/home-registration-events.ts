import type { ReservedCounter } from '../reserved-counter.js';
import type { Address, Icmpv6Message, Prefix } from '../wire/index.js';
import type { HomeAgents } from './home-agent-choice.js';
import type { MobileNodeEvent, MobileNodeOutput } from './mobile-node-events.js';
import type { HeldBinding } from './mobile-node-state.js';
import type { LearntPrefix } from './prefix-discovery.js';
import type { ProtectionKind } from './protection-kind.js';
import type { UpdateRate } from './update-rate.js';

export interface HomeRegistrationConfig {
  readonly homeAddress: Address;
  readonly homePrefix: Prefix;
  readonly homeAgents: HomeAgents;
  readonly careOfAddress: Address;
  /** seconds asked for; whole units of 4 s are used */
  readonly lifetime: number;
  /** of Binding Updates: wraps at 65535 */
  readonly sequence: ReservedCounter;
  /** 0 <= r < 1 */
  readonly random: () => number;
  /** what the home agents' answers must be protected by */
  readonly protection: ProtectionKind;
  /** seconds without traffic after which echo requests ask whether the tunnel lives; 0: never */
  readonly livenessInterval: number;
  /** held since before a restart: announced as `bound` by the first event, and refreshed at once */
  readonly binding?: HeldBinding;
  /** of the mobile node, when it has more home addresses than this one */
  readonly rate?: UpdateRate;
}

export type HomeRegistrationEvent =
  | Extract<
      MobileNodeEvent,
      { type: 'register' | 'deregister' | 'move' | 'signal' | 'path-error' | 'tick' }
    >
  /** A reply of home agent discovery or a Mobile Prefix Advertisement. */
  | {
      readonly type: 'icmpv6';
      readonly source: Address;
      readonly destination: Address;
      readonly message: Icmpv6Message;
      /** of the type 2 routing header */
      readonly homeAddress?: Address;
      readonly protection: ProtectionKind;
    }
  /** Something came out of the tunnel. */
  | { readonly type: 'traffic' }
  /** An ICMPv6 echo reply came out of the tunnel. */
  | { readonly type: 'echo-reply'; readonly identifier: number; readonly sequence: number }
  /** The guest's host before this one was registered with this home agent. */
  | { readonly type: 'told'; readonly homeAgent: Address }
  /** This host is on the home link. */
  | { readonly type: 'at-home' }
  /** The guest stands still, and may be about to be another host's: nothing is sent until it is registered again, or released. */
  | { readonly type: 'hold' }
  /** The guest is on another host, which looks after the binding from now on: it is forgotten, and nothing is said. */
  | { readonly type: 'release' }
  | {
      readonly type: 'reconfigure';
      readonly homeAgents: HomeAgents;
      /** seconds */
      readonly lifetime: number;
    }
  | { readonly type: 'tick' };

export type HomeRegistrationOutput =
  | Extract<MobileNodeOutput, { type: 'transmit' | 'bound' | 'unbound' }>
  | {
      readonly type: 'transmit-icmpv6';
      readonly source: Address;
      readonly destination: Address;
      readonly homeAddressOption?: Address;
      readonly message: Icmpv6Message;
    }
  /** An ICMPv6 echo request from the home address to the home agent, inside the tunnel. */
  | {
      readonly type: 'probe';
      readonly identifier: number;
      readonly sequence: number;
      readonly homeAgent: Address;
      readonly careOfAddress: Address;
    }
  /** The prefixes of the home link, as they are now. */
  | { readonly type: 'prefixes'; readonly prefixes: readonly LearntPrefix[] }
  /** What was bound is another host's. */
  | { readonly type: 'released' }
  /** At home and de-registered: announce the home address on the home link with Override set (RFC 6275 11.5.5). */
  | {
      readonly type: 'returned';
      /** The home agent defended the address until now: neighbours have its link-layer address for it. */
      readonly wasBound: boolean;
    };
