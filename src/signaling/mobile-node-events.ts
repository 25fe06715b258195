import type { ReservedCounter } from '../reserved-counter.js';
import type { Millis } from '../time.js';
import type { Address, Icmpv6Message } from '../wire/index.js';
import type { HeldBinding } from './mobile-node-state.js';
import type { ProtectionKind } from './protection-kind.js';
import type { Signal } from './signal.js';
import type { UpdateRate } from './update-rate.js';

export interface MobileNodeConfig {
  readonly homeAddress: Address;
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
  /** seconds asked for; whole units of 4 s are used */
  readonly lifetime: number;
  /** of Binding Updates: wraps at 65535 */
  readonly sequence: ReservedCounter;
  /** 0 <= r < 1; spreads refreshes and retries so that many guests do not speak at once */
  readonly random: () => number;
  /** what a Binding Acknowledgement must be protected by; 'none' when left out */
  readonly protection?: ProtectionKind;
  /** of the mobile node, when it has more home addresses than this one */
  readonly rate?: UpdateRate;
  /** held since before a restart: it is refreshed at once */
  readonly binding?: HeldBinding;
}

export type MobileNodeEvent =
  /** Register, or refresh at once what is registered. */
  | { readonly type: 'register' }
  | { readonly type: 'deregister' }
  /** Another care-of address from now on. The old binding stands until the new one is confirmed. */
  | { readonly type: 'move'; readonly careOfAddress: Address }
  /**
   * Another home agent from now on, asked at once or (`later`) when the wait after a refusal ends.
   * `timeout` is that of the first Binding Update. The old binding stands until the new one is confirmed.
   */
  | {
      readonly type: 'home-agent';
      readonly homeAgent: Address;
      readonly timeout?: Millis;
      readonly later?: boolean;
    }
  /** A Mobility Header message from the network. */
  | { readonly type: 'signal'; readonly signal: Signal }
  /** An ICMPv6 error from the network: not authenticated, so it makes us ask and never drops a binding. */
  | { readonly type: 'path-error'; readonly error: Icmpv6Message }
  /** There is doubt whether the home agent still has the binding. */
  | { readonly type: 'doubt' }
  | { readonly type: 'tick' };

export type MobileNodeOutput =
  | { readonly type: 'transmit'; readonly signal: Signal }
  /** The home agent has confirmed this binding: for the first time, changed, or once more. */
  | ({ readonly type: 'bound' } & HeldBinding)
  | { readonly type: 'unbound'; readonly reason: string }
  /** Patience with the home agent has ended; the series of Binding Updates goes on. */
  | { readonly type: 'unanswered'; readonly homeAgent: Address }
  | { readonly type: 'refused'; readonly homeAgent: Address; readonly status: number };
