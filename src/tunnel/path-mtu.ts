import { Drops } from '../drops.js';
import type { Millis } from '../time.js';
import { MINIMUM_MTU } from '../wire/index.js';

export interface PathMtuConfig {
  /** Octets of the largest packet that the uplink takes; the outer one. */
  readonly linkMtu: number;
  /** Octets of the tunnel headers: 40, or 48 with an encapsulation limit. */
  readonly overhead: number;
  /** Whether to send probes (RFC 4821); without them Packet Too Big alone rules. */
  readonly probing: boolean;
  /** 0 <= r < 1 */
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
  /** The tunnel carries packets: verifying is worth its while. */
  | { readonly type: 'traffic' }
  | { readonly type: 'tick' };

export type PathMtuOutput =
  /** An echo request is to go through the tunnel. `size`: octets of the outer packet; `token`: 32 bits. */
  | { readonly type: 'probe'; readonly size: number; readonly token: number }
  /** The estimate is another one. */
  | {
      readonly type: 'path-mtu';
      readonly mtu: number;
      readonly reason: 'link' | 'packet-too-big' | 'probe' | 'aged-out';
    };

export type PathMtuState = 'unconfirmed' | 'confirmed' | 'searching';

export class PathMtu {
  readonly drops = new Drops();
  readonly #linkMtu: number;
  readonly #outputs: PathMtuOutput[] = [];
  #mtu: number;

  constructor(config: PathMtuConfig) {
    this.#linkMtu = Math.max(MINIMUM_MTU, config.linkMtu);
    this.#mtu = this.#linkMtu;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get state(): PathMtuState {
    return 'unconfirmed';
  }

  handle(_now: Millis, event: PathMtuEvent): void {
    if (event.type === 'open') this.#estimate(this.#linkMtu, 'link');
    if (event.type !== 'too-big') return;
    if (event.mtu < MINIMUM_MTU) this.drops.count('too_big_below_minimum');
    else if (event.mtu >= this.#mtu) this.drops.count('too_big_not_smaller');
    else this.#estimate(event.mtu, 'packet-too-big');
  }

  poll(): PathMtuOutput | undefined {
    return this.#outputs.shift();
  }

  wakeAt(): Millis | undefined {
    return undefined;
  }

  #estimate(mtu: number, reason: Extract<PathMtuOutput, { type: 'path-mtu' }>['reason']): void {
    if (mtu === this.#mtu) return;
    this.#mtu = mtu;
    this.#outputs.push({ type: 'path-mtu', mtu, reason });
  }
}
