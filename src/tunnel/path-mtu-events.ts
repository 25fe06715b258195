import type { Millis } from '../time.js';

export interface PathMtuConfig {
  /** Octets of the largest packet that the uplink takes; the outer one. Less than 1280 counts as 1280. */
  readonly linkMtu: number;
  /** Octets of the tunnel headers: 40, or 48 with an encapsulation limit. */
  readonly overhead: number;
  /** Whether to send probes (RFC 4821); without them Packet Too Big alone rules. */
  readonly probing: boolean;
  /** 0 <= r < 1, also for the tokens: nobody off the path may guess them. */
  readonly random: () => number;
}

export type PathMtuEvent =
  /** The tunnel is open, or has other ends than before: all begins anew. */
  | { readonly type: 'open' }
  | { readonly type: 'close' }
  /** A Packet Too Big of the outer path whose quote is one of ours; `mtu` in octets of outer packets. */
  | { readonly type: 'too-big'; readonly mtu: number }
  /** A probe was answered. */
  | { readonly type: 'answer'; readonly token: number }
  /** The tunnel carried packets since the last time: verifying is worth its while. */
  | { readonly type: 'traffic' }
  | { readonly type: 'tick' };

/**
 * Why the estimate changed: `link`: begun anew; `probe`: what was answered, or was not;
 * `aged-out`: a Packet Too Big is ten minutes old and nobody answers probes.
 */
export type PathMtuReason = 'link' | 'packet-too-big' | 'probe' | 'aged-out';

export type PathMtuOutput =
  /** An echo request is to go through the tunnel. `size`: octets of the outer packet; `token`: 32 bits. */
  | { readonly type: 'probe'; readonly size: number; readonly token: number }
  /** The estimate is another one. */
  | { readonly type: 'path-mtu'; readonly mtu: number; readonly reason: PathMtuReason };

/** `confirmed`: a packet of the estimated size was answered. */
export type PathMtuState = 'unconfirmed' | 'confirmed' | 'searching';

/** Sizes that are asked about at one instant, and what a Packet Too Big added since. */
export interface Round {
  readonly number: number;
  /** octets, of what was sent */
  readonly sizes: readonly number[];
  readonly sentAt: Millis;
  readonly endAt: Millis;
  /** octets, of what was answered: when that is something, the rest was missed (RFC 4821 7.6.4 otherwise) */
  readonly heard: readonly number[];
  /** Not over before `endAt`, whatever is answered. */
  readonly held: boolean;
}
