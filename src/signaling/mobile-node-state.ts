import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address } from '../wire/index.js';
import type { Pace } from './pace.js';

/** A binding as it is kept over a restart of the daemon. */
export interface HeldBinding {
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
  /** seconds granted, at most what was asked for */
  readonly lifetime: number;
  readonly expiresAt: Millis;
}

/** What a Binding Acknowledgement has confirmed, and nothing else. */
export interface ConfirmedBinding extends HeldBinding {
  /** of the acknowledgement: 0, or 1 (accepted, prefix discovery necessary) */
  readonly status: number;
}

export type MobileNodeState =
  /** Nothing is bound and nothing is wanted. */
  | { readonly kind: 'idle' }
  /** Nothing is bound; Binding Updates go out until one is acknowledged. */
  | ({ readonly kind: 'registering' } & Pace)
  | { readonly kind: 'registered'; readonly binding: ConfirmedBinding; readonly refreshAt: Millis }
  /** Bound, and a newer Binding Update waits for its acknowledgement; `lost` once that has taken too long. */
  | ({
      readonly kind: 'refreshing';
      readonly binding: ConfirmedBinding;
      readonly lost: boolean;
    } & Pace)
  /** Refused; a binding from before may still stand. */
  | {
      readonly kind: 'rejected';
      readonly status: number;
      readonly reason: string;
      readonly retryAt: Millis;
      readonly binding?: ConfirmedBinding;
    }
  | ({
      readonly kind: 'deregistering';
      readonly attemptsLeft: number;
      readonly binding?: ConfirmedBinding;
    } & Pace);

/** The confirmed binding, in the states that have one. */
export function bindingOf(state: MobileNodeState): ConfirmedBinding | undefined {
  return 'binding' in state ? state.binding : undefined;
}

/** When the state wants to change by itself, at the latest. */
export function deadlineOf(state: MobileNodeState): Millis | undefined {
  const expiresAt = bindingOf(state)?.expiresAt;
  switch (state.kind) {
    case 'idle':
      return undefined;
    case 'registered':
      return earliest(state.refreshAt, expiresAt);
    case 'rejected':
      return earliest(state.retryAt, expiresAt);
    case 'deregistering':
      return earliest(state.sendAt, expiresAt);
    default:
      return earliest(state.sendAt, state.patienceUntil, expiresAt);
  }
}
